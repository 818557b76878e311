//! The least size that a filesystem can be shrunk to, in blocks.
//!
//! `resize2fs -P` asks for far more where `flex_bg` keeps the tables of several groups together, and refuses
//! less; told to (`-f`), it shrinks to whatever holds the data and the tables that lie there
//! (measured with e2fsprogs 1.47.2). How many blocks moved extents may need besides is its own rule
//! (`resize/resize2fs.c`, `calculate_minimum_resize_size`).

use super::feature::incompat;
use super::group::Group;
use super::layout::Layout;
use super::map::descriptor_block;
use super::superblock::Superblock;
use crate::bytes::ReadAt;

/// Blocks that the last group has besides its own metadata.
const LEAST_IN_LAST_GROUP: u64 = 50;

/// Bytes of an extent, and of the header before the extents of a block.
const EXTENT: u64 = 12;

/// The extents of a file may need more blocks when they are moved: so many more as this part of
/// the space that goes.
const MOVED_FOR_ONE: u64 = 500;

/// The least number of blocks for what is in use by the counts in `superblock`, which is that of
/// the layout, or a newer version.
pub(super) fn blocks(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    superblock: &Superblock,
) -> Option<u64> {
    let data = superblock.used_blocks()?.saturating_sub(metadata(layout, 0, layout.groups));
    let inodes = u64::from(superblock.inodes_count.checked_sub(superblock.free_inodes)?);
    let for_inodes = inodes.div_ceil(superblock.inodes_per_group.into()).max(1);
    let Some((last, taken)) = last_group(layout, data, for_inodes) else {
        return Some(superblock.blocks_count);
    };
    let least_in_last = whole(layout, last)
        .saturating_add(layout.own_blocks(last))
        .saturating_add(LEAST_IN_LAST_GROUP);
    let end = taken.max(least_in_last).saturating_add(superblock.first_data_block.into());
    let end = end.max(table_end(volume, layout, last)?);
    let gone = superblock.blocks_count.saturating_sub(end);
    let moved = match superblock.has_incompat(incompat::EXTENTS) {
        true => {
            let extents = u64::from(superblock.block_size).checked_div(EXTENT)?.saturating_sub(1);
            (gone / MOVED_FOR_ONE).min(data.div_ceil(extents.max(1)).max(inodes))
        }
        false => 0,
    };
    Some(end.saturating_add(moved).min(superblock.blocks_count))
}

/// The first group behind which nothing is needed, and the blocks that are taken up to it: those of the
/// tables that lie there, and the data. At least so many groups stay.
fn last_group(layout: &Layout<'_>, data: u64, least: u64) -> Option<(u64, u64)> {
    let (mut taken, mut counted) = (data, 0);
    (1..=layout.groups).find_map(|stay| {
        let tables = tables_among(layout, stay);
        taken = taken.saturating_add(metadata(layout, counted, tables));
        counted = tables;
        (stay >= least && taken <= whole(layout, stay)).then(|| (stay.saturating_sub(1), taken))
    })
}

/// How many groups' tables lie among so many first groups: with `flex_bg` the first of several groups
/// has those of all, and what there is of groups that go is freed only after everything has moved.
fn tables_among(layout: &Layout<'_>, groups: u64) -> u64 {
    let superblock = layout.superblock;
    let together = match superblock.has_incompat(incompat::FLEX_BG) {
        true => 1u64.checked_shl(superblock.log_groups_per_flex.into()).unwrap_or(1),
        false => 1,
    };
    groups.div_ceil(together).saturating_mul(together).min(layout.groups)
}

/// Blocks of metadata of the groups from `first` up to `end`.
fn metadata(layout: &Layout<'_>, first: u64, end: u64) -> u64 {
    (first..end.min(layout.groups))
        .fold(0, |sum: u64, group| sum.saturating_add(layout.own_blocks(group)))
}

/// Blocks of so many whole groups.
fn whole(layout: &Layout<'_>, groups: u64) -> u64 {
    groups.saturating_mul(per_group(layout))
}

fn per_group(layout: &Layout<'_>) -> u64 {
    u64::from(layout.superblock.blocks_per_group).max(1)
}

/// The block behind the inode table of a group.
fn table_end(volume: &dyn ReadAt, layout: &Layout<'_>, group: u64) -> Option<u64> {
    let index = group.checked_div(layout.descriptors_per_block)?;
    let place = usize::try_from(group.checked_rem(layout.descriptors_per_block)?).ok()?;
    let block = descriptor_block(volume, layout, index).ok()?;
    let bytes = block.chunks_exact(layout.superblock.descriptor_size.into()).nth(place)?;
    let group = Group::parse(layout.superblock, bytes)?;
    group.inode_table.checked_add(layout.inode_table_blocks)
}
