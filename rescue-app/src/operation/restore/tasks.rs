//! The list of chunks to put on the target, in the order that reads the repository best.

use std::collections::HashMap;

use crate::bytes::Extents;
use crate::image::ImageError;
use crate::image::content::Placed;
use crate::operation::error::OperationError;
use crate::repository::{Id, Repository};

use super::plan::Transfer;

/// A chunk's place on the target.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where the chunk's first byte belongs. Negative when the chunk begins before its transfer.
    pub(super) at: i128,
    /// Used bytes, as offsets in the chunk.
    pub(super) used: Extents,
}

impl Place {
    /// The used ranges as offsets on the target and in the chunk.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> + '_ {
        self.used.iter().filter_map(|extent| {
            let target = u64::try_from(self.at + i128::from(extent.start)).ok()?;
            let range = usize::try_from(extent.start).ok()?..usize::try_from(extent.end).ok()?;
            Some((target, range))
        })
    }
}

/// A chunk and everywhere it goes.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The chunk.
    pub(super) id: Id,
    /// Length in bytes.
    pub(super) len: usize,
    /// Its places.
    pub(super) places: Vec<Place>,
}

impl Task {
    /// Bytes it puts on the target.
    pub(super) fn bytes(&self) -> u64 {
        self.places.iter().map(|place| place.used.total()).sum()
    }
}

/// The tasks of all transfers, ordered by where the repository keeps the chunks.
pub(super) fn tasks(
    repo: &Repository,
    placed: &[Placed],
    transfers: &[Transfer],
) -> Result<Vec<Task>, OperationError> {
    let mut by_id: HashMap<Id, Task> = HashMap::new();
    for transfer in transfers {
        let end = transfer.from + transfer.len;
        let first = placed.partition_point(|blob| blob.offset + blob.len <= transfer.from);
        for blob in placed.iter().skip(first).take_while(|blob| blob.offset < end) {
            let mut used = Extents::new();
            for cut in transfer.used.within(blob.offset, blob.offset + blob.len) {
                used.push(cut.start - blob.offset, cut.end - blob.offset);
            }
            if used.is_empty() {
                continue;
            }
            let at = i128::from(blob.offset) - i128::from(transfer.from) + i128::from(transfer.to);
            let len = usize::try_from(blob.len).unwrap_or(usize::MAX);
            let task = by_id.entry(blob.id).or_insert_with(|| Task {
                id: blob.id,
                len,
                places: Vec::new(),
            });
            task.places.push(Place { at, used });
        }
    }
    let mut located = Vec::with_capacity(by_id.len());
    for task in by_id.into_values() {
        let location = repo.blob(&task.id).ok_or(ImageError::MissingBlob(task.id))?;
        located.push(((location.pack, location.offset), task));
    }
    located.sort_by_key(|(location, _)| *location);
    Ok(located.into_iter().map(|(_, task)| task).collect())
}
