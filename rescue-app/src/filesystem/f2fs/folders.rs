//! Folders.

use super::checkpoint::Checkpoint;
use super::directory;
use super::inode::{Block, Inode};
use super::nodes::Nodes;
use super::superblock::{BLOCK, Superblock};
use crate::bytes::ReadAt;
use crate::volume::{EachEntry, EntryKind, FileId, FileTree, FolderEntry, State};

/// Of a larger folder not all is looked at, blocks.
const LARGEST: usize = 1 << 13;
/// For one folder no more blocks are read.
const MOST_BLOCKS: u64 = 1 << 14;

/// The folders of a volume, by their inodes.
pub(super) struct Folders<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
    checkpoint: Checkpoint,
}

impl<'a> Folders<'a> {
    /// `None` when what follows the last checkpoint may change what is in them.
    pub(super) fn open(volume: &'a dyn ReadAt) -> Option<Self> {
        let (superblock, _) = Superblock::read(volume).ok()??;
        superblock.check(volume).ok()?;
        let checkpoint = Checkpoint::newest(volume, &superblock).ok()?;
        checkpoint.check().ok()?;
        let is_closed = checkpoint.state() == State::Clean;
        is_closed.then_some(Self { volume, superblock, checkpoint })
    }
}

impl FileTree for Folders<'_> {
    fn root(&self) -> FileId {
        FileId(self.superblock.root.into(), 0)
    }

    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()> {
        let (mut nodes, are_certain) =
            Nodes::new(self.volume, &self.superblock, &self.checkpoint, MOST_BLOCKS);
        let inode = Inode::read(&mut nodes, u32::try_from(folder.0).ok()?)?;
        if !are_certain || !inode.is_folder() || inode.is_encrypted() {
            return None;
        }
        let mut complete = true;
        let mut show = |number: u32, name: &[u8], kind| match EntryKind::of_type(kind) {
            Some(kind) => each(FolderEntry { name, kind, file: FileId(number.into(), 0) }),
            None => complete = false,
        };
        if let Some(entries) = inode.entries() {
            directory::entries(entries, &mut show)?;
        }
        let mut places = Vec::new();
        inode.blocks(&mut nodes, &mut |block| match block {
            Block::Content(place) if places.len() <= LARGEST => places.push(place),
            Block::Content(_) | Block::Node(_) => {}
        })?;
        for place in &places {
            directory::entries(&nodes.bytes(*place)?, &mut show)?;
        }
        (complete && places.len() <= LARGEST).then_some(())
    }

    /// What the filesystem keeps back for itself is not all in use.
    fn free(&mut self, _: Option<u64>) -> Option<u64> {
        let free = self.checkpoint.user_blocks.checked_sub(self.checkpoint.valid_blocks)?;
        free.checked_mul(BLOCK.into()).filter(|free| *free <= self.volume.size())
    }
}
