//! Proving that what is stored is what was captured.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;

use crate::bytes::AlignedBuffer;
use crate::progress::{self, Control, Phase, Reporter, mixed_workers};
use crate::repository::{Id, IndexedRepository, Repository, RepositoryError, TOGETHER};
use crate::store::FileKind;

use super::access::RepoAccess;
use super::error::OperationError;
use super::latest::{self, OfSeveral};
use super::timed::Timed;
use crate::image::stored::OpenImage;

/// What a verification read.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Images covered.
    pub images: u64,
    /// Blobs covered.
    pub blobs: u64,
    /// Bytes read and proven: of one image its plain data, of a repository its packs.
    pub bytes: u64,
    /// Bytes that the images' disks did not give when they were captured.
    pub unreadable: u64,
    /// What the images lack although all that was stored is right: what their disks did not give.
    pub warnings: Vec<String>,
}

/// Reads everything an image needs, or the whole repository, decrypts it and compares it with its
/// hash; and checks that the data of each image add up to its disk.
///
/// # Errors
/// [`OperationError::Damaged`] with everything that was found, after all of it was read.
pub fn verify(
    access: &RepoAccess,
    image: Option<&str>,
    control: Control<'_>,
) -> Result<Timed<VerifyReport>, OperationError> {
    Timed::run(|| {
        let repo = access.open()?;
        let _lock = repo.lock_for_reading()?;
        match image {
            Some(reference) => verify_image(&repo.load_index()?, reference, control),
            None => verify_repository(&repo, control),
        }
    })
}

fn verify_image(
    repo: &IndexedRepository,
    reference: &str,
    control: Control<'_>,
) -> Result<VerifyReport, OperationError> {
    let meant = latest::find(repo, reference, OfSeveral::Newest)?;
    meant.doubts.into_iter().for_each(|doubt| control.warn(doubt));
    let image = OpenImage::load(repo, meant.id)?;
    let placed = image.placed(repo)?;
    let wanted: HashSet<Id> = image.blobs().collect();
    let found = repo.verify_blobs(&wanted, mixed_workers(), control)?;
    let place = |id: &Id| placed.iter().find(|blob| blob.id == *id).map(|blob| blob.offset);
    let findings = found.damaged.iter().map(|(id, error)| match place(id) {
        Some(offset) => format!("the data at byte {offset} of the disk: {error}"),
        None => error.to_string(),
    });
    damaged(findings.collect())?;
    let warnings = repeat_warnings(&image, control);
    let unreadable = image.manifest.unreadable.total();
    let (images, blobs, bytes) = (1, found.blobs, found.bytes);
    Ok(VerifyReport { images, blobs, bytes, unreadable, warnings })
}

fn verify_repository(
    repo: &Repository,
    control: Control<'_>,
) -> Result<VerifyReport, OperationError> {
    let report = repo.check(true, mixed_workers(), control)?;
    let damage = report.findings.iter().filter(|finding| finding.is_damage);
    damaged(damage.map(|finding| finding.text.clone()).collect())?;
    let repo = repo.load_index()?;
    let (mut unreadable, mut warnings) = (0, Vec::new());
    for image in OpenImage::all(&repo)? {
        let image = image?;
        image.placed(&repo)?;
        unreadable += image.manifest.unreadable.total();
        warnings.extend(repeat_warnings(&image, control));
    }
    let (images, blobs, bytes) = (report.snapshots, report.blobs, report.bytes_read);
    Ok(VerifyReport { images, blobs, bytes, unreadable, warnings })
}

/// What was stored is right, but it may not be all of the disk.
fn repeat_warnings(image: &OpenImage, control: Control<'_>) -> Vec<String> {
    let name = |warning| format!("image {}: {warning}", image.short_id());
    let warnings: Vec<String> = image.manifest.damage.warnings().into_iter().map(name).collect();
    for warning in &warnings {
        control.warn(warning.clone());
    }
    warnings
}

fn damaged(findings: Vec<String>) -> Result<(), OperationError> {
    if findings.is_empty() { Ok(()) } else { Err(OperationError::Damaged { findings }) }
}

/// The packs that hold these blobs.
pub(super) fn packs_of(repo: &IndexedRepository, blobs: impl Iterator<Item = Id>) -> BTreeSet<Id> {
    blobs.filter_map(|id| repo.blob(&id)).map(|location| location.pack).collect()
}

/// Reads back packs and compares each with its name, which is its hash. Returns the number of
/// bytes read.
pub(super) fn stored(
    repo: &Repository,
    packs: &BTreeSet<Id>,
    control: Control<'_>,
) -> Result<u64, OperationError> {
    let sized = packs.iter().map(|pack| Ok((pack_size(repo, pack)?, *pack)));
    let mut sized = sized.collect::<Result<Vec<_>, OperationError>>()?;
    let total = sized.iter().map(|(size, _)| size).sum();
    let reporter = Reporter::start(control, Phase::Verifying, total, 0);
    // Packs of one length are hashed together from end to end; the longest first, so that all
    // threads end together.
    sized.sort_unstable_by(|one, other| other.cmp(one));
    let groups = groups(&sized, total / mixed_workers() as u64);
    let prove = |packs: Vec<Id>, bufs: &mut _| prove_packs(repo, &packs, bufs, &reporter);
    progress::for_each(mixed_workers(), groups.into_iter(), || Ok(Vec::new()), prove)?;
    Ok(reporter.finish().done)
}

/// Packs with their sizes in groups to be read together, of no more than [`TOGETHER`], and closed
/// as soon as they have `enough` bytes: few packs are spread over the threads.
fn groups(packs: &[(u64, Id)], enough: u64) -> Vec<Vec<Id>> {
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Vec::new(), 0);
    for (size, pack) in packs {
        group.push(*pack);
        bytes += size;
        if group.len() == TOGETHER || bytes >= enough {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
    }
    groups.extend(Some(group).filter(|group| !group.is_empty()));
    groups
}

/// Like [`stored`] for packs that the repository held before.
pub(super) fn reused(
    repo: &Repository,
    packs: &BTreeSet<Id>,
    control: Control<'_>,
) -> Result<u64, OperationError> {
    stored(repo, packs, control).map_err(|error| match error {
        OperationError::Repository(RepositoryError::StoredWrong { pack }) => {
            OperationError::ReusedWrong { pack }
        }
        other => other,
    })
}

fn pack_size(repo: &Repository, pack: &Id) -> Result<u64, OperationError> {
    Ok(repo.store().size(FileKind::Pack, &pack.to_string()).map_err(RepositoryError::from)?)
}

fn prove_packs(
    repo: &Repository,
    packs: &[Id],
    bufs: &mut Vec<AlignedBuffer>,
    reporter: &Reporter<'_>,
) -> Result<(), OperationError> {
    match repo.first_wrong_pack(packs, bufs, &|bytes| reporter.advance(bytes, 0, 0))? {
        Some(pack) => Err(RepositoryError::StoredWrong { pack }.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_packs_are_spread_and_many_are_read_together() {
        let lens = |packs: &[u64], enough| -> Vec<usize> {
            let packs: Vec<_> = packs.iter().map(|&size| (size, Id::of(&[]))).collect();
            groups(&packs, enough).iter().map(Vec::len).collect()
        };
        assert_eq!(lens(&[17, 17, 12, 4, 1, 1], 13), [1, 1, 2, 2]);
        assert_eq!(lens(&[16; 11], 44), [3, 3, 3, 2]);
        assert_eq!(lens(&[16; 18], 1000), [4, 4, 4, 4, 2]);
        assert!(lens(&[], 0).is_empty());
    }
}
