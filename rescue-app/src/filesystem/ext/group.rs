//! Group descriptors.
//!
//! Source: Linux `Documentation/filesystems/ext4/group_descr.rst`, `fs/ext4/super.c`
//! (`ext4_group_desc_csum`), `fs/ext4/bitmap.c`.

use super::feature::{incompat, ro_compat};
use super::superblock::Superblock;
use crate::bytes::{le16, le32, slice};
use crate::volume::checksum::{crc16, crc32c};

/// `EXT4_BG_BLOCK_UNINIT`: the block bitmap was never written.
const BLOCK_UNINIT: u16 = 0x2;

/// Byte of `bg_checksum` in a descriptor.
const CHECKSUM: usize = 30;

/// What the map needs of a descriptor; block numbers count from the start of the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Block of the block bitmap.
    pub(super) block_bitmap: u64,
    /// Block of the inode bitmap.
    pub(super) inode_bitmap: u64,
    /// First block of the inode table.
    pub(super) inode_table: u64,
    /// Free clusters by the group's own count.
    pub(super) free_clusters: u64,
    /// The block bitmap was never written: only the group's own metadata is in use.
    pub(super) uninitialised: bool,
    /// Inodes at the end of the group's table that were never used.
    pub(super) unused_inodes: u64,
    block_bitmap_checksum: u32,
}

impl Group {
    /// Reads one descriptor of `superblock.descriptor_size` bytes.
    pub(super) fn parse(superblock: &Superblock, bytes: &[u8]) -> Option<Self> {
        let wide = superblock.descriptor_size >= 64;
        let high32 = |at: usize| if wide { le32(bytes, at).map(u64::from) } else { Some(0) };
        let high16 = |at: usize| if wide { le16(bytes, at).map(u32::from) } else { Some(0) };
        let unused = u64::from(u32::from(le16(bytes, 28)?) | high16(50)? << 16);
        let checked = superblock.ro_compat & (ro_compat::GDT_CSUM | ro_compat::METADATA_CSUM) != 0;
        Some(Self {
            block_bitmap: u64::from(le32(bytes, 0)?) | high32(32)? << 32,
            inode_bitmap: u64::from(le32(bytes, 4)?) | high32(36)? << 32,
            inode_table: u64::from(le32(bytes, 8)?) | high32(40)? << 32,
            free_clusters: u64::from(u32::from(le16(bytes, 12)?) | high16(44)? << 16),
            uninitialised: checked && le16(bytes, 18)? & BLOCK_UNINIT != 0,
            unused_inodes: if checked { unused } else { 0 },
            block_bitmap_checksum: u32::from(le16(bytes, 24)?) | high16(56)? << 16,
        })
    }

    /// Whether a block bitmap carries the checksum that the descriptor says.
    pub(super) fn bitmap_is_intact(&self, superblock: &Superblock, bitmap: &[u8]) -> bool {
        if !superblock.has_ro_compat(ro_compat::METADATA_CSUM) {
            return true;
        }
        let len = usize::try_from(superblock.clusters_per_group / 8).unwrap_or(usize::MAX);
        let mask = if superblock.descriptor_size >= 64 { !0 } else { 0xffff };
        slice(bitmap, 0, len)
            .is_some_and(|bits| crc32c(seed(superblock), bits) & mask == self.block_bitmap_checksum)
    }
}

/// Start of every metadata checksum of this filesystem.
pub(super) fn seed(superblock: &Superblock) -> u32 {
    if superblock.has_incompat(incompat::CSUM_SEED) {
        superblock.checksum_seed
    } else {
        crc32c(!0, &superblock.uuid)
    }
}

/// Whether the descriptor of group number `group` carries the right checksum, if it has any.
pub(super) fn descriptor_is_intact(superblock: &Superblock, group: u64, bytes: &[u8]) -> bool {
    let Ok(number) = u32::try_from(group) else { return false };
    let Some((before, rest)) = bytes.split_at_checked(CHECKSUM) else { return false };
    let (Some(stored), Some(after)) = (le16(rest, 0), rest.get(2..)) else { return false };
    let number = number.to_le_bytes();
    if superblock.has_ro_compat(ro_compat::METADATA_CSUM) {
        let crc = [&number, before, &[0, 0], after].into_iter().fold(seed(superblock), crc32c);
        crc & 0xffff == u32::from(stored)
    } else if superblock.has_ro_compat(ro_compat::GDT_CSUM) {
        let crc = [&superblock.uuid[..], &number, before, after].into_iter().fold(!0, crc16);
        crc == stored
    } else {
        true
    }
}
