//! LVM2 physical volumes: recognised only.
//!
//! Source: LVM2 `lib/format_text/layout.h`, `lib/label/label.h`.

use std::io;

use super::format::Format;
use super::probe::{has, read};
use super::{Filesystem, Kind, State};
use crate::bytes::{ReadAt, le32, le64, slice};

/// The label may stand in any of the first four sectors.
const LABEL_SECTORS: usize = 4;

/// The reader.
pub(super) struct Lvm;

impl Format for Lvm {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(head) = read(volume, 0, LABEL_SECTORS * 512)? else { return Ok(None) };
        Ok(head.chunks_exact(512).find_map(|sector| parse(sector, volume.size())))
    }

    fn is_container(&self) -> bool {
        true
    }
}

fn parse(sector: &[u8], volume_size: u64) -> Option<Filesystem> {
    if !has(sector, 0, b"LABELONE") || !has(sector, 24, b"LVM2 001") {
        return None;
    }
    let header = le32(sector, 20).and_then(|at| usize::try_from(at).ok());
    let header = header.and_then(|at| sector.get(at..)).unwrap_or_default();
    Some(Filesystem {
        kind: Kind::Lvm2,
        label: None,
        uuid: identity(header),
        size: le64(header, 32).filter(|&size| size != 0).unwrap_or(volume_size),
        block_size: 0,
        used: None,
        state: State::Unknown,
    })
}

/// The 32 letters in the groups that `pvs` prints: 6-4-4-4-4-4-6.
fn identity(header: &[u8]) -> Option<String> {
    let letters = std::str::from_utf8(slice(header, 0, 32)?).ok()?;
    if !letters.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        return None;
    }
    let parts = [(0, 6), (6, 10), (10, 14), (14, 18), (18, 22), (22, 26), (26, 32)];
    let parts: Option<Vec<&str>> = parts.iter().map(|&(from, to)| letters.get(from..to)).collect();
    Some(parts?.join("-"))
}
