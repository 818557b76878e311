//! Apple APFS containers: recognised only.
//!
//! Source: Apple File System Reference, "Container", `nx_superblock_t`.

use std::io;

use crate::bytes::{ReadAt, le32, le64};
use crate::volume::probe::{has, piece, read};
use crate::volume::{Filesystem, Format, Kind, State, text};

/// The reader.
pub(crate) struct Apfs;

impl Format for Apfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 0, 4096)?.and_then(|block| parse(&block)))
    }
}

fn parse(block: &[u8]) -> Option<Filesystem> {
    let block_size = le32(block, 36)?;
    let sane = has(block, 32, b"NXSB")
        && block_size.is_power_of_two()
        && (4096..=65536).contains(&block_size);
    if !sane {
        return None;
    }
    Some(Filesystem {
        kind: Kind::Apfs,
        label: None,
        uuid: text::uuid(piece(block, 72)?),
        size: le64(block, 40)?.checked_mul(block_size.into())?,
        block_size,
        used: None,
        last_use: None,
        state: State::Unknown,
    })
}
