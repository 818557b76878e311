//! What fuzzing needs to know of filesystems and containers whose checksums would stop every change.

use crate::bytes::ReadAt;
use crate::{container, filesystem};

/// Places and bytes that make the checksums and copies of a changed volume right.
pub(crate) type Seal = fn(&dyn ReadAt) -> Vec<(u64, Vec<u8>)>;

/// exFAT: the boot regions.
pub(crate) const EXFAT: Seal = filesystem::exfat::seal;
/// F2FS: the checkpoint packs and the second superblock.
pub(crate) const F2FS: Seal = filesystem::f2fs::seal;
/// Arrays by firmware: checksums.
pub(crate) const FIRMWARE_RAID: Seal = container::firmware_raid::seal;
/// md: the sums of superblocks.
pub(crate) const MD_RAID: Seal = container::mdraid::seal;
/// HFS+: the alternate volume header.
pub(crate) const HFSPLUS: Seal = filesystem::hfsplus::seal;
