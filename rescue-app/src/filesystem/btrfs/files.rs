//! Files and folders: the directory, inode and file extent items of subvolumes.
//!
//! Sources: btrfs documentation, "On-disk format", directory, inode and root reference items; Linux
//! `include/uapi/linux/btrfs_tree.h`, `fs/btrfs/dir-item.c`, `fs/btrfs/inode.c`
//! (`btrfs_lookup_dentry`), `fs/btrfs/ctree.h` (`btrfs_name_hash`).

use std::cell::Cell;

use super::compression::PLAIN;
use super::content::Extents;
use super::node::Key;
use super::owners::{EXTENT_DATA, FIRST_INODE, REGULAR, TOP};
use super::roots::{ROOT_ITEM, root};
use super::superblock::Root;
use super::trees::Trees;
use super::{feature, superblock, trees};
use crate::bytes::{Extent, ReadAt, le16, le32, le64, slice};
use crate::volume::checksum::crc32c;
use crate::volume::path::LONGEST_LINK;
use crate::volume::probe::byte;
use crate::volume::{
    Alone, Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry,
    Permissions, Scrutiny, Stat, Times, times,
};

/// Key kinds.
const INODE_ITEM: u8 = 1;
const DIR_ITEM: u8 = 84;
const DIR_INDEX: u8 = 96;
const ROOT_REF: u8 = 156;
/// The folder in the tree of trees whose entry "default" names the default subvolume.
const ROOT_FOLDER: FileId = FileId(0, 6);
/// The folder that the top-level subvolume begins with.
const TOP_FOLDER: FileId = FileId(TOP, FIRST_INODE);
/// Inode of the empty folder that a snapshot shows in place of a subvolume that its original has
/// (`BTRFS_EMPTY_SUBVOL_DIR_OBJECTID`).
const EMPTY_FOLDER: u64 = 2;
/// Bytes of a directory entry before its name.
const ENTRY: usize = 30;

/// Subvolumes of the top-level one that hold systems as their installers name them: Ubuntu and
/// openSUSE, Fedora, Debian.
const SYSTEMS: [&[u8]; 3] = [b"@", b"root", b"@rootfs"];

/// Each takes a walk through the tree of trees; a backup disk has some thousand snapshots.
const MOST_LOOKUPS: u32 = 100_000;

/// What is shown the items of an inode, with their offsets.
type EachItem<'a> = dyn FnMut(u64, &[u8]) -> Result<(), Doubt> + 'a;

/// The files of a filesystem, by their subvolume and inode.
pub(super) struct Files<'a> {
    trees: Trees<'a>,
    start: FileId,
    scrutiny: Scrutiny,
    /// Entries for subvolumes that may still be looked up.
    lookups: Cell<u32>,
}

