//! The checksum of metadata in version 5.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_cksum.h`.

use crate::bytes::{le32, slice};
use crate::volume::checksum::crc32c;

/// Whether `bytes` carry their own CRC-32C in the four bytes at `at`, which count as zeros.
pub(super) fn is_intact(bytes: &[u8], at: usize) -> bool {
    sum(bytes, at).is_some_and(|sum| le32(bytes, at) == Some(sum))
}

fn sum(bytes: &[u8], at: usize) -> Option<u32> {
    let before = slice(bytes, 0, at)?;
    let after = bytes.get(at.checked_add(4)?..)?;
    Some(!crc32c(crc32c(crc32c(!0, before), &[0; 4]), after))
}
