//! The map of used blocks, from the block bitmaps of all groups.

use super::group::{Group, descriptor_is_intact};
use super::layout::Layout;
use crate::bytes::{Extents, ReadAt};
use crate::volume::{Doubt, UsedMap};

/// Most bytes of bitmaps read at once.
const PIECE: u64 = 1 << 20;

/// How much of the filesystem's redundancy has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Checksums, the count of every group, and the superblock's sum.
    Closed,
    /// As above without the superblock's sum, which only an unmount brings up to date.
    Replayed,
    /// Positions only: what lies on the disk while a journal waits is a mix of older and newer.
    Unreplayed,
}

struct Reader<'a> {
    volume: &'a dyn ReadAt,
    layout: &'a Layout<'a>,
    strictness: Strictness,
    used: UsedMap,
    free_clusters: u64,
}

/// All bytes of the volume that are in use or lie outside what the bitmaps speak of.
pub(super) fn used(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    strictness: Strictness,
) -> Result<Extents, Doubt> {
    let mut reader = Reader { volume, layout, strictness, used: UsedMap::new(), free_clusters: 0 };
    // The boot block and the superblock, which lie in block 0, or in blocks 0 and 1.
    reader.used.add(0, super::superblock::AT.saturating_add(1024));
    for index in 0..layout.descriptor_blocks {
        let groups = reader.descriptors(index)?;
        let first = index.saturating_mul(layout.descriptors_per_block);
        reader.groups(first, &groups)?;
    }
    reader.check_sum()?;
    reader.used.add(layout.superblock.size().unwrap_or(0), volume.size());
    Ok(reader.used.finish())
}

/// Reads descriptor block `index`.
pub(super) fn descriptor_block(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    index: u64,
) -> Result<Vec<u8>, Doubt> {
    let size = layout.superblock.block_size;
    let at = layout.descriptor_block(index).saturating_mul(size.into());
    volume.read_vec(at, size as usize).map_err(Doubt::reading("a block of group descriptors"))
}

