//! Where the journal's blocks lie: its inode, with extents or with indirect blocks.
//!
//! Source: Linux `Documentation/filesystems/ext4/inodes.rst`, `ifork.rst`.

use super::group::Group;
use super::layout::Layout;
use super::map::descriptor_block;
use crate::bytes::{ReadAt, le16, le32, slice};
use crate::volume::Doubt;

/// `EXT4_EXTENTS_FL`.
pub(super) const EXTENTS: u32 = 0x8_0000;
/// `EXT4_EXT_MAGIC`.
pub(super) const EXTENT_MAGIC: u16 = 0xf30a;
/// Deeper trees do not exist.
const DEEPEST: u16 = 5;
/// Lengths above this mark an extent that was never written.
const LONGEST: u16 = 32768;
/// e2fsprogs makes no larger journals (`JBD2_MAX_JOURNAL_BLOCKS`).
const MOST_BLOCKS: u64 = 10_240_000;
/// A journal in more pieces than this is not believed.
const MOST_RUNS: usize = 1 << 18;
/// Direct pointers of an inode without extents; single, double and triple indirect ones follow.
const DIRECT: usize = 12;

/// The blocks of a file in their order; holes are not allowed.
#[derive(Clone, Debug, Default)]
pub(super) struct FileBlocks {
    /// Index of a run's first block in the file, its first block on the volume, its length.
    runs: Vec<(u64, u64, u64)>,
}

impl FileBlocks {
    /// Blocks known so far.
    pub(super) fn len(&self) -> u64 {
        self.runs.last().map_or(0, |&(index, _, len)| index.saturating_add(len))
    }

    /// Block of the volume that holds block `index` of the file.
    pub(super) fn get(&self, index: u64) -> Option<u64> {
        let run = self.runs.partition_point(|run| run.0 <= index).checked_sub(1)?;
        let &(first, block, len) = self.runs.get(run)?;
        let inside = index.checked_sub(first).filter(|inside| *inside < len)?;
        block.checked_add(inside)
    }

    fn push(&mut self, block: u64, len: u64) {
        let index = self.len();
        match self.runs.last_mut() {
            Some((_, start, known)) if start.checked_add(*known) == Some(block) => {
                *known = known.saturating_add(len);
            }
            _ => self.runs.push((index, block, len)),
        }
    }
}

struct Reader<'a> {
    volume: &'a dyn ReadAt,
    layout: &'a Layout<'a>,
    /// Blocks that the file's size asks for.
    wanted: u64,
    found: FileBlocks,
}

/// The blocks of inode `number`, which has to be a plain file without holes.
pub(super) fn file_blocks(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    number: u32,
) -> Result<FileBlocks, Doubt> {
    let inode = read_inode(volume, layout, number)?;
    let strange = || Doubt::because("the journal's inode makes no sense");
    let field = |at: usize| le32(&inode, at).ok_or_else(strange);
    let size = u64::from(field(4)?) | u64::from(field(108)?) << 32;
    let wanted = size.checked_div(layout.superblock.block_size.into()).unwrap_or(0);
    let regular = le16(&inode, 0).is_some_and(|mode| mode & 0xf000 == 0x8000);
    if !regular || wanted > layout.superblock.blocks_count.min(MOST_BLOCKS) {
        return Err(strange());
    }
    let mut reader = Reader { volume, layout, wanted, found: FileBlocks::default() };
    let root = slice(&inode, 40, 60).ok_or_else(strange)?;
    if field(32)? & EXTENTS != 0 {
        reader.extents(root, DEEPEST)?;
    } else {
        reader.pointers(root)?;
    }
    if reader.found.len() < wanted {
        return Err(strange());
    }
    Ok(reader.found)
}

/// The first 128 bytes of inode `number`.
pub(super) fn read_inode(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    number: u32,
) -> Result<Vec<u8>, Doubt> {
    read_start(volume, layout, number, 128)
}

/// All bytes of inode `number`.
pub(super) fn read_whole(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    number: u32,
) -> Result<Vec<u8>, Doubt> {
    read_start(volume, layout, number, layout.superblock.inode_size.into())
}

