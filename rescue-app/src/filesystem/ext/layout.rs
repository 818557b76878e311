//! Where block groups keep their superblocks and group descriptors.
//!
//! Source: Linux `fs/ext4/balloc.c` (`ext4_bg_has_super`, `ext4_bg_num_gdb`), e2fsprogs
//! `lib/ext2fs/res_gdt.c`, `closefs.c` (`ext2fs_super_and_bgd_loc2`).

use super::feature::{compat, incompat, ro_compat};
use super::group::Group;
use super::superblock::Superblock;
use crate::volume::Doubt;

/// The smallest group that `mke2fs -g` accepts; keeps hostile geometry from costing time.
const FEWEST_BLOCKS_PER_GROUP: u32 = 256;

/// A superblock whose geometry has been checked, and what follows from it. Block numbers count
/// from the start of the volume.
pub(super) struct Layout<'a> {
    /// The superblock.
    pub(super) superblock: &'a Superblock,
    /// Block groups.
    pub(super) groups: u64,
    /// Group descriptors in a block.
    pub(super) descriptors_per_block: u64,
    /// Blocks of group descriptors.
    pub(super) descriptor_blocks: u64,
    /// Blocks of a group's inode table.
    pub(super) inode_table_blocks: u64,
}

/// A half-open range of blocks.
pub(super) type Blocks = (u64, u64);

impl<'a> Layout<'a> {
    /// Checks features and geometry against each other and the volume.
    pub(super) fn new(superblock: &'a Superblock, volume_size: u64) -> Result<Self, Doubt> {
        check_features(superblock)?;
        check_geometry(superblock, volume_size).ok_or_else(|| {
            Doubt::because("the superblock's geometry contradicts itself or the volume's size")
        })?;
        Self::derive(superblock)
            .ok_or_else(|| Doubt::because("the superblock's geometry passes all bounds"))
    }

    fn derive(superblock: &'a Superblock) -> Option<Self> {
        let block_size = u64::from(superblock.block_size);
        let blocks = superblock.blocks_count.checked_sub(superblock.first_data_block.into())?;
        let groups = blocks.div_ceil(superblock.blocks_per_group.into());
        let descriptors_per_block = block_size.checked_div(superblock.descriptor_size.into())?;
        let inodes = u64::from(superblock.inodes_per_group);
        let table = inodes.checked_mul(superblock.inode_size.into())?.div_ceil(block_size);
        Some(Self {
            superblock,
            groups,
            descriptors_per_block,
            descriptor_blocks: groups.div_ceil(descriptors_per_block),
            inode_table_blocks: table,
        })
    }

    /// The blocks of a group.
    pub(super) fn group(&self, group: u64) -> Blocks {
        let per_group = u64::from(self.superblock.blocks_per_group);
        let start =
            group.saturating_mul(per_group).saturating_add(self.superblock.first_data_block.into());
        (start, start.saturating_add(per_group).min(self.superblock.blocks_count))
    }

    /// Clusters of a group: fewer in the last one.
    pub(super) fn clusters(&self, group: u64) -> u64 {
        let (start, end) = self.group(group);
        end.saturating_sub(start).div_ceil(u64::from(self.superblock.cluster_ratio).max(1))
    }

    /// Block of the superblock or its copy in a group that has one. With 1 KiB blocks under
    /// bigalloc, group 0 starts at block 0 but its superblock stays at byte 1024.
    pub(super) fn superblock_block(&self, group: u64) -> u64 {
        match group {
            0 if self.superblock.block_size == 1024 => 1,
            _ => self.group(group).0,
        }
    }

    /// Whether a group has the superblock or a copy of it.
    pub(super) fn has_superblock(&self, group: u64) -> bool {
        let superblock = self.superblock;
        if group == 0 {
            true
        } else if superblock.has_compat(compat::SPARSE_SUPER2) {
            superblock.backup_groups.iter().any(|&backup| u64::from(backup) == group)
        } else if superblock.has_ro_compat(ro_compat::SPARSE_SUPER) {
            group == 1 || [3, 5, 7].iter().any(|&base| is_power(group, base))
        } else {
            true
        }
    }

    /// Groups whose descriptors share one block.
    fn metagroup(&self, group: u64) -> u64 {
        group.checked_div(self.descriptors_per_block).unwrap_or(0)
    }

    /// Whether a metagroup keeps its one descriptor block within itself.
    fn scattered(&self, metagroup: u64) -> bool {
        self.superblock.has_incompat(incompat::META_BG)
            && metagroup >= u64::from(self.superblock.first_meta_bg)
    }

    /// Block that holds the primary copy of descriptor block `index`.
    pub(super) fn descriptor_block(&self, index: u64) -> u64 {
        if self.scattered(index) {
            let group = index.saturating_mul(self.descriptors_per_block);
            self.scattered_descriptor_block(group)
        } else {
            self.superblock_block(0).saturating_add(1).saturating_add(index)
        }
    }

