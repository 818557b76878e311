//! Files and folders.

use std::cell::Cell;

use super::bitmap::Bitmap;
use super::boot_region::BootSector;
use super::directory::{self, ENTRY};
use super::entry::{self, Entry, MOST_OF_ONE};
use super::fat::{Fat, Kept, Length, Place};
use super::{BITMAP_READS, boot_sector};
use crate::bytes::{Extent, ReadAt};
use crate::volume::runs::Runs;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry, Scrutiny,
    Stat, Times,
};

/// Pieces of the FAT that may be read for one question, and to look at all files.
const MOST_READS: u32 = 1 << 16;
const MOST_READS_OF_ALL: u32 = 1 << 22;
/// In a folder's number, above its first cluster: its clusters follow each other; and how many
/// there are.
const CONTIGUOUS: u64 = 1 << 32;
const CLUSTERS_SHIFT: u32 = 33;
/// The number of the folder that all others are in, and the place of its entry, which it has not.
const ROOT_FOLDER: u64 = 0;
const NO_ENTRY: u64 = u64::MAX;

/// The files of a volume, by the number of their folder and the place of their entries in it.
pub(super) struct Files<'a> {
    volume: &'a dyn ReadAt,
    boot: BootSector,
    scrutiny: Scrutiny,
    kept: Cell<Kept>,
}

/// What is known of a file or folder.
enum Known {
    Root,
    Entry(Entry),
}

impl<'a> Files<'a> {
    /// Strictly read are none where the boot region is damaged.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let boot = boot_sector(volume)?;
        if scrutiny == Scrutiny::Strict {
            boot.check_regions(volume)?;
        }
        let kept = Cell::new(Kept::new(MOST_READS_OF_ALL));
        Ok(Self { volume, boot, scrutiny, kept })
    }

    /// Does something with the FAT. A look at all of a damaged volume has a bound for all of it, a
    /// person's questions each have their own.
    fn with_fat<T>(&self, work: impl FnOnce(&mut Fat<'_>) -> T) -> T {
        let mut kept = self.kept.take();
        if self.scrutiny == Scrutiny::Strict {
            kept.reads_left = MOST_READS;
        }
        let mut fat = Fat::again(self.volume, &self.boot, kept);
        let result = work(&mut fat);
        self.kept.set(fat.kept());
        result
    }

    /// The bytes of what lies in a place, as far as its chain can be followed; and whether that is
    /// all.
    fn runs(&self, place: Place) -> (Vec<(u64, u64)>, bool) {
        self.with_fat(|fat| directory::runs(fat, place, u64::MAX))
    }

    /// What lies in a place, to be read anywhere: `size` bytes, of which those behind the first
    /// `written` are zeros.
    fn content(&self, place: Place, size: u64, written: u64) -> Result<Runs<'a>, FileError> {
        let (found, is_all) = self.runs(place);
        if is_all { self.joined(&found, size, written) } else { Err(no_chain()) }
    }

    fn joined(&self, found: &[(u64, u64)], size: u64, written: u64) -> Result<Runs<'a>, FileError> {
        let (mut runs, mut at) = (Runs::new(self.volume, size), 0u64);
        for (start, end) in found {
            let len = end.saturating_sub(*start);
            let wanted = len.min(written.saturating_sub(at));
            runs.push(at, *start, wanted).ok_or_else(no_chain)?;
            at = at.saturating_add(len);
        }
        Ok(runs)
    }

    /// The folder with a number.
    fn folder(&self, number: u64) -> Place {
        if number == ROOT_FOLDER {
            return directory::root(&self.boot.layout);
        }
        let first = u32::try_from(number & !(u64::MAX << 32)).unwrap_or(0);
        let clusters = u32::try_from(number >> CLUSTERS_SHIFT).unwrap_or(0);
        let contiguous = number & CONTIGUOUS != 0;
        Place { first, length: Length::Exactly(clusters), contiguous }
    }

    fn known(&self, file: FileId) -> Result<Known, FileError> {
        if file.1 == NO_ENTRY {
            return Ok(Known::Root);
        }
        let (found, _) = self.runs(self.folder(file.0));
        let size = found.iter().map(|(start, end)| end.saturating_sub(*start)).sum();
        let runs = self.joined(&found, size, size)?;
        let most = (MOST_OF_ONE as u64).saturating_mul(ENTRY as u64);
        let len = usize::try_from(size.saturating_sub(file.1).min(most)).unwrap_or(0);
        let bytes = runs.read_vec(file.1, len);
        let bytes = bytes.map_err(|source| FileError::Read { what: "an entry", source })?;
        let entry = entry::entries(&self.boot, &bytes).into_iter().next();
        let is_first = |entry: &Entry| entry.at == 0 && entry.name.is_some();
        let entry =
            entry.filter(is_first).ok_or_else(|| FileError::damaged("no entry is there"))?;
        Ok(Known::Entry(entry))
    }

    /// The number of a folder; `None` when it has no clusters.
    fn number(&self, known: &Known) -> Option<u64> {
        match known {
            Known::Root => Some(ROOT_FOLDER),
            Known::Entry(entry) => entry.place.map(number),
        }
    }

    /// Where the allocation bitmap and the other tables lie that the root names.
    pub(super) fn tables(&self) -> Vec<(u64, u64)> {
        let root = directory::root(&self.boot.layout);
        let (bytes, _) = self.with_fat(|fat| directory::content(fat, root));
        let entries = entry::entries(&self.boot, &bytes).into_iter();
        let places = entries.filter(|entry| entry.name.is_none()).filter_map(|entry| entry.place);
        places.flat_map(|place| self.runs(place).0).collect()
    }

    /// What is in front of the clusters.
    pub(super) fn own(&self) -> Extent {
        Extent { start: 0, end: self.boot.layout.heap }
    }
}

