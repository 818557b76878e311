//! Signatures that are looked for in several places, or that no fixed bytes make.

use std::io;

use super::{Ends, Signature, Usage};
use crate::bytes::{be32, le64, slice};

/// What these searches find on `volume`.
pub(super) fn find(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    let mut found = zfs(volume)?;
    found.extend(ufs(volume)?);
    found.extend(xfs_log(volume)?);
    found.extend(gpt_elsewhere(volume)?);
    found.extend(atari(volume)?);
    Ok(found)
}

/// Size of a ZFS label; there are two at each end (OpenZFS, `include/sys/vdev_impl.h`).
const ZFS_LABEL: u64 = 256 << 10;
/// Where in a label its list of names and values begins, and its ring of uberblocks.
const ZFS_LIST: usize = 16 << 10;
const ZFS_RING: usize = 128 << 10;
/// The least size of an uberblock, bytes.
const ZFS_UBERBLOCK: usize = 1 << 10;
const ZFS_MAGIC: u64 = 0x00ba_b10c;

/// The header of each label's list (newer versions of libblkid look at it) and every uberblock
/// (older ones do).
fn zfs(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    let size = volume.volume.size();
    let mut found = Vec::new();
    if size < 4 * ZFS_LABEL {
        return Ok(found);
    }
    let end = size / ZFS_LABEL * ZFS_LABEL;
    let named =
        |offset, len| Signature { name: "zfs_member", usage: Usage::Filesystem, offset, len };
    for label in [0, ZFS_LABEL, end - 2 * ZFS_LABEL, end - ZFS_LABEL] {
        let len = usize::try_from(ZFS_LABEL).unwrap_or_default();
        let Some(bytes) = volume.bytes(label, len)? else { continue };
        // Encoding (XDR is 1), byte order, two bytes and two words of 0, length of the first pair.
        let header = slice(&bytes, ZFS_LIST, 16).unwrap_or_default();
        let is_list = header.first() == Some(&1)
            && matches!(header.get(1), Some(0 | 1))
            && slice(header, 2, 2) == Some(&[0, 0])
            && slice(&bytes, ZFS_LIST + 24, 7) == Some(b"version");
        if is_list {
            found.push(named(label + ZFS_LIST as u64, header.len()));
        }
        let ring = bytes.get(ZFS_RING..).unwrap_or_default().chunks(ZFS_UBERBLOCK);
        let starts = (label + ZFS_RING as u64..).step_by(ZFS_UBERBLOCK);
        let is_uberblock = |block: &[u8]| {
            let magic = le64(block, 0).unwrap_or_default();
            magic == ZFS_MAGIC || magic.swap_bytes() == ZFS_MAGIC
        };
        let blocks = starts.zip(ring).filter(|(_, block)| is_uberblock(block));
        found.extend(blocks.map(|(at, _)| named(at, 8)));
    }
    Ok(found)
}

/// The superblock of UFS, in either byte order, of one of six kinds (kernel `fs/ufs/ufs_fs.h`).
fn ufs(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    /// Where the magic stands in the superblock.
    const MAGIC: u64 = 1372;
    const KINDS: [u32; 6] =
        [0x1954_0119, 0x0001_1954, 0x0019_5612, 0x0009_5014, 0x0061_2195, 0x0523_1994];
    let mut found = Vec::new();
    for superblock in [0u64, 8 << 10, 64 << 10, 256 << 10] {
        let Some(bytes) = volume.bytes(superblock + MAGIC, 4)? else { continue };
        let magic = be32(&bytes, 0).unwrap_or_default();
        if KINDS.iter().any(|kind| *kind == magic || kind.swap_bytes() == magic) {
            let (name, usage) = ("ufs", Usage::Filesystem);
            found.push(Signature { name, usage, offset: superblock + MAGIC, len: bytes.len() });
        }
    }
    Ok(found)
}

/// An external log of XFS: a record header in one of the first 512 sectors (kernel
/// `fs/xfs/libxfs/xfs_log_format.h`: magic, cycle, version, length; format at byte 300).
fn xfs_log(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    const SECTORS: u64 = 512;
    let is_record = |sector: &[u8]| {
        be32(sector, 0) == Some(0xfeed_babe)
            && matches!(be32(sector, 8), Some(1 | 2))
            && be32(sector, 12).is_some_and(|len| len != 0)
            && matches!(be32(sector, 300), Some(1..=3))
    };
    let mut found = Vec::new();
    for offset in (0..SECTORS).map(|sector| sector * 512) {
        let Some(sector) = volume.bytes(offset, 512)? else { break };
        if is_record(&sector) {
            let (name, usage) = ("xfs_external_log", Usage::Other);
            found.push(Signature { name, usage, offset, len: 4 });
        }
    }
    Ok(found)
}

/// The backup of a GPT where its primary header says it is: not at the end of the disk when that
/// is larger than the one that the table was made for (UEFI specification, table 5-5).
fn gpt_elsewhere(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    const SIGNATURE: &[u8] = b"EFI PART";
    let mut found = Vec::new();
    for sector in [512, 4096] {
        let Some(header) = volume.bytes(sector, 92)? else { continue };
        let Some(offset) = le64(&header, 32).and_then(|lba| lba.checked_mul(sector)) else {
            continue;
        };
        if header.starts_with(SIGNATURE) && volume.has(offset, SIGNATURE)? {
            let (name, usage) = ("gpt", Usage::Table);
            found.push(Signature { name, usage, offset, len: SIGNATURE.len() });
        }
    }
    Ok(found)
}

/// The table of an Atari (AHDI): no magic, but a size and up to four entries in sector 0. Each has
/// an active bit, three letters or digits, first sector and number of sectors.
fn atari(volume: &Ends<'_>) -> io::Result<Vec<Signature>> {
    const ENTRIES: usize = 0x1c6;
    let sectors = volume.volume.size() / 512;
    let Some(root) = volume.bytes(0, 512)? else { return Ok(Vec::new()) };
    let size = be32(&root, 0x1c2).unwrap_or_default();
    if size < 2 || u64::from(size) > sectors || sectors > u64::from(i32::MAX.unsigned_abs()) {
        return Ok(Vec::new());
    }
    let fits = |start: u32, len: u32| {
        (1..=size).contains(&start)
            && (1..=size).contains(&len)
            && start.checked_add(len).is_some_and(|end| end <= size)
    };
    let pair = |at: usize| Some((be32(&root, at)?, be32(&root, at + 4)?));
    let bad_sectors = pair(0x1f6).unwrap_or_default();
    if bad_sectors != (0, 0) && !fits(bad_sectors.0, bad_sectors.1) {
        return Ok(Vec::new());
    }
    let is_entry = |at: &usize| {
        root.get(*at).is_some_and(|flags| flags & 1 == 1)
            && slice(&root, *at + 1, 3).is_some_and(|id| id.iter().all(u8::is_ascii_alphanumeric))
            && pair(*at + 4).is_some_and(|(start, len)| fits(start, len))
    };
    let entries = (0..4).map(|slot| ENTRIES + slot * 12).filter(is_entry);
    let named =
        |at: usize| Signature { name: "atari", usage: Usage::Table, offset: at as u64, len: 4 };
    Ok(entries.map(named).collect())
}
