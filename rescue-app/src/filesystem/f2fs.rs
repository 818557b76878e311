//! F2FS: recognised only.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_super_block`.

use std::io;

use super::format::Format;
use super::probe::{piece, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, le32, le64, slice};

/// The reader.
pub(super) struct F2fs;

impl Format for F2fs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 1024, 2048)?.and_then(|block| parse(&block)))
    }
}

fn parse(block: &[u8]) -> Option<Filesystem> {
    let shift = le32(block, 16)?;
    if le32(block, 0)? != 0xf2f5_2010 || !(12..=16).contains(&shift) {
        return None;
    }
    let block_size = 1u32.checked_shl(shift)?;
    Some(Filesystem {
        kind: Kind::F2fs,
        label: text::label_utf16(slice(block, 124, 1024)?),
        uuid: text::uuid(piece(block, 108)?),
        size: le64(block, 36)?.checked_mul(block_size.into())?,
        block_size,
        used: None,
        state: State::Unknown,
    })
}
