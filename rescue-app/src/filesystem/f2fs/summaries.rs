//! Summaries in a checkpoint pack: the journals of two tables, and whose the blocks of the logs of
//! data are.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_summary_block`, `struct f2fs_journal`;
//! `fs/f2fs/segment.c`, `read_compacted_summaries`, `read_normal_summaries`.

use super::checkpoint::{Checkpoint, Log, Table};
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{ReadAt, le16, le32, slice};
use crate::volume::Doubt;

/// Bytes of a journal.
const JOURNAL: usize = 507;
/// Bytes of a summary: a node, its version, and the place of an address in it.
const SUMMARY: usize = 7;
const PLACE: usize = 5;
/// Bytes of a block's summaries when they are not compacted.
const SUMMARIES: usize = SEGMENT as usize * SUMMARY;
/// Bytes of a block before its footer.
const ROOM: usize = BLOCK as usize - 5;

/// The journal of changes to a table: at the start of the compacted summaries, or at the end of the
/// summary block of the log of hot data, the first, for the node address table, and of cold data,
/// the third, for the segment information table.
pub(super) fn journal(
    volume: &dyn ReadAt,
    checkpoint: &Checkpoint,
    table: Table,
) -> Result<Vec<u8>, Doubt> {
    let (number, at) = match (table, checkpoint.is_compact()) {
        (Table::Nodes, true) => (0, 0),
        (Table::Segments, true) => (0, JOURNAL),
        (Table::Nodes, false) => (0, SUMMARIES),
        (Table::Segments, false) => (2, SUMMARIES),
    };
    let block = checkpoint.summaries(volume, number)?;
    Ok(slice(&block, at, JOURNAL).unwrap_or_default().to_vec())
}

/// A block that was written to a log of data.
pub(super) struct Datum {
    /// The number of the node that had its address, and the place among the addresses there.
    pub(super) node: u32,
    pub(super) index: usize,
    /// Byte of the volume.
    pub(super) place: u64,
}

/// What was written to the logs of data.
pub(super) fn data(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
) -> Result<Vec<Datum>, Doubt> {
    let mut number = 0;
    let mut block = checkpoint.summaries(volume, number)?;
    let mut at = if checkpoint.is_compact() { JOURNAL.saturating_mul(2) } else { 0 };
    let mut found = Vec::new();
    for (log, own) in checkpoint.data_logs.iter().zip(0..) {
        if !checkpoint.is_compact() && own != number {
            (number, at) = (own, 0);
            block = checkpoint.summaries(volume, number)?;
        }
        for place in places(superblock, log)? {
            if at.saturating_add(SUMMARY) > ROOM {
                (number, at) = (number.saturating_add(1), 0);
                block = checkpoint.summaries(volume, number)?;
            }
            let index = le16(&block, at.saturating_add(PLACE)).map(usize::from);
            let owner = le32(&block, at).zip(index);
            found.extend(owner.map(|(node, index)| Datum { node, index, place }));
            at = at.saturating_add(SUMMARY);
        }
    }
    Ok(found)
}

/// The bytes of the volume at which a log's blocks begin.
pub(super) fn places(
    superblock: &Superblock,
    log: &Log,
) -> Result<impl Iterator<Item = u64> + use<>, Doubt> {
    if log.segment >= superblock.main_segments || log.blocks > SEGMENT {
        return Err(Doubt::because("its checkpoint makes no sense"));
    }
    let first = u64::from(log.segment).saturating_mul(SEGMENT.into());
    let first = first.saturating_add(superblock.main.into());
    Ok((0..log.blocks).map(move |block| Superblock::block(first.saturating_add(block.into()))))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// A superblock with a main area of 100 segments from block 4096 on, and the pack of a closed
    /// filesystem that starts at block 0 and has its summaries in block 1.
    fn pack(flags: u32, blocks: [u16; 3]) -> (Superblock, Checkpoint) {
        let put = |bytes: &mut [u8], at: usize, value: u32| {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        let mut superblock = vec![0; 3072];
        let fields = [(0, 0xf2f5_2010), (16, 12), (56, 2), (68, 100), (92, 4096)];
        fields.into_iter().for_each(|(at, value)| put(&mut superblock, at, value));
        let superblock = Superblock::parse(&superblock).unwrap();
        let mut head = vec![0; BLOCK as usize];
        let fields = [(84, 3), (88, 4), (92, 5), (132, flags | 1), (136, 8), (140, 1), (156, 64)];
        fields.into_iter().for_each(|(at, value)| put(&mut head, at, value));
        for (at, count) in [116, 118, 120].into_iter().zip(blocks) {
            head[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
        (superblock.clone(), Checkpoint::parse(&head, &superblock, 0, 8).unwrap())
    }

    fn entry(volume: &mut [u8], at: usize, node: u16) {
        volume[at..at + 2].copy_from_slice(&node.to_le_bytes());
        volume[at + 5..at + 7].copy_from_slice(&(node % 900).to_le_bytes());
    }

    fn check(found: &[Datum], blocks: [u16; 3]) {
        let mut expected = Vec::new();
        for (segment, count) in (3u64..).zip(blocks) {
            expected
                .extend((0..u64::from(count)).map(|block| (4096 + segment * 512 + block) * 4096));
        }
        assert_eq!(found.iter().map(|datum| datum.place).collect::<Vec<_>>(), expected);
        for (number, datum) in found.iter().enumerate() {
            assert_eq!((datum.node as usize, datum.index), (number, number % 900), "{number}");
        }
    }

    #[test]
    fn compact_summaries_go_on_in_the_next_block() {
        let blocks = [90, 480, 512];
        let (superblock, checkpoint) = pack(0x4, blocks);
        let mut volume = vec![0; 8 * 4096];
        for node in 0..1082 {
            // Behind two journals, and 5 bytes before the end of each block.
            let index = usize::from(node);
            let at = match index.checked_sub(439) {
                None => 1014 + index * 7,
                Some(index) => (1 + index / 584) * 4096 + index % 584 * 7,
            };
            entry(&mut volume, 4096 + at, node);
        }
        check(&data(&volume, &superblock, &checkpoint).unwrap(), blocks);
    }

    #[test]
    fn other_summaries_have_a_block_for_each_log() {
        let blocks = [512, 0, 7];
        let (superblock, checkpoint) = pack(0, blocks);
        let mut volume = vec![0; 8 * 4096];
        for node in 0..519 {
            let (log, index) = if node < 512 { (0, node) } else { (2, node - 512) };
            entry(&mut volume, 4096 + log * 4096 + usize::from(index) * 7, node);
        }
        check(&data(&volume, &superblock, &checkpoint).unwrap(), blocks);
    }
}
