//! Whether the log was closed properly, found as recovery finds it.
//!
//! The log is a ring of blocks of 512 bytes, each stamped with the number of the round (cycle) in
//! which it was written. Where that number drops is the head; a log that was closed ends there
//! with a record of a single operation, the unmount.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_log_format.h`; `fs/xfs/xfs_log_recover.c` (`xlog_find_head`,
//! `xlog_check_unmount_rec`, `xlog_verify_head`).

use super::checksum;
use super::feature::version;
use super::layout::Layout;
use super::superblock::Superblock;
use crate::bytes::{ReadAt, be32, le32, slice};
use crate::volume::Doubt;
use crate::volume::probe::byte;

/// Bytes of a block of the log.
const BLOCK: u64 = 512;
/// `XLOG_HEADER_MAGIC_NUM`: starts a record; never a cycle.
const MAGIC: u32 = 0xfeed_babe;
/// `XLOG_UNMOUNT_TRANS`.
const UNMOUNT: u8 = 0x20;
/// `XLOG_HEADER_CYCLE_SIZE`: bytes of a record that one header block describes.
const PER_HEADER: u32 = 32768;
/// `XLOG_MAX_RECORD_BSIZE`.
const LONGEST: u32 = 256 << 10;
/// Blocks that may be on their way to the disk at once: eight of the longest records
/// (`XLOG_TOTAL_REC_SHIFT`).
const IN_FLIGHT: u64 = 8 * 512;
/// Blocks of the longest record with its headers.
const RECORD_BLOCKS: u64 = 512 + 8;
/// Byte of `h_crc`.
const CHECKSUM: usize = 32;
/// Bytes of a record's header that the checksum covers: up to `h_pad0`, or on i386 up to `h_size`.
const HEADER_LENS: [usize; 2] = [328, 324];
/// Bytes of a further header block that it covers.
const FURTHER_LEN: usize = 260;
/// Blocks read at once.
const PIECE: u64 = 512;

struct Log<'a> {
    volume: &'a dyn ReadAt,
    start: u64,
    blocks: u64,
}

/// All blocks from a record's header to the head, or to the next record.
struct Record {
    start: u64,
    bytes: Vec<u8>,
}

/// What a record consists of.
struct Parts<'a> {
    header: &'a [u8],
    /// Further blocks of header: one for each 32 KiB beyond the first.
    further: &'a [u8],
    content: &'a [u8],
    /// The content has the length that the header says.
    is_whole: bool,
}

/// Whether nothing in the log waits to be replayed.
pub(super) fn is_closed(volume: &dyn ReadAt, layout: &Layout<'_>) -> Result<bool, Doubt> {
    let superblock = layout.superblock;
    let (from, to) = layout.log;
    let start = layout.byte(layout.log_group, from);
    let blocks = layout.bytes(to.saturating_sub(from)).checked_div(BLOCK).unwrap_or(0);
    let log = Log { volume, start, blocks };
    let Some(head) = log.head()? else { return Ok(false) };
    let Some(mut newest) = log.record_before(head)? else { return Ok(false) };
    if newest.is_whole(superblock) == Some(false) {
        // It was never written to its end, and does not count.
        let Some(previous) = log.record_before(newest.start)? else { return Ok(false) };
        newest = previous;
    }
    Ok(newest.is_unmount(superblock).unwrap_or(false))
}

