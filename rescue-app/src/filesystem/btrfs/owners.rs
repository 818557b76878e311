//! Whose the lost bytes are: the extents that lie in them, and the files that refer to those.
//!
//! Sources: btrfs documentation, "On-disk format", extent and file tree items; Linux
//! `include/uapi/linux/btrfs_tree.h`.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::Chunk;
use super::files::stored;
use super::node::Key;
use super::roots::{ROOT_ITEM, ROOT_TREE, Roots, root};
use super::superblock::Root;
use super::trees::{Trees, Visitor};
use super::used::{EXTENT_ITEM, EXTENT_TREE, METADATA_ITEM};
use crate::bytes::{le16, le64, slice};
use crate::volume::Doubt;
use crate::volume::owners::{Tally, join};
use crate::volume::probe::byte;

/// Key kinds.
const INODE_REF: u8 = 12;
const INODE_EXTREF: u8 = 13;
pub(super) const EXTENT_DATA: u8 = 108;
const ROOT_BACKREF: u8 = 144;
const EXTENT_DATA_REF: u8 = 178;
const SHARED_DATA_REF: u8 = 184;

/// Bytes of an extent item before its references.
const EXTENT_HEAD: usize = 24;
/// `BTRFS_EXTENT_FLAG_DATA`.
const DATA: u64 = 1;
/// `BTRFS_FILE_EXTENT_REG`: neither in the item itself nor merely set aside.
pub(super) const REGULAR: u8 = 1;

/// The top-level subvolume.
pub(super) const TOP: u64 = 5;
/// The folder that a subvolume begins with.
pub(super) const FIRST_INODE: u64 = 256;
/// Folders are not followed deeper than this.
const DEEPEST: usize = 1024;
/// Inodes that are looked at; more cannot be named anyway.
const MOST_INODES: usize = 1 << 16;
/// Tree blocks that are read to look at files.
const MOST_BLOCKS: u64 = 1 << 16;

/// A file: its subvolume and its inode.
type File = (u64, u64);

/// Counts what lies in the lost bytes, and names the files. What cannot be read is told after
/// all that can.
pub(super) fn find(trees: &Trees<'_>, roots: &Roots, tally: &mut Tally<'_>) -> Result<(), Doubt> {
    let mut census = Census { trees, tally, lost: None, inodes: BTreeSet::new() };
    let mut result = trees.walk(roots.extents, Some(EXTENT_TREE), &mut census);
    let inodes = census.inodes;
    let subvolumes = Subvolumes::read(trees)?;
    trees.allow(MOST_BLOCKS);
    // A snapshot has the inodes of its original; which of them share a lost extent shows here.
    let files = inodes.iter().flat_map(|inode| subvolumes.roots.keys().map(|tree| (*tree, *inode)));
    for (id, file) in (0..).zip(files) {
        result = result.and(subvolumes.file(id, file, tally));
    }
    result
}

/// Finds the files whose extents lie in lost bytes.
struct Census<'a, 'b, 'c> {
    trees: &'a Trees<'a>,
    tally: &'b mut Tally<'c>,
    /// The extent that the references to come may speak of.
    lost: Option<u64>,
    /// Files that refer to lost extents.
    inodes: BTreeSet<u64>,
}

impl Visitor for Census<'_, '_, '_> {
    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        match key.kind {
            METADATA_ITEM => self.metadata(key.object, self.trees.superblock.node_size.into()),
            EXTENT_ITEM if le64(data, 16).is_some_and(|flags| flags & DATA != 0) => {
                self.data(key, data)
            }
            EXTENT_ITEM => self.metadata(key.object, key.offset),
            EXTENT_DATA_REF if self.lost == Some(key.object) => self.file(data),
            SHARED_DATA_REF if self.lost == Some(key.object) => self.shared(key.object, key.offset),
            _ => Ok(()),
        }
    }
}

impl Census<'_, '_, '_> {
    fn chunk(&self, start: u64, len: u64) -> Option<(&Chunk, (u64, u64))> {
        Some((self.trees.chunks.find(start)?, (start, start.checked_add(len)?)))
    }

    /// Of what has another copy nothing is lost, but it has to be mended as tree blocks have.
    fn metadata(&mut self, start: u64, len: u64) -> Result<(), Doubt> {
        let device = self.trees.superblock.device.id;
        let mut ranges = Vec::new();
        if let Some((chunk, range)) = self.chunk(start, len) {
            chunk.on_device(device, range, &mut |from, to| ranges.push((from, to)));
        }
        ranges.into_iter().for_each(|(from, to)| self.tally.metadata(from, to));
        Ok(())
    }

    fn data(&mut self, key: Key, item: &[u8]) -> Result<(), Doubt> {
        let device = self.trees.superblock.device.id;
        self.lost = None;
        let Some((chunk, range)) = self.chunk(key.object, key.offset) else { return Ok(()) };
        if !chunk.is_only_copy() {
            return self.metadata(key.object, key.offset);
        }
        let mut lost = 0u64;
        let mut count = |from, to| lost = lost.saturating_add(self.tally.lost(from, to));
        chunk.on_device(device, range, &mut count);
        if lost == 0 {
            return Ok(());
        }
        self.lost = Some(key.object);
        let mut at = EXTENT_HEAD;
        // Each reference starts with its kind.
        while let Some(kind) = byte(item, at) {
            let body = item.get(at.saturating_add(1)..).unwrap_or_default();
            let len = match kind {
                EXTENT_DATA_REF => {
                    self.file(body)?;
                    29
                }
                SHARED_DATA_REF => {
                    self.shared(key.object, le64(body, 0).unwrap_or(0))?;
                    13
                }
                _ => 9,
            };
            at = at.saturating_add(len);
        }
        Ok(())
    }

    /// A reference that names its file.
    fn file(&mut self, body: &[u8]) -> Result<(), Doubt> {
        self.add(le64(body, 8))
    }

    /// A reference that names the leaf, which may belong to several snapshots.
    fn shared(&mut self, extent: u64, leaf: u64) -> Result<(), Doubt> {
        let leaf = self.trees.leaf(leaf)?;
        for index in 0..leaf.count() {
            let Some((key, item)) = leaf.item(index) else { continue };
            if key.kind == EXTENT_DATA && le64(item, 21) == Some(extent) {
                self.add(Some(key.object))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, inode: Option<u64>) -> Result<(), Doubt> {
        self.inodes.extend(inode);
        if self.inodes.len() > MOST_INODES {
            return Err(Doubt::because("more files are damaged than can be looked at"));
        }
        Ok(())
    }
}

/// The file trees.
struct Subvolumes<'a> {
    trees: &'a Trees<'a>,
    roots: BTreeMap<u64, Root>,
}

