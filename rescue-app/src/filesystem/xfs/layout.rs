//! Where allocation groups and the log lie.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_sb.c` (`xfs_validate_sb_common`), `xfs_fs.h`
//! (`XFS_MIN_AG_BYTES`, `XFS_MAX_AG_BYTES`).

use super::feature::{features2, incompat, log_incompat, ro_compat, version};
use super::superblock::Superblock;
use crate::volume::Doubt;

/// Bytes of the largest allocation group.
const LARGEST_GROUP: u64 = 1 << 40;
/// Blocks of the smallest allocation group (`XFS_MIN_AG_BLOCKS`).
const FEWEST_BLOCKS: u64 = 64;
/// The largest sector that mkfs makes (`XFS_MAX_SECTORSIZE`).
const LARGEST_SECTOR: u16 = 32768;
/// Superblock, free space, inodes, free list: a sector each at the start of a group.
const HEADER_SECTORS: u64 = 4;

/// A half-open range of blocks; from the start of the volume, or of a group.
pub(super) type Blocks = (u64, u64);

/// A superblock whose features and geometry have been checked.
pub(super) struct Layout<'a> {
    /// The superblock.
    pub(super) superblock: &'a Superblock,
    /// Group that holds the log.
    pub(super) log_group: u32,
    /// The blocks of the log in that group.
    pub(super) log: Blocks,
}

impl<'a> Layout<'a> {
    /// Checks features and geometry against each other and the volume.
    pub(super) fn new(superblock: &'a Superblock, volume_size: u64) -> Result<Self, Doubt> {
        check_features(superblock)?;
        check_parts(superblock)?;
        Self::derive(superblock, volume_size).ok_or_else(|| {
            Doubt::because("the superblock's geometry contradicts itself or the volume's size")
        })
    }

    fn derive(superblock: &'a Superblock, volume_size: u64) -> Option<Self> {
        let block_size = superblock.block_size;
        let (per_group, groups) = (u64::from(superblock.ag_blocks), u64::from(superblock.ag_count));
        let most = per_group.checked_mul(groups)?;
        let fewest = most.checked_sub(per_group)?.checked_add(FEWEST_BLOCKS)?;
        let sane = superblock.sector_size.is_power_of_two()
            && (512..=LARGEST_SECTOR).contains(&superblock.sector_size)
            && u32::from(superblock.sector_size) <= block_size
            && per_group >= FEWEST_BLOCKS
            && per_group.checked_mul(block_size.into())? <= LARGEST_GROUP
            && u32::from(superblock.ag_block_log) == bits(per_group)
            && (fewest..=most).contains(&superblock.blocks)
            && superblock.size()? <= volume_size;
        let log_group =
            u32::try_from(superblock.log_start.checked_shr(superblock.ag_block_log.into())?);
        let mask = 1u64.checked_shl(superblock.ag_block_log.into())?.checked_sub(1)?;
        let start = superblock.log_start & mask;
        let log = (start, start.checked_add(superblock.log_blocks.into())?);
        let layout = Self { superblock, log_group: log_group.ok()?, log };
        let log_fits = layout.log_group < superblock.ag_count
            && log.0 >= layout.header_blocks()
            && log.0 < log.1
            && log.1 <= layout.group_len(layout.log_group);
        (sane && log_fits).then_some(layout)
    }

    /// Blocks at the start of a group that hold its superblock copy and the roots of its records.
    pub(super) fn header_blocks(&self) -> u64 {
        self.header_len().div_ceil(self.superblock.block_size.into())
    }

    /// The same in bytes.
    pub(super) fn header_len(&self) -> u64 {
        u64::from(self.superblock.sector_size).saturating_mul(HEADER_SECTORS)
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u32) -> u64 {
        u64::from(group).saturating_mul(self.superblock.ag_blocks.into())
    }

    /// Blocks of a group.
    pub(super) fn group_len(&self, group: u32) -> u64 {
        let rest = self.superblock.blocks.saturating_sub(self.group_start(group));
        rest.min(self.superblock.ag_blocks.into())
    }

    /// Byte of the volume at which a block of a group starts.
    pub(super) fn byte(&self, group: u32, block: u64) -> u64 {
        self.bytes(self.group_start(group).saturating_add(block))
    }

    /// Blocks as bytes.
    pub(super) fn bytes(&self, blocks: u64) -> u64 {
        blocks.saturating_mul(self.superblock.block_size.into())
    }
}

/// Bits that hold any number below `count`.
fn bits(count: u64) -> u32 {
    u64::BITS.saturating_sub(count.saturating_sub(1).leading_zeros())
}

fn check_features(superblock: &Superblock) -> Result<(), Doubt> {
    if ![4, 5].contains(&superblock.version_number()) {
        let words = format!("version {} of XFS is not known", superblock.version_number());
        return Err(Doubt::because(words));
    }
    let words = [
        ("version", u32::from(superblock.version & !0xf & !version::KNOWN)),
        ("further", superblock.features2 & !features2::KNOWN),
        ("compatible", superblock.compat),
        ("read-only compatible", superblock.ro_compat & !ro_compat::KNOWN),
        ("incompatible", superblock.incompat & !incompat::KNOWN),
        ("log", superblock.log_incompat & !log_incompat::KNOWN),
    ];
    for (name, unknown) in words {
        if unknown != 0 {
            return Err(Doubt::because(format!("it has unknown {name} features {unknown:#x}")));
        }
    }
    Ok(())
}

/// What the free-space records of this volume alone do not describe.
fn check_parts(superblock: &Superblock) -> Result<(), Doubt> {
    if superblock.in_progress {
        return Err(Doubt::because("it was not made to the end"));
    }
    if superblock.log_start == 0 {
        return Err(Doubt::because("its log lies on another device"));
    }
    if superblock.realtime_blocks != 0 {
        return Err(Doubt::because("it has a realtime section on another device"));
    }
    Ok(())
}
