//! The readers of all that can be recognised.

use crate::container::firmware_raid::FirmwareRaid;
use crate::container::lvm::Lvm;
use crate::container::mdraid::MdRaid;
use crate::encryption::bitlocker::BitLocker;
use crate::encryption::luks::Luks;
use crate::filesystem::btrfs::Btrfs;
use crate::filesystem::exfat::ExFat;
use crate::filesystem::ext::Ext;
use crate::filesystem::f2fs::F2fs;
use crate::filesystem::fat::Fat;
use crate::filesystem::hfsplus::HfsPlus;
use crate::filesystem::ntfs::Ntfs;
use crate::filesystem::recognised::apfs::Apfs;
use crate::filesystem::recognised::iso9660::Iso9660;
use crate::filesystem::recognised::refs::ReFs;
use crate::filesystem::recognised::squashfs::Squashfs;
use crate::filesystem::recognised::zfs::Zfs;
use crate::filesystem::swap::Swap;
use crate::filesystem::xfs::Xfs;
use crate::volume::Format;

/// All readers: containers first, then swap, then filesystems; FAT last, since its signature is
/// the weakest.
pub(super) static FORMATS: &[&dyn Format] = &[
    &MdRaid,
    &FirmwareRaid,
    &Lvm,
    &Luks,
    &BitLocker,
    &Zfs,
    &Swap,
    &Ext,
    &Xfs,
    &Btrfs,
    &Ntfs,
    &ExFat,
    &ReFs,
    &F2fs,
    &Apfs,
    &HfsPlus,
    &Squashfs,
    &Iso9660,
    &Fat,
];