    fn scattered_descriptor_block(&self, group: u64) -> u64 {
        let start = self.superblock_block(group);
        if self.has_superblock(group) { start.saturating_add(1) } else { start }
    }

    /// The group's copies of superblock and descriptors, with the blocks reserved for growth: one
    /// range, since they follow each other; `None` in groups without any.
    pub(super) fn copies(&self, group: u64) -> Option<Blocks> {
        let start = self.superblock_block(group);
        let own = u64::from(self.has_superblock(group));
        let metagroup = self.metagroup(group);
        let descriptors = if self.scattered(metagroup) {
            let place = group.checked_rem(self.descriptors_per_block)?;
            let last = self.descriptors_per_block.saturating_sub(1);
            u64::from(place == 0 || place == 1 || place == last)
        } else {
            self.contiguous_descriptor_blocks().saturating_mul(own)
        };
        let len = own.saturating_add(descriptors);
        (len != 0).then(|| (start, start.saturating_add(len).min(self.superblock.blocks_count)))
    }

    /// What a group uses for itself, wherever `flex_bg` put it.
    pub(super) fn metadata(&self, number: u64, group: &Group) -> [Option<Blocks>; 4] {
        let table_end = group.inode_table.saturating_add(self.inode_table_blocks);
        [
            self.copies(number),
            Some((group.block_bitmap, group.block_bitmap.saturating_add(1))),
            Some((group.inode_bitmap, group.inode_bitmap.saturating_add(1))),
            Some((group.inode_table, table_end)),
        ]
    }

    /// How many blocks a group uses for itself.
    pub(super) fn own_blocks(&self, group: u64) -> u64 {
        let copies = self.copies(group).map_or(0, |(start, end)| end.saturating_sub(start));
        // The two are the bitmaps.
        copies.saturating_add(2).saturating_add(self.inode_table_blocks)
    }

    fn contiguous_descriptor_blocks(&self) -> u64 {
        if self.superblock.has_incompat(incompat::META_BG) {
            self.descriptor_blocks.min(self.superblock.first_meta_bg.into())
        } else {
            self.descriptor_blocks.saturating_add(self.superblock.reserved_gdt_blocks.into())
        }
    }
}

fn check_features(superblock: &Superblock) -> Result<(), Doubt> {
    let words = [
        ("compatible", superblock.compat & !compat::KNOWN),
        ("incompatible", superblock.incompat & !incompat::KNOWN),
        ("read-only compatible", superblock.ro_compat & !ro_compat::KNOWN),
    ];
    for (name, unknown) in words {
        if unknown != 0 {
            return Err(Doubt::because(format!("it has unknown {name} features {unknown:#x}")));
        }
    }
    // `e2fsck` calls it a fault: the blocks of the resize inode then lie in space that counts as free.
    if superblock.has_compat(compat::RESIZE_INODE) && superblock.has_incompat(incompat::META_BG) {
        return Err(Doubt::because("its features resize_inode and meta_bg exclude each other"));
    }
    if superblock.has_ro_compat(ro_compat::METADATA_CSUM) && superblock.checksum_type != 1 {
        return Err(Doubt::because("its checksums use an unknown algorithm"));
    }
    Ok(())
}

/// `None` when something is wrong.
fn check_geometry(superblock: &Superblock, volume_size: u64) -> Option<()> {
    let bits = superblock.block_size.checked_mul(8)?;
    let clusters = superblock.clusters_per_group;
    let bigalloc = superblock.has_ro_compat(ro_compat::BIGALLOC);
    let first = u32::from(superblock.block_size == 1024 && !bigalloc);
    let descriptor = u32::from(superblock.descriptor_size);
    let wide = superblock.has_incompat(incompat::BIT64);
    let inode = u32::from(superblock.inode_size);
    let sane = superblock.size()? <= volume_size
        && superblock.blocks_per_group >= FEWEST_BLOCKS_PER_GROUP
        && clusters.checked_mul(superblock.cluster_ratio)? == superblock.blocks_per_group
        && clusters <= bits
        && clusters.is_multiple_of(8)
        && superblock.first_data_block == first
        && descriptor.is_power_of_two()
        && (if wide { 64..=superblock.block_size } else { 32..=32 }).contains(&descriptor)
        && inode.is_power_of_two()
        && (128..=superblock.block_size).contains(&inode)
        && superblock.inodes_per_group != 0
        && superblock.inodes_per_group <= bits;
    sane.then_some(())
}

fn is_power(value: u64, base: u64) -> bool {
    let mut power = base;
    while power < value {
        power = power.saturating_mul(base);
    }
    power == value
}
