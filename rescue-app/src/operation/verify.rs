//! Proving that what is stored is what was captured.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use serde::Serialize;

use crate::repository::{BlobReader, Id, IdHasher, Repository, RepositoryError, Run};
use crate::store::FileKind;

use super::access::{RepoAccess, lock_to_read};
use super::error::OperationError;
use super::event::{Control, Phase};
use super::images::OpenImage;
use super::parallel;
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
    let _lock = lock_to_read(&repo)?;
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
    let scratch = || Ok((BlobReader::new()?, Vec::new()));
    parallel::for_each(plan.runs(READ_SIZE as u64, READ_ALONG), scratch, |run, scratch| {
        check_run(&repo, &run, scratch, &reporter)
    })?;
    let bytes = reporter.finish().done;
    let seconds = started.elapsed().as_secs_f64();
    Ok(VerifyReport { images: images.len(), blobs: plan.len() as u64, bytes, seconds })
}

fn check_run(
    repo: &Repository,
    run: &Run,
    (reader, buffer): &mut (BlobReader, Vec<u8>),
    reporter: &Reporter<'_>,
) -> Result<(), OperationError> {
    repo.read_run(run, buffer)?;
    for (id, location) in &run.blobs {
        let plain = match run.sealed(buffer, location) {
            Some(sealed) => repo.open_blob(id, location, sealed, reader)?,
            None => repo.read_blob(id, reader)?,
        };
        reporter.advance(plain.len() as u64, 0, 0)?;
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
    parallel::for_each(
        packs.iter(),
        || Ok(vec![0; READ_SIZE]),
        |pack, buffer| check_pack(repo, pack, buffer, &reporter),
    )?;
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
