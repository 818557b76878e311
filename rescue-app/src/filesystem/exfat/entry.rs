//! Files and folders as their entries describe them.
//!
//! Source: Microsoft, "exFAT file system specification", §6 and §7.

use time::UtcOffset;

use super::boot_region::BootSector;
use super::directory::{ALLOCATION_POSSIBLE, DIRECTORY, ENTRY, NO_FAT_CHAIN};
use super::directory::{BITMAP, FILE, IN_USE, SECONDARY, STREAM, UPCASE};
use super::fat::{Length, Place};
use crate::bytes::{le16, le32, le64, slice};
use crate::volume::probe::byte;
use crate::volume::{Times, text, times};

/// `EntryType` of a piece of a name.
const NAME: u8 = 0xc1;
/// Bit of an offset from UTC that says that it is told (§7.4.10).
const OFFSET_IS_TOLD: u8 = 0x80;
/// Most entries that belong to one file.
pub(super) const MOST_OF_ONE: usize = 1 + 255;

/// What entries of a directory name; the filesystem's own tables have no name.
pub(super) struct Entry {
    /// Where the first of them is in its folder, bytes.
    pub(super) at: usize,
    pub(super) name: Option<String>,
    /// `FileAttributes`.
    pub(super) attributes: u16,
    pub(super) times: Times,
    /// Bytes of the content, and how many of them were ever written.
    pub(super) size: u64,
    pub(super) written: u64,
    /// Where the content lies; `None` when it has none, or more than there is room for.
    pub(super) place: Option<Place>,
}

impl Entry {
    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }
}

/// The entries of a directory. A zero ends it; but it may also be a lost sector, with more entries
/// behind it.
pub(super) fn entries(boot: &BootSector, folder: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let (mut rest, mut at) = (folder, 0usize);
    while let Some((entry, more)) = rest.split_at_checked(ENTRY) {
        let mut taken = 0;
        match byte(entry, 0).unwrap_or(0) {
            BITMAP | UPCASE => found.extend(table(boot, entry, at)),
            FILE => {
                let set = set(entry, more);
                taken = set.len();
                found.extend(file(boot, entry, &set).map(|found| Entry { at, ..found }));
            }
            _ => {}
        }
        rest = more.get(taken.saturating_mul(ENTRY)..).unwrap_or_default();
        at = at.saturating_add(taken.saturating_add(1).saturating_mul(ENTRY));
    }
    found
}

/// Those of a file's entries that follow its first one.
fn set<'a>(entry: &[u8], more: &'a [u8]) -> Vec<&'a [u8]> {
    let secondary = |entry: &&[u8]| {
        byte(entry, 0).is_some_and(|kind| kind & (IN_USE | SECONDARY) == IN_USE | SECONDARY)
    };
    let count = byte(entry, 1).unwrap_or(0);
    more.chunks_exact(ENTRY).take(count.into()).take_while(secondary).collect()
}

/// A table of the filesystem itself.
fn table(boot: &BootSector, entry: &[u8], at: usize) -> Option<Entry> {
    let size = le64(entry, 24)?;
    let (name, times, place) = (None, Times::default(), place(boot, entry, false));
    Some(Entry { at, name, attributes: 0, times, size, written: size, place })
}

/// A file or folder: its entry, and those that belong to it.
fn file(boot: &BootSector, entry: &[u8], set: &[&[u8]]) -> Option<Entry> {
    let stream = set.iter().find(|entry| byte(entry, 0) == Some(STREAM))?;
    let flags = byte(stream, 1)?;
    let place =
        place(boot, stream, flags & NO_FAT_CHAIN != 0).filter(|_| flags & ALLOCATION_POSSIBLE != 0);
    let pieces = set.iter().filter(|entry| byte(entry, 0) == Some(NAME));
    let units: Vec<u8> =
        pieces.filter_map(|piece| slice(piece, 2, 30)).flatten().copied().collect();
    let len = usize::from(byte(stream, 3)?).checked_mul(2)?.min(units.len());
    Some(Entry {
        at: 0,
        name: Some(text::utf16(units.get(..len)?)),
        attributes: le16(entry, 4)?,
        times: times_of(entry)?,
        size: le64(stream, 24)?,
        written: le64(stream, 8)?,
        place,
    })
}

/// §7.4.5 to §7.4.10.
fn times_of(entry: &[u8]) -> Option<Times> {
    let time = |stamp: usize, hundredths: u8, offset: usize| {
        let (time, date) = (le16(entry, stamp)?, le16(entry, stamp.checked_add(2)?)?);
        times::dos(date, time, hundredths, offset_of(byte(entry, offset)?)?)
    };
    Some(Times {
        created: time(8, byte(entry, 20)?, 22),
        modified: time(12, byte(entry, 21)?, 23),
        accessed: time(16, 0, 24),
        changed: None,
    })
}

/// Quarters of an hour from UTC, a signed number of seven bits; what is not told counts as UTC.
fn offset_of(told: u8) -> Option<UtcOffset> {
    if told & OFFSET_IS_TOLD == 0 {
        return Some(UtcOffset::UTC);
    }
    let quarters = i32::from((told << 1).cast_signed() >> 1);
    UtcOffset::from_whole_seconds(quarters.checked_mul(15 * 60)?).ok()
}

/// Where the content lies that an entry tells of; `None` when there is none.
fn place(boot: &BootSector, entry: &[u8], contiguous: bool) -> Option<Place> {
    let (first, size) = (le32(entry, 20)?, le64(entry, 24)?);
    let clusters = boot.layout.clusters_of(size).filter(|clusters| *clusters != 0)?;
    Some(Place { first, length: Length::Exactly(clusters), contiguous })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_quarters_of_an_hour() {
        let minutes = |told| offset_of(told).map(UtcOffset::whole_minutes);
        assert_eq!(minutes(0), Some(0));
        assert_eq!(minutes(0x80), Some(0));
        assert_eq!(minutes(0x84), Some(60));
        // UTC-8, the example of the specification: E0 is -32 quarters.
        assert_eq!(minutes(0xe0), Some(-8 * 60));
    }
}
