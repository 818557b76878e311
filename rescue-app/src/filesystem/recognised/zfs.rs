//! Members of ZFS pools: recognised only.
//!
//! Source: "ZFS On-Disk Specification" §1.2 (vdev labels), §1.3 (uberblocks).

use std::io;

use crate::bytes::{Extent, ReadAt};
use crate::volume::probe::{has, read};
use crate::volume::{Filesystem, Format, Kind};

/// The ring of uberblocks in the first label.
const RING: u64 = 128 << 10;
/// Its length; one uberblock per kibibyte at least.
const RING_LEN: usize = 128 << 10;
/// Its list of names and values, and the magic at the end of the block that holds it
/// (`zio_eck_t`), in either order of bytes.
const NAMES: u64 = 16 << 10;
const NAMES_LEN: usize = 112 << 10;
const SEAL: [[u8; 8]; 2] =
    [0x0210_da7a_b10c_7a11_u64.to_le_bytes(), 0x0210_da7a_b10c_7a11_u64.to_be_bytes()];
/// Bytes of that end.
const SEAL_LEN: usize = 40;
/// The first byte of a list in XDR's encoding (`NV_ENCODE_XDR`).
const XDR: &[u8] = &[1];
/// The magic of an uberblock, little- and big-endian.
const MAGIC: [[u8; 8]; 2] = [0x00ba_b10c_u64.to_le_bytes(), 0x00ba_b10c_u64.to_be_bytes()];

/// Fewer are a remnant, as libblkid judges.
const UBERBLOCKS: usize = 4;

/// The reader.
pub(crate) struct Zfs;

impl Format for Zfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(ring) = read(volume, RING, RING_LEN)? else { return Ok(None) };
        let is_uberblock = |block: &&[u8]| MAGIC.iter().any(|magic| has(block, 0, magic));
        let found = ring.chunks_exact(1024).filter(is_uberblock).count() >= UBERBLOCKS
            || has_names(volume)?;
        Ok(found.then(|| Filesystem::container(Kind::Zfs, volume.size(), None)))
    }

    /// A GPT that was written later lies over the start of the first label's list; the ring of
    /// uberblocks in front of the first partition and the labels at the end outlast it.
    fn is_of_disk(&self, disk: &dyn ReadAt, _partitions: &[Extent]) -> bool {
        has_names(disk).unwrap_or(false)
    }
}

/// Whether the first label has its list.
fn has_names(volume: &dyn ReadAt) -> io::Result<bool> {
    let names = read(volume, NAMES, NAMES_LEN)?;
    let seal = NAMES_LEN.saturating_sub(SEAL_LEN);
    Ok(names.is_some_and(|names| {
        has(&names, 0, XDR) && SEAL.iter().any(|magic| has(&names, seal, magic))
    }))
}
