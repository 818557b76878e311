//! Checkpoint packs: of two, the newer valid one counts.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_checkpoint`; `fs/f2fs/checkpoint.c`,
//! `validate_checkpoint`; `fs/f2fs/f2fs.h`, `__bitmap_ptr`.

use super::superblock::{BLOCK, MAGIC, SEGMENT, Superblock};
use crate::bytes::{ReadAt, le16, le32, le64, slice};
use crate::volume::checksum::crc32;
use crate::volume::probe::byte;
use crate::volume::{Doubt, State};

/// Where the bitmaps start that tell which copies of table blocks count.
const BITMAPS: usize = 192;
/// `CP_CHKSUM_OFFSET`: the place of the checksum, unless the bitmaps are large.
const SUM: usize = 4092;
/// Of each of the three logs of nodes and of data: where its segment is, the blocks written to it,
/// and how it is written.
const NODE_LOGS: [[usize; 3]; 3] = [[36, 68, 179], [40, 70, 180], [44, 72, 181]];
const DATA_LOGS: [[usize; 3]; 3] = [[84, 116, 176], [88, 118, 177], [92, 120, 178]];
/// `LFS`: from the first block on. Otherwise, where there was room.
const IN_TURN: u8 = 0;
/// Flags, `CP_*_FLAG`.
mod flag {
    pub(super) const UMOUNT: u32 = 0x1;
    pub(super) const COMPACT_SUM: u32 = 0x4;
    pub(super) const ERROR: u32 = 0x8;
    pub(super) const FSCK: u32 = 0x10;
    pub(super) const FASTBOOT: u32 = 0x20;
    pub(super) const LARGE_NAT_BITMAP: u32 = 0x400;
    /// umount, orphan_present, compact_sum, error, fsck, fastboot, crc_recovery, nat_bits,
    /// trimmed, nocrc_recovery, large_nat_bitmap, quota_need_fsck. Not: disabled (keeps two states
    /// of the filesystem at once) and resizefs.
    pub(super) const KNOWN: u32 = 0xfff;
}

/// A log: a segment to which is written.
pub(super) struct Log {
    pub(super) segment: u32,
    /// How many of its blocks, from the first on, may have been written to.
    pub(super) blocks: u32,
}

/// The checkpoint that counts.
pub(super) struct Checkpoint {
    version: u64,
    flags: u32,
    /// Blocks that files may take in all.
    pub(super) user_blocks: u64,
    /// Blocks of files and of the filesystem itself in the main area, also those that are only
    /// reserved (`fallocate`) and have no place yet.
    pub(super) valid_blocks: u64,
    /// Segments without a block in use to which nothing is being written.
    pub(super) free_segments: u32,
    /// The logs of nodes.
    pub(super) node_logs: Vec<Log>,
    /// The logs of files' content.
    pub(super) data_logs: Vec<Log>,
    /// First block of the pack.
    start: u64,
    /// Blocks of the pack.
    len: u32,
    /// First block, within the pack, of what the current segments hold.
    summaries: u32,
    /// For each block of the segment information table, whether its second copy counts.
    sit_bitmap: Vec<u8>,
    /// The same for the node address table.
    nat_bitmap: Vec<u8>,
}

/// A table with a journal in the checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Where nodes are.
    Nodes,
    /// Which blocks of each segment are in use.
    Segments,
}

impl Checkpoint {
    /// Reads both packs. `mkfs.f2fs` writes two as well; where one is damaged it may have been the
    /// newer one.
    pub(super) fn newest(volume: &dyn ReadAt, superblock: &Superblock) -> Result<Self, Doubt> {
        let first = Self::read(volume, superblock, superblock.cp)?;
        let second = Self::read(volume, superblock, superblock.cp.saturating_add(SEGMENT))?;
        let damaged = || Doubt::because("one of its two checkpoints is damaged");
        first.zip(second).map(|(first, second)| first.newer(second)).ok_or_else(damaged)
    }

    /// The newer one of this and a second one.
    fn newer(self, second: Self) -> Self {
        if second.version > self.version { second } else { self }
    }

    /// The newer one of those that can be read: all that is left of a damaged volume.
    pub(super) fn readable(volume: &dyn ReadAt, superblock: &Superblock) -> Option<Self> {
        let starts = [superblock.cp, superblock.cp.saturating_add(SEGMENT)];
        let packs = starts.map(|start| Self::read(volume, superblock, start).ok().flatten());
        // Of two of the same version the first one counts.
        packs.into_iter().flatten().reduce(|first, second| first.newer(second))
    }

    /// A pack whose head and foot are intact and of the same version.
    fn read(
        volume: &dyn ReadAt,
        superblock: &Superblock,
        start: u32,
    ) -> Result<Option<Self>, Doubt> {
        let block = |number: u64| {
            let bytes = volume.read_vec(Superblock::block(number), BLOCK as usize);
            bytes.map_err(Doubt::reading("a checkpoint"))
        };
        let head = block(start.into())?;
        let Some(len) = le32(&head, 136).filter(|len| (2..=SEGMENT).contains(len)) else {
            return Ok(None);
        };
        if !is_intact(&head) {
            return Ok(None);
        }
        let foot = block(u64::from(start).saturating_add(len.into()).saturating_sub(1))?;
        if !is_intact(&foot) || le64(&foot, 0) != le64(&head, 0) {
            return Ok(None);
        }
        let mut bytes = head;
        for number in 1..=u64::from(superblock.cp_payload.min(SEGMENT)) {
            bytes.extend(block(u64::from(start).saturating_add(number))?);
        }
        Ok(Self::parse(&bytes, superblock, start.into(), len))
    }

