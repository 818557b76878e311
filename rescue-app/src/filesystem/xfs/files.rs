//! Files by their paths.

use std::ops::ControlFlow;

use super::directory;
use super::inode::{Fork, Inodes, Type};
use super::layout::Layout;
use crate::bytes::ReadAt;
use crate::volume::path::{LONGEST_LINK, Tree};

/// For one path, of which the directories are searched, no more blocks are read.
pub(super) const MOST_BLOCKS: u64 = 1 << 14;

/// Looks paths up.
pub(super) struct Files<'a>(Inodes<'a>);

impl<'a> Files<'a> {
    /// Those of a volume.
    pub(super) fn new(volume: &'a dyn ReadAt, layout: &'a Layout<'a>) -> Self {
        Self(Inodes { volume, layout, left: MOST_BLOCKS })
    }
}

impl Tree for Files<'_> {
    type Node = u64;

    fn root(&self) -> u64 {
        self.0.layout.superblock.root_inode
    }

    fn child(&mut self, folder: u64, name: &[u8]) -> Option<u64> {
        let folder = self.0.read(folder)?;
        let mut found = None;
        // A block that cannot be read does not matter when the name stands in another.
        let _ = directory::entries(&mut self.0, &folder, &mut |inode, entry, _| {
            if entry != name {
                return ControlFlow::Continue(());
            }
            found = Some(inode);
            ControlFlow::Break(())
        });
        found
    }

    fn link(&mut self, node: u64) -> Option<Vec<u8>> {
        let inode = self.0.read(node)?;
        directory::target(&mut self.0, &inode, LONGEST_LINK)
    }

    fn content(&mut self, node: u64, most: u64) -> Option<Vec<u8>> {
        let inode = self.0.read(node)?;
        match (inode.kind, inode.fork) {
            (Type::File, Fork::Local(_)) | (Type::Folder | Type::Link | Type::Other, _) => None,
            (Type::File, fork) => {
                let len = inode.size.min(most);
                let extents = self.0.list(&fork, len)?;
                self.0.content(&extents, 0, len)
            }
        }
    }
}
