//! Members of Linux md RAID arrays: recognised only.
//!
//! Source: Linux `include/uapi/linux/raid/md_p.h`.

use std::io;

use super::format::Format;
use super::probe::{piece, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, le32, le64, slice};

const MAGIC: u32 = 0xa92b_4efc;

/// The reader.
pub(super) struct MdRaid;

impl Format for MdRaid {
    /// The forms at the end come into play for RAID 1 members above all, whose start looks like
    /// the filesystem inside.
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let size = volume.size();
        let places = [Some(0), Some(4096), (size & !511).checked_sub(8192).map(|at| at & !4095)];
        for at in places.into_iter().flatten() {
            let block = read(volume, at, 256)?;
            if let Some(found) = block.and_then(|block| version_1(&block, at, size)) {
                return Ok(Some(found));
            }
        }
        let Some(at) = (size & !0xffff).checked_sub(0x10000) else { return Ok(None) };
        Ok(read(volume, at, 256)?.and_then(|block| version_0_90(&block, size)))
    }

    fn is_container(&self) -> bool {
        true
    }
}

fn version_1(block: &[u8], at: u64, size: u64) -> Option<Filesystem> {
    let here = le64(block, 144)?.checked_mul(512)? == at;
    if le32(block, 0)? != MAGIC || le32(block, 4)? != 1 || !here {
        return None;
    }
    Some(member(text::label(slice(block, 32, 32)?), text::uuid(piece(block, 16)?), size))
}

fn version_0_90(block: &[u8], size: u64) -> Option<Filesystem> {
    if le32(block, 0)? != MAGIC || le32(block, 4)? != 0 {
        return None;
    }
    let mut uuid = [0; 16];
    let (first, rest) = uuid.split_at_mut(4);
    first.copy_from_slice(slice(block, 20, 4)?);
    rest.copy_from_slice(slice(block, 52, 12)?);
    Some(member(None, text::uuid(uuid), size))
}

fn member(label: Option<String>, uuid: Option<String>, size: u64) -> Filesystem {
    let kind = Kind::MdRaid;
    Filesystem { kind, label, uuid, size, block_size: 0, used: None, state: State::Unknown }
}
