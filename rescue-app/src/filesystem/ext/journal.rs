//! Read-only replay of the journal: which blocks it holds newer versions of.
//!
//! Sources: Linux `Documentation/filesystems/ext4/journal.rst`, `fs/jbd2/recovery.c`,
//! `include/linux/jbd2.h`. All numbers in the journal are big-endian.

use std::collections::{BTreeMap, HashMap};

use super::inode::FileBlocks;
use super::overlay::{JOURNAL_MAGIC, Newer};
use crate::bytes::{ReadAt, be16, be32, slice};
use crate::volume::Doubt;
use crate::volume::checksum::crc32c;
use crate::volume::probe::byte;

/// Block types, `h_blocktype`.
mod block_type {
    pub(super) const DESCRIPTOR: u32 = 1;
    pub(super) const COMMIT: u32 = 2;
    pub(super) const SUPERBLOCK_V2: u32 = 4;
    pub(super) const REVOKE: u32 = 5;
}

/// Features of the journal, `JBD2_FEATURE_*`.
mod feature {
    pub(super) const COMPAT_CHECKSUM: u32 = 0x1;
    pub(super) const REVOKE: u32 = 0x1;
    pub(super) const BIT64: u32 = 0x2;
    pub(super) const CSUM_V2: u32 = 0x8;
    pub(super) const CSUM_V3: u32 = 0x10;
    /// Asynchronous commits (0x4) and fast commits (0x20) are left to the kernel.
    pub(super) const KNOWN: u32 = REVOKE | BIT64 | CSUM_V2 | CSUM_V3;
}

/// Flags of a tag, `JBD2_FLAG_*`.
mod flag {
    pub(super) const ESCAPE: u32 = 1;
    pub(super) const SAME_UUID: u32 = 2;
    pub(super) const LAST_TAG: u32 = 8;
}

/// Bytes of the header that starts every journal block: magic, type, sequence number.
const HEADER: usize = 12;
/// Bytes of the checksum that ends descriptor and revoke blocks.
const TAIL: usize = 4;
/// Bytes of the journal superblock.
const SUPERBLOCK: usize = 1024;

/// More waiting blocks, or more revoked ones, are not kept in memory; 4 GiB of journal, four times
/// what `mke2fs` makes by itself, holds as many.
const MOST_ENTRIES: usize = 1 << 20;

/// The journal superblock.
struct Journal<'a> {
    volume: &'a dyn ReadAt,
    blocks: &'a FileBlocks,
    block_size: u32,
    /// First block of the log, and one past the last.
    first: u32,
    end: u32,
    /// Block and sequence number of the oldest transaction; block 0 when the log is empty.
    start: u32,
    sequence: u32,
    incompat: u32,
    seed: u32,
}

/// A version of a block in the log.
struct Write {
    target: u64,
    /// Transactions after the oldest one.
    age: u32,
    newer: Newer,
    checksum: u32,
}

/// What committed transactions ask for.
#[derive(Default)]
struct Log {
    writes: Vec<Write>,
    /// Up to which transaction older versions of a block are void.
    revoked: HashMap<u64, u32>,
}

/// Which blocks the journal holds newer versions of. `blocks_count` bounds them.
pub(super) fn replay(
    volume: &dyn ReadAt,
    blocks: &FileBlocks,
    block_size: u32,
    blocks_count: u64,
) -> Result<BTreeMap<u64, Newer>, Doubt> {
    let journal = Journal::open(volume, blocks, block_size)?;
    let log = journal.committed()?;
    let mut newest = BTreeMap::new();
    for write in log.writes {
        if log.revoked.get(&write.target).is_some_and(|until| *until >= write.age) {
            continue;
        }
        if write.target >= blocks_count {
            return Err(Doubt::because("the journal speaks of blocks outside the filesystem"));
        }
        journal.verify_data(&write)?;
        newest.insert(write.target, write.newer);
    }
    Ok(newest)
}

