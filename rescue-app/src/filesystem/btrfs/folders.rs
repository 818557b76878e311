//! Folders.
//!
//! Sources: btrfs documentation, "On-disk format", directory index and root reference items; Linux
//! `fs/btrfs/inode.c`, `btrfs_lookup_dentry`.

use std::cell::Cell;

use super::files::{ENTRY, Files, INODE_ITEM, Node};
use super::node::Key;
use super::owners::{FIRST_INODE, TOP};
use super::roots::ROOT_ITEM;
use super::trees::Trees;
use super::{feature, superblock, trees};
use crate::bytes::{ReadAt, le16, le64, slice};
use crate::volume::probe::byte;
use crate::volume::{Alone, Doubt, EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// Key kinds.
const DIR_INDEX: u8 = 96;
const ROOT_REF: u8 = 156;
/// Inode of the empty folder that a snapshot shows in place of a subvolume that its original has
/// (`BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`).
const EMPTY_FOLDER: u64 = 2;

/// Each takes a walk through the tree of trees; a backup disk has some thousand snapshots.
const MOST_LOOKUPS: u32 = 100_000;

/// The folders of a filesystem, by their subvolume and inode.
pub(super) struct Folders<'a> {
    trees: Trees<'a>,
    start: Node,
    /// Entries for subvolumes that may still be looked up.
    lookups: Cell<u32>,
}

impl<'a> Folders<'a> {
    /// `None` when it lies on several devices, or a log may change what is in them.
    pub(super) fn open(volume: &'a dyn ReadAt) -> Option<Self> {
        let (superblock, _) = superblock::newest(volume).ok()?;
        feature::check(&superblock).ok()?;
        let is_whole = superblock.devices == 1 && superblock.device.size <= volume.size();
        if !is_whole || superblock.log_tree.is_some() {
            return None;
        }
        let trees = trees(volume, &superblock, &Alone).ok()?;
        let start = Files::from((TOP, FIRST_INODE), &trees).default_subvolume()?;
        Some(Self { trees, start, lookups: Cell::new(MOST_LOOKUPS) })
    }

    /// What an item of a folder says.
    fn entry<'b>(&self, (subvolume, folder): Node, item: &'b [u8]) -> Option<FolderEntry<'b>> {
        let key = Key::read(item, 0)?;
        let name = slice(item, ENTRY, le16(item, 27)?.into())?;
        let kind = EntryKind::of_type(byte(item, 29)?)?;
        let file = match key.kind {
            INODE_ITEM => FileId(subvolume, key.object),
            ROOT_ITEM if self.is_in(key.object, (subvolume, folder))? => {
                FileId(key.object, FIRST_INODE)
            }
            ROOT_ITEM => FileId(subvolume, EMPTY_FOLDER),
            _ => return None,
        };
        Some(FolderEntry { name, kind, file })
    }

    /// Whether a subvolume is in a folder, and not merely was in that of which it is a snapshot.
    fn is_in(&self, subvolume: u64, (parent, folder): Node) -> Option<bool> {
        self.lookups.set(self.lookups.get().checked_sub(1)?);
        let key = Key { object: parent, kind: ROOT_REF, offset: subvolume };
        let mut found = false;
        let mut read = |_: Key, item: &[u8]| {
            found |= le64(item, 0) == Some(folder);
            Ok::<(), Doubt>(())
        };
        let top = self.trees.superblock.root_tree;
        self.trees.walk_within(top, &(key..=key), &mut read).ok()?;
        Some(found)
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        let (subvolume, inode) = self.start;
        FileId(subvolume, inode)
    }

    fn list(&mut self, FileId(subvolume, inode): FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let root = Files::from(self.start, &self.trees).tree(subvolume)?;
        let mut read = |_: Key, item: &[u8]| {
            let entry = self.entry((subvolume, inode), item);
            each(entry.ok_or_else(|| Doubt::because("an entry of a folder makes no sense"))?);
            Ok(())
        };
        self.trees.walk_within(root, &Key::of(inode, DIR_INDEX), &mut read).ok()
    }
}
