//! Files and folders.
//!
//! Source: Linux `Documentation/filesystems/ext4/inodes.rst`, "Inode Timestamps".

use super::feature::incompat;
use super::inline;
use super::inode::{read_inode, read_whole};
use super::layout::Layout;
use super::owners::{Holds, INLINE_DATA, Lookup, ROOT, Run, SYMLINK, is_short_link};
use super::superblock::Superblock;
use crate::bytes::{Extent, ReadAt, le16, le32, slice};
use crate::volume::path::LONGEST_LINK;
use crate::volume::runs::Runs;
use crate::volume::times;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EachPlace, EntryKind, FileError, FileId, FileTree, FolderEntry,
    Permissions, Scrutiny, Stat, Times,
};

/// `EXT4_ENCRYPT_FL`: content, and the names in a folder, are ciphertext.
const ENCRYPTED: u32 = 0x800;
/// Bytes of an inode before the fields that only larger inodes have, whose length stands first.
const PLAIN: usize = 128;

/// The files of a volume, by their inodes.
pub(super) struct Files<'a> {
    volume: &'a dyn ReadAt,
    superblock: Superblock,
}

impl<'a> Files<'a> {
    /// Strictly read are none that a check or the journal may change, and none where folders may
    /// fold case.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let superblock = super::superblock(volume)?;
        let is_closed =
            superblock.is_in_order() && !superblock.has_incompat(incompat::NEEDS_RECOVERY);
        Layout::new(&superblock, volume.size())?;
        if scrutiny == Scrutiny::Strict {
            if !is_closed {
                return Err(Doubt::because("a check or its journal may change its files"));
            }
            if superblock.has_incompat(incompat::CASEFOLD) {
                return Err(Doubt::because("names in its folders may differ in case alone"));
            }
        }
        Ok(Self { volume, superblock })
    }

    fn layout(&self) -> Result<Layout<'_>, Doubt> {
        Layout::new(&self.superblock, self.volume.size())
    }

    fn inode(&self, layout: &Layout<'_>, file: FileId) -> Result<Inode, FileError> {
        let number = u32::try_from(file.0).map_err(|_| FileError::damaged("no such inode"))?;
        Ok(Inode(read_whole(self.volume, layout, number)?))
    }

    /// What blocks hold of an inode's content.
    fn content(&self, layout: &Layout<'_>, inode: &Inode) -> Result<Runs<'a>, FileError> {
        let unit = u64::from(self.superblock.block_size);
        let (mut runs, mut fits) = (Runs::new(self.volume, inode.size()), true);
        let all = Lookup::new(self.volume, layout).all_runs(&inode.0, &mut |run| {
            let Run { block, len, holds: Holds::Content(index) } = run else { return };
            let [at, start, len] = [index, block, len].map(|blocks| blocks.saturating_mul(unit));
            fits &= runs.push(at, start, len).is_some();
        });
        if all && fits { Ok(runs) } else { Err(no_blocks()) }
    }
}

fn no_blocks() -> FileError {
    FileError::damaged("the list of its blocks makes no sense, or cannot be read")
}

fn is_encrypted() -> FileError {
    FileError::unsupported("it is encrypted (fscrypt)")
}

/// An inode, all bytes of it.
struct Inode(Vec<u8>);

impl Inode {
    fn field(&self, at: usize) -> u32 {
        le32(&self.0, at).unwrap_or(0)
    }

    fn half(&self, at: usize) -> u16 {
        le16(&self.0, at).unwrap_or(0)
    }

    fn mode(&self) -> u16 {
        self.half(0)
    }

    fn kind(&self) -> EntryKind {
        EntryKind::of_mode(self.mode())
    }

    fn has(&self, flag: u32) -> bool {
        self.field(32) & flag != 0
    }

    fn size(&self) -> u64 {
        // Of other kinds the upper half is something else on old filesystems.
        let upper = if self.kind() == EntryKind::File { self.field(108) } else { 0 };
        u64::from(upper) << 32 | u64::from(self.field(4))
    }

    /// A field of those that only larger inodes have, where this one is large enough.
    fn extra(&self, at: usize) -> Option<u32> {
        let len = usize::from(le16(&self.0, PLAIN)?);
        let end = at.checked_add(4)?;
        le32(&self.0, at).filter(|_| end <= PLAIN.saturating_add(len))
    }

    /// Signed seconds of 32 bits; of what is further on, two more bits of those, and nanoseconds.
    fn time(seconds: u32, extra: Option<u32>) -> Option<time::OffsetDateTime> {
        let extra = extra.unwrap_or(0);
        let epochs = i64::from(extra & 3) << 32;
        let seconds = i64::from(seconds.cast_signed()).checked_add(epochs)?;
        times::unix(seconds, extra >> 2)
    }

