//! Summaries in a checkpoint pack: the journals of two tables, and whose the blocks of the logs of
//! data are.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_summary_block`, `struct f2fs_journal`;
//! `fs/f2fs/segment.c`, `read_compacted_summaries`, `read_normal_summaries`.

use super::checkpoint::{Checkpoint, Log, Table};
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{ReadAt, le16, le32, slice};
use crate::filesystem::format::Doubt;

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
