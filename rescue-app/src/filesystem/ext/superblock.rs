//! The superblock: geometry, features, identity, state.

use super::feature::{compat, incompat, ro_compat};
use crate::bytes::{le16, le32, slice};
use crate::volume::checksum::crc32c;
use crate::volume::probe::{byte, piece};
use crate::volume::{Filesystem, Kind, LastUse, State, text};

/// Byte at which the primary superblock starts, whatever the block size.
pub(super) const AT: u64 = 1024;
/// Its length.
pub(super) const LEN: usize = 1024;

/// Byte of `s_checksum`.
const CHECKSUM: usize = 0x3fc;

const MAGIC: u16 = 0xef53;

/// `s_state`: cleanly unmounted. Stays set while a journalled filesystem is mounted.
const STATE_VALID: u16 = 1;
/// `s_state`: the kernel found errors.
const STATE_ERRORS: u16 = 2;

/// What the map needs from the superblock, with the names of `struct ext4_super_block`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Blocks of the filesystem.
    pub(super) blocks_count: u64,
    /// Free blocks by its own count.
    pub(super) free_blocks: u64,
    /// Blocks that only the superuser may take.
    pub(super) reserved_blocks: u64,
    /// Inodes of the filesystem.
    pub(super) inodes_count: u32,
    /// Free inodes by its own count.
    pub(super) free_inodes: u32,
    /// Block at which group 0 starts: 1 with 1 KiB blocks, else 0.
    pub(super) first_data_block: u32,
    /// Bytes of a block.
    pub(super) block_size: u32,
    /// Blocks of a cluster; 1 without bigalloc.
    pub(super) cluster_ratio: u32,
    /// Blocks of a group.
    pub(super) blocks_per_group: u32,
    /// Clusters of a group: valid bits of its bitmap.
    pub(super) clusters_per_group: u32,
    /// Inodes of a group.
    pub(super) inodes_per_group: u32,
    /// Bytes of an inode.
    pub(super) inode_size: u16,
    /// Bytes of a group descriptor.
    pub(super) descriptor_size: u16,
    /// Compatible features.
    pub(super) compat: u32,
    /// Incompatible features.
    pub(super) incompat: u32,
    /// Read-only compatible features.
    pub(super) ro_compat: u32,
    /// Blocks kept behind the group descriptors for growth.
    pub(super) reserved_gdt_blocks: u16,
    /// `s_log_groups_per_flex`: with `flex_bg`, how many groups keep their metadata together.
    pub(super) log_groups_per_flex: u8,
    /// First metablock group with `meta_bg`.
    pub(super) first_meta_bg: u32,
    /// The two groups with backups under `sparse_super2`.
    pub(super) backup_groups: [u32; 2],
    /// Inode of the journal; 0 when it lies on another device.
    pub(super) journal_inode: u32,
    /// Checksum algorithm of `metadata_csum`; 1 is CRC-32C.
    pub(super) checksum_type: u8,
    /// `s_checksum_seed`.
    pub(super) checksum_seed: u32,
    /// `s_uuid`.
    pub(super) uuid: [u8; 16],
    /// `s_state`.
    pub(super) state: u16,
    last_use: Option<LastUse>,
    label: Option<String>,
}

impl Superblock {
    /// Reads the fields; `None` when this is no ext superblock or its geometry makes no sense.
    pub(super) fn parse(block: &[u8]) -> Option<Self> {
        let log_block_size = le32(block, 24)?;
        let sane = le16(block, 56)? == MAGIC && log_block_size <= 6 && le32(block, 76)? <= 1;
        if !sane {
            return None;
        }
        let dynamic = le32(block, 76)? == 1;
        let rev1 = |value: u32| if dynamic { value } else { 0 };
        let (compat, incompat, ro_compat) =
            (rev1(le32(block, 92)?), rev1(le32(block, 96)?), rev1(le32(block, 100)?));
        let wide = incompat & incompat::BIT64 != 0;
        let joined = |low: usize, high: usize| -> Option<u64> {
            let high = if wide { u64::from(le32(block, high)?) << 32 } else { 0 };
            Some(high | u64::from(le32(block, low)?))
        };
        let bigalloc = ro_compat & ro_compat::BIGALLOC != 0;
        let log_ratio = le32(block, 28)?.checked_sub(log_block_size).filter(|_| bigalloc);
        let blocks_per_group = le32(block, 32)?;
        let found = Self {
            blocks_count: joined(4, 336)?,
            free_blocks: joined(12, 344)?,
            reserved_blocks: joined(8, 340)?,
            inodes_count: le32(block, 0)?,
            free_inodes: le32(block, 16)?,
            first_data_block: le32(block, 20)?,
            block_size: 1024u32.checked_shl(log_block_size)?,
            cluster_ratio: 1u32.checked_shl(log_ratio.unwrap_or(0)).filter(|r| *r <= 1 << 20)?,
            blocks_per_group,
            clusters_per_group: if bigalloc { le32(block, 36)? } else { blocks_per_group },
            inodes_per_group: le32(block, 40)?,
            inode_size: if dynamic { le16(block, 88)? } else { 128 },
            descriptor_size: if wide { le16(block, 254)? } else { 32 },
            compat,
            incompat,
            ro_compat,
            reserved_gdt_blocks: le16(block, 206)?,
            log_groups_per_flex: byte(block, 0x174)?,
            first_meta_bg: le32(block, 260)?,
            backup_groups: [le32(block, 0x24c)?, le32(block, 0x250)?],
            journal_inode: le32(block, 224)?,
            checksum_type: byte(block, 0x175)?,
            checksum_seed: le32(block, 0x270)?,
            uuid: piece(block, 104)?,
            state: le16(block, 58)?,
            last_use: last_use(block),
            label: text::label(slice(block, 120, 16)?),
        };
        let sane = found.blocks_count > u64::from(found.first_data_block)
            && found.blocks_per_group != 0
            && found.size().is_some()
            && incompat & incompat::JOURNAL_DEV == 0;
        sane.then_some(found)
    }

