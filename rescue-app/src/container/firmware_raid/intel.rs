//! Intel's metadata: a block of parameters whose first sector is the last but one of the disk, the
//! rest before it; with a table of disks, then the volumes, each with one map of where it lies, or
//! two while it changes. Everything is little-endian; lengths and places count sectors.
//!
//! Source: mdadm `super-intel.c` (`struct imsm_super`, `imsm_disk`, `imsm_dev`, `imsm_vol`, `imsm_map`).

use std::io;

use super::{Member, data, not_mapped};
use crate::bytes::{ReadAt, le32, slice};
use crate::volume::probe::{byte, has, read};
use crate::volume::text;

const SIGNATURE: &[u8] = b"Intel Raid ISM Cfg Sig. ";

/// Sector sizes that a disk can have.
const SECTORS: [(u64, usize); 2] = [(512, 512), (4096, 4096)];

/// Where the checksum stands.
const CHECKSUM: usize = 0x20;

/// Bytes of parameters at most: what the format reserves for them at the end of a disk.
const MOST: usize = 2210 * 512;

/// Where the table of disks begins, and the length of its entries.
const DISKS: usize = 0xd8;
const DISK: usize = 48;

/// Bytes of a volume before its first map, and of a map before its members.
const VOLUME: usize = 0x70;
const MAP: usize = 0x30;

/// A state of a map: more members are lost than it can do without.
const FAILED: u8 = 3;

/// What the parameters on a disk say.
pub(super) fn member(volume: &dyn ReadAt) -> io::Result<Option<Member>> {
    let Some(anchor) = Anchor::find(volume)? else { return Ok(None) };
    let Some((parameters, start)) = anchor.parameters(volume)? else {
        return Ok(Some(Member::in_doubt("the length of its RAID metadata makes no sense")));
    };
    if le32(&parameters, CHECKSUM) != checksum(&parameters) {
        return Ok(Some(Member::in_doubt("the checksum of its RAID metadata is wrong")));
    }
    let member = parse(&parameters, anchor.sector, start);
    Ok(Some(member.unwrap_or_else(|| Member::in_doubt("its RAID metadata are cut short"))))
}

/// The first sector of the parameters.
struct Anchor {
    bytes: Vec<u8>,
    at: u64,
    /// Bytes of a sector.
    sector: u64,
}

impl Anchor {
    fn find(volume: &dyn ReadAt) -> io::Result<Option<Self>> {
        for (sector, len) in SECTORS {
            let last = volume.size().checked_div(sector).and_then(|count| count.checked_sub(2));
            let Some(at) = last.and_then(|last| last.checked_mul(sector)) else { continue };
            let bytes = read(volume, at, len)?.filter(|bytes| has(bytes, 0, SIGNATURE));
            if let Some(bytes) = bytes {
                return Ok(Some(Self { bytes, at, sector }));
            }
        }
        Ok(None)
    }

    /// All of the parameters, and the byte where they begin; `None` when they cannot be as long as
    /// they say.
    fn parameters(&self, volume: &dyn ReadAt) -> io::Result<Option<(Vec<u8>, u64)>> {
        let len = le32(&self.bytes, 0x24).and_then(|len| usize::try_from(len).ok());
        let Some(len) = len.filter(|len| (DISKS..=MOST).contains(len)) else { return Ok(None) };
        let first = self.bytes.len();
        let more = len.saturating_sub(first).checked_next_multiple_of(first);
        let place = more.and_then(|more| Some((more, self.at.checked_sub(more as u64)?)));
        let Some((more, start)) = place else { return Ok(None) };
        let mut all = self.bytes.clone();
        all.extend(volume.read_vec(start, more)?);
        all.truncate(len);
        Ok(Some((all, start)))
    }
}

/// The sum of all words but its own.
fn checksum(parameters: &[u8]) -> Option<u32> {
    let words = parameters.chunks_exact(4).filter_map(|word| le32(word, 0));
    let sum = words.fold(0, u32::wrapping_add);
    Some(sum.wrapping_sub(le32(parameters, CHECKSUM)?))
}

/// What makes changed parameters pass their checksum.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(volume: &dyn ReadAt) -> Option<(u64, Vec<u8>)> {
    let anchor = Anchor::find(volume).ok()??;
    let (parameters, _) = anchor.parameters(volume).ok()??;
    let place = anchor.at.checked_add(CHECKSUM as u64)?;
    Some((place, checksum(&parameters)?.to_le_bytes().to_vec()))
}

fn parse(parameters: &[u8], sector: u64, end: u64) -> Option<Member> {
    let disks = usize::from(byte(parameters, 0x38)?);
    let mut at = disks.checked_mul(DISK)?.checked_add(DISKS)?;
    let mut arrays = Vec::new();
    for _ in 0..byte(parameters, 0x39)? {
        let volume = parameters.get(at..)?;
        let changes = byte(volume, 0x58)? != 0;
        let map = volume.get(VOLUME..)?;
        let data = if changes {
            Err("its array is being built, rebuilt or checked".to_owned())
        } else {
            mirrored(volume, map)?.and_then(|(start, len)| data(start, len, sector, end))
        };
        arrays.push(Member { label: text::label(slice(volume, 0, 16)?), data });
        let first = map_len(map)?;
        let second = if changes { map_len(map.get(first..)?)? } else { 0 };
        at = at.checked_add(VOLUME)?.checked_add(first)?.checked_add(second)?;
    }
    Some(Member::of(arrays, end))
}

fn map_len(map: &[u8]) -> Option<usize> {
    usize::from(byte(map, 0x10)?).checked_mul(4)?.checked_add(MAP)
}

/// The sectors of a mirror's content: the first, and how many.
fn mirrored(volume: &[u8], map: &[u8]) -> Option<Result<(u64, u64), String>> {
    let (state, level, members) = (byte(map, 0xe)?, byte(map, 0xf)?, byte(map, 0x10)?);
    Some(match (level, members) {
        (1, 2) if state != FAILED => {
            let start = joined(le32(map, 0)?, le32(map, 0x14)?);
            let len = joined(le32(volume, 0x10)?, le32(volume, 0x14)?);
            let room = joined(le32(map, 4)?, le32(map, 0x18)?);
            Ok((start, len.min(room)))
        }
        (1, 2) => Err("its array has failed".to_owned()),
        (1, _) => Err(not_mapped("RAID 10")),
        (level, _) => Err(not_mapped(&format!("RAID {level}"))),
    })
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
