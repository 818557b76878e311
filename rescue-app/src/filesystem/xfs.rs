//! XFS: recognised only.
//!
//! Source: "XFS Algorithms & Data Structures", "Superblocks".

use std::io;

use super::format::Format;
use super::probe::{has, piece, read};
use super::{Filesystem, Kind, State, text};
use crate::bytes::{ReadAt, be32, be64, slice};

/// The reader.
pub(super) struct Xfs;

impl Format for Xfs {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 0, 512)?.and_then(|sector| parse(&sector)))
    }
}

fn parse(sector: &[u8]) -> Option<Filesystem> {
    let block_size = be32(sector, 4)?;
    let sane = has(sector, 0, b"XFSB")
        && block_size.is_power_of_two()
        && (512..=65536).contains(&block_size);
    if !sane {
        return None;
    }
    let (blocks, free) = (be64(sector, 8)?, be64(sector, 144)?);
    Some(Filesystem {
        kind: Kind::Xfs,
        label: text::label(slice(sector, 108, 12)?),
        uuid: text::uuid(piece(sector, 32)?),
        size: blocks.checked_mul(block_size.into())?,
        block_size,
        used: blocks.checked_sub(free).and_then(|used| used.checked_mul(block_size.into())),
        state: State::Unknown,
    })
}