    /// From the head and the blocks of its payload.
    pub(super) fn parse(
        bytes: &[u8],
        superblock: &Superblock,
        start: u64,
        len: u32,
    ) -> Option<Self> {
        let flags = le32(bytes, 132)?;
        let size = |at| le32(bytes, at).and_then(|size| usize::try_from(size).ok());
        let (sit, nat) = (size(156)?, size(160)?);
        let (sit_at, nat_at) = if flags & flag::LARGE_NAT_BITMAP != 0 {
            let start = BITMAPS.checked_add(4)?;
            (start.checked_add(nat)?, start)
        } else if superblock.cp_payload > 0 {
            (BLOCK as usize, BITMAPS)
        } else {
            (BITMAPS, BITMAPS.checked_add(sit)?)
        };
        if u64::from(superblock.sit_blocks()).div_ceil(8) != sit as u64 {
            return None;
        }
        Some(Self {
            version: le64(bytes, 0)?,
            flags,
            user_blocks: le64(bytes, 8)?,
            valid_blocks: le64(bytes, 16)?,
            free_segments: le32(bytes, 32)?,
            node_logs: logs(bytes, NODE_LOGS)?,
            data_logs: logs(bytes, DATA_LOGS)?,
            start,
            len,
            summaries: le32(bytes, 140)?,
            sit_bitmap: slice(bytes, sit_at, sit)?.to_vec(),
            nat_bitmap: slice(bytes, nat_at, nat).unwrap_or_default().to_vec(),
        })
    }

    /// How the filesystem was left.
    pub(super) fn state(&self) -> State {
        if self.flags & (flag::ERROR | flag::FSCK) != 0 {
            State::Dirty("it asks for a check".into())
        } else if self.flags & flag::UMOUNT == 0 {
            State::Dirty("files were written after its last checkpoint, or could have been".into())
        } else {
            State::Clean
        }
    }

    /// Fails when the flags are not understood.
    pub(super) fn check(&self) -> Result<(), Doubt> {
        let unknown = self.flags & !flag::KNOWN;
        if unknown == 0 {
            return Ok(());
        }
        Err(Doubt::because(format!("its checkpoint has unknown flags {unknown:#x}")))
    }

    /// Whether the second copy of a block of a table counts.
    pub(super) fn second_copy(&self, table: Table, block: u32) -> Option<bool> {
        let bitmap = match table {
            Table::Nodes => &self.nat_bitmap,
            Table::Segments => &self.sit_bitmap,
        };
        let byte = bitmap.get(usize::try_from(block / 8).ok()?)?;
        Some(byte.checked_shl(block % 8)? & 0x80 != 0)
    }

    /// Whether something is being written to a segment.
    pub(super) fn is_current(&self, segment: u32) -> bool {
        self.node_logs.iter().chain(&self.data_logs).any(|log| log.segment == segment)
    }

    /// Whether the summaries of the logs of data are together with the journals.
    pub(super) fn is_compact(&self) -> bool {
        self.flags & flag::COMPACT_SUM != 0
    }

    /// One of the blocks with summaries and journals.
    pub(super) fn summaries(&self, volume: &dyn ReadAt, number: u32) -> Result<Vec<u8>, Doubt> {
        let closed = self.flags & (flag::UMOUNT | flag::FASTBOOT) != 0;
        // Behind the data logs' summaries: those of the node logs, when closed, and the foot.
        let behind = if closed { 7 } else { 4 };
        let misplaced = !self.is_compact() && self.summaries.checked_add(behind) != Some(self.len);
        let place = self.summaries.saturating_add(number);
        if self.summaries == 0 || place >= self.len || misplaced {
            return Err(Doubt::because("its checkpoint makes no sense"));
        }
        let offset = Superblock::block(self.start.saturating_add(place.into()));
        volume.read_vec(offset, BLOCK as usize).map_err(Doubt::reading("a summary block"))
    }
}

fn logs(bytes: &[u8], places: [[usize; 3]; 3]) -> Option<Vec<Log>> {
    let log = |[segment, blocks, kind]: [usize; 3]| {
        let in_turn = byte(bytes, kind)? == IN_TURN;
        let blocks = if in_turn { le16(bytes, blocks)?.into() } else { SEGMENT };
        Some(Log { segment: le32(bytes, segment)?, blocks })
    };
    places.into_iter().map(log).collect()
}

/// The checksum covers everything but itself, wherever it is.
fn is_intact(block: &[u8]) -> bool {
    let at = le32(block, 164).and_then(|at| usize::try_from(at).ok());
    let Some(at) = at.filter(|at| (BITMAPS..=SUM).contains(at)) else { return false };
    let (Some(before), Some(sum)) = (slice(block, 0, at), le32(block, at)) else { return false };
    let behind = block.get(at.saturating_add(4)..).unwrap_or_default();
    crc32(crc32(MAGIC, before), behind) == sum
}

/// Heads and feet of both packs with their checksums and versions made right.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(volume: &dyn ReadAt, superblock: &Superblock) -> Option<Vec<(u64, Vec<u8>)>> {
    let mut patches = Vec::new();
    for start in [superblock.cp, superblock.cp.checked_add(SEGMENT)?] {
        let mut head = volume.read_vec(Superblock::block(start.into()), BLOCK as usize).ok()?;
        head.splice(164..168, 4092u32.to_le_bytes());
        let sum = crc32(MAGIC, slice(&head, 0, SUM)?);
        head.splice(SUM.., sum.to_le_bytes());
        let foot = u64::from(start).checked_add(le32(&head, 136)?.into())?.checked_sub(1)?;
        patches.push((Superblock::block(foot), head.clone()));
        patches.push((Superblock::block(start.into()), head));
    }
    Some(patches)
}
