//! Inodes and where their content lies.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dinode`, `struct xfs_bmbt_rec`,
//! `struct xfs_bmdr_block`, `struct xfs_btree_block` (long form); "XFS Algorithms & Data
//! Structures", "Data Extents".

use time::OffsetDateTime;

use super::checksum;
use super::layout::Layout;
use crate::bytes::{ReadAt, be16, be32, be64, slice};
use crate::volume::probe::{byte, has};
use crate::volume::{EntryKind, Permissions, Stat, Times, times};

/// Byte of `di_crc` (version 3).
const CHECKSUM: usize = 100;
/// Bytes before the data fork in versions 2 and 3.
const CORES: [usize; 2] = [100, 176];
/// Bytes of an extent record, and of a key and of a pointer.
const RECORD: usize = 16;
const WORD: usize = 8;
/// Bytes before the records of a tree block in version 4 and version 5.
const HEADERS: [usize; 2] = [24, 72];
/// Byte of a tree block's checksum in version 5.
const BLOCK_CHECKSUM: usize = 64;
/// `XFS_BM_MAXLEVELS` is at most this.
const DEEPEST: u16 = 9;
/// `XFS_DIFLAG2_NREXT64`: the number of extents is a field of 64 bits.
const LARGE_COUNTS: u64 = 1 << 4;
/// `XFS_DIFLAG2_BIGTIME`: times are single numbers of 64 bits.
const BIG_TIMES: u64 = 1 << 3;

/// A file or directory in more extents than this is not read.
const MOST_EXTENTS: usize = 1 << 12;

/// Where the content of an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fork {
    /// In the inode.
    Local(Vec<u8>),
    /// In these records.
    Extents(Vec<u8>),
    /// In those of a tree with this root.
    Tree(Vec<u8>),
}

/// An inode.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    /// What it is.
    pub(super) stat: Stat,
    /// Where its content is.
    pub(super) fork: Fork,
}

/// Blocks of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// First block in the file.
    pub(super) offset: u64,
    /// First byte on the volume.
    pub(super) start: u64,
    /// Blocks.
    pub(super) count: u64,
    /// Set aside, and zeros until it is written.
    pub(super) unwritten: bool,
}

/// Reads inodes, so long as there are blocks left to read.
pub(super) struct Inodes<'a> {
    /// What they lie on.
    pub(super) volume: &'a dyn ReadAt,
    /// Where.
    pub(super) layout: &'a Layout<'a>,
    /// Blocks that may still be read.
    pub(super) left: u64,
}

