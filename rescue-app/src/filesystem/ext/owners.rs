//! Which inodes and names belong to given blocks.
//!
//! Source: Linux `Documentation/filesystems/ext4/inodes.rst`, `ifork.rst`, `directory.rst`.

use std::collections::{HashMap, HashSet};

use super::group::Group;
use super::inline;
use super::inode::{self, EXTENT_MAGIC, EXTENTS, read_inode};
use super::layout::Layout;
use super::map::descriptor_block;
use crate::bytes::{ReadAt, le16, le32, slice};
use crate::volume::Doubt;
use crate::volume::owners::{Tally, join};
use crate::volume::probe::byte;

/// The root directory.
pub(super) const ROOT: u32 = 2;
/// Inodes below this are the filesystem's own, but for the root.
const FIRST_FREE: u32 = 11;
/// `EXT4_INLINE_DATA_FL`: the content lies in the inode.
pub(super) const INLINE_DATA: u32 = 0x1000_0000;
/// File types of `i_mode`.
const DIRECTORY: u16 = 0x4000;
const REGULAR: u16 = 0x8000;
pub(super) const SYMLINK: u16 = 0xa000;
/// Bytes of an inode with all that is needed here.
const INODE: usize = 128;
/// A symbolic link up to this length lies in the inode.
const SHORT_LINK: u64 = 60;
/// Bytes of an inode table read at once.
const PIECE: u64 = 1 << 20;
/// More blocks of directories and of block lists than this are not read.
const MOST_NODES: u64 = 1 << 22;
/// For one directory fewer do.
const MOST_NODES_OF_FOLDER: u64 = 1 << 13;
/// More directories than this are not searched.
const MOST_FOLDERS: usize = 1 << 22;
/// Extent trees and indirect blocks are no deeper.
const DEEPEST: u16 = 5;

/// Looks inodes and their names up.
pub(super) struct Lookup<'a> {
    volume: &'a dyn ReadAt,
    layout: &'a Layout<'a>,
    nodes_left: u64,
    /// Everything was read so far, and made sense.
    complete: bool,
}

/// What blocks of an inode hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Its content from this block of it on.
    Content(u64),
    /// Nothing yet: they are set aside, and zeros until they are written.
    Nothing,
    /// Where other blocks are.
    List,
}

