//! Checksums that are always right, for changes to get past them.

use std::io;

use super::pieces::Pieces;
use crate::bytes::ReadAt;
use crate::volume::checksum::crc32c;

/// Superblocks and tree blocks of Btrfs are at least and at most this long; in bytes.
const BLOCKS: std::ops::RangeInclusive<usize> = 4096..=65536;

/// Where the first superblock is, for what reads more than one block; and its length.
const SUPERBLOCK: (u64, usize) = (65536, 4096);

/// Bytes at the start of a block that its checksum does not cover.
const FIELD: usize = 32;

/// A volume of which every block that is read starts with the CRC-32C of its rest, as Btrfs has
/// it.
pub(super) struct Summed(pub(super) Pieces);

impl ReadAt for Summed {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)?;
        let (superblock, len) = SUPERBLOCK;
        if BLOCKS.contains(&buf.len()) {
            seal(buf);
        } else if let Some(at) = superblock.checked_sub(offset) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            buf.get_mut(at..).and_then(|from| from.get_mut(..len)).into_iter().for_each(seal);
        }
        Ok(())
    }
}

fn seal(block: &mut [u8]) {
    if let Some(covered) = block.get(FIELD..) {
        let sum = (!crc32c(!0, covered)).to_le_bytes();
        block.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
    }
}
