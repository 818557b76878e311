//! One logical volume of an image.

use crate::bytes::{Extents, Window};
use crate::filesystem::{self, Fragment, Located, LogicalVolume};
use crate::image::manifest::{Region, Stored};
use crate::image::reader::DiskImage;
use crate::operation::error::OperationError;
use crate::operation::images::OpenImage;

use super::plan::Transfer;

/// A logical volume and what of the image belongs to it.
pub(super) struct FoundVolume {
    pub(super) volume: LogicalVolume,
    /// Its bytes, from its first one on.
    pub(super) transfers: Vec<Transfer>,
}

/// Finds the volume `name` (`group/name`) in the image: the metadata that says where it lies is in
/// the image too.
pub(super) fn find(image: &OpenImage<'_>, name: &str) -> Result<FoundVolume, OperationError> {
    let placed = image.placed()?;
    let disk = DiskImage::new(image.repo, &placed)?;
    let mut others = Vec::new();
    for region in image.manifest.regions.iter().filter(|r| r.stored != Stored::Nothing) {
        let window = Window::new(&disk, region.start, region.size);
        if let Some(Located { volume, fragments }) = filesystem::locate(&window, name) {
            let fragments = fragments.ok_or_else(|| incomplete(name))?;
            let transfers = fragments.iter().map(|fragment| transfer(region, fragment)).collect();
            return Ok(FoundVolume { volume, transfers });
        }
        others.extend(filesystem::volumes(&window).iter().map(ToString::to_string));
    }
    let known = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    Err(OperationError::refused(
        format!("the image has no logical volume {name}; those it has: {known}"),
        "see what it holds with `lifeboat show`",
    ))
}

fn incomplete(name: &str) -> OperationError {
    OperationError::refused(
        format!("the logical volume {name} lies not only in this image, or is not a plain one"),
        "restore the whole of each disk that it lies on",
    )
}

fn transfer(region: &Region, fragment: &Fragment) -> Transfer {
    let from = region.start + fragment.at;
    let mut used = Extents::new();
    for part in region.used.within(from, from + fragment.len) {
        used.push(part.start, part.end);
    }
    Transfer { from, to: fragment.start, len: fragment.len, used }
}
