//! Signatures that are fixed bytes at a fixed distance from the start or the end of a volume.

use std::io;

use super::checks::{self, Check};
use super::{Ends, Signature, Usage};
use Usage::{Crypto, Filesystem, Other, Raid, Table};

/// Where a signature stands.
#[derive(Clone, Copy)]
enum Place {
    /// This many bytes from the start.
    Start(u64),
    /// `back` bytes before the end, which is rounded down to whole units of `unit` bytes first;
    /// then `on` bytes on.
    End { unit: u64, back: u64, on: u64 },
}

/// A signature of the list.
struct Magic {
    name: &'static str,
    usage: Usage,
    place: Place,
    bytes: &'static [u8],
    /// What else has to be right; for bytes that any data may hold.
    check: Check,
}

impl Magic {
    const fn when(self, check: Check) -> Self {
        Self { check, ..self }
    }
}

const fn start(name: &'static str, usage: Usage, at: u64, bytes: &'static [u8]) -> Magic {
    Magic { name, usage, place: Place::Start(at), bytes, check: checks::nothing }
}

/// In the sector of 512 bytes that is the `back`th from the end.
const fn sector(
    name: &'static str,
    usage: Usage,
    back: u64,
    on: u64,
    bytes: &'static [u8],
) -> Magic {
    end(name, usage, 512, back * 512, on, bytes)
}

const fn end(
    name: &'static str,
    usage: Usage,
    unit: u64,
    back: u64,
    on: u64,
    bytes: &'static [u8],
) -> Magic {
    Magic { name, usage, place: Place::End { unit, back, on }, bytes, check: checks::nothing }
}

impl Place {
    /// The byte on a volume of `size` bytes.
    fn on(self, size: u64) -> Option<u64> {
        match self {
            Self::Start(at) => Some(at),
            Self::End { unit, back, on } => Some((size / unit * unit).checked_sub(back)? + on),
        }
    }
}

/// Every signature of the list that is on `volume`.
pub(super) fn find(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    let mut found = Vec::new();
    for magic in [FILESYSTEMS, SWAP, MEMBERS, TABLES, COPIES].into_iter().flatten() {
        let Some(offset) = magic.place.on(volume.volume.size()) else { continue };
        if volume.has(offset, magic.bytes)? && (magic.check)(volume, offset)? {
            let Magic { name, usage, .. } = *magic;
            found.push(Signature { name, usage, offset, len: magic.bytes.len() });
        }
    }
    Ok(found)
}

/// 1 KiB.
const KIB: u64 = 1 << 10;
/// 1 MiB.
const MIB: u64 = 1 << 20;

const BCACHEFS: &[u8] = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";
const BTRFS: &[u8] = b"_BHRfS_M";
const FAT_BOOT: u64 = 510;