impl<'a> Journal<'a> {
    fn open(
        volume: &'a dyn ReadAt,
        blocks: &'a FileBlocks,
        block_size: u32,
    ) -> Result<Self, Doubt> {
        /// Place of its checksum in the superblock.
        const CHECKSUM: usize = 252;
        let at = blocks.get(0).unwrap_or(u64::MAX).saturating_mul(block_size.into());
        let head =
            volume.read_vec(at, SUPERBLOCK).map_err(Doubt::reading("the journal's superblock"))?;
        let strange = || Doubt::because("the journal's superblock makes no sense");
        let field = |at: usize| be32(&head, at).ok_or_else(strange);
        let incompat = field(40)?;
        let journal = Self {
            volume,
            blocks,
            block_size,
            first: field(20)?,
            end: field(16)?,
            start: field(28)?,
            sequence: field(24)?,
            incompat,
            seed: crc32c(!0, slice(&head, 48, 16).ok_or_else(strange)?),
        };
        let sane = field(0)? == JOURNAL_MAGIC
            && field(4)? == block_type::SUPERBLOCK_V2
            && field(12)? == block_size
            && journal.first >= 1
            && journal.first < journal.end
            && u64::from(journal.end) <= blocks.len()
            && (journal.start == 0 || (journal.first..journal.end).contains(&journal.start));
        if !sane {
            return Err(strange());
        }
        let unknown = incompat & !feature::KNOWN;
        if unknown != 0 || field(36)? & feature::COMPAT_CHECKSUM != 0 || field(44)? != 0 {
            let words = format!("the journal has features that are not replayed ({incompat:#x})");
            return Err(Doubt::because(words));
        }
        if field(32)? != 0 {
            return Err(Doubt::because("the journal recorded an error"));
        }
        if journal.is_checked() {
            let algorithm = byte(&head, 80) == Some(4);
            if !algorithm || checksum_without(&head, CHECKSUM, !0) != be32(&head, CHECKSUM) {
                return Err(Doubt::because("the checksum of the journal's superblock is wrong"));
            }
        }
        Ok(journal)
    }

    fn has(&self, feature: u32) -> bool {
        self.incompat & feature != 0
    }

    fn is_checked(&self) -> bool {
        self.has(feature::CSUM_V2 | feature::CSUM_V3)
    }

    fn read(&self, index: u32) -> Result<Vec<u8>, Doubt> {
        let at = self.place(index)?.saturating_mul(self.block_size.into());
        let read = self.volume.read_vec(at, self.block_size as usize);
        read.map_err(Doubt::reading("the journal"))
    }

    fn place(&self, index: u32) -> Result<u64, Doubt> {
        self.blocks.get(index.into()).ok_or_else(|| Doubt::because("the journal is incomplete"))
    }

    /// The block after another one: the log is a ring.
    fn next(&self, index: u32) -> u32 {
        let next = index.saturating_add(1);
        if next >= self.end { self.first } else { next }
    }

    fn check_bounds(log: &Log) -> Result<(), Doubt> {
        if log.writes.len().max(log.revoked.len()) > MOST_ENTRIES {
            return Err(Doubt::because("the journal is too long to be replayed in memory"));
        }
        Ok(())
    }

    /// Goes through the log until its end: the first block that is not the next in sequence.
    fn committed(&self) -> Result<Log, Doubt> {
        let mut log = Log::default();
        let mut open = Log::default();
        let mut age = 0u32;
        let mut at = self.start;
        // One round of the ring at most.
        let mut left = if at == 0 { 0 } else { self.end.saturating_sub(self.first) };
        while left > 0 {
            let block = self.read(at)?;
            let sequence = self.sequence.wrapping_add(age);
            if be32(&block, 0) != Some(JOURNAL_MAGIC) || be32(&block, 8) != Some(sequence) {
                break;
            }
            at = self.next(at);
            left = left.saturating_sub(1);
            Self::check_bounds(&open)?;
            Self::check_bounds(&log)?;
            match be32(&block, 4) {
                Some(block_type::DESCRIPTOR) => {
                    self.verify_tail(&block)?;
                    for tag in self.tags(&block)? {
                        if left == 0 {
                            return Err(Doubt::because("a transaction passes the journal's size"));
                        }
                        open.writes.push(tag.write(age, self.place(at)?));
                        at = self.next(at);
                        left = left.saturating_sub(1);
                    }
                }
                Some(block_type::REVOKE) => {
                    self.verify_tail(&block)?;
                    let revoked = self.revoked(&block)?;
                    open.revoked.extend(revoked.into_iter().map(|target| (target, age)));
                }
                Some(block_type::COMMIT) => {
                    self.verify_commit(&block)?;
                    log.writes.append(&mut open.writes);
                    log.revoked.extend(open.revoked.drain());
                    age = age.saturating_add(1);
                }
                _ => break,
            }
        }
        Ok(log)
    }

    /// The checksum at the end of descriptor and revoke blocks.
    fn verify_tail(&self, block: &[u8]) -> Result<(), Doubt> {
        let at = block.len().saturating_sub(TAIL);
        let right = checksum_without(block, at, self.seed) == be32(block, at);
        self.verdict(right, "a descriptor")
    }

