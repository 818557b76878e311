//! The least size that `resize2fs` shrinks a filesystem to, in blocks.
//!
//! It refuses to go below what `resize2fs -P` prints, so that its rules are followed here even
//! where they ask for more than is needed. Source: e2fsprogs `resize/resize2fs.c`,
//! `calculate_minimum_resize_size`.

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

/// Block groups that stay, and what fits into them.
struct Stay<'a> {
    layout: &'a Layout<'a>,
    /// The groups that stay.
    groups: u64,
    /// As many groups' metadata count: with `flex_bg`, that of some that go lies among those that
    /// stay.
    counted: u64,
    /// Blocks for data in all of them.
    room: u64,
    /// The same in all but the last.
    before_last: u64,
}

impl<'a> Stay<'a> {
    fn new(layout: &'a Layout<'a>, groups: u64) -> Self {
        let counted = counted(layout, groups);
        let own = |to: u64| metadata(layout, 0, to);
        let last = groups.saturating_sub(1);
        Self {
            layout,
            groups,
            counted,
            room: whole(layout, groups).saturating_sub(own(counted)),
            before_last: whole(layout, last).saturating_sub(own(last)),
        }
    }

    /// Adds the groups that `lacking` more blocks take. What lies before the last group is not
    /// counted where `flex_bg` had counted the metadata before.
    fn add(&mut self, lacking: u64) {
        let more = lacking.div_ceil(per_group(self.layout));
        self.room = self.room.saturating_add(whole(self.layout, more));
        self.add_before_last(self.groups.saturating_sub(1));
        self.groups = self.groups.saturating_add(more);
        let from = self.counted;
        if self.groups > from {
            self.counted = counted(self.layout, self.groups);
        }
        for group in from..self.counted {
            if group < self.groups.saturating_sub(1) {
                self.add_before_last(group);
            }
            self.room = self.room.saturating_sub(self.layout.own_blocks(group));
        }
    }

    fn add_before_last(&mut self, group: u64) {
        let data = per_group(self.layout).saturating_sub(self.layout.own_blocks(group));
        self.before_last = self.before_last.saturating_add(data);
    }

    /// The end of the last group, which is as short as the data allow.
    fn end(&self, volume: &dyn ReadAt, data: u64) -> Option<u64> {
        let last = self.groups.checked_sub(1)?;
        let first = match flex_size(self.layout) {
            Some(size) if last < size => 0,
            _ => last,
        };
        let in_last = data.saturating_sub(self.before_last).max(LEAST_IN_LAST_GROUP);
        let end = whole(self.layout, last)
            .saturating_add(metadata(self.layout, first, self.counted))
            .saturating_add(in_last)
            .saturating_add(self.layout.superblock.first_data_block.into());
        Some(end.max(table_end(volume, self.layout, last)?))
    }
}

/// The least number of blocks for what is in use by the counts in `superblock`, which is that of
/// the layout, or a newer version.
pub(super) fn blocks(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    superblock: &Superblock,
) -> Option<u64> {
    let data = superblock.used_blocks()?.saturating_sub(metadata(layout, 0, layout.groups));
    let inodes = u64::from(superblock.inodes_count.checked_sub(superblock.free_inodes)?);
    let for_inodes = inodes.div_ceil(superblock.inodes_per_group.into());
    let mut stay = Stay::new(layout, for_inodes.max(1));
    while stay.room < data && stay.groups < layout.groups {
        stay.add(data.saturating_sub(stay.room));
    }
    if stay.groups > layout.groups {
        return Some(superblock.blocks_count);
    }
    let end = stay.end(volume, data)?;
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

/// Groups that share the place of their metadata.
fn flex_size(layout: &Layout<'_>) -> Option<u64> {
    let superblock = layout.superblock;
    let size = 1u64.checked_shl(superblock.log_groups_per_flex.into())?;
    superblock.has_incompat(incompat::FLEX_BG).then_some(size)
}

/// How many groups' metadata count when so many groups stay: with `flex_bg` up to a border behind
/// the last of them.
fn counted(layout: &Layout<'_>, groups: u64) -> u64 {
    let counted = match flex_size(layout) {
        Some(size) => groups.checked_div(size).unwrap_or(0).saturating_add(1).saturating_mul(size),
        None => groups,
    };
    counted.min(layout.groups)
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
