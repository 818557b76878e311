//! The superblock, which is there twice.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_super_block`; `fs/f2fs/super.c`,
//! `sanity_check_area_boundary`.

use crate::bytes::{ReadAt, le32, le64, slice};
use crate::volume::checksum::crc32;
use crate::volume::probe::piece;
use crate::volume::{Doubt, Filesystem, Kind, State, text};

/// Also what every checksum starts from.
pub(super) const MAGIC: u32 = 0xf2f5_2010;
/// Bytes of a block: the only size that Linux supports where a memory page has as many.
pub(super) const BLOCK: u32 = 4096;
/// Blocks of a segment.
pub(super) const SEGMENT: u32 = 512;
/// Where the superblock is in its block, and its length.
const AT: u64 = 1024;
const LEN: usize = 3072;
/// Paths and sizes of further devices, eight times.
const DEVICES: usize = 2201;
const DEVICES_LEN: usize = 68 * 8;
/// `F2FS_FEATURE_SB_CHKSUM`.
const CHECKSUM: u32 = 0x800;
/// `F2FS_FEATURE_FLEXIBLE_INLINE_XATTR`.
const FLEXIBLE: u32 = 0x40;
/// encrypt, atomic_write, extra_attr, project_quota, inode_checksum, flexible_inline_xattr,
/// quota, inode_crtime, lost_found, verity, sb_checksum, casefold, compression. Not: blkzoned
/// (bound to its device), ro (another set of logs), device_alias.
const KNOWN: u32 =
    0x1 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x1000 | 0x2000;

/// Where things lie, in blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    block_shift: u32,
    segment_shift: u32,
    /// Blocks of the filesystem.
    pub(super) blocks: u64,
    segments: u32,
    cp_segments: u32,
    sit_segments: u32,
    nat_segments: u32,
    ssa_segments: u32,
    /// Segments of the main area.
    pub(super) main_segments: u32,
    first: u32,
    /// Number of the root folder's inode.
    pub(super) root: u32,
    /// First block of the two checkpoint packs.
    pub(super) cp: u32,
    /// First block of the segment information table.
    pub(super) sit: u32,
    /// First block of the node address table.
    pub(super) nat: u32,
    ssa: u32,
    /// First block of the main area, the last one.
    pub(super) main: u32,
    /// Blocks that follow the first one of a checkpoint pack, for large bitmaps.
    pub(super) cp_payload: u32,
    features: u32,
    devices: Vec<u8>,
    uuid: [u8; 16],
}

