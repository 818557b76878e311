//! The names of what can be recognised.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a volume holds. Serialised as a stable lower-case word; a word from a newer version
/// deserialises to [`Kind::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// Second extended filesystem: no journal.
    Ext2,
    /// Third extended filesystem: ext2 with a journal.
    Ext3,
    /// Fourth extended filesystem: extents and the features that came with them.
    Ext4,
    /// Windows NT filesystem.
    Ntfs,
    /// FAT with 12-bit entries.
    Fat12,
    /// FAT with 16-bit entries.
    Fat16,
    /// FAT with 32-bit entries.
    Fat32,
    /// Extended FAT.
    ExFat,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// Flash-friendly filesystem.
    F2fs,
    /// Linux swap space, or a hibernation image in it.
    Swap,
    /// Physical volume of LVM2.
    Lvm2,
    /// LUKS version 1 container.
    Luks1,
    /// LUKS version 2 container.
    Luks2,
    /// Member of a Linux md RAID array.
    MdRaid,
    /// Member of an array that a PC's firmware or a controller puts together.
    FirmwareRaid,
    /// BitLocker container.
    BitLocker,
    /// ISO 9660 (CD, DVD).
    Iso9660,
    /// SquashFS.
    Squashfs,
    /// Microsoft ReFS.
    ReFs,
    /// Apple APFS container.
    Apfs,
    /// Apple HFS+ or HFSX.
    HfsPlus,
    /// Member of a ZFS pool.
    Zfs,
    /// Device behind or in front of bcache.
    Bcache,
    /// Device of DRBD.
    Drbd,
    /// Device of Ceph's BlueStore.
    CephBluestore,
    /// Device of a Stratis pool.
    Stratis,
    /// VDO: deduplicated and compressed blocks.
    Vdo,
    /// Disk of Oracle ASM.
    OracleAsm,
    /// Apple CoreStorage physical volume (FileVault 2, Fusion Drive).
    CoreStorage,
    /// Blocks with integrity tags (dm-integrity).
    DmIntegrity,
    /// Hash tree of another volume (dm-verity).
    DmVerity,
    /// Store of a snapshot (dm-snapshot).
    DmSnapshot,
    /// Physical volume of LVM1.
    Lvm1,
    /// Flash under UBI.
    Ubi,
    /// VMware VMFS.
    Vmfs,
    /// Journal of an ext3 or ext4 on another device.
    ExtJournal,
    /// Log of an XFS on another device.
    XfsLog,
    /// bcachefs.
    Bcachefs,
    /// Filesystem of BeOS and Haiku.
    BeFs,
    /// Boot filesystem of UnixWare.
    Bfs,
    /// Compressed ROM filesystem.
    Cramfs,
    /// Enhanced read-only filesystem.
    Erofs,
    /// Extended XFS of SGI.
    Exfs,
    /// Global filesystem 2.
    Gfs2,
    /// Apple HFS, the older one.
    Hfs,
    /// Filesystem of OS/2.
    Hpfs,
    /// JFS of IBM.
    Jfs,
    /// Minix.
    Minix,
    /// Mpool of HSE.
    Mpool,
    /// NILFS2.
    Nilfs2,
    /// Novell Storage Services.
    Nss,
    /// Oracle cluster filesystem.
    Ocfs2,
    /// ReiserFS version 3.
    ReiserFs,
    /// Reiser4.
    Reiser4,
    /// ROM filesystem.
    Romfs,
    /// ScoutFS.
    Scoutfs,
    /// System V and its like, Xenix among them.
    SysV,
    /// UBIFS.
    Ubifs,
    /// Universal disk format.
    Udf,
    /// UFS, FFS.
    Ufs,
    /// Veritas filesystem.
    VxFs,
    /// Zones as files.
    Zonefs,
    /// Named by a newer version of Lifeboat.
    #[serde(other)]
    Other,
}

impl Kind {
    /// Whether it is a part of something larger, as a rule of several disks.
    pub fn is_member(self) -> bool {
        matches!(self, Self::MdRaid | Self::FirmwareRaid | Self::Lvm2 | Self::Zfs)
    }

    /// Whether it is encrypted and may have been unlocked for a capture.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Luks1 | Self::Luks2 | Self::BitLocker)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Ntfs => "NTFS",
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
            Self::ExFat => "exFAT",
            Self::Xfs => "XFS",
            Self::Btrfs => "Btrfs",
            Self::F2fs => "F2FS",
            Self::Swap => "swap",
            Self::Lvm2 => "LVM2",
            Self::Luks1 => "LUKS1",
            Self::Luks2 => "LUKS2",
            Self::MdRaid => "md RAID",
            Self::FirmwareRaid => "firmware RAID",
            Self::BitLocker => "BitLocker",
            Self::Iso9660 => "ISO 9660",
            Self::Squashfs => "SquashFS",
            Self::ReFs => "ReFS",
            Self::Apfs => "APFS",
            Self::HfsPlus => "HFS+",
            Self::Zfs => "ZFS",
            Self::Bcache => "bcache",
            Self::Drbd => "DRBD",
            Self::CephBluestore => "Ceph BlueStore",
            Self::Stratis => "Stratis",
            Self::Vdo => "VDO",
            Self::OracleAsm => "Oracle ASM",
            Self::CoreStorage => "CoreStorage",
            Self::DmIntegrity => "dm-integrity",
            Self::DmVerity => "dm-verity",
            Self::DmSnapshot => "dm-snapshot",
            Self::Lvm1 => "LVM1",
            Self::Ubi => "UBI",
            Self::Vmfs => "VMFS",
            Self::ExtJournal => "ext journal",
            Self::XfsLog => "XFS log",
            Self::Bcachefs => "bcachefs",
            Self::BeFs => "BeFS",
            Self::Bfs => "BFS",
            Self::Cramfs => "cramfs",
            Self::Erofs => "EROFS",
            Self::Exfs => "EXFS",
            Self::Gfs2 => "GFS2",
            Self::Hfs => "HFS",
            Self::Hpfs => "HPFS",
            Self::Jfs => "JFS",
            Self::Minix => "Minix",
            Self::Mpool => "mpool",
            Self::Nilfs2 => "NILFS2",
            Self::Nss => "NSS",
            Self::Ocfs2 => "OCFS2",
            Self::ReiserFs => "ReiserFS",
            Self::Reiser4 => "Reiser4",
            Self::Romfs => "romfs",
            Self::Scoutfs => "ScoutFS",
            Self::SysV => "System V",
            Self::Ubifs => "UBIFS",
            Self::Udf => "UDF",
            Self::Ufs => "UFS",
            Self::VxFs => "VxFS",
            Self::Zonefs => "zonefs",
            Self::Other => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stable_and_unknown_words_are_accepted() {
        assert_eq!(serde_json::to_string(&Kind::MdRaid).unwrap(), "\"mdraid\"");
        assert_eq!(serde_json::to_string(&Kind::HfsPlus).unwrap(), "\"hfsplus\"");
        assert_eq!(serde_json::from_str::<Kind>("\"ext4\"").unwrap(), Kind::Ext4);
        assert_eq!(serde_json::from_str::<Kind>("\"hammer2\"").unwrap(), Kind::Other);
        assert_eq!(format!("{:<6}|", Kind::ExFat), "exFAT |");
    }
}