/// Blocks of an inode that lie together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The first on the volume.
    pub(super) block: u64,
    /// How many.
    pub(super) len: u64,
    pub(super) holds: Holds,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(volume: &'a dyn ReadAt, layout: &'a Layout<'a>) -> Self {
        let nodes_left = MOST_NODES.min(layout.superblock.blocks_count);
        Self { volume, layout, nodes_left, complete: true }
    }

    /// To look into one directory.
    pub(super) fn of_folder(volume: &'a dyn ReadAt, layout: &'a Layout<'a>) -> Self {
        let lookup = Self::new(volume, layout);
        Self { nodes_left: lookup.nodes_left.min(MOST_NODES_OF_FOLDER), ..lookup }
    }

    /// Goes through all groups and their inodes. What cannot be read, or makes no sense, is left
    /// out.
    pub(super) fn inodes(&mut self, tally: &mut Tally<'_>) {
        let superblock = self.layout.superblock;
        for index in 0..self.layout.descriptor_blocks {
            let Ok(block) = descriptor_block(self.volume, self.layout, index) else { continue };
            let first = index.saturating_mul(self.layout.descriptors_per_block);
            let descriptors = block.chunks_exact(superblock.descriptor_size.into());
            for (number, bytes) in (first..self.layout.groups).zip(descriptors) {
                if let Some(group) = Group::parse(superblock, bytes) {
                    self.group(number, &group, tally);
                }
            }
        }
    }

    fn group(&mut self, number: u64, group: &Group, tally: &mut Tally<'_>) {
        let superblock = self.layout.superblock;
        let unit = u64::from(superblock.block_size);
        for (start, end) in self.layout.metadata(number, group).into_iter().flatten() {
            tally.metadata(start.saturating_mul(unit), end.saturating_mul(unit));
        }
        let size = u64::from(superblock.inode_size);
        let per_group = u64::from(superblock.inodes_per_group);
        let used = per_group.saturating_sub(group.unused_inodes);
        let table = group.inode_table.saturating_mul(unit);
        let per_piece = PIECE.checked_div(size).unwrap_or(1).max(1);
        let mut at = 0;
        while at < used {
            let count = used.saturating_sub(at).min(per_piece);
            let start = table.saturating_add(at.saturating_mul(size));
            let len = usize::try_from(count.saturating_mul(size)).unwrap_or(0);
            let bytes = self.volume.read_vec(start, len).unwrap_or_default();
            let first = number.saturating_mul(per_group).saturating_add(at).saturating_add(1);
            for (id, inode) in (first..).zip(bytes.chunks_exact(superblock.inode_size.into())) {
                self.inode(id, inode, tally);
            }
            at = at.saturating_add(count);
        }
    }

    fn inode(&mut self, id: u64, inode: &[u8], tally: &mut Tally<'_>) {
        let unit = u64::from(self.layout.superblock.block_size);
        let own = id < u64::from(FIRST_FREE) && id != u64::from(ROOT);
        self.runs(inode, &mut |Run { block, len, holds }| {
            let start = block.saturating_mul(unit);
            let end = start.saturating_add(len.saturating_mul(unit));
            if own {
                tally.metadata(start, end);
            } else if holds != Holds::Nothing {
                tally.file(id, start, end);
            }
        });
    }

    /// Calls `each` for all blocks of an inode that is in use and has any; whether all were found
    /// and make sense.
    pub(super) fn all_runs(&mut self, inode: &[u8], each: &mut dyn FnMut(Run)) -> bool {
        self.complete = true;
        self.runs(inode, each);
        self.complete
    }

    fn runs(&mut self, inode: &[u8], each: &mut dyn FnMut(Run)) {
        let field = |at: usize| le32(inode, at).unwrap_or(0);
        let kind = le16(inode, 0).unwrap_or(0) & 0xf000;
        let (links, flags) = (le16(inode, 26).unwrap_or(0), field(32));
        let size = u64::from(field(4)) | u64::from(field(108)) << 32;
        let short = kind == SYMLINK && is_short_link(flags, size);
        let has_blocks = matches!(kind, DIRECTORY | REGULAR | SYMLINK) && !short;
        let Some(root) = slice(inode, 40, 60) else { return };
        if links == 0 || !has_blocks || flags & INLINE_DATA != 0 {
            return;
        }
        if flags & EXTENTS != 0 {
            self.extents(root, DEEPEST, each);
            return;
        }
        let (direct, indirect) = root.split_at_checked(48).unwrap_or_default();
        let mut index = self.pointers(direct, (0, 0), each);
        for (depth, pointer) in (1..).zip(indirect.chunks_exact(4)) {
            index = self.pointers(pointer, (index, depth), each);
        }
    }

    fn extents(&mut self, node: &[u8], deepest: u16, each: &mut dyn FnMut(Run)) {
        let field = |at: usize| le16(node, at).unwrap_or(0);
        let (entries, depth) = (usize::from(field(2)), field(6));
        if field(0) != EXTENT_MAGIC || depth > deepest {
            self.complete = false;
            return;
        }
        for entry in node.chunks_exact(12).skip(1).take(entries) {
            if depth == 0 {
                match self.leaf(entry) {
                    Some(run) => each(run),
                    None => self.complete = false,
                }
            } else if let Some(child) =
                inode::index(entry).filter(|child| *child < self.layout.superblock.blocks_count)
            {
                each(Run { block: child, len: 1, holds: Holds::List });
                if let Some(block) = self.node(child) {
                    self.extents(&block, depth.saturating_sub(1), each);
                }
            } else {
                self.complete = false;
            }
        }
    }

    /// The blocks of an extent; those that were never written have the highest bit of its length set
    /// (`ext4_ext_is_unwritten`).
    fn leaf(&self, entry: &[u8]) -> Option<Run> {
        let (len, block) = inode::leaf(entry)?;
        let holds = match inode::is_unwritten(entry)? {
            true => Holds::Nothing,
            false => Holds::Content(le32(entry, 0)?.into()),
        };
        let end = block.checked_add(len)?;
        (end <= self.layout.superblock.blocks_count).then_some(Run { block, len, holds })
    }

    /// Block numbers that lead to data through `depth` further blocks of numbers; `index` is the
    /// first block of the content that they lead to. Returns the one behind the last.
    fn pointers(
        &mut self,
        pointers: &[u8],
        (mut index, depth): (u64, u8),
        each: &mut dyn FnMut(Run),
    ) -> u64 {
        let per_block = u64::from(self.layout.superblock.block_size / 4);
        let span = per_block.saturating_pow(depth.into());
        for number in pointers.chunks_exact(4).filter_map(|pointer| le32(pointer, 0)) {
            let block = u64::from(number);
            if number != 0 && block >= self.layout.superblock.blocks_count {
                self.complete = false;
            } else if let (Some(depth), true) = (depth.checked_sub(1), number != 0) {
                each(Run { block, len: 1, holds: Holds::List });
                if let Some(numbers) = self.node(block) {
                    self.pointers(&numbers, (index, depth), each);
                }
            } else if number != 0 {
                each(Run { block, len: 1, holds: Holds::Content(index) });
            }
            index = index.saturating_add(span);
        }
        index
    }

    fn node(&mut self, number: u64) -> Option<Vec<u8>> {
        let node = self.read_node(number);
        self.complete &= node.is_some();
        node
    }

    fn read_node(&mut self, number: u64) -> Option<Vec<u8>> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        let size = self.layout.superblock.block_size;
        let at = number.checked_mul(size.into())?;
        self.volume.read_vec(at, usize::try_from(size).ok()?).ok()
    }

    /// Walks the directories until all files found have a name.
    pub(super) fn names(&mut self, tally: &mut Tally<'_>) -> Result<(), Doubt> {
        let wanted: HashSet<u64> = tally.ids().into_iter().collect();
        let mut seen = HashSet::from([ROOT]);
        let mut folders = vec![(ROOT, "/".to_owned())];
        if wanted.contains(&ROOT.into()) {
            tally.name(ROOT.into(), "/");
        }
        while let Some((folder, path)) = folders.pop() {
            if tally.named() >= wanted.len() {
                return Ok(());
            }
            for (number, (name, is_folder)) in self.entries(folder) {
                if !wanted.contains(&number.into()) && !is_folder {
                    continue;
                }
                let path = join(&path, &name);
                if wanted.contains(&number.into()) {
                    tally.name(number.into(), &path);
                }
                if is_folder && seen.insert(number) {
                    folders.push((number, path));
                }
            }
            if seen.len() > MOST_FOLDERS {
                return Err(Doubt::because("it has too many folders to search them for names"));
            }
        }
        Ok(())
    }

    /// The entries of a directory: inode, name, whether it is a directory. The blocks of a hash
    /// tree look like blocks without entries (`directory.rst`, "Hash Tree Directories").
    fn entries(&mut self, folder: u32) -> HashMap<u32, (String, bool)> {
        let mut entries = HashMap::new();
        let (volume, layout) = (self.volume, self.layout);
        // Of a damaged one, what is left of it.
        let Ok(inode) = inode::read_whole(volume, layout, folder) else { return entries };
        let _ = self.each_entry(&inode, &mut |number, name, kind| {
            let name = String::from_utf8_lossy(name).into_owned();
            // Asked where entries carry no type.
            let is_folder = if kind == 0 { is_folder(volume, layout, number) } else { kind == 2 };
            entries.entry(number).or_insert((name, is_folder));
        });
        entries
    }

    /// Calls `each` for the entries of a directory, of which these are all bytes of the inode: inode,
    /// name, file type or 0. `None` when some of it could not be read, or made no sense.
    pub(super) fn each_entry(
        &mut self,
        inode: &[u8],
        each: &mut dyn FnMut(u32, &[u8], u8),
    ) -> Option<()> {
        self.complete = true;
        if le16(inode, 0)? & 0xf000 != DIRECTORY {
            return None;
        }
        if le32(inode, 32)? & INLINE_DATA != 0 {
            return inline::entries(inode, each);
        }
        for block in self.data_blocks(inode) {
            let read = self.node(block).and_then(|bytes| parse(&bytes, each));
            self.complete &= read.is_some();
            if self.nodes_left == 0 {
                return None;
            }
        }
        self.complete.then_some(())
    }

    /// The blocks that hold an inode's content; no more runs of them than blocks may be read.
    fn data_blocks(&mut self, inode: &[u8]) -> impl Iterator<Item = u64> + use<> {
        let (mut runs, mut are_all) = (Vec::new(), true);
        let inode = inode.get(..INODE).unwrap_or_default();
        let room = usize::try_from(self.nodes_left).unwrap_or(usize::MAX);
        self.runs(inode, &mut |run| {
            are_all &= runs.len() < room;
            if are_all {
                runs.push(run);
            }
        });
        self.complete &= are_all;
        let most = self.layout.superblock.blocks_count;
        let data = runs.into_iter().filter(|run| matches!(run.holds, Holds::Content(_)));
        data.flat_map(move |run| run.block..run.block.saturating_add(run.len).min(most))
    }
}