    /// Bytes the filesystem covers.
    pub(super) fn size(&self) -> Option<u64> {
        self.blocks_count.checked_mul(self.block_size.into())
    }

    /// Blocks in use by its own count.
    pub(super) fn used_blocks(&self) -> Option<u64> {
        self.blocks_count.checked_sub(self.free_blocks)
    }

    /// Whether all of these `compat` bits are set.
    pub(super) fn has_compat(&self, bits: u32) -> bool {
        self.compat & bits == bits
    }

    /// Whether all of these `incompat` bits are set.
    pub(super) fn has_incompat(&self, bits: u32) -> bool {
        self.incompat & bits == bits
    }

    /// Whether all of these `ro_compat` bits are set.
    pub(super) fn has_ro_compat(&self, bits: u32) -> bool {
        self.ro_compat & bits == bits
    }

    /// Whether the block that it was read from carries the right checksum, if it has any.
    pub(super) fn is_intact(&self, block: &[u8]) -> bool {
        !self.has_ro_compat(ro_compat::METADATA_CSUM)
            || slice(block, 0, CHECKSUM).map(|bytes| crc32c(!0, bytes)) == le32(block, CHECKSUM)
    }

    /// Whether the bitmaps can be right at all, be it after replaying the journal: no errors were
    /// recorded, and a filesystem without a journal was unmounted.
    pub(super) fn is_in_order(&self) -> bool {
        self.state & STATE_ERRORS == 0 && self.state & STATE_VALID != 0
    }

    /// The common description.
    pub(super) fn describe(&self) -> Filesystem {
        let used = self.used_blocks();
        Filesystem {
            kind: self.kind(),
            label: self.label.clone(),
            uuid: text::uuid(self.uuid),
            size: self.size().unwrap_or(0),
            block_size: self.block_size,
            used: used.and_then(|used| used.checked_mul(self.block_size.into())),
            last_use: self.last_use.clone(),
            state: self.cleanliness(),
        }
    }

    fn kind(&self) -> Kind {
        let ext4 = self.incompat & !incompat::EXT3 != 0 || self.ro_compat & !ro_compat::EXT3 != 0;
        match ext4 {
            true => Kind::Ext4,
            false if self.has_compat(compat::HAS_JOURNAL) => Kind::Ext3,
            false => Kind::Ext2,
        }
    }

    fn cleanliness(&self) -> State {
        if self.state & STATE_ERRORS != 0 {
            State::Dirty("the kernel recorded errors in it".into())
        } else if self.has_incompat(incompat::NEEDS_RECOVERY) {
            State::Dirty("its journal holds changes that were not written back".into())
        } else if self.state & STATE_VALID == 0 {
            State::Dirty("it was not unmounted".into())
        } else {
            State::Clean
        }
    }
}

/// `s_mtime`, `s_wtime` and `s_last_mounted`; the times have their highest eight bits further down.
fn last_use(block: &[u8]) -> Option<LastUse> {
    let time = |low: usize, high: usize| {
        let seconds = i64::from(byte(block, high)?) << 32 | i64::from(le32(block, low)?);
        LastUse::time(seconds)
    };
    LastUse {
        mounted: time(0x2c, 0x275),
        path: text::label(slice(block, 0x88, 64)?),
        written: time(0x30, 0x274),
        by: None,
    }
    .known()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn times_have_forty_bits() {
        let mut block = vec![0u8; LEN];
        assert_eq!(last_use(&block), None);
        block[0x2c..0x30].copy_from_slice(&1_700_000_000u32.to_le_bytes());
        block[0x275] = 1;
        let mounted = last_use(&block).unwrap().mounted.unwrap();
        // `date -u -d @5994967296`
        assert_eq!(mounted.to_string(), "2159-12-22 4:41:36.0 +00:00:00");
    }
}
