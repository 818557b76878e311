//! Proving that blobs can be read: decrypted, decompressed, with the right sum.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::BlobReader;
use super::reader::PackRun;
use crate::bytes::AlignedBuffer;
use crate::progress::{self, Advance, Control, Phase, Reporter};
use crate::repository::error::{RepositoryError, Result, WRONG_SUM};
use crate::repository::format::Id;
use crate::repository::format::hasher::IdHasher;
use crate::repository::{IndexedRepository, Repository};
use crate::store::{FileKind, Store};

/// Bytes fetched at a time, and unwanted bytes between wanted ones that are read along.
const RUN_LEN: u64 = 4 << 20;
const RUN_GAP: u64 = 128 << 10;

/// Bytes of a pack read at a time.
const STEP: u64 = 4 << 20;

/// What [`IndexedRepository::verify_blobs`] found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Blobs that were looked at, each counted once.
    pub blobs: u64,
    /// Plain bytes in them.
    pub bytes: u64,
    /// Blobs of which no good copy exists, and what is wrong with the last one tried.
    pub damaged: Vec<(Id, RepositoryError)>,
}

impl Repository {
    /// Reads a whole pack and compares it with its name, which is its hash. Returns its size.
    pub fn prove_pack(&self, id: &Id, advance: Advance<'_>) -> Result<u64> {
        match self.first_wrong_pack(&[*id], &mut Vec::new(), advance)? {
            None => Ok(self.store.size(FileKind::Pack, &id.to_string())?),
            Some(id) => Err(RepositoryError::damaged(FileKind::Pack, id, WRONG_SUM)),
        }
    }

    /// Reads whole packs, which are hashed together, and compares each with its name. Returns the
    /// first that differs; `bufs` are there to be reused.
    pub fn first_wrong_pack(
        &self,
        ids: &[Id],
        bufs: &mut Vec<AlignedBuffer>,
        advance: Advance<'_>,
    ) -> Result<Option<Id>> {
        first_wrong_pack(&*self.store, ids, bufs, advance)
    }

    /// Feeds a range of bytes of a pack to the hasher.
    pub(in crate::repository) fn hash_pack(
        &self,
        id: &Id,
        range: Range<u64>,
        hasher: &mut IdHasher,
    ) -> Result<()> {
        let mut buf = AlignedBuffer::default();
        let mut at = range.start;
        while at < range.end {
            let len = STEP.min(range.end - at);
            buf.set_len(usize::try_from(len).unwrap_or_default());
            self.read_pack_range(id, at, &mut buf)?;
            hasher.update(&buf);
            at += len;
        }
        Ok(())
    }
}

impl IndexedRepository {
    /// Reads and proves all these blobs with the given number of threads; the progress told is that
    /// of their plain bytes.
    pub fn verify_blobs<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i Id>,
        threads: usize,
        control: Control<'_>,
    ) -> Result<Verified> {
        let (known, unknown): (Vec<&Id>, Vec<&Id>) =
            ids.into_iter().partition(|id| self.blob(id).is_some());
        let missing = |blob: &Id| (*blob, RepositoryError::MissingBlob { blob: *blob });
        let mut damaged: Vec<_> = unknown.into_iter().map(missing).collect();
        damaged.sort_unstable_by_key(|(id, _)| *id);
        damaged.dedup_by_key(|(id, _)| *id);
        let plan = self.plan_reads(known)?;
        let reporter = Reporter::start(control, Phase::Verifying, plan.plain_bytes(), 0);
        let found = Mutex::new(damaged);
        let buffers = || Ok((BlobReader::new()?, AlignedBuffer::default()));
        progress::for_each(threads, plan.runs(RUN_LEN, RUN_GAP), buffers, |run, buffers| {
            self.verify_run(&run, buffers, &found, &reporter)
        })?;
        reporter.finish();
        let damaged = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Verified { blobs: plan.len() as u64, bytes: plan.plain_bytes(), damaged })
    }

    fn verify_run(
        &self,
        run: &PackRun,
        (reader, buf): &mut (BlobReader, AlignedBuffer),
        damaged: &Mutex<Vec<(Id, RepositoryError)>>,
        reporter: &Reporter<'_>,
    ) -> Result<()> {
        // What cannot be read in one go is tried blob by blob.
        let whole = self.read_run(run, buf).is_ok();
        for (id, location) in &run.blobs {
            let sealed = run.sealed(buf, location).filter(|_| whole);
            let good =
                sealed.is_some_and(|bytes| self.open_blob(id, location, bytes, reader).is_ok());
            if !good && let Err(error) = self.read_blob(id, reader) {
                if error.is_out_of_reach() {
                    return Err(error);
                }
                damaged.lock().unwrap_or_else(PoisonError::into_inner).push((*id, error));
            }
            reporter.advance(u64::from(location.plain_len()), 0, 0)?;
        }
        Ok(())
    }
}

/// [`Repository::first_wrong_pack`] for whoever has no more than the store.
pub(in crate::repository) fn first_wrong_pack(
    store: &dyn Store,
    ids: &[Id],
    bufs: &mut Vec<AlignedBuffer>,
    advance: Advance<'_>,
) -> Result<Option<Id>> {
    let size = |id: &Id| Ok(store.size(FileKind::Pack, &id.to_string())?);
    let sizes = ids.iter().map(size).collect::<Result<Vec<u64>>>()?;
    let mut hashers = vec![IdHasher::default(); ids.len()];
    bufs.resize_with(ids.len(), AlignedBuffer::default);
    let longest = sizes.iter().copied().max().unwrap_or(0);
    let mut at = 0;
    while at < longest {
        let mut read = 0;
        for ((id, size), buf) in ids.iter().zip(&sizes).zip(&mut *bufs) {
            let len = STEP.min(size.saturating_sub(at));
            buf.set_len(usize::try_from(len).unwrap_or_default());
            if len > 0 {
                store.read_range(FileKind::Pack, &id.to_string(), at, buf)?;
            }
            read += len;
        }
        IdHasher::update_all(hashers.iter_mut().zip(bufs.iter().map(|buf| &**buf)));
        at += STEP;
        advance(read)?;
    }
    let sums = hashers.iter_mut().map(IdHasher::finish);
    Ok(ids.iter().zip(sums).find(|(id, sum)| *id != sum).map(|(id, _)| *id))
}
