//! What fuzzing needs to know of filesystems whose checksums would stop every change.

use crate::bytes::ReadAt;

/// Places and bytes that make the checksums and copies of a changed volume right.
pub(crate) type Seal = fn(&dyn ReadAt) -> Vec<(u64, Vec<u8>)>;

/// exFAT: the boot regions.
pub(crate) const EXFAT: Seal = super::exfat::seal;
/// F2FS: the checkpoint packs and the second superblock.
pub(crate) const F2FS: Seal = super::f2fs::seal;
/// Arrays by firmware: checksums.
pub(crate) const FIRMWARE_RAID: Seal = super::firmware_raid::seal;
/// md: the sums of superblocks.
pub(crate) const MD_RAID: Seal = super::mdraid::seal;
/// HFS+: the alternate volume header.
pub(crate) const HFSPLUS: Seal = super::hfsplus::seal;
