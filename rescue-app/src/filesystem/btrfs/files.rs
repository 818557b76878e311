//! Files by their paths: the directory and file items of subvolumes.
//!
//! Sources: btrfs documentation, "On-disk format", directory, inode and file extent items; Linux
//! `include/uapi/linux/btrfs_tree.h`, `fs/btrfs/dir-item.c`, `fs/btrfs/ctree.h`
//! (`btrfs_name_hash`).

use std::io::Read;

use super::node::Key;
use super::owners::{EXTENT_DATA, FIRST_INODE, REGULAR, TOP};
use super::roots::{ROOT_ITEM, root};
use super::superblock::Root;
use super::trees::Trees;
use crate::bytes::{le16, le32, le64, slice};
use crate::volume::Doubt;
use crate::volume::checksum::crc32c;
use crate::volume::path::{LONGEST_LINK, Tree};
use crate::volume::probe::byte;

/// Key kinds.
pub(super) const INODE_ITEM: u8 = 1;
const DIR_ITEM: u8 = 84;
/// The folder in the tree of trees whose entry "default" names the default subvolume.
const ROOT_FOLDER: u64 = 6;
/// Bytes of a directory entry before its name.
pub(super) const ENTRY: usize = 30;
/// File types in `i_mode`.
const SYMLINK: u32 = 0xa000;
const FILE: u32 = 0x8000;
/// Extent whose bytes stand in the item.
const INLINE: u8 = 0;
/// Kinds of compression.
const PLAIN: u8 = 0;
const ZLIB: u8 = 1;
const ZSTD: u8 = 3;
/// No more is compressed together (`BTRFS_MAX_UNCOMPRESSED`), bytes.
const LARGEST_COMPRESSED: u64 = 128 << 10;
/// Btrfs compresses with no larger window (`ZSTD_BTRFS_MAX_WINDOWLOG`).
const WINDOW_LOG: u32 = 17;

/// Subvolumes of the top-level one that hold systems as their installers name them: Ubuntu and
/// openSUSE, Fedora, Debian.
const SYSTEMS: [&[u8]; 3] = [b"@", b"root", b"@rootfs"];

/// A file in more extents than this is not read.
const MOST_ITEMS: usize = 1024;

/// A file: its subvolume and its inode.
pub(super) type Node = (u64, u64);

/// One subvolume and those below.
pub(super) struct Files<'a> {
    trees: &'a Trees<'a>,
    start: Node,
}

/// The subvolumes in which a system may be: the default one, then those that installers make.
pub(super) fn systems<'a>(trees: &'a Trees<'a>) -> Vec<Files<'a>> {
    let mut top = Files::from((TOP, FIRST_INODE), trees);
    let default = top.default_subvolume();
    let named = SYSTEMS.iter().filter_map(|name| top.child((TOP, FIRST_INODE), name));
    let mut starts: Vec<Node> = default.into_iter().chain(named).collect();
    starts.push(top.start);
    starts.dedup();
    starts.into_iter().map(|start| Files::from(start, trees)).collect()
}

impl<'a> Files<'a> {
    /// From this folder on.
    pub(super) fn from(start: Node, trees: &'a Trees<'a>) -> Self {
        Self { trees, start }
    }

    /// The subvolume that is mounted where none is named.
    pub(super) fn default_subvolume(&self) -> Option<Node> {
        self.entry((0, ROOT_FOLDER), b"default")
    }

    /// The root of a file tree; for subvolume 0 the tree of trees. Of snapshots the keys have
    /// another offset than of others.
    pub(super) fn tree(&self, subvolume: u64) -> Option<Root> {
        if subvolume == 0 {
            return Some(self.trees.superblock.root_tree);
        }
        let mut found = None;
        let top = self.trees.superblock.root_tree;
        let keys = Key::of(subvolume, ROOT_ITEM);
        let mut read = |_: Key, item: &[u8]| {
            found = root(item);
            Ok(())
        };
        self.trees.walk_within(top, &keys, &mut read).ok()?;
        found
    }

    /// The items of one kind of an inode with their offsets.
    fn items(&self, (subvolume, inode): Node, kind: u8) -> Option<Vec<(u64, Vec<u8>)>> {
        let mut items = Vec::new();
        let keys = Key::of(inode, kind);
        let mut read = |key: Key, item: &[u8]| {
            items.push((key.offset, item.to_vec()));
            if items.len() > MOST_ITEMS {
                return Err(Doubt::because("a file is in more pieces than are looked at"));
            }
            Ok(())
        };
        self.trees.walk_within(self.tree(subvolume)?, &keys, &mut read).ok()?;
        Some(items)
    }