/// Whether the target of a symbolic link lies in place of the block numbers.
pub(super) fn is_short_link(flags: u32, size: u64) -> bool {
    flags & EXTENTS == 0 && size < SHORT_LINK
}

fn is_folder(volume: &dyn ReadAt, layout: &Layout<'_>, number: u32) -> bool {
    let inode = read_inode(volume, layout, number).unwrap_or_default();
    le16(&inode, 0).unwrap_or(0) & 0xf000 == DIRECTORY
}

/// Goes through the entries of a block of a directory, which the last one ends. `None` when it does
/// not.
pub(super) fn parse(mut block: &[u8], each: &mut dyn FnMut(u32, &[u8], u8)) -> Option<()> {
    while !block.is_empty() {
        let (number, len) = (le32(block, 0)?, le16(block, 4)?);
        // A block of 64 KiB does not fit in 16 bits (`ext4_rec_len_from_disk`).
        let len = if matches!(len, 0 | u16::MAX) { 1 << 16 } else { usize::from(len) };
        let rest = block.get(len..).filter(|_| len >= 8)?;
        let name = slice(block, 8, byte(block, 6)?.into())?;
        if number != 0 && !matches!(name, b"" | b"." | b"..") {
            each(number, name, byte(block, 7)?);
        }
        block = rest;
    }
    Some(())
}