impl<'a> Subvolumes<'a> {
    fn read(trees: &'a Trees<'a>) -> Result<Self, Doubt> {
        let mut roots = BTreeMap::new();
        let top = trees.superblock.root_tree;
        trees.walk(top, Some(ROOT_TREE), &mut |key: Key, data: &[u8]| {
            if key.kind == ROOT_ITEM && (key.object == TOP || key.object >= FIRST_INODE) {
                roots.extend(root(data).map(|root| (key.object, root)));
            }
            Ok(())
        })?;
        Ok(Self { trees, roots })
    }

    /// Counts what of a file's content lies in lost bytes, and names it when anything does.
    fn file(&self, id: u64, file: File, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        if self.count(file, id, tally)? {
            let (subvolume, inode) = file;
            let path = self.path(file);
            let unnamed = || format!("inode {inode} of subvolume {subvolume}");
            tally.name(id, &path.as_ref().ok().cloned().flatten().unwrap_or_else(unnamed));
            path?;
        }
        Ok(())
    }

    fn count(
        &self,
        (subvolume, inode): File,
        id: u64,
        tally: &mut Tally<'_>,
    ) -> Result<bool, Doubt> {
        let device = self.trees.superblock.device.id;
        let mut found = false;
        self.items(subvolume, inode, EXTENT_DATA, &mut |_, item| {
            let Some((start, len)) = stored(item) else { return };
            let chunk = self.trees.chunks.find(start);
            if let Some(chunk) = chunk.filter(|chunk| chunk.is_only_copy()) {
                let mut mark = |from, to| found |= tally.file(id, from, to);
                chunk.on_device(device, (start, start.saturating_add(len)), &mut mark);
            }
        })?;
        Ok(found)
    }

    /// The items of one kind of an object in a file tree or, for subvolume 0, the tree of trees.
    fn items(
        &self,
        subvolume: u64,
        object: u64,
        kind: u8,
        show: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<(), Doubt> {
        let root = match subvolume {
            0 => Some(&self.trees.superblock.root_tree),
            _ => self.roots.get(&subvolume),
        };
        let Some(root) = root else { return Ok(()) };
        self.trees.walk_within(*root, &Key::of(object, kind), &mut |key: Key, data: &[u8]| {
            show(key.offset, data);
            Ok(())
        })
    }

    /// From the top-level subvolume; `None` when a name is missing.
    fn path(&self, (mut subvolume, mut inode): File) -> Result<Option<String>, Doubt> {
        let mut names = Vec::new();
        while (subvolume, inode) != (TOP, FIRST_INODE) {
            let mut up = None;
            if inode == FIRST_INODE {
                self.items(0, subvolume, ROOT_BACKREF, &mut |parent, item| {
                    let name = name(item, 16).zip(le64(item, 0));
                    up = up.take().or(name.map(|(name, folder)| (name, parent, folder)));
                })?;
            } else {
                self.items(subvolume, inode, INODE_REF, &mut |folder, item| {
                    up = up.take().or(name(item, 8).map(|name| (name, subvolume, folder)));
                })?;
                self.items(subvolume, inode, INODE_EXTREF, &mut |_, item| {
                    let name = name(item, 16).zip(le64(item, 0));
                    up = up.take().or(name.map(|(name, folder)| (name, subvolume, folder)));
                })?;
            }
            let Some((name, in_subvolume, folder)) = up else { return Ok(None) };
            if names.len() >= DEEPEST {
                return Ok(None);
            }
            names.push(name);
            (subvolume, inode) = (in_subvolume, folder);
        }
        Ok(Some(names.iter().rev().fold(String::new(), |path, name| join(&path, name))))
    }
}

/// A name behind its length at byte `at`.
fn name(item: &[u8], at: usize) -> Option<String> {
    let bytes = slice(item, at.checked_add(2)?, le16(item, at)?.into())?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}
