//! The copies of the superblock, and the root directory: a new owner of the volume, one that leaves
//! the superblock itself alone, soon overwrites some of them.

use super::inode::read_inode;
use super::layout::Layout;
use super::superblock::{self, Superblock};
use crate::bytes::{ReadAt, le16};
use crate::volume::Doubt;

/// Without `sparse_super` every group has a copy; more than this are not read.
const MOST: usize = 64;
/// The root directory's inode.
const ROOT: u32 = 2;
/// Bits of `i_mode` that tell the kind of a file, and a directory's.
const KIND: u16 = 0xf000;
const DIRECTORY: u16 = 0x4000;

/// Fails unless the copies describe the same layout and there is a root directory.
pub(super) fn check(volume: &dyn ReadAt, layout: &Layout<'_>) -> Result<(), Doubt> {
    let groups = (1..layout.groups).filter(|group| layout.has_superblock(*group));
    for group in groups.take(MOST) {
        let at = layout.superblock_block(group).saturating_mul(layout.superblock.block_size.into());
        let copy = volume
            .read_vec(at, superblock::LEN)
            .map_err(Doubt::reading("a copy of the superblock"))?;
        if !Superblock::parse(&copy).is_some_and(|copy| same_groups(&copy, layout.superblock)) {
            let words =
                format!("the copy of the superblock in group {group} is missing or differs");
            return Err(Doubt::because(words));
        }
    }
    let root = read_inode(volume, layout, ROOT)?;
    match le16(&root, 0).map(|mode| mode & KIND) {
        Some(DIRECTORY) => Ok(()),
        _ => Err(Doubt::because("it has no root directory")),
    }
}

/// Sizes and features change without all copies being written; what makes groups never does.
fn same_groups(one: &Superblock, other: &Superblock) -> bool {
    let places = |it: &Superblock| {
        (it.block_size, it.blocks_per_group, it.inodes_per_group, it.inode_size, it.cluster_ratio)
    };
    places(one) == places(other)
}
