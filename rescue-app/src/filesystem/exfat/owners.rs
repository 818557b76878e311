//! Which files belong to given clusters: a walk through all directories, along their runs.
//!
//! Source: Microsoft, "exFAT file system specification", §6 and §7.

use std::collections::HashSet;

use super::boot_region::BootSector;
use super::directory::{self, ALLOCATION_POSSIBLE, DIRECTORY, ENTRY, NO_FAT_CHAIN};
use super::directory::{BITMAP, FILE, IN_USE, SECONDARY, STREAM, UPCASE};
use super::fat::{Fat, Length, Place};
use crate::bytes::{ReadAt, le16, le32, le64, slice};
use crate::volume::owners::{Names, Tally, join};
use crate::volume::probe::byte;
use crate::volume::{Doubt, text};

/// `EntryType` of a piece of a name.
const NAME: u8 = 0xc1;
/// More pieces of the FAT than this are not read.
const MOST_READS: u32 = 1 << 22;
/// More folders are not followed.
const MOST_FOLDERS: usize = 1 << 20;

/// What a directory names; the filesystem's own tables have no name.
pub(super) struct Entry {
    pub(super) name: Option<String>,
    pub(super) is_folder: bool,
    /// Where its content lies; `None` when it has none.
    pub(super) place: Option<Place>,
}

struct Walk<'a, 'b, 'c> {
    fat: Fat<'a>,
    tally: &'b mut Tally<'c>,
    names: &'b mut Names,
    complete: bool,
}

/// Walks the whole tree.
pub(super) fn walk(
    volume: &dyn ReadAt,
    boot: &BootSector,
    tally: &mut Tally<'_>,
    names: &mut Names,
) -> Result<(), Doubt> {
    tally.metadata(0, boot.layout.heap);
    let mut walk = Walk { fat: Fat::new(volume, boot, MOST_READS), tally, names, complete: true };
    let root = directory::root(&boot.layout);
    // A file is numbered in the order of the walk.
    let mut id = 1u64;
    walk.file(id, "/", root);
    let mut seen = HashSet::from([root.first]);
    let mut folders = vec![("/".to_owned(), root)];
    while let Some((path, place)) = folders.pop() {
        for Entry { name, is_folder, place } in entries(boot, &walk.content(place)) {
            let Some(place) = place else { continue };
            let Some(name) = name else {
                walk.own(place);
                continue;
            };
            id = id.saturating_add(1);
            let path = join(&path, &name);
            walk.file(id, &path, place);
            if is_folder && seen.len() < MOST_FOLDERS && seen.insert(place.first) {
                folders.push((path, place));
            }
        }
        walk.complete &= seen.len() < MOST_FOLDERS;
    }
    if walk.complete {
        return Ok(());
    }
    Err(Doubt::because("some of its files or folders could not be looked at"))
}

impl Walk<'_, '_, '_> {
    fn runs(&mut self, place: Place) -> Vec<(u64, u64)> {
        let (runs, is_all) = directory::runs(&mut self.fat, place, u64::MAX);
        self.complete &= is_all;
        runs
    }

    fn file(&mut self, id: u64, path: &str, place: Place) {
        let mut hit = false;
        for (start, end) in self.runs(place) {
            hit |= self.tally.file(id, start, end);
        }
        if hit {
            self.names.set(id, path);
        }
    }

    fn own(&mut self, place: Place) {
        for (start, end) in self.runs(place) {
            self.tally.metadata(start, end);
        }
    }

    fn content(&mut self, place: Place) -> Vec<u8> {
        let (content, is_all) = directory::content(&mut self.fat, place);
        self.complete &= is_all;
        content
    }
}

/// The entries of a directory. A zero ends it; but it may also be a lost sector, with more entries
/// behind it.
pub(super) fn entries(boot: &BootSector, folder: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut rest = folder;
    while let Some((entry, more)) = rest.split_at_checked(ENTRY) {
        rest = more;
        match byte(entry, 0).unwrap_or(0) {
            BITMAP | UPCASE => {
                let place = place(boot, entry, false);
                found.push(Entry { name: None, is_folder: false, place });
            }
            FILE => {
                let secondary = |entry: &&[u8]| {
                    byte(entry, 0)
                        .is_some_and(|kind| kind & (IN_USE | SECONDARY) == IN_USE | SECONDARY)
                };
                let count = byte(entry, 1).unwrap_or(0);
                let set: Vec<&[u8]> =
                    more.chunks_exact(ENTRY).take(count.into()).take_while(secondary).collect();
                rest = more.get(set.len().saturating_mul(ENTRY)..).unwrap_or_default();
                found.extend(file(boot, entry, &set));
            }
            _ => {}
        }
    }
    found
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
    let name = Some(text::utf16(units.get(..len)?));
    Some(Entry { name, is_folder: le16(entry, 4)? & DIRECTORY != 0, place })
}

/// Where the content lies that an entry tells of; `None` when there is none.
fn place(boot: &BootSector, entry: &[u8], contiguous: bool) -> Option<Place> {
    let (first, size) = (le32(entry, 20)?, le64(entry, 24)?);
    let clusters = boot.layout.clusters_of(size).filter(|clusters| *clusters != 0)?;
    Some(Place { first, length: Length::Exactly(clusters), contiguous })
}