    fn verify_commit(&self, block: &[u8]) -> Result<(), Doubt> {
        /// Its place in the block.
        const CHECKSUM: usize = 16;
        let right = checksum_without(block, CHECKSUM, self.seed) == be32(block, CHECKSUM);
        self.verdict(right, "a commit record")
    }

    /// The checksum of a block's new version, which its tag holds.
    fn verify_data(&self, write: &Write) -> Result<(), Doubt> {
        if !self.is_checked() {
            return Ok(());
        }
        let at = write.newer.block.saturating_mul(self.block_size.into());
        let block = self.volume.read_vec(at, self.block_size as usize);
        let sequence = self.sequence.wrapping_add(write.age).to_be_bytes();
        let block = block.map_err(Doubt::reading("the journal"))?;
        let sum = crc32c(crc32c(self.seed, &sequence), &block);
        let mask = if self.has(feature::CSUM_V3) { !0 } else { 0xffff };
        self.verdict(sum & mask == write.checksum, "a block")
    }

    fn verdict(&self, right: bool, what: &str) -> Result<(), Doubt> {
        if right || !self.is_checked() {
            return Ok(());
        }
        Err(Doubt::because(format!("the checksum of {what} in the journal is wrong")))
    }

    /// The tags of a descriptor block: one for each block that follows it.
    fn tags(&self, block: &[u8]) -> Result<Vec<Tag>, Doubt> {
        let tail = if self.is_checked() { TAIL } else { 0 };
        let end = block.len().saturating_sub(tail);
        let mut rest = block.get(HEADER..end).unwrap_or_default();
        let mut tags = Vec::new();
        let mut last = false;
        while !last && rest.len() >= self.tag_len() {
            let tag = self.tag(rest).ok_or_else(|| Doubt::because("a journal tag is damaged"))?;
            last = tag.flags & flag::LAST_TAG != 0;
            let uuid = if tag.flags & flag::SAME_UUID == 0 { 16 } else { 0 };
            rest = rest.get(self.tag_len().saturating_add(uuid)..).unwrap_or_default();
            tags.push(tag);
        }
        Ok(tags)
    }

    fn tag_len(&self) -> usize {
        let wide = self.has(feature::BIT64);
        match (self.has(feature::CSUM_V3), self.has(feature::CSUM_V2)) {
            (true, _) => 16,
            (false, true) => {
                if wide {
                    14
                } else {
                    10
                }
            }
            (false, false) => {
                if wide {
                    12
                } else {
                    8
                }
            }
        }
    }

    /// `journal_block_tag3_t` with version 3 checksums, `journal_block_tag_t` otherwise.
    fn tag(&self, bytes: &[u8]) -> Option<Tag> {
        let high = if self.has(feature::BIT64) { u64::from(be32(bytes, 8)?) << 32 } else { 0 };
        let target = high | u64::from(be32(bytes, 0)?);
        if self.has(feature::CSUM_V3) {
            Some(Tag { target, flags: be32(bytes, 4)?, checksum: be32(bytes, 12)? })
        } else {
            let (checksum, flags) = (be16(bytes, 4)?.into(), be16(bytes, 6)?.into());
            Some(Tag { target, flags, checksum })
        }
    }

    /// The blocks named in a revoke block.
    fn revoked(&self, block: &[u8]) -> Result<Vec<u64>, Doubt> {
        let wide = self.has(feature::BIT64);
        let list = || -> Option<&[u8]> {
            let end = usize::try_from(be32(block, HEADER)?).ok()?;
            let tail = if self.is_checked() { TAIL } else { 0 };
            block.get(HEADER + 4..end).filter(|_| end <= block.len().saturating_sub(tail))
        };
        let list = list().ok_or_else(|| Doubt::because("a revoke block is damaged"))?;
        Ok(list
            .chunks_exact(if wide { 8 } else { 4 })
            .filter_map(|entry| {
                let first = u64::from(be32(entry, 0)?);
                if wide { Some(first << 32 | u64::from(be32(entry, 4)?)) } else { Some(first) }
            })
            .collect())
    }
}

struct Tag {
    target: u64,
    flags: u32,
    checksum: u32,
}

impl Tag {
    fn write(&self, age: u32, block: u64) -> Write {
        let newer = Newer { block, escaped: self.flags & flag::ESCAPE != 0 };
        Write { target: self.target, age, newer, checksum: self.checksum }
    }
}

/// CRC-32C of a block with the four bytes at `at` taken as zero.
fn checksum_without(block: &[u8], at: usize, seed: u32) -> Option<u32> {
    let (before, rest) = block.split_at_checked(at)?;
    let after = rest.get(4..)?;
    Some([before, &[0; 4], after].into_iter().fold(seed, crc32c))
}
