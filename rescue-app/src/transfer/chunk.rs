//! Which bytes of a chunk are read, and which are zero.

use super::TransferError;
use crate::bytes::{AlignedBuffer, Extent, Extents};

/// Unused stretches up to this size are read along rather than skipped: one large read costs
/// less than two small ones.
const READ_ALONG: u64 = 128 * 1024;

/// A chunk to be read: where it lies and what of it is used.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    /// Its place in the list of slots.
    pub(crate) slot: usize,
    /// Where it lies on the disk.
    pub(crate) range: Extent,
    /// The used bytes of its region.
    pub(crate) used: &'a Extents,
}

impl Chunk<'_> {
    /// The used stretches in ascending order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Extent> + '_ {
        self.used.within(self.range.start, self.range.end)
    }

    /// Number of used bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.parts().map(Extent::len).sum()
    }

    /// The stretches to read: the used ones, joined where little lies between them.
    pub(crate) fn runs(&self) -> Vec<Extent> {
        let mut runs: Vec<Extent> = Vec::new();
        for part in self.parts() {
            match runs.last_mut() {
                Some(last) if part.start - last.end <= READ_ALONG => last.end = part.end,
                _ => runs.push(part),
            }
        }
        runs
    }

    /// Makes `buffer` as long as the chunk.
    pub(crate) fn size(&self, buffer: &mut AlignedBuffer) -> Result<(), TransferError> {
        buffer.set_len(to_usize(self.range.len())?);
        Ok(())
    }

    /// Zeroes what nothing uses: what was read along, and what an earlier chunk left.
    pub(crate) fn blank(&self, buffer: &mut [u8]) -> Result<(), TransferError> {
        let mut at = self.range.start;
        for part in self.parts() {
            slice_of(buffer, self.range, Extent { start: at, end: part.start })?.fill(0);
            at = part.end;
        }
        slice_of(buffer, self.range, Extent { start: at, end: self.range.end })?.fill(0);
        Ok(())
    }
}

/// The bytes `part` of the disk in a buffer that holds `whole`.
pub(crate) fn slice_of(
    buffer: &mut [u8],
    whole: Extent,
    part: Extent,
) -> Result<&mut [u8], TransferError> {
    let outside = || {
        TransferError::io("a used block outside its chunk", std::io::ErrorKind::InvalidData.into())
    };
    let from = to_usize(part.start.checked_sub(whole.start).ok_or_else(outside)?)?;
    let to = to_usize(part.end.checked_sub(whole.start).ok_or_else(outside)?)?;
    buffer.get_mut(from..to).ok_or_else(outside)
}

fn to_usize(len: u64) -> Result<usize, TransferError> {
    usize::try_from(len).map_err(|_| {
        TransferError::io("a chunk larger than memory", std::io::ErrorKind::OutOfMemory.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_parts_are_read_together_and_what_lies_between_is_zeroed() {
        let range = Extent { start: 1 << 20, end: 2 << 20 };
        let at = |offset: u64| (1 << 20) + offset;
        let used = Extents::from(vec![(at(4096), 4096), (at(12288), 512), (at(400_000), 1000)]);
        let chunk = Chunk { slot: 0, range, used: &used };
        let runs = chunk.runs();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0], Extent { start: at(4096), end: at(12800) });
        assert_eq!(chunk.used_bytes(), 4096 + 512 + 1000);
        let mut buffer = AlignedBuffer::default();
        chunk.size(&mut buffer).unwrap();
        buffer.fill(0xff);
        chunk.blank(&mut buffer).unwrap();
        for (offset, byte) in (0u64..).zip(&*buffer) {
            let is_used = used.within(at(offset), at(offset) + 1).next().is_some();
            assert_eq!(*byte, if is_used { 0xff } else { 0 }, "byte {offset}");
        }
    }
}