impl Superblock {
    /// `None` when this is no F2FS.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let block_shift = le32(bytes, 16)?;
        if le32(bytes, 0)? != MAGIC || !(12..=16).contains(&block_shift) {
            return None;
        }
        Some(Self {
            block_shift,
            segment_shift: le32(bytes, 20)?,
            blocks: le64(bytes, 36)?,
            segments: le32(bytes, 48)?,
            cp_segments: le32(bytes, 52)?,
            sit_segments: le32(bytes, 56)?,
            nat_segments: le32(bytes, 60)?,
            ssa_segments: le32(bytes, 64)?,
            main_segments: le32(bytes, 68)?,
            first: le32(bytes, 72)?,
            cp: le32(bytes, 76)?,
            sit: le32(bytes, 80)?,
            nat: le32(bytes, 84)?,
            ssa: le32(bytes, 88)?,
            main: le32(bytes, 92)?,
            root: le32(bytes, 96)?,
            cp_payload: le32(bytes, 1664)?,
            features: le32(bytes, 2180)?,
            devices: slice(bytes, DEVICES, DEVICES_LEN)?.to_vec(),
            uuid: piece(bytes, 108)?,
        })
    }

    /// Reads the first superblock; `None` when this is no F2FS.
    pub(super) fn read(volume: &dyn ReadAt) -> std::io::Result<Option<(Self, Filesystem)>> {
        let bytes = crate::volume::probe::read(volume, AT, LEN)?;
        Ok(bytes.and_then(|bytes| {
            let superblock = Self::parse(&bytes)?;
            let found = superblock.describe(&bytes)?;
            Some((superblock, found))
        }))
    }

    fn describe(&self, bytes: &[u8]) -> Option<Filesystem> {
        let block_size = 1u32.checked_shl(self.block_shift)?;
        Some(Filesystem {
            kind: Kind::F2fs,
            label: text::label_utf16(slice(bytes, 124, 1024)?),
            uuid: text::uuid(self.uuid),
            size: self.blocks.checked_mul(block_size.into())?,
            block_size,
            used: None,
            last_use: None,
            state: State::Unknown,
        })
    }

    /// Fails when a feature is not understood, an area lies where it cannot, or the copies differ.
    pub(super) fn check(&self, volume: &dyn ReadAt) -> Result<(), Doubt> {
        if self.features & !KNOWN != 0 {
            let unknown = self.features & !KNOWN;
            return Err(Doubt::because(format!("it has unknown features {unknown:#x}")));
        }
        if self.devices.iter().any(|byte| *byte != 0) {
            return Err(Doubt::because("it is spread over several devices"));
        }
        self.check_areas(volume)?;
        for at in [AT, AT.saturating_add(BLOCK.into())] {
            let bytes = volume.read_vec(at, LEN).map_err(Doubt::reading("a superblock"))?;
            if self.features & CHECKSUM != 0 && !is_intact(&bytes) {
                return Err(Doubt::because("the checksum of a superblock is wrong"));
            }
            if Self::parse(&bytes).as_ref() != Some(self) {
                return Err(Doubt::because("its two superblocks differ"));
            }
        }
        Ok(())
    }

    /// Fails when an area lies where it cannot.
    pub(super) fn check_areas(&self, volume: &dyn ReadAt) -> Result<(), Doubt> {
        self.areas(volume.size()).ok_or_else(|| Doubt::because("its superblock makes no sense"))
    }

    /// Areas follow each other without a gap; `None` when something is wrong.
    fn areas(&self, volume_size: u64) -> Option<()> {
        let end = |start: u32, segments: u32| start.checked_add(segments.checked_mul(SEGMENT)?);
        let all = end(self.first, self.segments)?;
        let sane = self.block_shift == BLOCK.trailing_zeros()
            && self.segment_shift == SEGMENT.trailing_zeros()
            && self.cp_segments == 2
            && self.sit_segments != 0
            && self.sit_segments.is_multiple_of(2)
            && self.main_segments != 0
            && self.first >= 2
            && self.cp == self.first
            && self.sit == end(self.cp, self.cp_segments)?
            && self.nat == end(self.sit, self.sit_segments)?
            && self.ssa == end(self.nat, self.nat_segments)?
            && self.main == end(self.ssa, self.ssa_segments)?
            && end(self.main, self.main_segments)? <= all
            && u64::from(all) <= self.blocks
            && self.blocks.checked_mul(BLOCK.into())? <= volume_size;
        sane.then_some(())
    }

    /// Blocks of one copy of the segment information table.
    pub(super) fn sit_blocks(&self) -> u32 {
        (self.sit_segments / 2).saturating_mul(SEGMENT)
    }

    /// Blocks of one copy of the node address table.
    pub(super) fn nat_blocks(&self) -> u32 {
        (self.nat_segments / 2).saturating_mul(SEGMENT)
    }

    /// Whether each inode tells how much room it has for extended attributes.
    pub(super) fn has_flexible_attributes(&self) -> bool {
        self.features & FLEXIBLE != 0
    }

    /// Byte at which a block of files starts; `None` when the address is of no block in the main
    /// area.
    pub(super) fn main_block(&self, address: u32) -> Option<u64> {
        let blocks = self.main_segments.checked_mul(SEGMENT)?;
        let inside = address.checked_sub(self.main).is_some_and(|block| block < blocks);
        inside.then(|| Self::block(address.into()))
    }

    /// Byte at which a block starts.
    pub(super) fn block(number: u64) -> u64 {
        number.saturating_mul(BLOCK.into())
    }
}

fn is_intact(bytes: &[u8]) -> bool {
    let at = le32(bytes, 32).and_then(|at| usize::try_from(at).ok());
    let sum = at.and_then(|at| Some((slice(bytes, 0, at)?, le32(bytes, at)?)));
    sum.is_some_and(|(summed, sum)| crc32(MAGIC, summed) == sum)
}
