//! The label of a physical volume and the header behind it.
//!
//! Source: LVM2 `lib/label/label.h` (`struct label_header`), `lib/format_text/layout.h`
//! (`struct pv_header`, `struct pv_header_extension`), `lib/misc/crc.h` (the checksum's start).

use crate::bytes::{Extent, le32, le64, slice};
use crate::volume::checksum::crc32;
use crate::volume::probe::has;

/// The label may stand in any of the first four sectors.
pub(super) const SECTORS: u64 = 4;
/// Bytes of a sector.
pub(super) const SECTOR: u64 = 512;

/// Where the checksums of LVM begin.
pub(super) const CHECKSUM_START: u32 = 0xf597_a6cf;

/// Places of data and metadata at most: `pvcreate` makes one and two.
const MOST_PLACES: usize = 8;

/// `flags` of the extension: the volume belongs to a group.
const USED: u32 = 1;

/// The fields of a label and its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Whether place and checksum are right.
    pub(super) intact: bool,
    /// Its identity, 32 letters without dashes.
    pub(super) id: Option<String>,
    /// Size of the device in bytes; 0 where it was not noted.
    pub(super) device_size: u64,
    /// The metadata areas; `None` when the list has no end.
    pub(super) metadata: Option<Vec<Extent>>,
    /// Whether the volume says that it belongs to a group; `None` before version 2 of the
    /// extension (LVM 2.02.140).
    pub(super) used: Option<bool>,
}

impl Label {
    /// Reads the label in the sector of that number, if there is one.
    pub(super) fn parse(sector: &[u8], number: u64) -> Option<Self> {
        if !has(sector, 0, b"LABELONE") || !has(sector, 24, b"LVM2 001") {
            return None;
        }
        let header = le32(sector, 20).and_then(|at| usize::try_from(at).ok());
        let header = header.and_then(|at| sector.get(at..)).unwrap_or_default();
        let covered = sector.get(20..).map(|bytes| crc32(CHECKSUM_START, bytes));
        let mut at = 40;
        let data = places(header, &mut at);
        let metadata = data.as_ref().and_then(|_| places(header, &mut at));
        let extension = metadata.as_ref().and_then(|_| le32(header, at));
        let flags = at.checked_add(4).and_then(|at| le32(header, at));
        Some(Self {
            intact: le64(sector, 8) == Some(number) && le32(sector, 16) == covered,
            id: identity(header),
            device_size: le64(header, 32).unwrap_or(0),
            metadata,
            used: flags.filter(|_| extension >= Some(2)).map(|flags| flags & USED != 0),
        })
    }
}

impl Label {
    /// The metadata areas.
    pub(super) fn areas(&self) -> &[Extent] {
        self.metadata.as_deref().unwrap_or_default()
    }
}

/// The sector of a label with another size of the device and other places of its metadata areas, of which there
/// are as many as before; `None` where it has no room for them.
pub(super) fn rewritten(sector: &[u8], size: u64, metadata: &[Extent]) -> Option<Vec<u8>> {
    let mut bytes = sector.to_vec();
    let start = le32(sector, 20).and_then(|at| usize::try_from(at).ok())?;
    let header = sector.get(start..)?;
    let mut at = 40;
    places(header, &mut at)?;
    let mut put = |at: usize, value: u64| -> Option<()> {
        let at = start.checked_add(at)?;
        bytes.get_mut(at..at.checked_add(8)?)?.copy_from_slice(&value.to_le_bytes());
        Some(())
    };
    put(32, size)?;
    for area in metadata {
        put(at, area.start)?;
        put(at.checked_add(8)?, area.len())?;
        at = at.checked_add(16)?;
    }
    let sum = crc32(CHECKSUM_START, bytes.get(20..)?);
    bytes.get_mut(16..20)?.copy_from_slice(&sum.to_le_bytes());
    Some(bytes)
}

/// A list of places (`struct disk_locn`) that a place at 0 ends; `at` moves behind it.
fn places(header: &[u8], at: &mut usize) -> Option<Vec<Extent>> {
    let mut found = Vec::new();
    while found.len() <= MOST_PLACES {
        let (start, len) = (le64(header, *at)?, le64(header, at.checked_add(8)?)?);
        *at = at.checked_add(16)?;
        if start == 0 {
            return Some(found);
        }
        found.push(Extent { start, end: start.checked_add(len)? });
    }
    None
}

fn identity(header: &[u8]) -> Option<String> {
    let letters = std::str::from_utf8(slice(header, 0, 32)?).ok()?;
    letters.bytes().all(|letter| letter.is_ascii_alphanumeric()).then(|| letters.to_owned())
}

/// The 32 letters in the groups that `pvs` prints: 6-4-4-4-4-4-6.
pub(super) fn dashed(letters: &str) -> Option<String> {
    let parts = [(0, 6), (6, 10), (10, 14), (14, 18), (18, 22), (22, 26), (26, 32)];
    let parts: Option<Vec<&str>> = parts.iter().map(|&(from, to)| letters.get(from..to)).collect();
    Some(parts?.join("-"))
}
