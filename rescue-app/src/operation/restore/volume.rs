//! One logical volume of an image.

use crate::bytes::Window;
use crate::filesystem::{self, Located, LogicalVolume, Obstacle, Place};
use crate::image::reader::DiskImage;
use crate::operation::error::OperationError;
use crate::operation::format::plain;
use crate::operation::images::{ImageSummary, OpenImage};

use super::plan::Transfer;
use super::sources::{Beside, Sources};

/// A logical volume and what of the images belongs to it.
pub(super) struct FoundVolume {
    pub(super) volume: LogicalVolume,
    /// Its bytes, from its first one on.
    pub(super) transfers: Vec<Transfer>,
}

/// Finds the volume `name` (`group/name`) in the images: the metadata that says where it lies is in
/// them too.
pub(super) fn find(sources: &Sources<'_>, name: &str) -> Result<FoundVolume, OperationError> {
    let placed = sources.placed()?;
    let disk = DiskImage::new(sources.image.repo, &placed)?;
    let beside = Beside { disk: &disk, regions: sources.regions().collect() };
    let mut others = Vec::new();
    for (base, region) in sources.regions() {
        let start = base + region.start;
        let window = Window::new(&disk, start, region.size);
        if let Some(Located { volume, fragments }) = filesystem::locate(&window, &beside, name) {
            let fragments = match fragments {
                Ok(fragments) => fragments,
                Err(obstacle) => return Err(refusal(sources, &volume, obstacle)?),
            };
            let transfers = fragments.iter().map(|fragment| {
                let from = match fragment.at {
                    Place::Here(at) => start + at,
                    Place::Beside(at) => at,
                };
                let used = sources.used(from, fragment.len);
                Transfer { from, to: fragment.start, len: fragment.len, used }
            });
            return Ok(FoundVolume { transfers: transfers.collect(), volume });
        }
        others.extend(filesystem::volumes(&window).iter().map(ToString::to_string));
    }
    let known = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(OperationError::refused(
        format!("the image has no logical volume {name}; those it has: {known}"),
        "see what it holds with `lifeboat show`",
    ))
}

fn refusal(
    sources: &Sources<'_>,
    volume: &LogicalVolume,
    obstacle: Obstacle,
) -> Result<OperationError, OperationError> {
    let why = match obstacle {
        Obstacle::NotPlain => "is neither linear nor striped, so that only LVM can read it",
        Obstacle::Scattered => "lies strewn over too many places",
        Obstacle::Missing => {
            let why = format!(
                "the logical volume {volume} lies on several disks, not all of which are in the \
                 images named"
            );
            return Ok(OperationError::refused(why, name_the_others(sources, volume)?));
        }
    };
    Ok(OperationError::refused(
        format!("the logical volume {volume} cannot be restored alone: it {why}"),
        "restore the whole of each disk that it lies on",
    ))
}

/// The newest image of each other disk that lists the volume.
fn name_the_others(
    sources: &Sources<'_>,
    volume: &LogicalVolume,
) -> Result<String, OperationError> {
    let holds = |image: &OpenImage<'_>| {
        let mut volumes = image.manifest.regions.iter().flat_map(|r| &r.logical_volumes);
        volumes.any(|other| other.uuid == volume.uuid)
    };
    let mut disks = vec![sources.image.manifest.disk.clone()];
    disks.extend(sources.with.iter().map(|image| image.manifest.disk.clone()));
    let mut found = Vec::new();
    for image in OpenImage::all(sources.image.repo)?.iter().rev().filter(|image| holds(image)) {
        if !disks.contains(&image.manifest.disk) {
            disks.push(image.manifest.disk.clone());
            let ImageSummary { disk_name, time, .. } = image.summary();
            found.push(format!("--with {} ({}, {time})", image.short_id(), plain(&disk_name)));
        }
    }
    Ok(if found.is_empty() {
        "capture the other disks into this repository and name their images with --with".to_owned()
    } else {
        format!("name the images of the other disks too: {}", found.join(", "))
    })
}
