//! The map of used blocks: everything but the free extents of all allocation groups.
//!
//! Every group lists its free extents twice, by place and by length. Both lists have to hold the
//! same extents, and these have to agree with the group's counts and leave alone what is known to
//! be in use; so a single wrong number shows in version 4 too, which has no checksums.

use super::group::Group;
use super::layout::{Blocks, Layout};
use super::tree::{Order, Record, Walk};
use crate::bytes::{Extents, ReadAt};
use crate::volume::{Doubt, UsedMap};

struct Reader<'a> {
    volume: &'a dyn ReadAt,
    layout: &'a Layout<'a>,
    used: UsedMap,
    /// Byte at which the used blocks start that the next free extent ends.
    used_from: u64,
    /// Blocks that the superblock counts as free.
    free: u64,
}

/// What a list of free extents adds up to, whatever its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    extents: u64,
    blocks: u64,
    longest: u32,
    /// Differs when one extent does.
    hash: u64,
}

impl Tally {
    fn add(&mut self, record: Record) {
        self.extents = self.extents.saturating_add(1);
        self.blocks = self.blocks.saturating_add(record.len.into());
        self.longest = self.longest.max(record.len);
        let mixed = mix(mix(u64::from(record.start)).wrapping_add(record.len.into()));
        self.hash = self.hash.wrapping_add(mixed);
    }
}

/// Spreads every bit over all others (the finaliser of SplitMix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// All bytes of the volume that are in use or lie outside of the filesystem.
pub(super) fn used(volume: &dyn ReadAt, layout: &Layout<'_>) -> Result<Extents, Doubt> {
    let mut reader = Reader { volume, layout, used: UsedMap::new(), used_from: 0, free: 0 };
    for number in 0..layout.superblock.ag_count {
        reader.group(number)?;
    }
    let says = layout.superblock.free_blocks;
    if reader.free != says {
        let words =
            format!("the groups have {} free blocks, the superblock says {says}", reader.free);
        return Err(Doubt::because(words));
    }
    reader.used.add(reader.used_from, volume.size());
    Ok(reader.used.finish())
}

impl Reader<'_> {
    fn group(&mut self, number: u32) -> Result<(), Doubt> {
        let len = usize::try_from(self.layout.header_len()).unwrap_or(0);
        let header = self
            .volume
            .read_vec(self.layout.byte(number, 0), len)
            .map_err(Doubt::reading("the header of an allocation group"))?;
        let group =
            Group::parse(self.layout, number, &header).map_err(|words| wrong(number, words))?;
        let in_use = self.in_use(number, &group);
        if in_use.last().is_some_and(|last| last.1 > self.layout.group_len(number)) {
            return Err(wrong(number, "it keeps blocks that lie outside of it"));
        }
        let by_len = self.by_len(number, &group)?;
        let by_block = self.by_block(number, &group, in_use)?;
        if by_len != by_block {
            return Err(wrong(number, "its two lists of free extents differ"));
        }
        if by_block.blocks != u64::from(group.free) || by_block.longest != group.longest {
            return Err(wrong(number, "its free extents contradict its counts"));
        }
        let kept = u64::try_from(group.kept.len()).unwrap_or(u64::MAX);
        for free in [by_block.blocks, kept, group.tree_blocks.into()] {
            self.free = self.free.saturating_add(free);
        }
        Ok(())
    }

    /// What is known to be in use, in ascending order: the group's header, the roots of its trees,
    /// the blocks kept for them, and the log.
    fn in_use(&self, number: u32, group: &Group) -> Vec<Blocks> {
        let mut blocks = vec![(0, self.layout.header_blocks())];
        let roots = [group.by_block.root, group.by_len.root];
        let single = roots.iter().chain(&group.kept).map(|block| u64::from(*block));
        blocks.extend(single.map(|block| (block, block.saturating_add(1))));
        if number == self.layout.log_group {
            blocks.push(self.layout.log);
        }
        blocks.sort_unstable();
        blocks
    }

    fn by_len(&self, number: u32, group: &Group) -> Result<Tally, Doubt> {
        let mut tally = Tally::default();
        let mut last = (0, 0);
        self.walk(number, Order::Len).run(group.by_len, &mut |record| {
            let key = (record.len, record.start);
            if key <= last || tally.blocks > u64::from(group.free) {
                return Err(wrong(number, "its free extents by length are not in order"));
            }
            last = key;
            tally.add(record);
            Ok(())
        })?;
        Ok(tally)
    }

    fn by_block(
        &mut self,
        number: u32,
        group: &Group,
        in_use: Vec<Blocks>,
    ) -> Result<Tally, Doubt> {
        let (volume, layout) = (self.volume, self.layout);
        let len = layout.group_len(number);
        let mut tally = Tally::default();
        let mut last = 0;
        let mut in_use = in_use.into_iter().peekable();
        let walk = Walk { volume, layout, group: number, order: Order::Block };
        walk.run(group.by_block, &mut |record| {
            let start = u64::from(record.start);
            let end = start.saturating_add(record.len.into());
            if start < last || end <= start || end > len {
                return Err(wrong(number, "its free extents are not in order"));
            }
            while in_use.next_if(|blocks| blocks.1 <= start).is_some() {}
            if in_use.peek().is_some_and(|blocks| blocks.0 < end) {
                return Err(wrong(number, "it calls blocks free that are in use"));
            }
            last = end;
            tally.add(record);
            self.used.add(self.used_from, layout.byte(number, start));
            self.used_from = layout.byte(number, end);
            Ok(())
        })?;
        Ok(tally)
    }

    fn walk(&self, group: u32, order: Order) -> Walk<'_> {
        Walk { volume: self.volume, layout: self.layout, group, order }
    }
}

fn wrong(group: u32, words: &str) -> Doubt {
    Doubt::because(format!("allocation group {group}: {words}"))
}
