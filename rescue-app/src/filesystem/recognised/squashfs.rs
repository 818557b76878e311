//! SquashFS: recognised only; nothing in it is unused.
//!
//! Source: Linux `fs/squashfs/squashfs_fs.h`, `struct squashfs_super_block`.

use std::io;

use crate::bytes::{ReadAt, le16, le32, le64};
use crate::volume::probe::{has, read};
use crate::volume::{Filesystem, Format, Kind, State};

/// The reader.
pub(crate) struct Squashfs;

impl Format for Squashfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 0, 96)?.and_then(|block| parse(&block)))
    }
}

fn parse(block: &[u8]) -> Option<Filesystem> {
    let block_size = le32(block, 12)?;
    if !has(block, 0, b"hsqs") || le16(block, 28)? != 4 || !block_size.is_power_of_two() {
        return None;
    }
    let size = le64(block, 40)?;
    Some(Filesystem {
        kind: Kind::Squashfs,
        label: None,
        uuid: None,
        size,
        block_size,
        used: Some(size),
        last_use: None,
        state: State::Clean,
    })
}
