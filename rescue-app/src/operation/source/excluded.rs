//! Files and folders that are left out because somebody asked for it.

use crate::bytes::{ReadAt, Window};
use crate::image::left_out::{Excluded, LeftOut, content_below};
use crate::image::manifest::{Region, Stored};
use crate::operation::error::OperationError;

/// Takes the content of files and folders out of what counts.
///
/// # Errors
/// Refuses what is not there, or cannot be left out.
pub(super) fn leave_out(
    excluded: &[Excluded],
    disk: &dyn ReadAt,
    regions: &mut [Region],
) -> Result<(), OperationError> {
    for wanted in excluded {
        let refused = |why: &str| {
            OperationError::refused(
                format!("{wanted} cannot be left out: {why}"),
                "name a file or folder as in `3/home/anna/films`: the number of a partition, then its path",
            )
        };
        let mut regions = regions.iter_mut();
        let region = regions.find(|region| region.partition == Some(wanted.partition));
        let region = region.ok_or_else(|| refused("the disk has no such partition"))?;
        if region.stored != Stored::Used {
            return Err(refused("the partition is not stored by what its files use"));
        }
        let volume = Window::new(disk, region.start, region.size);
        let content = content_below(&volume, &wanted.path)
            .map_err(|error| refused(&error.to_string()))?
            .ok_or_else(|| refused("there is nothing of that name"))?;
        let content = content.shifted(region.start).intersection(&region.used);
        region.used = region.used.without(&content);
        let path = format!("/{}", wanted.path);
        region.left_out.push(LeftOut { path, bytes: content.total(), asked: true });
    }
    Ok(())
}
