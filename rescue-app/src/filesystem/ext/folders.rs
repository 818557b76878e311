//! Folders.

use super::feature::incompat;
use super::inode::read_inode;
use super::layout::Layout;
use super::owners::{Lookup, ROOT};
use super::superblock::Superblock;
use crate::bytes::{ReadAt, le16, le32};
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// `EXT4_ENCRYPT_FL`: the names in a folder are ciphertext.
const ENCRYPTED: u32 = 0x800;

/// The folders of a volume, by their inodes.
pub(super) struct Folders<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
}

impl<'a> Folders<'a> {
    /// `None` when a check or the journal may change what is in them, and where folders may fold
    /// case.
    pub(super) fn new(volume: &'a dyn ReadAt, superblock: Superblock) -> Option<Self> {
        let is_closed =
            superblock.is_in_order() && !superblock.has_incompat(incompat::NEEDS_RECOVERY);
        let folds = superblock.has_incompat(incompat::CASEFOLD);
        Layout::new(&superblock, volume.size()).ok()?;
        (is_closed && !folds).then_some(Self { volume, superblock })
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT.into(), 0)
    }

    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let layout = Layout::new(&self.superblock, self.volume.size()).ok()?;
        let folder = u32::try_from(folder.0).ok()?;
        if le32(&read_inode(self.volume, &layout, folder).ok()?, 32)? & ENCRYPTED != 0 {
            return None;
        }
        let mut complete = true;
        Lookup::of_path(self.volume, &layout).each_entry(folder, &mut |number, name, kind| {
            // Asked where entries carry no type.
            let kind = EntryKind::of_type(kind).or_else(|| {
                let inode = read_inode(self.volume, &layout, number).ok()?;
                Some(EntryKind::of_mode(le16(&inode, 0)?))
            });
            match kind {
                Some(kind) => each(FolderEntry { name, kind, file: FileId(number.into(), 0) }),
                None => complete = false,
            }
        })?;
        complete.then_some(())
    }

    /// As `statfs` counts it: some blocks are kept back for the superuser.
    fn free(&mut self, _: Option<u64>) -> Option<u64> {
        self.superblock.used_blocks()?;
        let free = self.superblock.free_blocks.saturating_sub(self.superblock.reserved_blocks);
        free.checked_mul(self.superblock.block_size.into())
    }
}