impl Inodes<'_> {
    /// Counts `blocks` as read.
    pub(super) fn spend(&mut self, blocks: u64) -> Option<()> {
        self.left = self.left.checked_sub(blocks)?;
        Some(())
    }

    /// An inode by its number: group, block of the group and index in the block.
    pub(super) fn read(&mut self, number: u64) -> Option<Inode> {
        let superblock = self.layout.superblock;
        let size = usize::from(superblock.inode_size);
        let bits = u32::from(superblock.inodes_per_block_log);
        let index = number & 1u64.checked_shl(bits)?.checked_sub(1)?;
        let block = self.place(number.checked_shr(bits)?)?;
        self.spend(1)?;
        let at = block.checked_add(index.checked_mul(size as u64)?)?;
        let bytes = self.volume.read_vec(at, size).ok()?;
        let sound = !superblock.has_checksums()
            || be64(&bytes, 152) == Some(number) && checksum::is_intact(&bytes, CHECKSUM);
        if !sound || !has(&bytes, 0, b"IN") {
            return None;
        }
        Inode::parse(&bytes)
    }

    /// Byte of the volume at which a block of the filesystem starts, by its number of group and
    /// block of the group.
    fn place(&self, block: u64) -> Option<u64> {
        let bits = u32::from(self.layout.superblock.ag_block_log);
        let group = u32::try_from(block.checked_shr(bits)?).ok()?;
        let inside = block & 1u64.checked_shl(bits)?.checked_sub(1)?;
        let exists =
            group < self.layout.superblock.ag_count && inside < self.layout.group_len(group);
        exists.then(|| self.layout.byte(group, inside))
    }

    /// Calls `each` for all extents of an inode in the order of the file, until it says no, and
    /// `tree` for the bytes of each block that only says where extents are.
    pub(super) fn extents(
        &mut self,
        fork: &Fork,
        each: &mut dyn FnMut(Extent) -> bool,
        tree: &mut dyn FnMut(u64, u64),
    ) -> Option<()> {
        match fork {
            Fork::Local(_) => Some(()),
            Fork::Extents(records) => self.records(records, each).map(drop),
            Fork::Tree(root) => {
                let (level, count) = (be16(root, 0)?, usize::from(be16(root, 2)?));
                let pointers = pointers(root.get(4..)?, count)?;
                let level = level.checked_sub(1).filter(|level| *level < DEEPEST)?;
                for pointer in pointers {
                    if !self.block(pointer, level, each, tree)? {
                        break;
                    }
                }
                Some(())
            }
        }
    }

    /// Whether more extents are wanted.
    fn block(
        &mut self,
        number: u64,
        level: u16,
        each: &mut dyn FnMut(Extent) -> bool,
        tree: &mut dyn FnMut(u64, u64),
    ) -> Option<bool> {
        let superblock = self.layout.superblock;
        let (at, size) = (self.place(number)?, u64::from(superblock.block_size));
        self.spend(1)?;
        tree(at, at.checked_add(size)?);
        let bytes = self.volume.read_vec(at, usize::try_from(size).ok()?).ok()?;
        let [plain, checked] = HEADERS;
        let (magic, header): (&[u8], usize) =
            if superblock.has_checksums() { (b"BMA3", checked) } else { (b"BMAP", plain) };
        let sound = !superblock.has_checksums()
            || be64(&bytes, 24) == at.checked_div(512)
                && checksum::is_intact(&bytes, BLOCK_CHECKSUM);
        if !sound || !has(&bytes, 0, magic) || be16(&bytes, 4)? != level {
            return None;
        }
        let (body, count) = (bytes.get(header..)?, usize::from(be16(&bytes, 6)?));
        if level == 0 {
            return self.records(slice(body, 0, count.checked_mul(RECORD)?)?, each);
        }
        let level = level.checked_sub(1)?;
        for pointer in pointers(body, count)? {
            if !self.block(pointer, level, each, tree)? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn records(&self, records: &[u8], each: &mut dyn FnMut(Extent) -> bool) -> Option<bool> {
        for record in records.chunks_exact(RECORD) {
            let (high, low) = (be64(record, 0)?, be64(record, 8)?);
            let block = (high & 0x1ff) << 43 | low >> 21;
            let count = low & 0x1f_ffff;
            let start = self.place(block)?;
            // All of it lies in one group.
            let last = self.place(block.checked_add(count.checked_sub(1)?)?)?;
            if last.checked_sub(start)? != self.layout.bytes(count.checked_sub(1)?) {
                return None;
            }
            let offset = (high & (u64::MAX >> 1)) >> 9;
            if !each(Extent { offset, start, count, unwritten: high >> 63 != 0 }) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// The extents of an inode that begin before block `end` of the file; `None` when they are
    /// more than a file that is read has.
    pub(super) fn list(&mut self, fork: &Fork, end: u64) -> Option<Vec<Extent>> {
        let mut all = Vec::new();
        let mut each = |extent: Extent| {
            let wanted = extent.offset < end && all.len() <= MOST_EXTENTS;
            all.extend(Some(extent).filter(|_| wanted));
            wanted
        };
        self.extents(fork, &mut each, &mut |_, _| {})?;
        (all.len() <= MOST_EXTENTS).then_some(all)
    }

    /// `len` bytes from byte `at` of what extents hold; holes are zeros.
    pub(super) fn content(&mut self, extents: &[Extent], at: u64, len: u64) -> Option<Vec<u8>> {
        let mut content = vec![0; usize::try_from(len).ok()?];
        let end = at.checked_add(len)?;
        self.spend(len.div_ceil(self.layout.superblock.block_size.into()))?;
        for extent in extents.iter().filter(|extent| !extent.unwritten) {
            let start = self.layout.bytes(extent.offset);
            let extent_end = start.saturating_add(self.layout.bytes(extent.count));
            let (from, to) = (start.max(at), extent_end.min(end));
            if from >= to {
                continue;
            }
            let place = extent.start.checked_add(from.checked_sub(start)?)?;
            let (to, len) = (from.checked_sub(at)?, to.checked_sub(from)?);
            let (to, len) = (usize::try_from(to).ok()?, usize::try_from(len).ok()?);
            let room = content.get_mut(to..to.checked_add(len)?)?;
            self.volume.read_at(place, room).ok()?;
        }
        Some(content)
    }
}

/// The pointers of a tree block: behind all the keys that it has room for.
fn pointers(body: &[u8], count: usize) -> Option<Vec<u64>> {
    let most = body.len().checked_div(RECORD)?;
    let keys = most.checked_mul(WORD)?;
    let pointers = slice(body, keys, count.checked_mul(WORD)?)?;
    (count <= most).then(|| pointers.chunks_exact(WORD).filter_map(|p| be64(p, 0)).collect())
}

impl Inode {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [old, new] = CORES;
        let version = byte(bytes, 4)?;
        let core = if version >= 3 { new } else { old };
        let size = be64(bytes, 56)?;
        let large = version >= 3 && be64(bytes, 120)? & LARGE_COUNTS != 0;
        let count = if large { be64(bytes, 24)? } else { be32(bytes, 76)?.into() };
        // The attributes' fork starts that many words of 8 bytes behind the data fork's start.
        let attributes = usize::from(byte(bytes, 82)?).checked_mul(8)?;
        let room = bytes.get(core..)?;
        let fork = if attributes == 0 { room } else { slice(room, 0, attributes)? };
        let fork = match byte(bytes, 5)? {
            1 => Fork::Local(slice(fork, 0, usize::try_from(size).ok()?)?.to_vec()),
            2 => {
                let len = usize::try_from(count).ok()?.checked_mul(RECORD)?;
                Fork::Extents(slice(fork, 0, len)?.to_vec())
            }
            3 => Fork::Tree(fork.to_vec()),
            // A device has its number here, a socket nothing.
            _ => Fork::Local(Vec::new()),
        };
        Some(Self { stat: stat(bytes, version)?, fork })
    }
}

/// What an inode of this version tells besides where its content is.
fn stat(bytes: &[u8], version: u8) -> Option<Stat> {
    let mode = be16(bytes, 2)?;
    let is_new = version >= 3;
    let has_big_times = is_new && be64(bytes, 120)? & BIG_TIMES != 0;
    let time = |at: usize| -> Option<Option<OffsetDateTime>> {
        Some(match has_big_times {
            true => big_time(be64(bytes, at)?),
            false => {
                let seconds = be32(bytes, at)?.cast_signed();
                times::unix(seconds.into(), be32(bytes, at.checked_add(4)?)?)
            }
        })
    };
    Some(Stat {
        kind: EntryKind::of_mode(mode),
        size: be64(bytes, 56)?,
        // Version 1 counts in a field of 16 bits.
        links: if version >= 2 { be32(bytes, 16)? } else { be16(bytes, 6)?.into() },
        times: Times {
            accessed: time(32)?,
            modified: time(40)?,
            changed: time(48)?,
            created: if is_new { time(144)? } else { None },
        },
        permissions: Some(Permissions {
            uid: be32(bytes, 8)?,
            gid: be32(bytes, 12)?,
            mode: mode & 0o7777,
        }),
        attributes: None,
    })
}

/// Nanoseconds since the earliest moment of 32 bits (`xfs_inode_decode_bigtime`).
fn big_time(nanoseconds: u64) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanoseconds % 1_000_000_000).ok()?;
    times::unix(seconds.checked_add(i32::MIN.into())?, rest)
}