impl<'a> Files<'a> {
    /// Strictly read are none that lie on several devices, or that a log may change.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let (superblock, _) = superblock::newest(volume)?;
        feature::check(&superblock)?;
        if scrutiny == Scrutiny::Strict {
            if superblock.devices != 1 || superblock.device.size > volume.size() {
                return Err(Doubt::because("other devices belong to it, or some of it is missing"));
            }
            if superblock.log_tree.is_some() {
                return Err(Doubt::because("its log may change its files"));
            }
        }
        let trees = trees(volume, &superblock, &Alone)?;
        let lookups = Cell::new(MOST_LOOKUPS);
        let mut files = Self { trees, start: TOP_FOLDER, scrutiny, lookups };
        let default = files.entry(ROOT_FOLDER, b"default").map(|found| found.map(|(file, _)| file));
        files.start = match (default, scrutiny) {
            (Ok(Some(default)), _) => default,
            (_, Scrutiny::Lenient) => TOP_FOLDER,
            (Ok(None), Scrutiny::Strict) => {
                return Err(Doubt::because("its default subvolume is not there"));
            }
            (Err(doubt), Scrutiny::Strict) => return Err(doubt),
        };
        Ok(files)
    }

    /// A person's questions each have their own bounds; a look at all of a damaged filesystem has
    /// one for all.
    fn begin(&self) {
        if self.scrutiny == Scrutiny::Strict {
            self.trees.allow_all();
            self.lookups.set(MOST_LOOKUPS);
        }
    }

    /// The root of a file tree; for subvolume 0 the tree of trees. Of snapshots the keys have
    /// another offset than of others.
    fn tree(&self, subvolume: u64) -> Result<Root, Doubt> {
        let top = self.trees.superblock.root_tree;
        if subvolume == 0 {
            return Ok(top);
        }
        let mut found = None;
        let keys = Key::of(subvolume, ROOT_ITEM);
        self.trees.walk_within(top, &keys, &mut |_: Key, item: &[u8]| {
            found = root(item);
            Ok(())
        })?;
        found.ok_or_else(|| Doubt::because(format!("subvolume {subvolume} is missing")))
    }

    /// Calls `each` for the items of one kind of an inode, with their offsets.
    fn items(
        &self,
        FileId(subvolume, inode): FileId,
        kind: u8,
        each: &mut EachItem<'_>,
    ) -> Result<(), Doubt> {
        let keys = Key::of(inode, kind);
        let mut read = |key: Key, item: &[u8]| each(key.offset, item);
        self.trees.walk_within(self.tree(subvolume)?, &keys, &mut read)
    }

    /// What the entry with a name in a folder stands for. Names with the same hash share an item.
    fn entry(&self, folder: FileId, name: &[u8]) -> Result<Option<(FileId, EntryKind)>, Doubt> {
        let hash = u64::from(crc32c(!1, name));
        let key = Key { object: folder.1, kind: DIR_ITEM, offset: hash };
        let mut found = None;
        let mut read = |_: Key, item: &[u8]| {
            let entry = named(item, name).map(|entry| self.parse(folder, entry));
            found = entry.transpose()?.map(|entry| (entry.file, entry.kind));
            Ok(())
        };
        self.trees.walk_within(self.tree(folder.0)?, &(key..=key), &mut read)?;
        Ok(found)
    }

    /// What an item of a folder says.
    fn parse<'b>(&self, folder: FileId, item: &'b [u8]) -> Result<FolderEntry<'b>, Doubt> {
        let parsed = || {
            let name = slice(item, ENTRY, le16(item, 27)?.into())?;
            Some((Key::read(item, 0)?, name, EntryKind::of_type(byte(item, 29)?)?))
        };
        let strange = || Doubt::because("an entry of a folder makes no sense");
        let (key, name, kind) = parsed().ok_or_else(strange)?;
        let file = match key.kind {
            INODE_ITEM => FileId(folder.0, key.object),
            // The tree of trees has no references to what its own folder names.
            ROOT_ITEM if folder == ROOT_FOLDER || self.is_in(key.object, folder)? => {
                FileId(key.object, FIRST_INODE)
            }
            ROOT_ITEM => FileId(folder.0, EMPTY_FOLDER),
            _ => return Err(strange()),
        };
        Ok(FolderEntry { name, kind, file })
    }

    /// Whether a subvolume is in a folder, and not merely was in that of which it is a snapshot.
    fn is_in(&self, subvolume: u64, FileId(parent, folder): FileId) -> Result<bool, Doubt> {
        let left = self.lookups.get().checked_sub(1);
        self.lookups.set(left.ok_or_else(|| Doubt::because("it has too many subvolumes"))?);
        let key = Key { object: parent, kind: ROOT_REF, offset: subvolume };
        let mut found = false;
        let mut read = |_: Key, item: &[u8]| {
            found |= le64(item, 0) == Some(folder);
            Ok::<(), Doubt>(())
        };
        let top = self.trees.superblock.root_tree;
        self.trees.walk_within(top, &(key..=key), &mut read)?;
        Ok(found)
    }

    fn inode(&self, file: FileId) -> Result<Stat, FileError> {
        if file.1 == EMPTY_FOLDER {
            return Ok(EMPTY);
        }
        let mut found = None;
        self.items(file, INODE_ITEM, &mut |_, item| {
            found = stat(item);
            Ok(())
        })?;
        let words = || FileError::damaged(format!("inode {} is damaged or missing", file.1));
        found.ok_or_else(words)
    }

    /// The content of a file or link.
    fn content(&self, file: FileId, size: u64) -> Result<impl ReadAt + '_, FileError> {
        let sector = self.trees.superblock.sector_size;
        let (mut extents, mut failure) = (Extents::default(), Ok(()));
        self.items(file, EXTENT_DATA, &mut |at, item| {
            if failure.is_ok() {
                failure = extents.add(at, item, sector);
            }
            Ok(())
        })?;
        failure?;
        Ok(extents.open(self.trees.data(), size, sector))
    }
}

