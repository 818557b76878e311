//! The volume as it will be once its journal has been replayed.

use std::collections::BTreeMap;
use std::io;

use crate::bytes::ReadAt;

/// Stands at the start of every journal block; where a block of the filesystem itself starts so,
/// the journal stores zeros in its place.
pub(super) const JOURNAL_MAGIC: u32 = 0xc03b_3998;

/// Where the journal keeps the newer content of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newer {
    /// Block of the volume.
    pub(super) block: u64,
    /// Its first four bytes have to be [`JOURNAL_MAGIC`] again.
    pub(super) escaped: bool,
}

/// A volume whose blocks are read from the journal where that has newer ones. Only positions are
/// kept in memory.
pub(super) struct Overlay<'a> {
    volume: &'a dyn ReadAt,
    block_size: u64,
    newer: BTreeMap<u64, Newer>,
}

impl<'a> Overlay<'a> {
    /// `newer` is keyed by block of the volume.
    pub(super) fn new(
        volume: &'a dyn ReadAt,
        block_size: u32,
        newer: BTreeMap<u64, Newer>,
    ) -> Self {
        Self { volume, block_size: block_size.into(), newer }
    }

    fn newer_block(&self, newer: Newer) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.block_size).unwrap_or(0);
        let mut bytes = self.volume.read_vec(newer.block.saturating_mul(self.block_size), len)?;
        if newer.escaped {
            let magic = JOURNAL_MAGIC.to_be_bytes();
            bytes.iter_mut().zip(magic).for_each(|(to, from)| *to = from);
        }
        Ok(bytes)
    }
}

impl ReadAt for Overlay<'_> {
    fn size(&self) -> u64 {
        self.volume.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.volume.read_at(offset, buf)?;
        let end = offset.saturating_add(buf.len() as u64);
        let block = |at: u64| at.checked_div(self.block_size).unwrap_or(0);
        for (&number, &newer) in self.newer.range(block(offset)..end.div_ceil(self.block_size)) {
            let bytes = self.newer_block(newer)?;
            let start = number.saturating_mul(self.block_size);
            // The part of the block that lies within the buffer.
            let skip = usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
            let at = usize::try_from(start.saturating_sub(offset)).unwrap_or(usize::MAX);
            let target = buf.get_mut(at..).unwrap_or_default();
            let source = bytes.get(skip..).unwrap_or_default();
            target.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn newer_blocks_show_through_reads_of_any_shape() {
        let mut disk: Vec<u8> = (0u8..16).flat_map(|block| [block; 1024]).collect();
        let newer = BTreeMap::from([
            (3, Newer { block: 12, escaped: false }),
            (5, Newer { block: 13, escaped: true }),
        ]);
        let original = disk.clone();
        let overlay = Overlay::new(&original, 1024, newer);
        disk[3 * 1024..4 * 1024].fill(12);
        disk[5 * 1024..6 * 1024].fill(13);
        disk[5 * 1024..5 * 1024 + 4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
        for (at, len) in [(0, 16384), (3072, 1024), (3500, 10), (4000, 1200), (5121, 2), (2, 3073)]
        {
            let expected = &disk[at..at + len];
            assert_eq!(overlay.read_vec(at as u64, len).unwrap(), expected, "{at}+{len}");
        }
    }
}