impl Reader<'_> {
    fn lenient(&self) -> bool {
        self.strictness == Strictness::Unreplayed
    }

    fn descriptors(&self, index: u64) -> Result<Vec<Group>, Doubt> {
        let superblock = self.layout.superblock;
        let block = descriptor_block(self.volume, self.layout, index)?;
        let first = index.saturating_mul(self.layout.descriptors_per_block);
        (first..self.layout.groups)
            .zip(block.chunks_exact(superblock.descriptor_size.into()))
            .map(|(number, bytes)| {
                if !self.lenient() && !descriptor_is_intact(superblock, number, bytes) {
                    return Err(wrong(number, "the descriptor's checksum is wrong"));
                }
                Group::parse(superblock, bytes)
                    .filter(|group| self.in_range(group))
                    .ok_or_else(|| wrong(number, "the descriptor points outside the filesystem"))
            })
            .collect()
    }

    fn in_range(&self, group: &Group) -> bool {
        let end = self.layout.superblock.blocks_count;
        let table = group.inode_table.checked_add(self.layout.inode_table_blocks);
        group.block_bitmap < end
            && group.inode_bitmap < end
            && table.is_some_and(|table| table <= end)
            && group.block_bitmap != 0
            && group.inode_bitmap != 0
            && group.inode_table != 0
    }

    /// Maps consecutive groups, reading bitmaps that follow each other on the disk together.
    fn groups(&mut self, first: u64, groups: &[Group]) -> Result<(), Doubt> {
        let most = PIECE.checked_div(self.layout.superblock.block_size.into()).unwrap_or(1);
        let mut number = first;
        let mut rest = groups;
        while let Some(group) = rest.first() {
            let mut together = 1;
            if group.uninitialised {
                self.add_metadata(number, group);
                self.uninitialised(number, group)?;
            } else {
                together = following(rest, most);
                let (run, _) = rest.split_at_checked(together).unwrap_or((rest, &[]));
                self.bitmaps(number, run)?;
            }
            rest = rest.get(together..).unwrap_or(&[]);
            number = number.saturating_add(together as u64);
        }
        Ok(())
    }

    /// Marks what a group uses for itself, wherever `flex_bg` put it, whatever its bitmap says.
    fn add_metadata(&mut self, number: u64, group: &Group) {
        for (start, end) in self.layout.metadata(number, group).into_iter().flatten() {
            self.add_blocks(start, end);
        }
    }

    fn add_blocks(&mut self, start: u64, end: u64) {
        let size = u64::from(self.layout.superblock.block_size);
        self.used.add(start.saturating_mul(size), end.saturating_mul(size));
    }

    /// A group without a bitmap: its own metadata is all it has, and its count has to say so.
    fn uninitialised(&mut self, number: u64, group: &Group) -> Result<(), Doubt> {
        let (start, end) = self.layout.group(number);
        let ratio = u64::from(self.layout.superblock.cluster_ratio).max(1);
        let mut own = Extents::new();
        for (from, to) in self.layout.metadata(number, group).into_iter().flatten() {
            let (from, to) = (from.max(start), to.min(end));
            if from < to {
                let first = from.saturating_sub(start).checked_div(ratio).unwrap_or(0);
                own.push(first, to.saturating_sub(start).div_ceil(ratio));
            }
        }
        let free = self.layout.clusters(number).saturating_sub(own.total());
        self.count(number, group, free)
    }

    /// Groups whose bitmaps follow each other on the disk, in one read.
    fn bitmaps(&mut self, number: u64, groups: &[Group]) -> Result<(), Doubt> {
        let superblock = self.layout.superblock;
        let size = superblock.block_size as usize;
        let Some(first) = groups.first() else { return Ok(()) };
        let at = first.block_bitmap.saturating_mul(superblock.block_size.into());
        let bytes = self
            .volume
            .read_vec(at, size.saturating_mul(groups.len()))
            .map_err(Doubt::reading("a block bitmap"))?;
        for ((number, group), bitmap) in (number..).zip(groups).zip(bytes.chunks_exact(size)) {
            self.add_metadata(number, group);
            if !self.lenient() && !group.bitmap_is_intact(superblock, bitmap) {
                return Err(wrong(number, "the block bitmap's checksum is wrong"));
            }
            let clusters = self.layout.clusters(number);
            let ones = self.add_bitmap(number, bitmap, clusters);
            self.count(number, group, clusters.saturating_sub(ones))?;
        }
        Ok(())
    }

    fn add_bitmap(&mut self, number: u64, bitmap: &[u8], clusters: u64) -> u64 {
        let superblock = self.layout.superblock;
        let ratio = u64::from(superblock.cluster_ratio).max(1);
        let unit = ratio.saturating_mul(superblock.block_size.into());
        if superblock.first_data_block == 0 {
            let first = number.saturating_mul(superblock.clusters_per_group.into());
            self.used.add_bits(bitmap, clusters, first, unit)
        } else {
            self.used.add_bits(bitmap, clusters, self.layout.group(number).0, unit)
        }
    }

    fn count(&mut self, number: u64, group: &Group, free: u64) -> Result<(), Doubt> {
        self.free_clusters = self.free_clusters.saturating_add(free);
        if self.lenient() || free == group.free_clusters {
            return Ok(());
        }
        let words = format!(
            "its bitmap shows {free} free clusters, its descriptor says {}",
            group.free_clusters
        );
        Err(wrong(number, &words))
    }

    fn check_sum(&self) -> Result<(), Doubt> {
        let superblock = self.layout.superblock;
        let free = self.free_clusters.saturating_mul(superblock.cluster_ratio.into());
        if self.strictness != Strictness::Closed || free == superblock.free_blocks {
            return Ok(());
        }
        let says = superblock.free_blocks;
        let words = format!("the bitmaps show {free} free blocks, the superblock says {says}");
        Err(Doubt::because(words))
    }
}

/// How many of the groups have bitmaps that follow the first one's without a gap; at most `most`.
fn following(groups: &[Group], most: u64) -> usize {
    let Some(first) = groups.first() else { return 0 };
    (first.block_bitmap..)
        .zip(groups)
        .take(usize::try_from(most).unwrap_or(1).max(1))
        .take_while(|(block, group)| group.block_bitmap == *block && !group.uninitialised)
        .count()
        .max(1)
}

fn wrong(group: u64, words: &str) -> Doubt {
    Doubt::because(format!("block group {group}: {words}"))
}