/// The first `len` bytes of inode `number`.
fn read_start(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    number: u32,
    len: usize,
) -> Result<Vec<u8>, Doubt> {
    let superblock = layout.superblock;
    let place = || -> Option<(u64, usize, u64)> {
        let index = u64::from(number.checked_sub(1)?);
        let per_group = u64::from(superblock.inodes_per_group);
        let group = index.checked_div(per_group).filter(|group| *group < layout.groups)?;
        let block = group.checked_div(layout.descriptors_per_block)?;
        let descriptor = usize::try_from(group.checked_rem(layout.descriptors_per_block)?).ok()?;
        let at = descriptor.checked_mul(superblock.descriptor_size.into())?;
        Some((block, at, index.checked_rem(per_group)?))
    };
    let outside = || Doubt::because("an inode lies outside the filesystem");
    let (block, at, index) = place().ok_or_else(outside)?;
    let descriptors = descriptor_block(volume, layout, block)?;
    let group = slice(&descriptors, at, superblock.descriptor_size.into())
        .and_then(|bytes| Group::parse(superblock, bytes))
        .ok_or_else(outside)?;
    let at = group
        .inode_table
        .saturating_mul(superblock.block_size.into())
        .saturating_add(index.saturating_mul(superblock.inode_size.into()));
    volume.read_vec(at, len).map_err(Doubt::reading("an inode"))
}

impl Reader<'_> {
    fn block(&self, number: u64) -> Result<Vec<u8>, Doubt> {
        let size = self.layout.superblock.block_size;
        let at = number.saturating_mul(size.into());
        volume_block(self.volume, at, size)
    }

    fn add(&mut self, block: u64, len: u64) -> Result<(), Doubt> {
        let end = block.checked_add(len);
        let inside = end.is_some_and(|end| end <= self.layout.superblock.blocks_count);
        if block == 0 || len == 0 || !inside || self.found.runs.len() > MOST_RUNS {
            return Err(Doubt::because("the journal has holes or lies outside the filesystem"));
        }
        self.found.push(block, len);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// A node of the extent tree: 12 bytes of header, then entries of 12 bytes.
    fn extents(&mut self, node: &[u8], deepest: u16) -> Result<(), Doubt> {
        let strange = || Doubt::because("the journal's extent tree makes no sense");
        let field = |at: usize| le16(node, at).ok_or_else(strange);
        let (entries, depth) = (usize::from(field(2)?), field(6)?);
        if field(0)? != EXTENT_MAGIC || depth > deepest {
            return Err(strange());
        }
        for entry in node.chunks_exact(12).skip(1).take(entries) {
            if self.is_done() {
                break;
            }
            // Each entry carries on where the last one ended, and has to lead somewhere: empty
            // nodes could be made to take for ever.
            let before = self.found.len();
            if u64::from(le32(entry, 0).ok_or_else(strange)?) != before {
                return Err(strange());
            }
            if depth == 0 {
                let found = leaf(entry).filter(|_| is_unwritten(entry) == Some(false));
                let (len, block) = found.ok_or_else(strange)?;
                self.add(block, len)?;
            } else {
                let child = index(entry).ok_or_else(strange)?;
                let block = self.block(child)?;
                self.extents(&block, depth.saturating_sub(1))?;
            }
            if self.found.len() == before {
                return Err(strange());
            }
        }
        Ok(())
    }

    fn pointers(&mut self, root: &[u8]) -> Result<(), Doubt> {
        let (direct, indirect) = root.split_at_checked(DIRECT * 4).unwrap_or_default();
        self.pointer_block(direct, 0)?;
        for (depth, pointer) in (1..).zip(indirect.chunks_exact(4)) {
            self.pointer_block(pointer, depth)?;
        }
        Ok(())
    }

    /// Block numbers that lead to data through `depth` further blocks of numbers.
    fn pointer_block(&mut self, pointers: &[u8], depth: u8) -> Result<(), Doubt> {
        for pointer in pointers.chunks_exact(4).filter_map(|pointer| le32(pointer, 0)) {
            if self.is_done() {
                break;
            }
            match depth.checked_sub(1) {
                None => self.add(pointer.into(), 1)?,
                Some(depth) => {
                    let block = self.block(pointer.into())?;
                    self.pointer_block(&block, depth)?;
                }
            }
        }
        Ok(())
    }
}

/// One block of the volume.
fn volume_block(volume: &dyn ReadAt, at: u64, size: u32) -> Result<Vec<u8>, Doubt> {
    volume.read_vec(at, size as usize).map_err(Doubt::reading("the list of the journal's blocks"))
}

/// `ext4_extent`: length and first block.
pub(super) fn leaf(entry: &[u8]) -> Option<(u64, u64)> {
    let len = le16(entry, 4)?;
    let block = u64::from(le16(entry, 6)?) << 32 | u64::from(le32(entry, 8)?);
    let len = if len > LONGEST { len.checked_sub(LONGEST)? } else { len };
    Some((len.into(), block))
}

/// Whether an extent was never written.
pub(super) fn is_unwritten(entry: &[u8]) -> Option<bool> {
    Some(le16(entry, 4)? > LONGEST)
}

/// `ext4_extent_idx`: the block of the child node.
pub(super) fn index(entry: &[u8]) -> Option<u64> {
    Some(u64::from(le16(entry, 8)?) << 32 | u64::from(le32(entry, 4)?))
}
