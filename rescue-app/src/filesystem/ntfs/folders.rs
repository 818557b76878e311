//! Folders.
//!
//! Source: ntfs-3g `include/ntfs-3g/layout.h` (`FILE_ATTR_FLAGS`).

use std::ops::ControlFlow;

use super::boot_sector::BootSector;
use super::directory::{self, ROOT};
use super::master::Master;
use super::owners::FIRST_FREE;
use crate::bytes::ReadAt;
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// `FILE_ATTR_REPARSE_POINT`: something else stands here, of the kind that its tag tells.
const REPARSE_POINT: u32 = 0x400;
/// The bit of tags that stand for another name (MS-FSCC, 2.1.2.1): links and mount points. Folders with
/// other tags, such as those of a cloud's client, are folders to Linux too.
const OTHER_NAME: u32 = 0x2000_0000;
/// `FILE_ATTR_I30_INDEX_PRESENT`: a folder.
const FOLDER: u32 = 0x1000_0000;

/// The folders of a volume, by their file records.
pub(super) struct Folders<'a>(Master<'a>);

impl<'a> Folders<'a> {
    /// `None` when `$MFT` is damaged. Folders are the same whether the volume was closed or not:
    /// Linux does not replay the log either.
    pub(super) fn open(volume: &'a dyn ReadAt) -> Option<Self> {
        let boot = BootSector::parse(&volume.read_vec(0, 512).ok()?)?;
        let is_inside = boot.size <= volume.size();
        Master::open(volume, boot).ok().filter(|_| is_inside).map(Self)
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT, 0)
    }

    /// The filesystem's own files are left out, as the kernel does.
    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        directory::entries(&self.0, folder.0, &mut |entry| {
            if entry.record >= FIRST_FREE && !entry.is_short_name() {
                let kind = match entry.attributes() {
                    bits if bits & REPARSE_POINT != 0 && entry.reparse_tag() & OTHER_NAME != 0 => {
                        EntryKind::Link
                    }
                    bits if bits & FOLDER != 0 => EntryKind::Folder,
                    _ => EntryKind::File,
                };
                let file = FileId(entry.record, 0);
                each(FolderEntry { name: entry.name().as_bytes(), kind, file });
            }
            ControlFlow::Continue(())
        })
        .ok()
    }
}
