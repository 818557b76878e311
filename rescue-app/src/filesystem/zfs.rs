//! Members of ZFS pools: recognised only.
//!
//! Source: "ZFS On-Disk Specification" §1.2 (vdev labels), §1.3 (uberblocks).

use std::io;

use super::format::Format;
use super::probe::{has, read};
use super::{Filesystem, Kind};
use crate::bytes::ReadAt;

/// The ring of uberblocks in the first label.
const RING: u64 = 128 << 10;
/// Its length; one uberblock per kibibyte at least.
const RING_LEN: usize = 128 << 10;
/// The magic of an uberblock, little- and big-endian.
const MAGIC: [[u8; 8]; 2] = [0x00ba_b10c_u64.to_le_bytes(), 0x00ba_b10c_u64.to_be_bytes()];

/// The reader.
pub(super) struct Zfs;

impl Format for Zfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(ring) = read(volume, RING, RING_LEN)? else { return Ok(None) };
        let found =
            ring.chunks_exact(1024).any(|block| MAGIC.iter().any(|magic| has(block, 0, magic)));
        Ok(found.then(|| Filesystem::container(Kind::Zfs, volume.size(), None)))
    }
}
