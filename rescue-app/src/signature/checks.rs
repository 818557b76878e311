//! What has to be right besides the bytes of a signature, where these are too few to mean much.
//!
//! Each check gets the first byte of the signature; facts are libblkid's unless another source is
//! named.

use std::io;

use super::Ends;
use crate::bytes::{be16, be32, le16, le32, slice};

/// Tells whether a signature that stands at a byte of the volume is one.
pub(super) type Check = fn(&Ends<'_>, u64) -> io::Result<bool>;

/// The bytes of the signature are enough.
pub(super) fn nothing(_: &Ends<'_>, _: u64) -> io::Result<bool> {
    Ok(true)
}

/// The sector at `at`, held against `rule`; `false` where the volume ends earlier.
fn sector(volume: &Ends<'_>, at: u64, rule: impl Fn(&[u8]) -> Option<bool>) -> io::Result<bool> {
    let sector = volume.bytes(at, 512)?;
    Ok(sector.and_then(|sector| rule(&sector)).unwrap_or(false))
}

/// The generations of ext by their features (kernel `fs/ext4/ext4.h`), as libblkid names them.
#[derive(PartialEq)]
enum Ext {
    Two,
    Three,
    Four,
    Journal,
}

fn ext(volume: &Ends<'_>, wanted: &Ext) -> io::Result<bool> {
    sector(volume, 1024, |superblock| {
        let (compatible, incompatible) = (le32(superblock, 92)?, le32(superblock, 96)?);
        let read_only = le32(superblock, 100)?;
        let found = match () {
            () if incompatible & 0x8 != 0 => Ext::Journal,
            () if incompatible & !0x16 != 0 || read_only & !0x7 != 0 => Ext::Four,
            () if compatible & 0x4 != 0 => Ext::Three,
            () => Ext::Two,
        };
        Some(found == *wanted)
    })
}

pub(super) fn ext2(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    ext(volume, &Ext::Two)
}

pub(super) fn ext3(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    ext(volume, &Ext::Three)
}

pub(super) fn ext4(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    ext(volume, &Ext::Four)
}

/// An external journal.
pub(super) fn jbd(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    ext(volume, &Ext::Journal)
}

/// A master directory block with allocation blocks of whole sectors, and no HFS+ in it.
pub(super) fn hfs(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    Ok(master_directory_block(volume, at)? && !embeds_hfsplus(volume, at)?)
}

/// HFS+ in the wrapper of an HFS.
pub(super) fn hfsplus_in_hfs(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    Ok(master_directory_block(volume, at)? && embeds_hfsplus(volume, at)?)
}

fn master_directory_block(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |block| be32(block, 20).map(|size| size != 0 && size % 512 == 0))
}

fn embeds_hfsplus(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |block| slice(block, 124, 2).map(|it| it == b"H+" || it == b"HX"))
}

/// A volume header whose blocks are a power of two from 512 bytes (TN1150, "Volume Header").
pub(super) fn hfsplus(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |header| be32(header, 40).map(|size| size >= 512 && size.is_power_of_two()))
}

/// Minix, by version and byte order: maps large enough for the inodes and zones they speak of.
struct Minix {
    big_endian: bool,
    version: u8,
}

impl Minix {
    fn is_right(&self, volume: &Ends<'_>) -> io::Result<bool> {
        sector(volume, 1024, |superblock| {
            let two =
                |at| if self.big_endian { be16(superblock, at) } else { le16(superblock, at) };
            let four =
                |at| if self.big_endian { be32(superblock, at) } else { le32(superblock, at) };
            let (inodes, zones, maps) = match self.version {
                3 => (four(0)?, four(20)?, 6),
                2 => (u32::from(two(0)?), four(20)?, 4),
                _ => (u32::from(two(0)?), u32::from(two(2)?), 4),
            };
            let (inode_map, zone_map) = (u32::from(two(maps)?), u32::from(two(maps + 2)?));
            let (first, log_zone) = (u32::from(two(maps + 4)?), two(maps + 6)?);
            let holds = |map: u32, bits: u32| u64::from(map) * 8192 > u64::from(bits);
            let plausible = log_zone == 0 && inodes != 0 && inodes != u32::MAX && first <= zones;
            Some(plausible && holds(inode_map, inodes) && holds(zone_map, zones - first.min(zones)))
        })
    }
}

pub(super) fn minix(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: false, version: 1 }.is_right(volume)
}

pub(super) fn minix_big_endian(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: true, version: 1 }.is_right(volume)
}

pub(super) fn minix2(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: false, version: 2 }.is_right(volume)
}

pub(super) fn minix2_big_endian(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: true, version: 2 }.is_right(volume)
}

pub(super) fn minix3(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: false, version: 3 }.is_right(volume)
}

pub(super) fn minix3_big_endian(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    Minix { big_endian: true, version: 3 }.is_right(volume)
}