#[rustfmt::skip]
const FILESYSTEMS: &[Magic] = &[
    start("apfs", Filesystem, 32, b"NXSB"),
    start("bcachefs", Filesystem, 4 * KIB + 24, BCACHEFS),
    start("bcachefs", Filesystem, 2 * MIB + 24, BCACHEFS),
    end("bcachefs", Filesystem, 1, MIB, 24, BCACHEFS),
    start("befs", Filesystem, 32, b"BFS1"),
    start("befs", Filesystem, 32, b"1SFB"),
    start("befs", Filesystem, 512 + 32, b"BFS1"),
    start("befs", Filesystem, 512 + 32, b"1SFB"),
    start("bfs", Filesystem, 0, b"\xce\xfa\xad\x1b"),
    start("btrfs", Filesystem, 64 * KIB + 64, BTRFS),
    start("cramfs", Filesystem, 0, b"\x45\x3d\xcd\x28"),
    start("cramfs", Filesystem, 0, b"\x28\xcd\x3d\x45"),
    start("drbdproxy_datalog", Filesystem, 0, b"DRBDdlh*"),
    start("erofs", Filesystem, KIB, b"\xe2\xe1\xf5\xe0"),
    start("exfat", Filesystem, 3, b"EXFAT   "),
    start("exfs", Filesystem, 0, b"EXFS"),
    start("ext2", Filesystem, KIB + 56, b"\x53\xef").when(checks::ext2),
    start("ext3", Filesystem, KIB + 56, b"\x53\xef").when(checks::ext3),
    start("ext4", Filesystem, KIB + 56, b"\x53\xef").when(checks::ext4),
    start("jbd", Other, KIB + 56, b"\x53\xef").when(checks::jbd),
    start("f2fs", Filesystem, KIB, b"\x10\x20\xf5\xf2"),
    start("gfs2", Filesystem, 64 * KIB, b"\x01\x16\x19\x70"),
    start("hfs", Filesystem, KIB, b"BD").when(checks::hfs),
    start("hfsplus", Filesystem, KIB, b"BD").when(checks::hfsplus_in_hfs),
    start("hfsplus", Filesystem, KIB, b"H+").when(checks::hfsplus),
    start("hfsplus", Filesystem, KIB, b"HX").when(checks::hfsplus),
    start("hpfs", Filesystem, 8 * KIB, b"\x49\xe8\x95\xf9"),
    start("iso9660", Filesystem, 32 * KIB + 1, b"CD001"),
    start("iso9660", Filesystem, 32 * KIB + 9, b"CDROM"),
    start("jfs", Filesystem, 32 * KIB, b"JFS1"),
    start("minix", Filesystem, KIB + 16, b"\x7f\x13").when(checks::minix),
    start("minix", Filesystem, KIB + 16, b"\x8f\x13").when(checks::minix),
    start("minix", Filesystem, KIB + 16, b"\x13\x7f").when(checks::minix_big_endian),
    start("minix", Filesystem, KIB + 16, b"\x13\x8f").when(checks::minix_big_endian),
    start("minix", Filesystem, KIB + 16, b"\x68\x24").when(checks::minix2),
    start("minix", Filesystem, KIB + 16, b"\x78\x24").when(checks::minix2),
    start("minix", Filesystem, KIB + 16, b"\x24\x68").when(checks::minix2_big_endian),
    start("minix", Filesystem, KIB + 16, b"\x24\x78").when(checks::minix2_big_endian),
    start("minix", Filesystem, KIB + 24, b"\x5a\x4d").when(checks::minix3),
    start("minix", Filesystem, KIB + 24, b"\x4d\x5a").when(checks::minix3_big_endian),
    start("mpool", Filesystem, 0, b"mpoolDev"),
    start("nilfs2", Filesystem, KIB + 6, b"\x34\x34").when(checks::nilfs),
    sector("nilfs2", Filesystem, 8, 6, b"\x34\x34").when(checks::nilfs),
    start("nss", Filesystem, 4 * KIB, b"SPB5"),
    start("ntfs", Filesystem, 3, b"NTFS    "),
    start("ocfs", Filesystem, 8 * KIB, b"OracleCFS"),
    start("ocfs2", Filesystem, KIB, b"OCFSV2"),
    start("ocfs2", Filesystem, 2 * KIB, b"OCFSV2"),
    start("ocfs2", Filesystem, 4 * KIB, b"OCFSV2"),
    start("ocfs2", Filesystem, 8 * KIB, b"OCFSV2"),
    start("oracleasm", Filesystem, 32, b"ORCLDISK"),
    start("ReFS", Filesystem, 0, b"\0\0\0ReFS\0"),
    start("reiserfs", Filesystem, 8 * KIB + 52, b"ReIsErFs"),
    start("reiserfs", Filesystem, 64 * KIB + 52, b"ReIsEr2Fs"),
    start("reiserfs", Filesystem, 64 * KIB + 52, b"ReIsEr3Fs"),
    start("reiserfs", Filesystem, 64 * KIB + 52, b"ReIsErFs"),
    start("reiserfs", Filesystem, 8 * KIB + 20, b"ReIsErFs"),
    start("reiser4", Filesystem, 64 * KIB, b"ReIsEr4"),
    start("romfs", Filesystem, 0, b"-rom1fs-"),
    start("scoutfs_meta", Filesystem, 64 * KIB + 4, b"\x8b\x42\x3c\x10"),
    start("squashfs", Filesystem, 0, b"hsqs").when(checks::squashfs4),
    start("squashfs3", Filesystem, 0, b"hsqs").when(checks::squashfs3),
    start("squashfs3", Filesystem, 0, b"sqsh"),
    start("sysv", Filesystem, 512 + 504, b"\x20\x7e\x18\xfd"),
    start("sysv", Filesystem, 512 + 504, b"\xfd\x18\x7e\x20"),
    start("sysv", Filesystem, 9 * KIB + 512 + 504, b"\x20\x7e\x18\xfd"),
    start("sysv", Filesystem, 9 * KIB + 512 + 504, b"\xfd\x18\x7e\x20"),
    start("sysv", Filesystem, 15 * KIB + 512 + 504, b"\x20\x7e\x18\xfd"),
    start("sysv", Filesystem, 15 * KIB + 512 + 504, b"\xfd\x18\x7e\x20"),
    start("sysv", Filesystem, 18 * KIB + 512 + 504, b"\x20\x7e\x18\xfd"),
    start("sysv", Filesystem, 18 * KIB + 512 + 504, b"\xfd\x18\x7e\x20"),
    start("ubifs", Filesystem, 0, b"\x31\x18\x10\x06"),
    start("udf", Filesystem, 32 * KIB + 1, b"BEA01"),
    start("udf", Filesystem, 32 * KIB + 1, b"BOOT2"),
    start("udf", Filesystem, 32 * KIB + 1, b"CDW02"),
    start("udf", Filesystem, 32 * KIB + 1, b"NSR02"),
    start("udf", Filesystem, 32 * KIB + 1, b"NSR03"),
    start("udf", Filesystem, 32 * KIB + 1, b"TEA01"),
    start("vfat", Filesystem, 0x52, b"MSWIN").when(checks::fat),
    start("vfat", Filesystem, 0x52, b"FAT32   ").when(checks::fat),
    start("vfat", Filesystem, 0x36, b"MSDOS").when(checks::fat),
    start("vfat", Filesystem, 0x36, b"FAT16   ").when(checks::fat),
    start("vfat", Filesystem, 0x36, b"FAT12   ").when(checks::fat),
    start("vfat", Filesystem, 0x36, b"FAT     ").when(checks::fat),
    start("vfat", Filesystem, 0, b"\xeb").when(checks::fat),
    start("vfat", Filesystem, 0, b"\xe9").when(checks::fat),
    start("vfat", Filesystem, FAT_BOOT, b"\x55\xaa").when(checks::fat),
    start("VMFS", Filesystem, 2 * MIB, b"\x5e\xf1\xab\x2f"),
    start("vxfs", Filesystem, KIB, b"\xf5\xfc\x01\xa5"),
    start("vxfs", Filesystem, 8 * KIB, b"\xa5\x01\xfc\xf5"),
    start("xenix", Filesystem, 2 * KIB, b"\x2b\x55\x44"),
    start("xenix", Filesystem, 2 * KIB, b"\x44\x55\x2b"),
    start("xfs", Filesystem, 0, b"XFSB"),
    start("zonefs", Filesystem, 0, b"SFOZ"),
];

