//! The segment information table: which blocks of the main area are in use.
//!
//! Source: Linux `fs/f2fs/segment.c`, `build_sit_entries`, `current_sit_addr`;
//! `include/linux/f2fs_fs.h`, `struct f2fs_journal`.

use std::collections::BTreeMap;

use super::checkpoint::{Checkpoint, Table};
use super::entry::SegmentInfo;
use super::summaries;
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{Extents, ReadAt, le16, le32};
use crate::volume::{Doubt, UsedMap};

/// Entries of a block of the table.
const PER_BLOCK: u32 = 55;
/// Most entries of the journal, each a segment's number and its entry.
const JOURNAL_ENTRIES: u16 = 6;
/// Blocks of the table read at once.
const TOGETHER: u32 = 128;

/// What the table tells of a volume that was closed.
pub(super) struct Used {
    /// All bytes in use.
    pub(super) bytes: Extents,
    /// Blocks that the checkpoint counts besides.
    pub(super) unplaced: u64,
}

/// Reads the table; fails when it contradicts itself or the checkpoint.
pub(super) fn used(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
) -> Result<Used, Doubt> {
    let journal = summaries::journal(volume, checkpoint, Table::Segments)?;
    let mut newer = newer_entries(&journal, superblock.main_segments)
        .ok_or_else(|| Doubt::because("the journal of its segment table makes no sense"))?;
    let blocks = superblock.main_segments.div_ceil(PER_BLOCK);
    if blocks > superblock.sit_blocks() {
        return Err(Doubt::because("its segment table is too short"));
    }
    let mut used = UsedMap::new();
    used.add(0, Superblock::block(superblock.main.into()));
    let (mut valid, mut free) = (0u64, 0u32);
    let mut first = 0u32;
    while first < blocks {
        let end = first.saturating_add(TOGETHER).min(blocks);
        let table = TableBlocks::read(volume, superblock, checkpoint, first..end)?;
        let start = first.saturating_mul(PER_BLOCK);
        let stop = end.saturating_mul(PER_BLOCK).min(superblock.main_segments);
        for segment in start..stop {
            let entry = newer.remove(&segment).or_else(|| table.entry(segment));
            let bits = entry.and_then(|at| at.bits()).ok_or_else(|| {
                Doubt::because(format!("the entry of segment {segment} contradicts itself"))
            })?;
            let place = u64::from(segment).saturating_mul(SEGMENT.into());
            let place = place.saturating_add(superblock.main.into());
            let count = used.add_bits(&bits, SEGMENT.into(), place, BLOCK.into());
            valid = valid.saturating_add(count);
            let is_free = count == 0 && !checkpoint.is_current(segment);
            free = free.saturating_add(is_free.into());
        }
        first = end;
    }
    let unplaced = compare(checkpoint, valid, free)?;
    let main = u64::from(superblock.main_segments).saturating_mul(SEGMENT.into());
    used.add(Superblock::block(main.saturating_add(superblock.main.into())), volume.size());
    Ok(Used { bytes: used.finish(), unplaced })
}

/// The table against the checkpoint's counts, as `fsck.f2fs` compares them; how many blocks are
/// counted and have no place.
fn compare(checkpoint: &Checkpoint, valid: u64, free: u32) -> Result<u64, Doubt> {
    let Some(unplaced) = checkpoint.valid_blocks.checked_sub(valid) else {
        let counted = checkpoint.valid_blocks;
        let words = format!("{valid} blocks are marked as used and {counted} counted");
        return Err(Doubt::because(words));
    };
    if free != checkpoint.free_segments {
        let counted = checkpoint.free_segments;
        let words = format!("{free} segments are marked as free and {counted} counted");
        return Err(Doubt::because(words));
    }
    Ok(unplaced)
}

/// Entries in the journal, which are newer than those in the table, by segment.
fn newer_entries(journal: &[u8], segments: u32) -> Option<BTreeMap<u32, SegmentInfo<'_>>> {
    let count = le16(journal, 0)?;
    let mut entries = BTreeMap::new();
    for index in 0..(count <= JOURNAL_ENTRIES).then_some(count)? {
        let at =
            usize::from(index).checked_mul(SegmentInfo::LEN.checked_add(4)?)?.checked_add(2)?;
        let segment = le32(journal, at).filter(|segment| *segment < segments)?;
        let entry = SegmentInfo::parse(journal, at.checked_add(4)?)?;
        entries.insert(segment, entry).is_none().then_some(())?;
    }
    Some(entries)
}

/// Consecutive blocks of the table, each from the copy that counts.
struct TableBlocks {
    first: u32,
    bytes: Vec<u8>,
}

impl TableBlocks {
    fn read(
        volume: &dyn ReadAt,
        superblock: &Superblock,
        checkpoint: &Checkpoint,
        blocks: std::ops::Range<u32>,
    ) -> Result<Self, Doubt> {
        let len = (blocks.len() as u64).saturating_mul(BLOCK.into());
        let copy = |number: u32| {
            let skipped = superblock.sit_blocks().saturating_mul(number);
            let at = u64::from(superblock.sit)
                .saturating_add(skipped.into())
                .saturating_add(blocks.start.into());
            volume
                .read_vec(Superblock::block(at), usize::try_from(len).unwrap_or(0))
                .map_err(Doubt::reading("the segment table"))
        };
        let mut bytes = copy(0)?;
        let second = copy(1)?;
        let pairs = bytes.chunks_mut(BLOCK as usize).zip(second.chunks(BLOCK as usize));
        for (number, (to, from)) in (blocks.start..).zip(pairs) {
            let newer = checkpoint.second_copy(Table::Segments, number);
            if newer.ok_or_else(|| Doubt::because("its checkpoint makes no sense"))? {
                to.copy_from_slice(from);
            }
        }
        Ok(Self { first: blocks.start, bytes })
    }

    fn entry(&self, segment: u32) -> Option<SegmentInfo<'_>> {
        let block = (segment / PER_BLOCK).checked_sub(self.first)?.checked_mul(BLOCK)?;
        let inside = usize::try_from(segment % PER_BLOCK).ok()?.checked_mul(SegmentInfo::LEN)?;
        SegmentInfo::parse(&self.bytes, usize::try_from(block).ok()?.checked_add(inside)?)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_has_to_make_sense() {
        let mut journal = vec![0u8; 507];
        assert!(newer_entries(&journal, 10).unwrap().is_empty());
        journal[0] = 2;
        journal[2] = 9;
        journal[80] = 3;
        let keys = |journal: &[u8]| Some(newer_entries(journal, 10)?.into_keys().collect());
        assert_eq!(keys(&journal), Some(vec![3, 9]));
        journal[80] = 9;
        assert_eq!(keys(&journal), None, "one segment twice");
        journal[80] = 10;
        assert_eq!(keys(&journal), None, "no such segment");
        journal[80] = 3;
        journal[0] = 7;
        assert_eq!(keys(&journal), None, "too many");
    }
}
