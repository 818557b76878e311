//! The list of chunks to put on the target.

use std::collections::HashMap;
use std::ops::Range;

use crate::bytes::Extents;
use crate::image::content::Placed;
use crate::repository::Id;

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
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, Range<usize>)> + '_ {
        self.spans(0)
    }

    /// As [`Place::runs`], but ranges that lie at most `gap` unused bytes apart are one.
    pub(super) fn spans(&self, gap: u64) -> impl Iterator<Item = (u64, Range<usize>)> + '_ {
        let mut used = self.used.iter().peekable();
        std::iter::from_fn(move || {
            let mut span = used.next()?;
            while let Some(next) = used.next_if(|next| next.start - span.end <= gap) {
                span.end = next.end;
            }
            let target = u64::try_from(self.at + i128::from(span.start)).ok()?;
            Some((target, usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?))
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
    /// Whether it reaches past a transfer, so that only a part of it is wanted there, which its
    /// hash does not prove.
    pub(super) in_parts: bool,
}

impl Task {
    /// Bytes it puts on the target.
    pub(super) fn bytes(&self) -> u64 {
        self.places.iter().map(|place| place.used.total()).sum()
    }
}

/// The tasks of all transfers, in the order of the target.
pub(super) fn tasks(placed: &[Placed], transfers: &[Transfer]) -> Vec<Task> {
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
                in_parts: false,
            });
            task.in_parts |= blob.offset < transfer.from || blob.offset + blob.len > end;
            task.places.push(Place { at, used });
        }
    }
    let mut tasks: Vec<Task> = by_id.into_values().collect();
    tasks.sort_by_key(|task| task.places.first().map(|place| place.at));
    tasks
}
