//! ISO 9660: recognised only; nothing in it is unused.
//!
//! Source: ECMA-119 §8.4, primary volume descriptor.

use std::io;

use crate::bytes::{ReadAt, le16, le32, slice};
use crate::volume::probe::{byte, has, read};
use crate::volume::{Filesystem, Format, Kind, State, text};

/// The reader.
pub(crate) struct Iso9660;

impl Format for Iso9660 {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        Ok(read(volume, 32768, 2048)?.and_then(|sector| parse(&sector)))
    }
}

fn parse(sector: &[u8]) -> Option<Filesystem> {
    if !has(sector, 1, b"CD001") || byte(sector, 0)? != 1 {
        return None;
    }
    let block_size = u32::from(le16(sector, 128)?);
    let size = u64::from(le32(sector, 80)?).checked_mul(block_size.into())?;
    Some(Filesystem {
        kind: Kind::Iso9660,
        label: text::label(slice(sector, 40, 32)?),
        uuid: date(sector, 830).or_else(|| date(sector, 813)),
        size,
        block_size,
        used: Some(size),
        last_use: None,
        state: State::Clean,
    })
}

/// The date that serves as identity: `2026-01-31-23-59-59-00`.
fn date(sector: &[u8], at: usize) -> Option<String> {
    let digits = std::str::from_utf8(slice(sector, at, 16)?).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || digits.bytes().all(|d| d == b'0') {
        return None;
    }
    let parts = [(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 16)];
    let parts: Option<Vec<&str>> = parts.iter().map(|&(from, to)| digits.get(from..to)).collect();
    Some(parts?.join("-"))
}
