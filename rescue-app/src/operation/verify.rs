//! Proving that what is stored is what was captured.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::repository::{BlobReader, Id, IdHasher, Repository, RepositoryError, Run};
use crate::store::FileKind;

use super::access::RepoAccess;
use super::error::OperationError;
use super::event::{Control, Phase};
use super::images::OpenImage;
use super::reporter::Reporter;

/// What a verification read.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Images covered.
    pub images: usize,
    /// Blobs read, decrypted and compared with their hash.
    pub blobs: u64,
    /// Plain bytes in them.
    pub bytes: u64,
    /// Wall-clock time in seconds.
    pub seconds: f64,
}

/// Size of the reads of packs, bytes.
const READ_SIZE: usize = 4 << 20;

/// Unwanted bytes between two blobs that are read along rather than skipped.
const READ_ALONG: u64 = 256 << 10;

/// Reads everything an image needs, or all images of the repository do, decrypts it and compares
/// it with its hash; and checks that each image's data add up to its disk.
pub fn verify(
    access: &RepoAccess,
    image: Option<&str>,
    control: Control<'_>,
) -> Result<VerifyReport, OperationError> {
    let started = Instant::now();
    let repo = access.open()?;
    let _lock = repo.lock_shared()?;
    repo.load_index()?;
    let images = match image {
        Some(reference) => vec![OpenImage::find(&repo, reference)?],
        None => OpenImage::all(&repo)?,
    };
    let mut blobs = HashSet::new();
    for image in &images {
        image.placed()?;
        blobs.extend(image.blobs());
    }
    let plan = repo.plan_reads(&blobs)?;
    let reporter = Reporter::start(control, Phase::Verifying, plan.plain_bytes(), 0);
    let runs = Mutex::new(plan.runs(READ_SIZE as u64, READ_ALONG));
    let next = || runs.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(2, usize::from);
        let handles: Vec<_> =
            (0..workers).map(|_| scope.spawn(|| check_runs(&repo, &next, &reporter))).collect();
        let results = handles.into_iter().map(|handle| {
            handle.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        });
        results.collect::<Vec<_>>().into_iter().collect::<Result<(), OperationError>>()
    })?;
    let bytes = reporter.finish().done;
    let seconds = started.elapsed().as_secs_f64();
    Ok(VerifyReport { images: images.len(), blobs: plan.len() as u64, bytes, seconds })
}

fn check_runs(
    repo: &Repository,
    next: &(impl Fn() -> Option<Run> + Sync),
    reporter: &Reporter<'_>,
) -> Result<(), OperationError> {
    let mut reader = BlobReader::new()?;
    let mut buffer = Vec::new();
    while let Some(run) = next() {
        repo.read_run(&run, &mut buffer)?;
        for (id, location) in &run.blobs {
            let plain = match run.sealed(&mut buffer, location) {
                Some(sealed) => repo.open_blob(id, location, sealed, &mut reader)?,
                None => repo.read_blob(id, &mut reader)?,
            };
            reporter.advance(plain.len() as u64, 0, 0)?;
        }
    }
    Ok(())
}

/// Reads back every pack that holds one of `blobs` and compares it with its name, which is its
/// hash. Returns the number of bytes read.
pub(super) fn stored(
    repo: &Repository,
    blobs: &[Id],
    control: Control<'_>,
) -> Result<u64, OperationError> {
    let packs: BTreeSet<Id> =
        blobs.iter().filter_map(|id| repo.blob(id)).map(|location| location.pack).collect();
    let sizes = packs.iter().map(|pack| pack_size(repo, pack));
    let total = sizes.sum::<Result<u64, OperationError>>()?;
    let reporter = Reporter::start(control, Phase::Verifying, total, 0);
    let packs = Mutex::new(packs.into_iter());
    let work = || -> Result<(), OperationError> {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let Some(pack) = packs.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                return Ok(());
            };
            check_pack(repo, &pack, &mut buffer, &reporter)?;
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let own = work();
        let other = other.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
        own.and(other)
    })?;
    Ok(reporter.finish().done)
}

fn pack_size(repo: &Repository, pack: &Id) -> Result<u64, OperationError> {
    Ok(repo.store().size(FileKind::Pack, &pack.to_string()).map_err(RepositoryError::from)?)
}

fn check_pack(
    repo: &Repository,
    pack: &Id,
    buffer: &mut [u8],
    reporter: &Reporter<'_>,
) -> Result<(), OperationError> {
    let size = pack_size(repo, pack)?;
    let mut hasher = IdHasher::default();
    let mut at = 0;
    while at < size {
        let len = usize::try_from(size - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..len).unwrap_or_default();
        repo.read_pack_range(pack, at, part)?;
        hasher.update(part);
        at += len as u64;
        reporter.advance(len as u64, 0, 0)?;
    }
    if hasher.finish() == *pack {
        return Ok(());
    }
    Err(OperationError::StoredWrong { pack: *pack })
}
