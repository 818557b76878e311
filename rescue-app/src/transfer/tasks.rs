//! The list of chunks to put on the target.
//!
//! A disk of 4 TiB has a million chunks: a few dozen bytes each, and none on the heap.

use std::ops::Range;

use crate::bytes::Extent;
use crate::image::content::Placed;
use crate::repository::Id;

use super::Transfer;

/// A chunk and one place of it on the target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkPlace<'p> {
    id: Id,
    /// First byte in the image.
    offset: u64,
    /// Length in bytes.
    len: u64,
    transfer: &'p Transfer,
}

impl<'p> ChunkPlace<'p> {
    /// The place of a chunk that lies in one of the transfers.
    pub(crate) fn find(chunk: Placed, transfers: &'p [Transfer]) -> Option<Self> {
        let Placed { id, offset, len } = chunk;
        let holds = |it: &&Transfer| (it.from..it.from + it.len).contains(&offset);
        transfers.iter().find(holds).map(|transfer| Self { id, offset, len, transfer })
    }

    /// Where the chunk's first byte belongs. Negative when the chunk begins before its transfer.
    fn at(&self) -> i128 {
        let (from, to) = (self.transfer.from, self.transfer.to);
        i128::from(self.offset) - i128::from(from) + i128::from(to)
    }

    /// Used bytes, as offsets in the chunk.
    fn used(&self) -> impl Iterator<Item = Extent> + '_ {
        let used = self.transfer.used.within(self.offset, self.offset + self.len);
        used.map(|cut| Extent { start: cut.start - self.offset, end: cut.end - self.offset })
    }

    /// Number of used bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used().map(Extent::len).sum()
    }

    /// Whether only a part of it is wanted, which its hash does not prove: it reaches past its
    /// transfer, or that leaves out some of what is used.
    fn is_part(&self) -> bool {
        let Transfer { from, len, is_cut, .. } = self.transfer;
        *is_cut || self.offset < *from || self.offset + self.len > from + len
    }

    /// The used ranges as offsets on the target and in the chunk.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, Range<usize>)> + '_ {
        self.spans(0)
    }

    /// As [`ChunkPlace::runs`], but ranges that lie at most `gap` unused bytes apart are one.
    pub(crate) fn spans(&self, gap: u64) -> impl Iterator<Item = (u64, Range<usize>)> + '_ {
        let mut used = self.used().peekable();
        let at = self.at();
        std::iter::from_fn(move || {
            let mut span = used.next()?;
            while let Some(next) = used.next_if(|next| next.start - span.end <= gap) {
                span.end = next.end;
            }
            let target = u64::try_from(at + i128::from(span.start)).ok()?;
            Some((target, usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?))
        })
    }
}

/// A chunk and everywhere it goes: at least one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkTask<'p> {
    /// Its first place on the target.
    first: &'p ChunkPlace<'p>,
    /// All its places.
    pub(crate) places: &'p [ChunkPlace<'p>],
}

impl<'p> ChunkTask<'p> {
    /// The chunk.
    pub(crate) fn id(&self) -> &'p Id {
        &self.first.id
    }

    /// Its first byte in the source, at its first place.
    pub(crate) fn offset(&self) -> u64 {
        self.first.offset
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.first.len).unwrap_or(usize::MAX)
    }

    /// Whether only a part of it is wanted somewhere.
    pub(crate) fn in_parts(&self) -> bool {
        self.places.iter().any(ChunkPlace::is_part)
    }

    /// Bytes it puts on the target.
    pub(crate) fn bytes(&self) -> u64 {
        self.places.iter().map(ChunkPlace::used_bytes).sum()
    }
}

/// The places of all transfers, those of one chunk beside each other.
pub(crate) fn places<'p>(placed: &[Placed], transfers: &'p [Transfer]) -> Vec<ChunkPlace<'p>> {
    let mut places = Vec::with_capacity(placed.len());
    for transfer in transfers {
        let end = transfer.from + transfer.len;
        let first = placed.partition_point(|blob| blob.offset + blob.len <= transfer.from);
        for blob in placed.iter().skip(first).take_while(|blob| blob.offset < end) {
            let Placed { id, offset, len } = *blob;
            let place = ChunkPlace { id, offset, len, transfer };
            if place.used().next().is_some() {
                places.push(place);
            }
        }
    }
    places.sort_unstable_by_key(|place| (place.id, place.at()));
    places
}

/// The tasks the places amount to, in the order of the target.
pub(crate) fn tasks<'p>(places: &'p [ChunkPlace<'p>]) -> Vec<ChunkTask<'p>> {
    let chunks = places.chunk_by(|a, b| a.id == b.id);
    let tasks = chunks.filter_map(|places| Some(ChunkTask { first: places.first()?, places }));
    let mut tasks: Vec<ChunkTask<'_>> = tasks.collect();
    tasks.sort_unstable_by_key(|task| task.first.at());
    tasks
}