/// SquashFS of version 4 and later.
pub(super) fn squashfs4(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |it| le16(it, 28).map(|version| version >= 4))
}

/// SquashFS of the versions before 4.
pub(super) fn squashfs3(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    Ok(!squashfs4(volume, at)?)
}

/// A superblock whose checksum covers a possible number of bytes, and blocks of at most 64 KiB.
pub(super) fn nilfs(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    let superblock = at.saturating_sub(6);
    sector(volume, superblock, |it| Some((20..=1024).contains(&le16(it, 8)?) && le32(it, 20)? <= 6))
}

/// A boot sector whose parameters can be those of a FAT, and that is no other filesystem's.
pub(super) fn fat(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    sector(volume, 0, |boot| Some(is_fat(boot)))
}

fn is_fat(boot: &[u8]) -> bool {
    let parameters = || {
        let (sector_size, clusters) = (le16(boot, 11)?, *boot.get(13)?);
        let (reserved, tables, media) = (le16(boot, 14)?, *boot.get(16)?, *boot.get(21)?);
        let powers = sector_size.is_power_of_two() && clusters.is_power_of_two();
        let sizes = (512..=4096).contains(&sector_size) && reserved != 0 && tables != 0;
        let length = le16(boot, 22)? != 0 || le32(boot, 36)? != 0;
        Some(powers && sizes && length && (media >= 0xf8 || media == 0xf0))
    };
    let named = |name: &[u8]| slice(boot, 3, name.len()) == Some(name);
    !named(b"NTFS    ") && !named(b"EXFAT   ") && parameters().unwrap_or(false)
}

/// The GUID of BitLocker To Go in what looks like a FAT32 (libbde, "Volume header").
pub(super) fn bitlocker_to_go(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    volume.has(424, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01")
}

/// The header of a CoreStorage physical volume: version 1 with a checksum of kind 1.
pub(super) fn core_storage(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    sector(volume, 0, |it| Some(le16(it, 8)? == 1 && le32(it, 90)? == 1))
}

/// Version 1 or 2.
pub(super) fn lvm1(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |it| le16(it, 2).map(|version| matches!(version, 1 | 2)))
}

/// The 64 words of the metadata add up to 0 or 1.
pub(super) fn jmicron(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |it| Some(matches!(sum(slice(it, 0, 128)?), 0 | 1)))
}

/// The words up to the checksum and this one add up to 0.
pub(super) fn silicon(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at.saturating_sub(0x60), |it| Some(sum(slice(it, 0, 0x140)?) == 0))
}

/// The sum of little-endian words.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).filter_map(|word| le16(word, 0));
    words.fold(0, u16::wrapping_add)
}

/// Version 0 to 2, and byte 50 is the sum of those before.
pub(super) fn via(volume: &Ends<'_>, at: u64) -> io::Result<bool> {
    sector(volume, at, |it| {
        let sum = slice(it, 0, 50)?.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        Some(*it.get(2)? <= 2 && *it.get(50)? == sum)
    })
}

/// The type bytes of the four entries, when all their flags are possible.
fn mbr_types(sector: &[u8]) -> Option<Vec<u8>> {
    let entries = slice(sector, 446, 64)?.chunks(16);
    let possible = |entry: &[u8]| matches!(entry.first(), Some(0 | 0x80));
    entries.map(|entry| possible(entry).then(|| entry.get(4).copied()).flatten()).collect()
}

/// Four possible entries, none of them protective, not in the boot sector of a FAT. Those of exFAT
/// and NTFS count where their place for entries is all zeros, as in libblkid before 2.40.
pub(super) fn mbr(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    sector(volume, 0, |boot| {
        let elses = is_fat(boot) || slice(boot, 0, 4)? == b"\xc9\xc2\xd4\xc1";
        Some(!elses && mbr_types(boot).is_some_and(|types| !types.contains(&0xee)))
    })
}

/// An entry of type 0xEE.
pub(super) fn protective_mbr(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    sector(volume, 0, |boot| {
        Some(slice(boot, 446, 64)?.chunks(16).any(|entry| entry.get(4) == Some(&0xee)))
    })
}

/// A driver descriptor, and the partition map in the block after it.
pub(super) fn mac(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    let block = volume.bytes(2, 2)?.and_then(|size| be16(&size, 0)).unwrap_or_default();
    let map = volume.bytes(u64::from(block), 2)?.unwrap_or_default();
    Ok(block >= 512 && (map == b"PM" || map == b"TS"))
}

/// All words of the label are 0 when they are combined bit by bit.
pub(super) fn sun(volume: &Ends<'_>, _: u64) -> io::Result<bool> {
    sector(volume, 0, |label| {
        let words = label.chunks_exact(2).filter_map(|word| be16(word, 0));
        Some(words.fold(0, |all, word| all ^ word) == 0)
    })
}
