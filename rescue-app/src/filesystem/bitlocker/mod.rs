//! BitLocker containers: recognised only; ciphertext has no unused blocks to leave out.
//!
//! Source: libbde, "BitLocker Drive Encryption (BDE) format specification", "Volume header".

use std::io;

use super::format::{Doubt, Format, Map};
use super::probe::{has, read};
use super::{Filesystem, Kind};
use crate::bytes::ReadAt;

/// Stands at byte 424 of the FAT-like boot sector of BitLocker To Go:
/// 4967d63b-2e29-4ad8-8399-f6a339e3d001.
const TO_GO: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];

/// The reader.
pub(super) struct BitLocker;

impl Format for BitLocker {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let fixed = has(&sector, 3, b"-FVE-FS-");
        let to_go = has(&sector, 3, b"MSWIN4.1") && has(&sector, 0x1a8, &TO_GO);
        Ok((fixed || to_go).then(|| Filesystem::container(Kind::BitLocker, volume.size(), None)))
    }

    fn map(&self, _volume: &dyn ReadAt, _found: &mut Filesystem) -> Result<Map, Doubt> {
        Err(Doubt::because(
            "it is encrypted, and this version cannot open BitLocker to see which blocks are in use",
        ))
    }

    fn is_container(&self) -> bool {
        true
    }
}
