//! Btrfs: recognised only.
//!
//! Source: btrfs documentation, "On-disk format", superblock.

use std::io;

use super::format::Format;
use super::probe::{has, piece, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, le32, le64, slice};

const SUPERBLOCK: u64 = 65536;

/// The reader.
pub(super) struct Btrfs;

impl Format for Btrfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, SUPERBLOCK, 4096)?.and_then(|block| parse(&block)))
    }
}

fn parse(block: &[u8]) -> Option<Filesystem> {
    let sector_size = le32(block, 144)?;
    let sane = has(block, 64, b"_BHRfS_M")
        && le64(block, 48)? == SUPERBLOCK
        && sector_size.is_power_of_two();
    if !sane {
        return None;
    }
    // `bytes_used` counts all devices of the filesystem; it says something about this one only
    // when there is no other.
    let alone = le64(block, 136)? == 1;
    Some(Filesystem {
        kind: Kind::Btrfs,
        label: text::label(slice(block, 299, 256)?),
        uuid: text::uuid(piece(block, 32)?),
        size: le64(block, 201 + 8)?,
        block_size: sector_size,
        used: if alone { le64(block, 120) } else { None },
        state: State::Unknown,
    })
}
