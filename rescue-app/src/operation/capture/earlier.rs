//! What earlier captures left in the repository: the folder of the disk, and packs that nothing
//! vouches for.

use std::collections::BTreeSet;

use crate::image::identity;
use crate::image::manifest::Manifest;
use crate::image::stored::{OpenImage, folder_of, is_ours};
use crate::operation::verify::packs_of;
use crate::repository::{Id, IndexedRepository, SnapshotFile};

/// The folder for a disk's image. Stock restic tells disks apart by it (`--group-by host,paths`):
/// no folder is shared with another disk, as far as the images that are there tell.
pub(super) fn folder(
    repo: &IndexedRepository,
    manifest: &Manifest,
    images: &[SnapshotFile],
) -> String {
    let (usual, other) = (manifest.disk.folder(), identity::folder_besides(manifest));
    let in_folder = |folder: &str| {
        let folder = folder.to_owned();
        let ours = images.iter().filter(|file| is_ours(&file.snapshot));
        ours.filter(move |file| folder_of(&file.snapshot) == folder)
    };
    if in_folder(&other).next().is_some() {
        return other;
    }
    let mut signs = vec![identity::signs(manifest)];
    for file in in_folder(&usual) {
        if let Ok(image) = OpenImage::open(repo, file.clone()) {
            signs.push(identity::signs(&image.manifest));
        }
    }
    let numbers = identity::numbers(signs.iter().map(Vec::as_slice));
    if numbers.iter().all(|number| *number == 0) { usual } else { other }
}

/// Of the packs that `blobs` lie in, those that no finished image needs too: an interrupted capture
/// wrote them, and did not come to reading them back.
pub(super) fn unproven_packs(
    repo: &IndexedRepository,
    blobs: impl Iterator<Item = Id>,
    images: &[SnapshotFile],
) -> BTreeSet<Id> {
    let mut packs = packs_of(repo, blobs);
    for file in images.iter().rev() {
        if packs.is_empty() {
            break;
        }
        if let Ok(image) = OpenImage::open(repo, file.clone()) {
            for pack in packs_of(repo, image.blobs()) {
                packs.remove(&pack);
            }
        }
    }
    packs
}
