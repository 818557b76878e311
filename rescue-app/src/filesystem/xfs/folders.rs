//! Folders.

use std::ops::ControlFlow;

use super::directory;
use super::feature::incompat;
use super::files::MOST_BLOCKS;
use super::inode::{Inodes, Type};
use super::layout::Layout;
use super::log;
use super::superblock::Superblock;
use crate::bytes::ReadAt;
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry};

/// The folders of a volume, by their inodes.
pub(super) struct Folders<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
}

impl<'a> Folders<'a> {
    /// `None` when the log or a repair may change what is in them.
    pub(super) fn new(volume: &'a dyn ReadAt, superblock: Superblock) -> Option<Self> {
        let layout = Layout::new(&superblock, volume.size()).ok()?;
        let is_closed = log::is_closed(volume, &layout).ok()?;
        let is_sound = superblock.incompat & incompat::NEEDS_REPAIR == 0;
        (is_closed && is_sound).then_some(Self { volume, superblock })
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        FileId(self.superblock.root_inode, 0)
    }

    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let layout = Layout::new(&self.superblock, self.volume.size()).ok()?;
        let inodes = || Inodes { volume: self.volume, layout: &layout, left: MOST_BLOCKS };
        let (mut inodes, mut others, mut complete) = (inodes(), inodes(), true);
        let folder = inodes.read(folder.0)?;
        let read = directory::entries(&mut inodes, &folder, &mut |number, name, kind| {
            // Asked where entries carry no type.
            let kind = EntryKind::of_type(kind)
                .or_else(|| others.read(number).map(|inode| kind_of(inode.kind)));
            match kind {
                Some(kind) => each(FolderEntry { name, kind, file: FileId(number, 0) }),
                None => complete = false,
            }
            ControlFlow::Continue(())
        });
        (complete && read.is_some()).then_some(())
    }
}

fn kind_of(inode: Type) -> EntryKind {
    match inode {
        Type::Folder => EntryKind::Folder,
        Type::File => EntryKind::File,
        Type::Link => EntryKind::Link,
        Type::Other => EntryKind::Other,
    }
}
