//! The images of other disks that a logical volume lies on besides, looked for in the repository.

use std::sync::Arc;

use crate::bytes::Window;
use crate::container::{self, PhysicalVolume, VolumeGroup};
use crate::image::manifest::{Region, Stored};
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::operation::error::OperationError;
use crate::repository::IndexedRepository;
use crate::volume::Kind;

/// The newest images of the other devices of the group that the volume `name` of `image` is in,
/// that know the group in the same state.
pub(super) fn find_group_images(
    repo: &Arc<IndexedRepository>,
    image: &OpenImage,
    name: &str,
) -> Result<Vec<OpenImage>, OperationError> {
    let lists = |region: &Region| region.logical_volumes.iter().any(|v| v.to_string() == name);
    let own = physical_volumes(repo, image, lists)?;
    let Some(group) = own.iter().find_map(|device| device.group.clone()) else {
        return Ok(Vec::new());
    };
    let mut known: Vec<String> = ids(image).collect();
    let mut found = Vec::new();
    for other in OpenImage::all(repo)?.rev().flatten() {
        let members: Vec<String> = ids(&other).filter(|id| group.members.contains(id)).collect();
        if members.is_empty() || members.iter().any(|id| known.contains(id)) {
            continue;
        }
        let devices = physical_volumes(repo, &other, |_| true)?;
        if devices.iter().all(|device| fits(device, &group)) {
            known.extend(members);
            found.push(other);
        }
    }
    Ok(found)
}

/// Whether a device is none of the group, or one that knows it as it is.
fn fits(device: &PhysicalVolume, group: &VolumeGroup) -> bool {
    let same = |other: &VolumeGroup| (&other.id, other.seqno) == (&group.id, group.seqno);
    !group.members.contains(&device.id) || device.group.as_ref().is_none_or(same)
}

/// The regions with a physical volume that the image holds.
fn regions(image: &OpenImage) -> impl Iterator<Item = &Region> {
    let is_one = |region: &&Region| {
        region.filesystem.as_ref().is_some_and(|found| found.kind == Kind::Lvm2)
            && region.stored != Stored::Nothing
    };
    image.manifest.regions.iter().filter(is_one)
}

/// The identities of its physical volumes as LVM's metadata has them: without the dashes that are
/// put in for people.
fn ids(image: &OpenImage) -> impl Iterator<Item = String> {
    let uuids = regions(image).filter_map(|region| region.filesystem.as_ref()?.uuid.as_ref());
    uuids.map(|uuid| uuid.replace('-', ""))
}

fn physical_volumes(
    repo: &Arc<IndexedRepository>,
    image: &OpenImage,
    wanted: impl Fn(&Region) -> bool,
) -> Result<Vec<PhysicalVolume>, OperationError> {
    let disk = ImageReader::new(Arc::clone(repo), image.placed(repo)?.into());
    let wanted = regions(image).filter(|region| wanted(region));
    let windows = wanted.map(|region| Window::new(&disk, region.start, region.size));
    Ok(windows.filter_map(|window| container::physical_volume(&window)).collect())
}