/// Swap space and hibernation, by the page size of the machine.
#[rustfmt::skip]
const SWAP: &[Magic] = &[
    start("swap", Other, 4 * KIB - 10, b"SWAP-SPACE"),
    start("swap", Other, 4 * KIB - 10, b"SWAPSPACE2"),
    start("swap", Other, 8 * KIB - 10, b"SWAP-SPACE"),
    start("swap", Other, 8 * KIB - 10, b"SWAPSPACE2"),
    start("swap", Other, 16 * KIB - 10, b"SWAP-SPACE"),
    start("swap", Other, 16 * KIB - 10, b"SWAPSPACE2"),
    start("swap", Other, 32 * KIB - 10, b"SWAP-SPACE"),
    start("swap", Other, 32 * KIB - 10, b"SWAPSPACE2"),
    start("swap", Other, 64 * KIB - 10, b"SWAP-SPACE"),
    start("swap", Other, 64 * KIB - 10, b"SWAPSPACE2"),
    start("swsuspend", Other, 0, b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"),
    start("swsuspend", Other, 4 * KIB - 10, b"S1SUSPEND"),
    start("swsuspend", Other, 4 * KIB - 10, b"S2SUSPEND"),
    start("swsuspend", Other, 4 * KIB - 10, b"ULSUSPEND"),
    start("swsuspend", Other, 4 * KIB - 10, b"LINHIB0001"),
    start("swsuspend", Other, 8 * KIB - 10, b"S1SUSPEND"),
    start("swsuspend", Other, 8 * KIB - 10, b"S2SUSPEND"),
    start("swsuspend", Other, 8 * KIB - 10, b"ULSUSPEND"),
    start("swsuspend", Other, 8 * KIB - 10, b"LINHIB0001"),
    start("swsuspend", Other, 16 * KIB - 10, b"S1SUSPEND"),
    start("swsuspend", Other, 16 * KIB - 10, b"S2SUSPEND"),
    start("swsuspend", Other, 16 * KIB - 10, b"ULSUSPEND"),
    start("swsuspend", Other, 16 * KIB - 10, b"LINHIB0001"),
    start("swsuspend", Other, 32 * KIB - 10, b"S1SUSPEND"),
    start("swsuspend", Other, 32 * KIB - 10, b"S2SUSPEND"),
    start("swsuspend", Other, 32 * KIB - 10, b"ULSUSPEND"),
    start("swsuspend", Other, 32 * KIB - 10, b"LINHIB0001"),
    start("swsuspend", Other, 64 * KIB - 10, b"S1SUSPEND"),
    start("swsuspend", Other, 64 * KIB - 10, b"S2SUSPEND"),
    start("swsuspend", Other, 64 * KIB - 10, b"ULSUSPEND"),
    start("swsuspend", Other, 64 * KIB - 10, b"LINHIB0001"),
];

const BCACHE: &[u8] = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
const DDF: &[u8] = b"\xde\x11\xde\x11";
const INTEL: &[u8] = b"Intel Raid ISM Cfg Sig. ";
const LUKS2_SECOND: &[u8] = b"SKUL\xba\xbe";
const LVM2: &[u8] = b"LVM2 001";
const MD: &[u8] = b"\xfc\x4e\x2b\xa9";
const MD_BIG_ENDIAN: &[u8] = b"\xa9\x2b\x4e\xfc";
const PROMISE: &[u8] = b"Promise Technology, Inc.";
const STRATIS: &[u8] = b"!Stra0tis\x86\xff\x02^\x41rh";

/// Members of something larger, and encrypted containers.
#[rustfmt::skip]
const MEMBERS: &[Magic] = &[
    sector("adaptec_raid_member", Raid, 1, 0, b"\x37\xfc\x4d\x1e"),
    start("bcache", Other, 4 * KIB + 24, BCACHE),
    start("BitLocker", Crypto, 0, b"\xeb\x52\x90-FVE-FS-"),
    start("BitLocker", Crypto, 0, b"\xeb\x58\x90-FVE-FS-"),
    start("BitLocker", Crypto, 0, b"\xeb\x58\x90MSWIN4.1").when(checks::bitlocker_to_go),
    start("ceph_bluestore", Other, 0, b"bluestore block device"),
    start("crypto_LUKS", Crypto, 0, b"LUKS\xba\xbe"),
    start("crypto_LUKS", Crypto, 16 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 32 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 64 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 128 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 256 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 512 * KIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, MIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 2 * MIB, LUKS2_SECOND),
    start("crypto_LUKS", Crypto, 4 * MIB, LUKS2_SECOND),
    start("cs_fvault2", Crypto, 88, b"CS").when(checks::core_storage),
    sector("ddf_raid_member", Raid, 1, 0, DDF),
    sector("ddf_raid_member", Raid, 257, 0, DDF),
    start("DM_integrity", Crypto, 0, b"integrt\0"),
    start("DM_snapshot_cow", Other, 0, b"SnAp"),
    start("DM_verity_hash", Crypto, 0, b"verity\0\0"),
    end("drbd", Raid, 1, 4 * KIB, 60, b"\x83\x74\x02\x6b"),
    end("drbd", Raid, 1, 4 * KIB, 60, b"\x83\x74\x02\x6c"),
    end("drbd", Raid, 1, 4 * KIB, 60, b"\x83\x74\x02\x6d"),
    start("drbdmanage_control_volume", Other, 0, b"$DRBDmgr=q"),
    start("hpt37x_raid_member", Raid, 4 * KIB + 544, b"\xf0\x16\x78\x5a"),
    start("hpt37x_raid_member", Raid, 4 * KIB + 544, b"\xfd\x16\x78\x5a"),
    sector("hpt45x_raid_member", Raid, 11, 0, b"\xf3\x16\x78\x5a"),
    sector("hpt45x_raid_member", Raid, 11, 0, b"\xfd\x16\x78\x5a"),
    sector("isw_raid_member", Raid, 2, 0, INTEL),
    end("isw_raid_member", Raid, 4 * KIB, 8 * KIB, 0, INTEL),
    sector("jmicron_raid_member", Raid, 1, 0, b"JM").when(checks::jmicron),
    end("linux_raid_member", Raid, 64 * KIB, 64 * KIB, 0, MD),
    end("linux_raid_member", Raid, 64 * KIB, 64 * KIB, 0, MD_BIG_ENDIAN),
    end("linux_raid_member", Raid, 4 * KIB, 8 * KIB, 0, MD),
    start("linux_raid_member", Raid, 0, MD),
    start("linux_raid_member", Raid, 4 * KIB, MD),
    sector("lsi_mega_raid_member", Raid, 1, 0, b"$XIDE$"),
    start("LVM1_member", Raid, 0, b"HM").when(checks::lvm1),
    start("LVM2_member", Raid, 0x018, LVM2),
    start("LVM2_member", Raid, 0x218, LVM2),
    start("LVM2_member", Raid, 0x418, LVM2),
    start("LVM2_member", Raid, 0x618, LVM2),
    sector("nvidia_raid_member", Raid, 2, 0, b"NVIDIA  "),
    sector("promise_fasttrack_raid_member", Raid, 16, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 63, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 255, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 256, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 399, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 591, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 675, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 735, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 911, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 951, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 974, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 991, 0, PROMISE),
    sector("promise_fasttrack_raid_member", Raid, 3087, 0, PROMISE),
    sector("silicon_medley_raid_member", Raid, 1, 0x60, b"\0\0\0\x2f").when(checks::silicon),
    start("stratis", Raid, 512 + 4, STRATIS),
    start("stratis", Raid, 9 * 512 + 4, STRATIS),
    start("ubi", Raid, 0, b"UBI#"),
    start("vdo", Other, 0, b"dmvdo001"),
    sector("via_raid_member", Raid, 1, 0, b"\x55\xaa").when(checks::via),
    start("VMFS_volume_member", Raid, MIB, b"\x0d\xd0\x01\xc0"),
];

const BSD: &[u8] = b"\x57\x45\x56\x82";
const GPT: &[u8] = b"EFI PART";

/// Partition tables.
#[rustfmt::skip]
const TABLES: &[Magic] = &[
    start("aix", Table, 0, b"\xc9\xc2\xd4\xc1"),
    start("bsd", Table, 64, BSD),
    start("bsd", Table, 128, BSD),
    start("bsd", Table, 512, BSD),
    start("dos", Table, 510, b"\x55\xaa").when(checks::mbr),
    start("gpt", Table, 512, GPT),
    start("gpt", Table, 4 * KIB, GPT),
    sector("gpt", Table, 1, 0, GPT),
    end("gpt", Table, 4 * KIB, 4 * KIB, 0, GPT),
    start("mac", Table, 0, b"ER").when(checks::mac),
    start("PMBR", Table, 510, b"\x55\xaa").when(checks::protective_mbr),
    start("sgi", Table, 0, b"\x0b\xe5\xa9\x41"),
    start("solaris", Table, 512 + 12, b"\xee\xde\x0d\x60"),
    start("sun", Table, 508, b"\xda\xbe").when(checks::sun),
    start("ultrix", Table, 16 * KIB - 72, b"\x57\x29\x03\0\x01\0\0\0"),
    start("unixware", Table, 29 * 512 + 4, b"\x0d\x60\xe5\xca"),
];

/// Copies that their formats keep and libblkid does not look at: Btrfs (mirrors of the superblock,
/// kernel `fs/btrfs/disk-io.h`), F2FS and JFS (second superblock), the alternate volume
/// header of HFS+ (TN1150), and the backup boot sector in the last sector of an NTFS.
#[rustfmt::skip]
const COPIES: &[Magic] = &[
    start("btrfs", Filesystem, 64 * MIB + 64, BTRFS),
    start("btrfs", Filesystem, 256 * KIB * MIB + 64, BTRFS),
    start("f2fs", Filesystem, 5 * KIB, b"\x10\x20\xf5\xf2"),
    start("jfs", Filesystem, 60 * KIB, b"JFS1"),
    sector("hfsplus", Filesystem, 2, 0, b"H+").when(checks::hfsplus),
    sector("hfsplus", Filesystem, 2, 0, b"HX").when(checks::hfsplus),
    sector("ntfs", Filesystem, 1, 3, b"NTFS    "),
];