impl Log<'_> {
    /// `count` blocks from `block` on, around the end of the ring.
    fn read(&self, block: u64, count: u64) -> Result<Vec<u8>, Doubt> {
        let block = self.wrapped(block);
        let first = count.min(self.blocks.saturating_sub(block));
        let mut bytes = self.read_straight(block, first)?;
        bytes.extend(self.read_straight(0, count.saturating_sub(first))?);
        Ok(bytes)
    }

    fn read_straight(&self, block: u64, count: u64) -> Result<Vec<u8>, Doubt> {
        let at = self.start.saturating_add(block.saturating_mul(BLOCK));
        let len = usize::try_from(count.saturating_mul(BLOCK)).unwrap_or(usize::MAX);
        self.volume.read_vec(at, len).map_err(Doubt::reading("the log"))
    }

    fn wrapped(&self, block: u64) -> u64 {
        block.checked_rem(self.blocks).unwrap_or(0)
    }

    /// The block that lies `count` before `block`.
    fn before(&self, block: u64, count: u64) -> u64 {
        self.wrapped(block.saturating_add(self.blocks).saturating_sub(count))
    }

    fn cycle(&self, block: u64) -> Result<u32, Doubt> {
        self.read(block, 1).map(|bytes| cycle(&bytes))
    }

    /// The block after the newest one; 0 when that is the last of the ring. `None` when the log is
    /// not the orderly sequence that closing it leaves.
    fn head(&self) -> Result<Option<u64>, Doubt> {
        let last = self.blocks.saturating_sub(1);
        let (newest, oldest) = (self.cycle(0)?, self.cycle(last)?);
        let mut head = self.blocks;
        if newest != oldest {
            // In the first round, what was not reached yet is zero.
            if newest != oldest.wrapping_add(1) {
                return Ok(None);
            }
            let mut low = 0;
            head = last;
            while head.saturating_sub(low) > 1 {
                let middle = low.midpoint(head);
                if self.cycle(middle)? == oldest { head = middle } else { low = middle }
            }
        }
        let orderly = newest != 0 && self.is_orderly(head, newest, oldest)?;
        Ok(orderly.then(|| self.wrapped(head)))
    }

    /// Whether the blocks around the head are of their rounds: writes that were under way when the
    /// power went may leave older ones before it, and newer ones after it. Tools that start the
    /// log anew leave zeros between their one record and the next blocks of the former round.
    fn is_orderly(&self, head: u64, newest: u32, oldest: u32) -> Result<bool, Doubt> {
        let span = IN_FLIGHT.min(self.blocks / 2);
        let first = self.before(head, span);
        let mut done = 0;
        while done < span.saturating_mul(2) {
            let count = PIECE.min(span.saturating_mul(2).saturating_sub(done));
            let from = first.saturating_add(done);
            let bytes = self.read(from, count)?;
            for (block, bytes) in (from..).zip(bytes.chunks_exact(512)) {
                let is_newer = self.wrapped(block) < head;
                let (cycle, expected) = (cycle(bytes), if is_newer { newest } else { oldest });
                let is_gap = is_newer && cycle == 0 && oldest != 0;
                if cycle != expected && !is_gap {
                    return Ok(false);
                }
            }
            done = done.saturating_add(count);
        }
        Ok(true)
    }

    /// The last record that starts before `head`.
    fn record_before(&self, head: u64) -> Result<Option<Record>, Doubt> {
        let span = RECORD_BLOCKS.min(self.blocks);
        let first = self.before(head, span);
        let mut bytes = self.read(first, span)?;
        let at = bytes.chunks_exact(512).rposition(|block| be32(block, 0) == Some(MAGIC));
        Ok(at.map(|at| Record {
            start: self.wrapped(first.saturating_add(at as u64)),
            bytes: bytes.split_off(at.saturating_mul(512)),
        }))
    }
}

impl Record {
    /// `None` when its header makes no sense.
    fn parts(&self, superblock: &Superblock) -> Option<Parts<'_>> {
        let header = self.bytes.get(..512)?;
        let v2 = superblock.version & version::LOG_V2 != 0;
        let (len, size) = (be32(header, 12)?, be32(header, 320)?);
        let headers = if v2 && size > PER_HEADER { size.div_ceil(PER_HEADER) } else { 1 };
        let sane = be32(header, 8)? == if v2 { 2 } else { 1 }
            && size <= LONGEST
            && len <= headers.saturating_mul(PER_HEADER)
            && len.is_multiple_of(512);
        let (headers, content) =
            self.bytes.split_at_checked(usize::try_from(headers).ok()?.checked_mul(512)?)?;
        let is_whole = content.len() as u64 == u64::from(len);
        sane.then_some(Parts { header, further: headers.get(512..)?, content, is_whole })
    }

    fn is_whole(&self, superblock: &Superblock) -> Option<bool> {
        self.parts(superblock).map(|parts| parts.is_whole)
    }

    /// Whether its one operation is the unmount.
    fn is_unmount(&self, superblock: &Superblock) -> Option<bool> {
        let Parts { header, further, content, is_whole } = self.parts(superblock)?;
        let unmount = be32(header, 40)? == 1 && byte(content, 9)? & UNMOUNT != 0;
        let intact = !superblock.has_checksums() || is_intact(header, further, content)?;
        Some(is_whole && unmount && intact)
    }
}

/// The round in which a block was written.
fn cycle(block: &[u8]) -> u32 {
    let field = |at: usize| be32(block, at).unwrap_or(0);
    if field(0) == MAGIC { field(4) } else { field(0) }
}

/// Whether a record carries the right checksum; mkfs and xfs_repair write none.
fn is_intact(header: &[u8], further: &[u8], content: &[u8]) -> Option<bool> {
    if le32(header, CHECKSUM)? == 0 {
        return Some(true);
    }
    let described = content.len().div_ceil(PER_HEADER as usize).saturating_sub(1);
    let found = HEADER_LENS.iter().any(|&len| {
        let mut record = slice(header, 0, len).unwrap_or_default().to_vec();
        for block in further.chunks_exact(512).take(described) {
            record.extend_from_slice(slice(block, 0, FURTHER_LEN).unwrap_or_default());
        }
        record.extend_from_slice(content);
        checksum::is_intact(&record, CHECKSUM)
    });
    Some(found)
}