/// What stands where a subvolume is that a snapshot has not.
const EMPTY: Stat = Stat {
    kind: EntryKind::Folder,
    size: 0,
    links: 1,
    times: Times { modified: None, accessed: None, changed: None, created: None },
    permissions: None,
    attributes: None,
};

/// What an inode item tells.
fn stat(item: &[u8]) -> Option<Stat> {
    let time = |at: usize| {
        let nanoseconds = le32(item, at.checked_add(8)?)?;
        Some(times::unix(le64(item, at)?.cast_signed(), nanoseconds))
    };
    let mode = u16::try_from(le32(item, 52)? & 0xffff).ok()?;
    Some(Stat {
        kind: EntryKind::of_mode(mode),
        size: le64(item, 16)?,
        links: le32(item, 40)?,
        times: Times {
            accessed: time(112)?,
            changed: time(124)?,
            modified: time(136)?,
            created: time(148)?,
        },
        permissions: Some(Permissions {
            uid: le32(item, 44)?,
            gid: le32(item, 48)?,
            mode: mode & 0o7777,
        }),
        attributes: None,
    })
}

/// The entry with a name, of those in an item.
fn named<'a>(mut item: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    loop {
        let (data, len) = (usize::from(le16(item, 25)?), usize::from(le16(item, 27)?));
        if slice(item, ENTRY, len)? == name {
            return Some(item);
        }
        item = item.get(ENTRY.checked_add(len)?.checked_add(data)?..)?;
    }
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        self.start
    }

    fn system_roots(&self) -> Vec<FileId> {
        let named = SYSTEMS.iter().filter_map(|name| self.entry(TOP_FOLDER, name).ok().flatten());
        let mut roots = vec![self.start];
        roots.extend(named.map(|(file, _)| file));
        roots.push(TOP_FOLDER);
        roots.dedup();
        roots
    }

    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        self.begin();
        let mut failure = Ok(());
        self.items(folder, DIR_INDEX, &mut |_, item| {
            match self.parse(folder, item) {
                Ok(entry) => each(entry),
                Err(doubt) if self.scrutiny == Scrutiny::Strict => return Err(doubt),
                Err(doubt) => failure = Err(doubt),
            }
            Ok(())
        })?;
        Ok(failure?)
    }

    fn lookup(
        &self,
        folder: FileId,
        name: &[u8],
    ) -> Result<Option<(FileId, EntryKind)>, FileError> {
        self.begin();
        Ok(self.entry(folder, name)?)
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        self.begin();
        self.inode(file)
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        self.begin();
        let stat = self.inode(link)?;
        if stat.kind != EntryKind::Link {
            return Err(FileError::no_link());
        }
        let len = usize::try_from(stat.size.min(LONGEST_LINK)).unwrap_or(0);
        let what = "the target of a link";
        let content = self.content(link, stat.size)?;
        content.read_vec(0, len).map_err(|source| FileError::Read { what, source })
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        self.begin();
        let stat = self.inode(file)?;
        if stat.kind != EntryKind::File {
            return Err(FileError::no_file());
        }
        Ok(Box::new(self.content(file, stat.size)?))
    }

    /// Of every copy that lies on this device.
    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        self.begin();
        let device = self.trees.superblock.device.id;
        let mut mark = |start, end| each(Extent { start, end });
        Ok(self.items(file, EXTENT_DATA, &mut |_, item| {
            let Some((start, len)) = stored(item) else { return Ok(()) };
            let chunk = self.trees.chunks.find(start);
            let chunk = chunk.ok_or_else(|| Doubt::because("an extent lies in no chunk"))?;
            chunk.on_device(device, (start, start.saturating_add(len)), &mut mark);
            Ok(())
        })?)
    }
}

/// Logical address and bytes of what is stored for an extent item; `None` where nothing is, but in
/// the item.
pub(super) fn stored(item: &[u8]) -> Option<(u64, u64)> {
    let [address, stored, offset, len] = [21, 29, 37, 45].map(|at| le64(item, at));
    let address = address.filter(|address| byte(item, 20) == Some(REGULAR) && *address != 0)?;
    match byte(item, 16)? {
        PLAIN => Some((address.saturating_add(offset?), len?)),
        _ => Some((address, stored?)),
    }
}
