//! Checksums that are always right, for changes to get past them.

use std::io;

use super::pieces::Pieces;
use crate::bytes::{ReadAt, slice};
use crate::filesystem::crc32c;

/// Superblocks and tree blocks of Btrfs are at least this long; in bytes.
const BLOCK: usize = 4096;

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
        let covered = buf.len().checked_sub(FIELD).filter(|_| buf.len() >= BLOCK);
        if let Some(covered) = covered.and_then(|len| slice(buf, FIELD, len)) {
            let sum = (!crc32c(!0, covered)).to_le_bytes();
            buf.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}
