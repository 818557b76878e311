//! LUKS containers, versions 1 and 2: recognised only; ciphertext has no unused blocks to leave
//! out.
//!
//! Sources: "LUKS1 On-Disk Format Specification" §2.1, "LUKS2 On-Disk Format Specification" §2.

use std::io;

use super::format::Format;
use super::probe::{has, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, be16, slice};

/// The reader.
pub(super) struct Luks;

impl Format for Luks {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let size = volume.size();
        Ok(read(volume, 0, 512)?.and_then(|header| parse(&header, size)))
    }

    fn is_container(&self) -> bool {
        true
    }
}

fn parse(header: &[u8], size: u64) -> Option<Filesystem> {
    if !has(header, 0, b"LUKS\xba\xbe") {
        return None;
    }
    let (kind, label) = match be16(header, 6)? {
        1 => (Kind::Luks1, None),
        2 => (Kind::Luks2, text::label(slice(header, 24, 48)?)),
        _ => return None,
    };
    let uuid = text::label(slice(header, 168, 40)?);
    Some(Filesystem { kind, label, uuid, size, block_size: 0, used: None, state: State::Unknown })
}
