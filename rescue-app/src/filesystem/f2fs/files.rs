//! Files and folders.

use std::cell::Cell;

use super::checkpoint::Checkpoint;
use super::directory;
use super::inode::{Block, Inode};
use super::nodes::{Kept, Nodes};
use super::superblock::{BLOCK, Superblock};
use crate::bytes::{Extent, ReadAt};
use crate::volume::files::{MOST_BLOCKS, MOST_BLOCKS_OF_ALL};
use crate::volume::path::LONGEST_LINK;
use crate::volume::runs::Runs;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry, Scrutiny,
    Stat, State,
};

/// Of a larger folder not all is looked at, blocks.
const LARGEST_FOLDER: usize = 1 << 13;
/// The files of a volume, by their inodes.
pub(super) struct Files<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
    checkpoint: Checkpoint,
    scrutiny: Scrutiny,
    kept: Cell<Kept>,
    /// Whether it is certain where nodes are.
    is_certain: bool,
}

impl<'a> Files<'a> {
    /// Strictly read are none that what follows the last checkpoint may change.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let read = Superblock::read(volume).map_err(Doubt::reading("the superblock"))?;
        let (superblock, _) =
            read.ok_or_else(|| Doubt::because("the superblock has changed meanwhile"))?;
        let checkpoint = match scrutiny {
            Scrutiny::Strict => {
                superblock.check(volume)?;
                let checkpoint = Checkpoint::newest(volume, &superblock)?;
                checkpoint.check()?;
                if checkpoint.state() != State::Clean {
                    return Err(Doubt::because(super::UNFINISHED));
                }
                checkpoint
            }
            Scrutiny::Lenient => {
                superblock.check_areas(volume)?;
                let checkpoint = Checkpoint::readable(volume, &superblock);
                let words = "neither of its two checkpoints can be read";
                checkpoint.ok_or_else(|| Doubt::because(words))?
            }
        };
        let (nodes, is_certain) = Nodes::new(volume, &superblock, &checkpoint, MOST_BLOCKS_OF_ALL);
        let kept = Cell::new(nodes.kept());
        if scrutiny == Scrutiny::Strict && !is_certain {
            return Err(Doubt::because("the journal of its node address table makes no sense"));
        }
        Ok(Self { volume, superblock, checkpoint, scrutiny, kept, is_certain })
    }

    /// Does something with the nodes. A look at all of a damaged volume has a bound for all of it,
    /// a person's questions each have their own.
    fn with_nodes<T>(&self, work: impl FnOnce(&mut Nodes<'_>) -> T) -> T {
        let mut kept = self.kept.take();
        if self.scrutiny == Scrutiny::Strict {
            kept.left = MOST_BLOCKS;
        }
        let mut nodes = Nodes::again(self.volume, &self.superblock, &self.checkpoint, kept);
        let result = work(&mut nodes);
        self.kept.set(nodes.kept());
        result
    }

    fn inode(&self, file: FileId) -> Result<Inode, FileError> {
        let number = u32::try_from(file.0).ok();
        let read = number.and_then(|number| self.with_nodes(|nodes| Inode::read(nodes, number)));
        let words = || FileError::damaged(format!("inode {} is damaged or cannot be read", file.0));
        read.ok_or_else(words)
    }

    /// What is in a file or link.
    fn content(&self, inode: &Inode) -> Result<Box<dyn ReadAt + 'a>, FileError> {
        if inode.is_encrypted() {
            return Err(FileError::unsupported("it is encrypted (fscrypt)"));
        }
        if inode.is_inline() {
            let content = inode.inline_content().map(<[u8]>::to_vec);
            return Ok(Box::new(content.ok_or_else(no_blocks)?));
        }
        if inode.is_compressed() {
            return Err(FileError::unsupported("it is compressed (F2FS), which is not read"));
        }
        let unit = u64::from(BLOCK);
        let (mut runs, mut fits) = (Runs::new(self.volume, inode.stat().size), true);
        let all = self.with_nodes(|nodes| {
            inode.blocks(nodes, &mut |block| match block {
                Block::Content(index, place) => {
                    fits &= runs.push(index.saturating_mul(unit), place, unit).is_some();
                }
                Block::Node(_) => {}
                Block::Compressed => fits = false,
            })
        });
        all.filter(|()| fits).ok_or_else(no_blocks)?;
        Ok(Box::new(runs))
    }

    /// The checked superblock and the checkpoint that counts.
    pub(super) fn parts(&self) -> (&Superblock, &Checkpoint) {
        (&self.superblock, &self.checkpoint)
    }
}