    /// What the entry with a name in a folder stands for. Names with the same hash share an item.
    fn entry(&self, (subvolume, inode): Node, name: &[u8]) -> Option<Node> {
        let hash = u64::from(crc32c(!1, name));
        let key = Key { object: inode, kind: DIR_ITEM, offset: hash };
        let mut found = None;
        let mut read = |_: Key, item: &[u8]| {
            found = location(item, name);
            Ok::<(), Doubt>(())
        };
        self.trees.walk_within(self.tree(subvolume)?, &(key..=key), &mut read).ok()?;
        match found? {
            Key { object, kind: INODE_ITEM, .. } => Some((subvolume, object)),
            Key { object, kind: ROOT_ITEM, .. } => Some((object, FIRST_INODE)),
            _ => None,
        }
    }

    /// Size, and type by its mode.
    fn inode(&self, node: Node) -> Option<(u64, u32)> {
        let (_, item) = self.items(node, INODE_ITEM)?.pop()?;
        Some((le64(&item, 16)?, le32(&item, 52)? & 0xf000))
    }

    /// The first `len` bytes of an inode's content; holes are zeros.
    fn read(&self, node: Node, len: u64) -> Option<Vec<u8>> {
        let mut content = vec![0; usize::try_from(len).ok()?];
        for (start, item) in self.items(node, EXTENT_DATA)? {
            if start >= len {
                break;
            }
            let bytes = self.extent(&item, len.saturating_sub(start))?;
            let place = content.get_mut(usize::try_from(start).ok()?..)?;
            place.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        Some(content)
    }

    /// What an extent says of its file, at most `most` bytes that are needed.
    fn extent(&self, item: &[u8], most: u64) -> Option<Vec<u8>> {
        let [whole, place, stored, offset, len] = [8, 21, 29, 37, 45].map(|at| le64(item, at));
        let (compression, encryption, encoding) =
            (byte(item, 16)?, byte(item, 17)?, le16(item, 18)?);
        match byte(item, 20)? {
            _ if encryption != 0 || encoding != 0 => None,
            INLINE => expand(compression, item.get(21..)?, whole?),
            REGULAR if place? == 0 => Some(Vec::new()),
            REGULAR if compression == PLAIN => {
                self.trees.data(place?.checked_add(offset?)?, len?.min(most))
            }
            REGULAR => {
                let stored = stored.filter(|stored| *stored <= LARGEST_COMPRESSED)?;
                let bytes = expand(compression, &self.trees.data(place?, stored)?, whole?)?;
                let bytes = bytes.get(usize::try_from(offset?).ok()?..)?;
                Some(bytes.iter().take(usize::try_from(len?).ok()?).copied().collect())
            }
            // Set aside and not written yet.
            _ => Some(Vec::new()),
        }
    }
}

impl Tree for Files<'_> {
    type Node = Node;

    fn root(&self) -> Node {
        self.start
    }

    fn child(&mut self, folder: Node, name: &[u8]) -> Option<Node> {
        self.entry(folder, name)
    }

    fn link(&mut self, node: Node) -> Option<Vec<u8>> {
        let (size, _) = self.inode(node).filter(|(_, kind)| *kind == SYMLINK)?;
        self.read(node, size.min(LONGEST_LINK))
    }

    fn content(&mut self, node: Node, most: u64) -> Option<Vec<u8>> {
        let (size, _) = self.inode(node).filter(|(_, kind)| *kind == FILE)?;
        self.read(node, size.min(most))
    }
}

/// Where the entry with a name leads to, of those in an item.
fn location(mut item: &[u8], name: &[u8]) -> Option<Key> {
    loop {
        let key = Key::read(item, 0)?;
        let (data, len) = (usize::from(le16(item, 25)?), usize::from(le16(item, 27)?));
        if slice(item, ENTRY, len)? == name {
            return Some(key);
        }
        item = item.get(ENTRY.checked_add(len)?.checked_add(data)?..)?;
    }
}

/// `len` bytes out of what is stored. LZO is not expanded by this version.
fn expand(compression: u8, stored: &[u8], len: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok().filter(|len| *len as u64 <= LARGEST_COMPRESSED)?;
    match compression {
        PLAIN => Some(stored.get(..len)?.to_vec()),
        ZLIB => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(stored, len).ok(),
        ZSTD => {
            // Zeros up to the end of the sector follow the frame.
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored).ok()?.single_frame();
            decoder.window_log_max(WINDOW_LOG).ok()?;
            let mut bytes = Vec::new();
            decoder.take(len as u64).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        }
        _ => None,
    }
}
