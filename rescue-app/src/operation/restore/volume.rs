//! One logical volume of an image.

use crate::bytes::Window;
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::inspect;
use crate::operation::error::OperationError;
use crate::operation::format::time;
use crate::transfer::Transfer;
use crate::volume::{Located, LogicalVolume, Obstacle, Place};

use super::sources::{ImageVolumes, Sources};

/// A logical volume and what of the images belongs to it.
pub(super) struct FoundVolume {
    pub(super) volume: LogicalVolume,
    /// Its bytes, from its first one on.
    pub(super) transfers: Vec<Transfer>,
}

/// What became of looking for a volume.
enum Look {
    Found(FoundVolume),
    /// It is there, and its bytes are not.
    Obstructed(LogicalVolume, Obstacle),
    /// The volumes that there are.
    Unknown(Vec<String>),
}

/// Finds the volume `name` (`group/name`) in the images: the metadata that says where it lies is in
/// them too. `searched` tells whether all images that fit were taken along.
pub(super) fn find(
    sources: &Sources,
    name: &str,
    searched: bool,
) -> Result<FoundVolume, OperationError> {
    let others = match look(sources, &sources.reader()?, name) {
        Look::Found(found) => return Ok(found),
        Look::Obstructed(volume, obstacle) => {
            return Err(refusal(sources, &volume, obstacle, searched)?);
        }
        Look::Unknown(others) => others,
    };
    let known = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(OperationError::refused(
        format!("the image has no logical volume {name}; those it has: {known}"),
        "see what it holds with `lifeboat show`",
    ))
}

/// Whether a part of the volume lies on a disk that none of the images is of.
pub(super) fn is_elsewhere_too(sources: &Sources, name: &str) -> Result<bool, OperationError> {
    Ok(matches!(look(sources, &sources.reader()?, name), Look::Obstructed(_, Obstacle::Missing)))
}

/// Where the bytes of the volume are taken from, if all of them are there.
pub(super) fn transfers(
    sources: &Sources,
    disk: &ImageReader,
    name: &str,
) -> Option<Vec<Transfer>> {
    match look(sources, disk, name) {
        Look::Found(found) => Some(found.transfers),
        Look::Obstructed(..) | Look::Unknown(_) => None,
    }
}

/// `disk` is that of the sources ([`Sources::reader`]).
fn look(sources: &Sources, disk: &ImageReader, name: &str) -> Look {
    let volumes = ImageVolumes { disk, regions: sources.regions().collect() };
    let mut others = Vec::new();
    for (base, region) in sources.regions() {
        let start = base + region.start;
        let window = Window::new(disk, start, region.size);
        if let Some(Located { volume, fragments }) = inspect::locate(&window, &volumes, name) {
            let fragments = match fragments {
                Ok(fragments) => fragments,
                Err(obstacle) => return Look::Obstructed(volume, obstacle),
            };
            let transfers = fragments.iter().map(|fragment| {
                let from = match fragment.at {
                    Place::Here(at) => start + at,
                    Place::Beside(at) => at,
                };
                let used = sources.used(from, fragment.len);
                Transfer { from, to: fragment.start, len: fragment.len, used, is_cut: false }
            });
            return Look::Found(FoundVolume { transfers: transfers.collect(), volume });
        }
        others.extend(inspect::volumes(&window).iter().map(ToString::to_string));
    }
    Look::Unknown(others)
}

fn refusal(
    sources: &Sources,
    volume: &LogicalVolume,
    obstacle: Obstacle,
    searched: bool,
) -> Result<OperationError, OperationError> {
    let why = match obstacle {
        Obstacle::NotPlain => "is neither linear nor striped, so that only LVM can read it",
        Obstacle::Scattered => "lies strewn over too many places",
        Obstacle::Missing if searched => return not_found(sources, volume),
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

/// What is missing, after all images that fit were taken along.
fn not_found(sources: &Sources, volume: &LogicalVolume) -> Result<OperationError, OperationError> {
    let older: Vec<String> =
        images_of_others(sources, volume)?.iter().map(|image| image.manifest.disk.name()).collect();
    let why = if older.is_empty() {
        format!(
            "the logical volume {volume} lies on several disks, and there is no image of the others"
        )
    } else {
        format!(
            "the logical volume {volume} lies on several disks, and the images of {} show its \
             volume group as it was at another time",
            older.join(", ")
        )
    };
    let next = "capture all the disks that it lies on into this repository, without a change of \
                the volume group in between, and restore it from these images";
    Ok(OperationError::refused(why, next))
}

fn name_the_others(sources: &Sources, volume: &LogicalVolume) -> Result<String, OperationError> {
    let named = |image: &OpenImage| {
        let (disk, made) = (image.manifest.disk.name(), time(image.snapshot.time));
        format!("--with {} ({disk}, {made})", image.short_id())
    };
    let found: Vec<String> = images_of_others(sources, volume)?.iter().map(named).collect();
    Ok(if found.is_empty() {
        "capture the other disks into this repository and name their images with --with".to_owned()
    } else {
        format!("name the images of the other disks too: {}", found.join(", "))
    })
}

/// The newest image of each other disk that lists the volume.
fn images_of_others(
    sources: &Sources,
    volume: &LogicalVolume,
) -> Result<Vec<OpenImage>, OperationError> {
    let holds = |image: &OpenImage| {
        let mut volumes = image.manifest.regions.iter().flat_map(|r| &r.logical_volumes);
        volumes.any(|other| other.uuid == volume.uuid)
    };
    let mut disks: Vec<_> = sources.all().map(|image| image.manifest.disk.clone()).collect();
    let mut found = Vec::new();
    for image in OpenImage::all(&sources.repo)?.rev().flatten().filter(holds) {
        if !disks.contains(&image.manifest.disk) {
            disks.push(image.manifest.disk.clone());
            found.push(image);
        }
    }
    Ok(found)
}
