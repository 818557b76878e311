//! What stands at the start of every allocation group: a copy of the superblock, the roots and
//! counts of its free space (AGF), and the list of blocks kept for its trees (AGFL).
//!
//! Source: Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_agf`, `struct xfs_agfl`;
//! `xfs_alloc.c`, `xfs_agf_verify`.

use super::checksum;
use super::layout::Layout;
use super::superblock::Superblock;
use crate::bytes::{be32, slice};
use crate::volume::probe::has;

/// Byte of `agf_crc`.
const CHECKSUM: usize = 216;
/// Byte of `agfl_crc`.
const LIST_CHECKSUM: usize = 32;
/// Bytes before the list in version 5; version 4 has none.
const LIST_HEADER: usize = 36;

/// A tree of free extents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// Its root, a block of the group.
    pub(super) root: u32,
    /// Levels, leaves included.
    pub(super) levels: u32,
}

/// What the map needs of a group's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Free extents by their place.
    pub(super) by_block: Tree,
    /// The same by their length.
    pub(super) by_len: Tree,
    /// Blocks in free extents by its own count.
    pub(super) free: u32,
    /// Blocks of the longest free extent.
    pub(super) longest: u32,
    /// Blocks of the trees beyond their roots: counted as free by the superblock.
    pub(super) tree_blocks: u32,
    /// Blocks kept for the trees to grow: in no free extent, counted as free by the superblock.
    pub(super) kept: Vec<u32>,
}

impl Group {
    /// Reads the header sectors of group `number`; the words say what is wrong with them.
    pub(super) fn parse(
        layout: &Layout<'_>,
        number: u32,
        header: &[u8],
    ) -> Result<Self, &'static str> {
        let sector = usize::from(layout.superblock.sector_size);
        let at = |index: usize| {
            slice(header, sector.saturating_mul(index), sector).ok_or("its header is cut off")
        };
        check_copy(layout.superblock, at(0)?)?;
        let agf = at(1)?;
        if !has(agf, 0, b"XAGF\0\0\0\x01") {
            return Err("its free-space header has no magic number");
        }
        if !carries(layout.superblock, agf, 64, CHECKSUM) {
            return Err("the free-space header's checksum or identity is wrong");
        }
        let field = |at: usize| be32(agf, at).ok_or("its free-space header is cut off");
        if field(8)? != number || u64::from(field(12)?) != layout.group_len(number) {
            return Err("its free-space header belongs to another group");
        }
        let kept = kept(layout.superblock, number, at(3)?, [field(40)?, field(44)?, field(48)?]);
        Ok(Self {
            by_block: Tree { root: field(16)?, levels: field(28)? },
            by_len: Tree { root: field(20)?, levels: field(32)? },
            free: field(52)?,
            longest: field(56)?,
            tree_blocks: field(60)?,
            kept: kept.ok_or("its list of kept blocks makes no sense")?,
        })
    }
}

/// Whether a header has the right checksum and the filesystem's identity at `uuid`, if it has any.
fn carries(superblock: &Superblock, header: &[u8], uuid: usize, crc: usize) -> bool {
    !superblock.has_checksums()
        || has(header, uuid, &superblock.metadata_uuid) && checksum::is_intact(header, crc)
}

/// Without checksums, every group's copy has to confirm the superblock's geometry.
fn check_copy(superblock: &Superblock, sector: &[u8]) -> Result<(), &'static str> {
    let copy = Superblock::parse(sector);
    let agrees = copy.is_some_and(|copy| copy.geometry() == superblock.geometry());
    if superblock.has_checksums() || agrees {
        return Ok(());
    }
    Err("its copy of the superblock contradicts the superblock")
}

/// The entries from `first` to `last` of a ring.
fn kept(
    superblock: &Superblock,
    number: u32,
    sector: &[u8],
    [first, last, count]: [u32; 3],
) -> Option<Vec<u32>> {
    let list = if superblock.has_checksums() {
        let header = has(sector, 0, b"XAFL") && be32(sector, 4) == Some(number);
        if !header || !carries(superblock, sector, 8, LIST_CHECKSUM) {
            return None;
        }
        sector.get(LIST_HEADER..)?
    } else {
        sector
    };
    let entries: Vec<u32> = list.chunks_exact(4).filter_map(|entry| be32(entry, 0)).collect();
    let len = u32::try_from(entries.len()).ok()?;
    // An empty list has its end just before its start.
    let span = last.checked_add(1)?.checked_add(len)?.checked_sub(first)?.checked_rem(len)?;
    let full = span == 0 && count == len;
    if first >= len || last >= len || (span != count && !full) {
        return None;
    }
    let ring = entries.iter().cycle().skip(usize::try_from(first).ok()?);
    Some(ring.take(usize::try_from(count).ok()?).copied().collect())
}