fn no_blocks() -> FileError {
    FileError::damaged("the list of its blocks makes no sense, or cannot be read")
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(self.superblock.root.into(), 0)
    }

    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        let inode = self.inode(folder)?;
        let is_hidden = inode.is_encrypted();
        if is_hidden && self.scrutiny == Scrutiny::Strict {
            return Err(FileError::unsupported("names in it are encrypted (fscrypt)"));
        }
        if !inode.is_folder() {
            return Err(FileError::damaged("it is no folder"));
        }
        let (mut complete, mut blocks) = (self.is_certain, Vec::new());
        let mut show = |number: u32, name: &[u8], kind| {
            let hidden = format!("(encrypted name of inode {number})");
            let name = if is_hidden { hidden.as_bytes() } else { name };
            match EntryKind::of_type(kind) {
                Some(kind) => each(FolderEntry { name, kind, file: FileId(number.into(), 0) }),
                None => complete = false,
            }
        };
        let in_inode = inode.entries().map(|entries| directory::entries(entries, &mut show));
        let all = self.with_nodes(|nodes| {
            let all = inode.blocks(nodes, &mut |block| {
                if let Block::Content(_, place) = block {
                    blocks.push(place);
                }
            });
            let read = blocks.iter().take(LARGEST_FOLDER).map(|place| {
                nodes.bytes(*place).and_then(|bytes| directory::entries(&bytes, &mut show))
            });
            read.fold(all, |all, read| read.and(all))
        });
        let is_all = all.is_some() && in_inode != Some(None) && blocks.len() <= LARGEST_FOLDER;
        if complete && is_all {
            return Ok(());
        }
        Err(FileError::damaged("a folder makes no sense, or cannot all be read"))
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        Ok(self.inode(file)?.stat())
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        let inode = self.inode(link)?;
        if inode.stat().kind != EntryKind::Link {
            return Err(FileError::no_link());
        }
        let content = self.content(&inode)?;
        let len = usize::try_from(content.size().min(LONGEST_LINK)).unwrap_or(0);
        let what = "the target of a link";
        content.read_vec(0, len).map_err(|source| FileError::Read { what, source })
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        let inode = self.inode(file)?;
        match inode.stat().kind {
            EntryKind::File => self.content(&inode),
            _ => Err(FileError::no_file()),
        }
    }

    /// The block that is the inode is its own.
    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let mut show = |start: u64| {
            each(Extent { start, end: start.saturating_add(BLOCK.into()) });
        };
        let number = u32::try_from(file.0).ok();
        let own = number.and_then(|number| self.with_nodes(|nodes| nodes.place(number)));
        own.into_iter().for_each(&mut show);
        let inode = self.inode(file)?;
        let all = self.with_nodes(|nodes| {
            inode.blocks(nodes, &mut |block| match block {
                Block::Content(_, place) | Block::Node(place) => show(place),
                Block::Compressed => {}
            })
        });
        all.ok_or_else(no_blocks)
    }

    /// What the filesystem keeps back for itself is not all in use.
    fn free(&self, _: Option<u64>) -> Option<u64> {
        let free = self.checkpoint.user_blocks.checked_sub(self.checkpoint.valid_blocks)?;
        free.checked_mul(BLOCK.into()).filter(|free| *free <= self.volume.size())
    }
}
