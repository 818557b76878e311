//! Files and folders.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::directory;
use super::feature::incompat;
use super::inode::{Fork, Inode, Inodes};
use super::layout::Layout;
use super::log;
use super::superblock::Superblock;
use crate::bytes::{Extent, ReadAt};
use crate::volume::files::{MOST_BLOCKS, MOST_BLOCKS_OF_ALL};
use crate::volume::path::LONGEST_LINK;
use crate::volume::runs::Runs;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry, Scrutiny,
    Stat,
};

/// The files of a volume, by their inodes.
pub(super) struct Files<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
    scrutiny: Scrutiny,
    left: Cell<u64>,
}

impl<'a> Files<'a> {
    /// Strictly read are none that the log or a repair may change.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let superblock = super::superblock(volume)?;
        let layout = Layout::new(&superblock, volume.size())?;
        let is_sound = superblock.incompat & incompat::NEEDS_REPAIR == 0;
        if scrutiny == Scrutiny::Strict && !(is_sound && log::is_closed(volume, &layout)?) {
            return Err(Doubt::because("its log or a repair may change its files"));
        }
        Ok(Self { volume, superblock, scrutiny, left: Cell::new(MOST_BLOCKS_OF_ALL) })
    }

    /// The superblock that they were opened by.
    pub(super) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Does something with the inodes. A look at all of a damaged volume has a bound for all of it,
    /// a person's questions each have their own.
    fn with_inodes<T>(
        &self,
        work: impl FnOnce(&mut Inodes<'_>) -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let layout = Layout::new(&self.superblock, self.volume.size())?;
        let left = match self.scrutiny {
            Scrutiny::Strict => MOST_BLOCKS,
            Scrutiny::Lenient => self.left.get(),
        };
        let mut inodes = Inodes { volume: self.volume, layout: &layout, left };
        let result = work(&mut inodes);
        self.left.set(inodes.left);
        result
    }
}

fn inode(inodes: &mut Inodes<'_>, file: FileId) -> Result<Inode, FileError> {
    let words = || FileError::damaged(format!("inode {} is damaged or cannot be read", file.0));
    inodes.read(file.0).ok_or_else(words)
}

fn no_extents() -> FileError {
    FileError::damaged("the list of its extents makes no sense, or cannot be read")
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(self.superblock.root_inode, 0)
    }

    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        self.with_inodes(|inodes| {
            let folder = inode(inodes, folder)?;
            let (mut untyped, mut complete) = (Vec::new(), true);
            let read = directory::entries(inodes, &folder, &mut |number, name, kind| {
                let file = FileId(number, 0);
                match EntryKind::of_type(kind) {
                    Some(kind) => each(FolderEntry { name, kind, file }),
                    None => untyped.push((name.to_vec(), file)),
                }
                ControlFlow::Continue(())
            });
            // Asked where entries carry no type.
            for (name, file) in untyped {
                match inode(inodes, file) {
                    Ok(found) => each(FolderEntry { name: &name, kind: found.stat.kind, file }),
                    Err(_) => complete = false,
                }
            }
            if complete && read.is_some() {
                return Ok(());
            }
            Err(FileError::damaged("a folder makes no sense, or cannot all be read"))
        })
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        self.with_inodes(|inodes| Ok(inode(inodes, file)?.stat))
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        self.with_inodes(|inodes| {
            let link = inode(inodes, link)?;
            if link.stat.kind != EntryKind::Link {
                return Err(FileError::no_link());
            }
            let target = directory::target(inodes, &link, LONGEST_LINK);
            target.ok_or_else(|| FileError::damaged("the link makes no sense"))
        })
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        self.with_inodes(|inodes| {
            let file = inode(inodes, file)?;
            // The kernel keeps the content of no file in its inode.
            if file.stat.kind != EntryKind::File || matches!(file.fork, Fork::Local(_)) {
                return Err(FileError::no_file());
            }
            let layout = inodes.layout;
            let (mut runs, mut fits) = (Runs::new(self.volume, file.stat.size), true);
            let mut push = |extent: super::inode::Extent| {
                let [at, len] = [extent.offset, extent.count].map(|blocks| layout.bytes(blocks));
                fits &= extent.unwritten || runs.push(at, extent.start, len).is_some();
                fits
            };
            let all = inodes.extents(&file.fork, &mut push, &mut |_, _| {});
            all.filter(|()| fits).ok_or_else(no_extents)?;
            Ok(Box::new(runs) as Box<dyn ReadAt + '_>)
        })
    }

    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        self.with_inodes(|inodes| {
            let file = inode(inodes, file)?;
            let (layout, mut lists) = (inodes.layout, Vec::new());
            let mut show = |extent: super::inode::Extent| {
                let end = extent.start.saturating_add(layout.bytes(extent.count));
                each(Extent { start: extent.start, end });
                true
            };
            let all = inodes.extents(&file.fork, &mut show, &mut |start, end| {
                lists.push(Extent { start, end });
            });
            lists.into_iter().for_each(each);
            all.ok_or_else(no_extents)
        })
    }
}
