//! Moving the blobs that are still needed out of packs that are to go.

use std::collections::HashSet;

use super::plan::PackPlan;
use crate::progress::Reporter;
use crate::repository::Repository;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::index::{Index, IndexedPack};
use crate::repository::format::pack::PackEntry;
use crate::repository::format::{BlobLocation, BlobType, Id};
use crate::repository::read::BlobReader;
use crate::repository::write::open_pack::{OpenPack, PackBuffer};
use crate::store::FileKind;

/// Writes proven copies of blobs into new packs. Blobs are copied sealed as they are: what seals
/// a blob does not depend on the pack it lies in.
pub(in super::super) struct Mover<'m> {
    repo: &'m Repository,
    index: &'m Index,
    reader: BlobReader,
    sealed: Vec<u8>,
    open: [Option<OpenPack>; 2],
    written: Vec<IndexedPack>,
    bytes_written: u64,
}

/// What a [`Mover`] has written.
pub(in super::super) struct Moved {
    /// The new packs, in no index yet.
    pub(in super::super) packs: Vec<IndexedPack>,
    /// Bytes of their files.
    pub(in super::super) bytes: u64,
}

impl<'m> Mover<'m> {
    pub(in super::super) fn new(repo: &'m Repository, index: &'m Index) -> Result<Self> {
        Ok(Self {
            repo,
            index,
            reader: BlobReader::new()?,
            sealed: Vec::new(),
            open: [None, None],
            written: Vec::new(),
            bytes_written: 0,
        })
    }

    /// Copies one blob. `Ok(Err(…))` when this copy of it is damaged.
    pub(in super::super) fn copy(&mut self, id: &Id, at: &BlobLocation) -> Result<Result<()>> {
        let sealed = &mut self.sealed;
        let keep = |bytes: &[u8]| {
            sealed.clear();
            sealed.extend_from_slice(bytes);
        };
        match self.repo.prove_blob(id, at, &mut self.reader, keep) {
            Err(error) if error.is_damage() => return Ok(Err(error)),
            proven => proven?,
        }
        let BlobLocation { kind, length, uncompressed, .. } = *at;
        let entry = PackEntry { id: *id, kind, offset: 0, length, uncompressed };
        let place = usize::from(kind == BlobType::Tree);
        for _ in 0..2 {
            let mut pack = match self.open[place].take() {
                Some(pack) => pack,
                None => OpenPack::new(PackBuffer::default()),
            };
            let added = pack.add_sealed(entry, &self.sealed)?;
            let full = pack.is_full() || !added;
            self.open[place] = Some(pack);
            if full {
                self.close(place)?;
            }
            if added {
                return Ok(Ok(()));
            }
        }
        Err(RepositoryError::Internal("a blob does not fit into an empty pack"))
    }

    fn close(&mut self, place: usize) -> Result<()> {
        let Some(pack) = self.open[place].take().filter(|pack| !pack.is_empty()) else {
            return Ok(());
        };
        let full = pack.close(&self.repo.key)?.name();
        self.repo.store.write(FileKind::Pack, &full.id.to_string(), full.bytes())?;
        let blobs = full.entries().iter().map(Into::into).collect();
        self.written.push(IndexedPack { id: full.id, blobs });
        self.bytes_written += full.bytes().len() as u64;
        Ok(())
    }

    /// Writes what is left and reads all new packs back: only then may the old ones go.
    pub(in super::super) fn finish(&mut self) -> Result<Moved> {
        self.close(0)?;
        self.close(1)?;
        for pack in &self.written {
            self.repo.prove_pack(&pack.id, &|_| Ok(()))?;
        }
        let (packs, bytes) = (std::mem::take(&mut self.written), self.bytes_written);
        self.bytes_written = 0;
        Ok(Moved { packs, bytes })
    }

    /// Removes what was written since the last [`Self::finish`]; nothing refers to it.
    pub(in super::super) fn undo(&mut self) {
        self.open = [None, None];
        for pack in self.written.drain(..) {
            // Should it stay, it is a pack that no index names, which the next pruning removes.
            let _ = self.repo.store.remove(FileKind::Pack, &pack.id.to_string());
        }
        self.bytes_written = 0;
    }
}

/// The packs of a batch that may go after [`move_blobs`].
pub(super) struct Batch {
    pub(super) moved: Moved,
    pub(super) emptied: HashSet<Id>,
    /// Why others stay as they are.
    pub(super) stay: Vec<String>,
}

/// Copies the kept blobs of some packs. A pack with a damaged one stays as it is, so that
/// whatever can be saved of it stays where it is.
pub(super) fn move_blobs(
    mover: &mut Mover<'_>,
    packs: &[PackPlan],
    reporter: &Reporter<'_>,
) -> Result<Batch> {
    let (mut emptied, mut stay) = (HashSet::new(), Vec::new());
    for pack in packs {
        match move_pack(mover, pack)? {
            Ok(()) => {
                emptied.insert(pack.id);
            }
            Err(error) => {
                let text = format!("pack file {} stays as it is: {error}", pack.id);
                reporter.warn(text.clone());
                stay.push(text);
            }
        }
        reporter.advance(pack.used, 0, 0)?;
    }
    Ok(Batch { moved: mover.finish()?, emptied, stay })
}

fn move_pack(mover: &mut Mover<'_>, pack: &PackPlan) -> Result<Result<()>> {
    for &entry in &pack.kept {
        let Some((id, at)) = mover.index.location(entry) else { continue };
        if let Err(damage) = mover.copy(&id, &at)? {
            return Ok(Err(damage));
        }
    }
    Ok(Ok(()))
}