    fn stat(&self) -> Stat {
        let whole =
            |low: usize, high: usize| u32::from(self.half(high)) << 16 | u32::from(self.half(low));
        let created = self.extra(144).map(|seconds| Self::time(seconds, self.extra(148)));
        Stat {
            kind: self.kind(),
            size: self.size(),
            links: self.half(26).into(),
            times: Times {
                accessed: Self::time(self.field(8), self.extra(140)),
                changed: Self::time(self.field(12), self.extra(132)),
                modified: Self::time(self.field(16), self.extra(136)),
                created: created.flatten(),
            },
            permissions: Some(Permissions {
                uid: whole(2, 120),
                gid: whole(24, 122),
                mode: self.mode() & 0o7777,
            }),
            attributes: None,
        }
    }
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT.into(), 0)
    }

    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        let layout = self.layout()?;
        let inode = self.inode(&layout, folder)?;
        if inode.has(ENCRYPTED) {
            return Err(is_encrypted());
        }
        let mut complete = true;
        let mut show = |number: u32, name: &[u8], kind: u8| {
            // Asked where entries carry no type.
            let kind = EntryKind::of_type(kind).or_else(|| {
                let inode = read_inode(self.volume, &layout, number).ok()?;
                Some(EntryKind::of_mode(le16(&inode, 0)?))
            });
            match kind {
                Some(kind) => each(FolderEntry { name, kind, file: FileId(number.into(), 0) }),
                None => complete = false,
            }
        };
        let listed =
            Lookup::of_folder(self.volume, &layout).each_entry(&inode.0, &mut show).is_some();
        if listed && complete {
            return Ok(());
        }
        Err(FileError::damaged("a folder makes no sense, or cannot all be read"))
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        Ok(self.inode(&self.layout()?, file)?.stat())
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        let layout = self.layout()?;
        let inode = self.inode(&layout, link)?;
        if inode.mode() & 0xf000 != SYMLINK {
            return Err(FileError::no_link());
        }
        let len = usize::try_from(inode.size().min(LONGEST_LINK)).unwrap_or(0);
        let in_inode = if inode.has(ENCRYPTED) {
            return Err(is_encrypted());
        } else if inode.has(INLINE_DATA) {
            inline::content(&inode.0, inode.size())
        } else if is_short_link(inode.field(32), inode.size()) {
            slice(&inode.0, 40, len).map(<[u8]>::to_vec)
        } else {
            let content = self.content(&layout, &inode)?;
            return content.read_vec(0, len).map_err(unreadable);
        };
        in_inode.ok_or_else(|| FileError::damaged("the link makes no sense"))
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        let layout = self.layout()?;
        let inode = self.inode(&layout, file)?;
        if inode.kind() != EntryKind::File {
            return Err(FileError::no_file());
        }
        if inode.has(ENCRYPTED) {
            return Err(is_encrypted());
        }
        if !inode.has(INLINE_DATA) {
            return Ok(Box::new(self.content(&layout, &inode)?));
        }
        let content = inline::content(&inode.0, inode.size());
        let damaged = || FileError::damaged("its content in the inode makes no sense");
        Ok(Box::new(content.ok_or_else(damaged)?))
    }

    fn content_places(&self, file: FileId, each: &mut EachPlace<'_>) -> Result<(), FileError> {
        // Refuses what is no plain file, and what is encrypted.
        self.open(file)?;
        let layout = self.layout()?;
        let inode = self.inode(&layout, file)?;
        let unit = u64::from(self.superblock.block_size);
        let all = Lookup::new(self.volume, &layout).all_runs(&inode.0, &mut |run| {
            if let Holds::Content(index) = run.holds {
                let start = run.block.saturating_mul(unit);
                let end = start.saturating_add(run.len.saturating_mul(unit));
                each(index.saturating_mul(unit), Extent { start, end });
            }
        });
        if all { Ok(()) } else { Err(no_blocks()) }
    }

    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let layout = self.layout()?;
        let inode = self.inode(&layout, file)?;
        let unit = u64::from(self.superblock.block_size);
        let all = Lookup::new(self.volume, &layout).all_runs(&inode.0, &mut |run| {
            let start = run.block.saturating_mul(unit);
            let end = start.saturating_add(run.len.saturating_mul(unit));
            if run.holds != Holds::Nothing {
                each(Extent { start, end });
            }
        });
        if all { Ok(()) } else { Err(no_blocks()) }
    }

    /// As `statfs` counts it: some blocks are kept back for the superuser.
    fn free(&self, _: Option<u64>) -> Option<u64> {
        self.superblock.used_blocks()?;
        let free = self.superblock.free_blocks.saturating_sub(self.superblock.reserved_blocks);
        free.checked_mul(self.superblock.block_size.into())
    }
}

fn unreadable(source: std::io::Error) -> FileError {
    FileError::Read { what: "the target of a link", source }
}