/// The number of the folder in a place.
fn number(place: Place) -> u64 {
    let (Length::Exactly(clusters) | Length::AtMost(clusters)) = place.length;
    let contiguous = if place.contiguous { CONTIGUOUS } else { 0 };
    u64::from(place.first) | contiguous | u64::from(clusters) << CLUSTERS_SHIFT
}

fn no_chain() -> FileError {
    FileError::damaged("the chain of its clusters is cut short or leads nowhere")
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT_FOLDER, NO_ENTRY)
    }

    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        let known = self.known(folder)?;
        if matches!(&known, Known::Entry(entry) if !entry.is_folder()) {
            return Err(FileError::damaged("it is no folder"));
        }
        // One that never held anything may have no clusters.
        let Some(folder) = self.number(&known) else { return Ok(()) };
        let (bytes, is_all) = self.with_fat(|fat| directory::content(fat, self.folder(folder)));
        let listed = match self.scrutiny {
            Scrutiny::Strict => directory::until_end(&bytes),
            Scrutiny::Lenient => &bytes,
        };
        for entry in entry::entries(&self.boot, listed) {
            let Some(name) = &entry.name else { continue };
            let kind = if entry.is_folder() { EntryKind::Folder } else { EntryKind::File };
            each(FolderEntry {
                name: name.as_bytes(),
                kind,
                file: FileId(folder, entry.at as u64),
            });
        }
        if is_all {
            return Ok(());
        }
        Err(FileError::damaged("a folder cannot all be read"))
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        let (kind, size, times, attributes) = match self.known(file)? {
            Known::Root => (EntryKind::Folder, 0, Times::default(), None),
            Known::Entry(entry) => {
                let kind = if entry.is_folder() { EntryKind::Folder } else { EntryKind::File };
                (kind, entry.size, entry.times, Some(entry.attributes.into()))
            }
        };
        Ok(Stat { kind, size, links: 1, times, permissions: None, attributes })
    }

    fn link_target(&self, _: FileId) -> Result<Vec<u8>, FileError> {
        Err(FileError::no_link())
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        match self.known(file)? {
            Known::Entry(entry) if !entry.is_folder() => match entry.place {
                Some(place) => Ok(Box::new(self.content(place, entry.size, entry.written)?)),
                None if entry.size == 0 => Ok(Box::new(Vec::new())),
                None => Err(no_chain()),
            },
            Known::Root | Known::Entry(_) => Err(FileError::no_file()),
        }
    }

    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let place = match self.known(file)? {
            Known::Root => Some(directory::root(&self.boot.layout)),
            Known::Entry(entry) => entry.place,
        };
        let (runs, is_all) = place.map_or((Vec::new(), true), |place| self.runs(place));
        runs.into_iter().for_each(|(start, end)| each(Extent { start, end }));
        if is_all { Ok(()) } else { Err(no_chain()) }
    }

    fn is_case_sensitive(&self) -> bool {
        false
    }

    /// By the bitmap: Linux leaves the superblock's percentage as it was.
    fn free(&self, _: Option<u64>) -> Option<u64> {
        let layout = &self.boot.layout;
        let mut fat = Fat::new(self.volume, &self.boot, BITMAP_READS);
        let (_, used) = Bitmap::find(&mut fat).ok()?.used(self.volume, layout).ok()?;
        Some(layout.bytes(layout.clusters.checked_sub(used)?))
    }
}
