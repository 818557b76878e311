//! Metadata areas: a header, and behind it a ring in which every change of the group leaves its
//! whole text.
//!
//! Source: LVM2 `lib/format_text/layout.h` (`struct mda_header`, `struct raw_locn`).

use crate::bytes::{Extent, ReadAt, le32, le64, slice};
use crate::volume::Doubt;
use crate::volume::checksum::crc32;
use crate::volume::probe::has;

use super::label::CHECKSUM_START;

/// Bytes of the header; the ring begins behind it.
const HEADER: u64 = 512;
const MAGIC: &[u8] = b"\x20LVM2\x20x[5A%r0N*>";
const VERSION: u32 = 1;

/// `flags` of a place: the area is not in use, other volumes of the group have the text.
const IGNORED: u32 = 1;

/// A longer text is not read: some ten thousand logical volumes.
const LONGEST: u64 = 8 << 20;
/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// What a metadata area holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The text of the group, its checksum right.
    Text(Vec<u8>),
    /// No group.
    Nothing,
    /// It says that it is not kept up to date.
    Ignored,
}

/// Where a text lies in the ring (`struct raw_locn`).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    len: u64,
    checksum: u32,
    flags: u32,
}

/// Reads what the area holds; fails on anything that does not agree with itself.
pub(super) fn read(device: &dyn ReadAt, area: Extent) -> Result<Found, Doubt> {
    let wrong =
        |words: &str| Doubt::because(format!("the metadata at byte {}: {words}", area.start));
    let header = device.read_vec(area.start, 512).map_err(Doubt::reading("a metadata header"))?;
    let sum = header.get(4..).map(|covered| crc32(CHECKSUM_START, covered));
    if !has(&header, 4, MAGIC) || le32(&header, 0) != sum {
        return Err(wrong("its header is damaged"));
    }
    let size = le64(&header, 32).unwrap_or(0);
    let fits =
        size > HEADER && area.start.checked_add(size).is_some_and(|end| end <= device.size());
    if le32(&header, 20) != Some(VERSION) || le64(&header, 24) != Some(area.start) || !fits {
        return Err(wrong("its header is of an unknown form"));
    }
    let (current, next) = (place(&header, 40), place(&header, 64));
    match (current, next) {
        (None, None) => Ok(Found::Nothing),
        (Some(current), _) if current.flags & IGNORED != 0 => Ok(Found::Ignored),
        (Some(current), next) if next.is_none_or(|next| next == current) => {
            let ring = Extent {
                start: area.start.saturating_add(HEADER),
                end: area.start.saturating_add(size),
            };
            let text =
                text(device, ring, current)?.ok_or_else(|| wrong("its text is misplaced"))?;
            if crc32(CHECKSUM_START, &text) != current.checksum {
                return Err(wrong("its text's checksum is wrong"));
            }
            Ok(Found::Text(text))
        }
        _ => Err(wrong("a change of the volume group was not finished")),
    }
}

/// The header of an area with one text in it, and the text, which lies right behind it; `None` when the area is
/// too small for that text and the next one, which LVM writes beside it.
pub(super) fn write(area: Extent, text: &[u8]) -> Option<Vec<u8>> {
    let ring = area.len().checked_sub(HEADER)?;
    let len = text.len() as u64;
    if len > ring.checked_div(2)? {
        return None;
    }
    let mut header = vec![0; 4];
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    for number in [area.start, area.len(), HEADER, len] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&crc32(CHECKSUM_START, text).to_le_bytes());
    header.resize(512, 0);
    let sum = crc32(CHECKSUM_START, header.get(4..)?);
    header.get_mut(..4)?.copy_from_slice(&sum.to_le_bytes());
    header.extend_from_slice(text);
    Some(header)
}

fn place(header: &[u8], at: usize) -> Option<Place> {
    let bytes = slice(header, at, 24)?;
    let place = Place {
        offset: le64(bytes, 0)?,
        len: le64(bytes, 8)?,
        checksum: le32(bytes, 16)?,
        flags: le32(bytes, 20)?,
    };
    (place.offset != 0).then_some(place)
}

/// The bytes of a text, which may run over the ring's end to its start.
fn text(device: &dyn ReadAt, ring: Extent, place: Place) -> Result<Option<Vec<u8>>, Doubt> {
    let start = ring.start.checked_add(place.offset.saturating_sub(HEADER));
    let start = start.filter(|start| place.offset >= HEADER && *start < ring.end);
    let (Some(start), true) = (start, place.len <= ring.len().min(LONGEST)) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let (mut at, mut left) = (start, place.len);
    while left > 0 {
        let len = left.min(PIECE).min(ring.end.saturating_sub(at));
        let bytes = usize::try_from(len).map_err(|_| Doubt::because("it passes all bounds"))?;
        let piece = device.read_vec(at, bytes).map_err(Doubt::reading("the metadata's text"))?;
        text.extend_from_slice(&piece);
        left = left.saturating_sub(len);
        at = at.saturating_add(len);
        if at >= ring.end {
            at = ring.start;
        }
    }
    Ok(Some(text))
}
