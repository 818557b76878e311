//! Folders.

use super::bitmap::Bitmap;
use super::boot_region::BootSector;
use super::directory;
use super::fat::{Fat, Length, Place};
use super::{BITMAP_READS, boot_sector, owners};
use crate::bytes::ReadAt;
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// Pieces of the FAT that may be read for one folder.
const MOST_READS: u32 = 1 << 12;
/// In a folder's number, above its first cluster: its clusters follow each other.
const CONTIGUOUS: u64 = 1 << 32;

/// The folders of a volume, by their first cluster and how many they have.
pub(super) struct Folders<'a> {
    volume: &'a dyn ReadAt,
    boot: BootSector,
}

impl<'a> Folders<'a> {
    /// `None` when the boot region is damaged.
    pub(super) fn open(volume: &'a dyn ReadAt) -> Option<Self> {
        let boot = boot_sector(volume).ok()?;
        boot.check_regions(volume).ok()?;
        Some(Self { volume, boot })
    }
}

/// The number of what lies in a place, or in none.
fn number(place: Option<Place>) -> FileId {
    let Some(Place { first, length, contiguous }) = place else { return FileId(0, 0) };
    let (Length::Exactly(clusters) | Length::AtMost(clusters)) = length;
    FileId(u64::from(first) | if contiguous { CONTIGUOUS } else { 0 }, clusters.into())
}

/// The place that has this number.
fn place(folder: FileId) -> Option<Place> {
    let first = u32::try_from(folder.0 & !CONTIGUOUS).ok()?;
    let length = Length::Exactly(u32::try_from(folder.1).ok()?);
    Some(Place { first, length, contiguous: folder.0 & CONTIGUOUS != 0 })
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        number(Some(directory::root(&self.boot.layout)))
    }

    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let is_root = folder == self.root();
        let mut fat = Fat::new(self.volume, &self.boot, MOST_READS);
        let place = if is_root { directory::root(&self.boot.layout) } else { place(folder)? };
        let (bytes, is_all) = directory::content(&mut fat, place);
        for entry in owners::entries(&self.boot, directory::until_end(&bytes)) {
            let Some(name) = entry.name else { continue };
            let kind = if entry.is_folder { EntryKind::Folder } else { EntryKind::File };
            each(FolderEntry { name: name.as_bytes(), kind, file: number(entry.place) });
        }
        is_all.then_some(())
    }

    fn is_case_sensitive(&self) -> bool {
        false
    }

    /// By the bitmap: Linux leaves the superblock's percentage as it was.
    fn free(&mut self, _: Option<u64>) -> Option<u64> {
        let layout = &self.boot.layout;
        let mut fat = Fat::new(self.volume, &self.boot, BITMAP_READS);
        let (_, used) = Bitmap::find(&mut fat).ok()?.used(self.volume, layout).ok()?;
        Some(layout.bytes(layout.clusters.checked_sub(used)?))
    }
}
