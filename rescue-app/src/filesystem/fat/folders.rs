//! Folders.

use super::ENTRY;
use super::boot_sector::BootSector;
use super::directory;
use super::table::Chains;
use crate::bytes::ReadAt;
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// The root directory, where that has a place of its own: no folder has this cluster.
const FIXED_ROOT: u32 = 0;

/// The folders of a volume, by their first clusters.
pub(super) struct Folders<'a> {
    volume: &'a dyn ReadAt,
    boot: BootSector,
    chains: Chains<'a>,
}

impl<'a> Folders<'a> {
    /// `None` when the root directory makes no sense.
    pub(super) fn open(volume: &'a dyn ReadAt) -> Option<Self> {
        let boot = BootSector::parse(&volume.read_vec(0, 512).ok()?)?;
        boot.check_root().ok()?;
        directory::check_root(volume, &boot).ok()?;
        let chains = Chains::new(volume, &boot).ok()?;
        Some(Self { volume, boot, chains })
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        FileId(directory::root(&self.boot).unwrap_or(FIXED_ROOT).into(), 0)
    }

    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let cluster = if folder == self.root() {
            directory::root(&self.boot)
        } else {
            Some(u32::try_from(folder.0).ok()?)
        };
        let (bytes, is_all) = directory::read(self.volume, &self.boot, &mut self.chains, cluster);
        let known = directory::until_end(&bytes);
        // Linux goes on behind an entry that ends a folder: it may be one of a lost sector.
        if bytes.get(known.len()..)?.iter().step_by(ENTRY).any(|first| *first != 0) {
            return None;
        }
        for entry in directory::entries(known, self.boot.kind) {
            // A folder without clusters would pass for the root.
            if entry.is_folder && entry.cluster == FIXED_ROOT {
                return None;
            }
            let kind = if entry.is_folder { EntryKind::Folder } else { EntryKind::File };
            let file = FileId(entry.cluster.into(), 0);
            each(FolderEntry { name: entry.name.as_bytes(), kind, file });
        }
        is_all.then_some(())
    }

    fn is_case_sensitive(&self) -> bool {
        false
    }

    /// The tables are not for files.
    fn free(&mut self, used: Option<u64>) -> Option<u64> {
        let end = self.boot.cluster(self.boot.clusters);
        end.checked_sub(self.boot.data())?.checked_sub(used?)
    }
}
