//! SNIA's Common RAID Disk Data Format: an anchor in the last sector tells where the sections are
//! that describe disks, arrays, and the parts of arrays on this disk. Everything is big-endian;
//! lengths and places count sectors of 512 bytes.
//!
//! Source: SNIA, "Common RAID Disk Data Format Specification" 2.0, §4 (structures); mdadm `super-ddf.c`.

use std::io;

use super::{Member, data, not_mapped};
use crate::bytes::{ReadAt, be16, be32, be64, slice};
use crate::volume::checksum::crc32;
use crate::volume::probe::{byte, piece, read};
use crate::volume::text;

const HEADER_MAGIC: u32 = 0xde11_de11;
const DISK_DATA_MAGIC: u32 = 0x3333_3333;
const DISKS_MAGIC: u32 = 0x2222_2222;
const ARRAYS_MAGIC: u32 = 0xdddd_dddd;
const CONFIGURATION_MAGIC: u32 = 0xeeee_eeee;

const SECTOR: u64 = 512;

/// A section is longer than this only in metadata that are made up: 4096 disks, or as many arrays,
/// take 256 KiB; records of what is on this disk, 256 of them with 256 disks each, less than 1 MiB.
const LONGEST: u64 = 8192;

/// Length of an entry in the lists of disks and of arrays, which begin after as many bytes.
const ENTRY: usize = 64;

/// A bit of a disk's type: it belongs to an array.
const ACTIVE: u16 = 2;
/// A disk's state: failed, being rebuilt, in transition or missing.
const DISK_IN_DOUBT: u16 = 2 | 4 | 8 | 64;
/// An array's state: its lowest three bits are 0 when nothing is missing, 1 when it can do without
/// what is; the next one is set while it is reshaped.
const OPTIMAL: u8 = 0;
const DEGRADED: u8 = 1;
const STATE: u8 = 0xf;

/// The sections that matter here, by the place of their offset and length in the header.
const DISKS: usize = 200;
const ARRAYS: usize = 208;
const CONFIGURATIONS: usize = 216;
const DISK_DATA: usize = 224;

/// What the metadata on a disk say.
pub(super) fn member(volume: &dyn ReadAt) -> io::Result<Option<Member>> {
    let last = volume.size().checked_div(SECTOR).and_then(|sectors| sectors.checked_sub(1));
    let Some(anchor) = last.and_then(|last| last.checked_mul(SECTOR)) else { return Ok(None) };
    let anchor = read(volume, anchor, 512)?.filter(|it| be32(it, 0) == Some(HEADER_MAGIC));
    let Some(anchor) = anchor else { return Ok(None) };
    Ok(Some(match Metadata::read(volume, &anchor)? {
        Ok(metadata) => metadata.member().unwrap_or_else(|| Member::in_doubt(CUT_SHORT)),
        Err(why) => Member::in_doubt(why),
    }))
}

const CUT_SHORT: &str = "its RAID metadata are cut short";
const WRONG: &str = "a checksum of its RAID metadata is wrong";

/// The sections of one disk, their checksums checked.
struct Metadata {
    /// Byte before which the content of arrays ends.
    end: u64,
    disks: Vec<u8>,
    arrays: Vec<u8>,
    /// One for each array, or part of one, on this disk.
    configurations: Vec<Vec<u8>>,
    disk_data: Vec<u8>,
    /// Members that a configuration has room for.
    room: usize,
}

impl Metadata {
    fn read(volume: &dyn ReadAt, anchor: &[u8]) -> io::Result<Result<Self, String>> {
        if !is_sound(anchor) {
            return Ok(Err(WRONG.to_owned()));
        }
        let Some((header, lba)) = header(volume, anchor)? else {
            return Ok(Err("neither header of its RAID metadata can be used".to_owned()));
        };
        let section = |at: usize| section(volume, &header, lba, at);
        let sections =
            [section(DISKS)?, section(ARRAYS)?, section(CONFIGURATIONS)?, section(DISK_DATA)?];
        let [Some(disks), Some(arrays), Some(configurations), Some(mut disk_data)] = sections
        else {
            return Ok(Err(CUT_SHORT.to_owned()));
        };
        disk_data.truncate(512);
        let records = configurations.chunks_exact(length(&header)).map(<[u8]>::to_vec);
        let configurations: Vec<_> =
            records.filter(|it| be32(it, 0) == Some(CONFIGURATION_MAGIC)).collect();
        let kinds = [(&disks, DISKS_MAGIC), (&arrays, ARRAYS_MAGIC), (&disk_data, DISK_DATA_MAGIC)];
        let known = kinds.iter().all(|(section, magic)| be32(section, 0) == Some(*magic));
        let mut sealed = kinds.iter().map(|(section, _)| *section).chain(&configurations);
        if !known || !sealed.all(|section| is_sound(section)) {
            return Ok(Err(WRONG.to_owned()));
        }
        let room = usize::from(be16(&header, 136).unwrap_or(0));
        let end = lba.saturating_mul(SECTOR).min(volume.size());
        Ok(Ok(Self { end, disks, arrays, configurations, disk_data, room }))
    }

    fn member(&self) -> Option<Member> {
        // Its number among all disks.
        let own = be32(&self.disk_data, 32)?;
        let disk = entries(&self.disks).find(|disk| be32(disk, 24) == Some(own))?;
        if be16(disk, 30)? & DISK_IN_DOUBT != 0 {
            return Some(Member::in_doubt("its array has lost it, or is being rebuilt on it"));
        }
        let mut arrays = Vec::new();
        for configuration in &self.configurations {
            let members = usize::from(be16(configuration, 64)?).min(self.room);
            let is_own = |index: &usize| disk_number(configuration, *index) == Some(own);
            let Some(index) = (0..members).find(is_own) else { continue };
            arrays.push(self.array(configuration, index)?);
        }
        if arrays.is_empty() && be16(disk, 28)? & ACTIVE != 0 {
            return Some(Member::in_doubt("the record of its array is lost"));
        }
        Some(Member::of(arrays, self.end))
    }

    /// The array that has this disk at `index`.
    fn array(&self, configuration: &[u8], index: usize) -> Option<Member> {
        let guid: [u8; 24] = piece(configuration, 8)?;
        let Some(entry) = entries(&self.arrays).find(|entry| piece(entry, 0) == Some(guid)) else {
            return Some(Member::in_doubt("its array is not in the list of arrays"));
        };
        let starts = self.room.checked_mul(4)?.checked_add(512)?;
        let start = be64(configuration, index.checked_mul(8)?.checked_add(starts)?)?;
        let len = be64(configuration, 72)?.min(be64(configuration, 80)?);
        let (level, elements) = (byte(configuration, 67)?, byte(configuration, 69)?);
        let data = match byte(entry, 32)? & STATE {
            OPTIMAL | DEGRADED if (level, elements) == (1, 1) => data(start, len, SECTOR, self.end),
            OPTIMAL | DEGRADED => Err(not_mapped(&name_of(level, elements))),
            _ => Err("its array has failed or is being reshaped".to_owned()),
        };
        Some(Member { label: text::label(slice(entry, 48, 16)?), data })
    }
}

/// The number of the disk at `index` of an array.
fn disk_number(configuration: &[u8], index: usize) -> Option<u32> {
    be32(configuration, index.checked_mul(4)?.checked_add(512)?)
}

/// Levels by the specification's table of primary levels; a second one tells how arrays are put
/// together again.
fn name_of(level: u8, elements: u8) -> String {
    let more = if elements > 1 { ", several of them together," } else { "" };
    let name = match level {
        0x0..=0x1 | 0x3..=0x6 => format!("RAID {level}"),
        0x0f => "a single disk".to_owned(),
        0x11 => "RAID 1E".to_owned(),
        0x1f => "a concatenation".to_owned(),
        0x15 => "RAID 5E".to_owned(),
        0x25 => "RAID 5EE".to_owned(),
        0x35 => "RAID 5R".to_owned(),
        _ => format!("RAID of level {level:#04x}"),
    };
    format!("{name}{more}")
}

fn entries(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.chunks_exact(ENTRY).skip(1)
}

/// The first of the two headers that can be used, and its sector.
fn header(volume: &dyn ReadAt, anchor: &[u8]) -> io::Result<Option<(Vec<u8>, u64)>> {
    for (kind, at) in [(1, 96), (2, 104)] {
        let Some(lba) = be64(anchor, at) else { continue };
        let Some(place) = lba.checked_mul(SECTOR) else { continue };
        let Some(block) = read(volume, place, 512)? else { continue };
        // The same array's metadata: the identity in both is the same.
        let same = slice(&block, 0, 4) == slice(anchor, 0, 4)
            && slice(&block, 8, 24) == slice(anchor, 8, 24)
            && byte(&block, 112) == Some(kind);
        if same && is_sound(&block) {
            return Ok(Some((block, lba)));
        }
    }
    Ok(None)
}

/// A section by the place of its offset and length in the header at sector `lba`.
fn section(volume: &dyn ReadAt, header: &[u8], lba: u64, at: usize) -> io::Result<Option<Vec<u8>>> {
    match place(header, lba, at) {
        Some((start, len)) => read(volume, start, len),
        None => Ok(None),
    }
}

/// Where a section begins, and its length, in bytes.
fn place(header: &[u8], lba: u64, at: usize) -> Option<(u64, usize)> {
    let (offset, len) = (be32(header, at)?, be32(header, at.checked_add(4)?)?);
    let start = lba.checked_add(offset.into())?.checked_mul(SECTOR)?;
    let len = Some(u64::from(len)).filter(|len| *len <= LONGEST)?.checked_mul(SECTOR)?;
    Some((start, usize::try_from(len).ok()?))
}

/// Bytes of a configuration.
fn length(header: &[u8]) -> usize {
    usize::from(be16(header, 134).unwrap_or(0)).saturating_mul(512).max(512)
}

/// Whether the checksum of a structure is right.
fn is_sound(structure: &[u8]) -> bool {
    be32(structure, 4).is_some_and(|told| checksum(structure) == Some(told))
}

/// The CRC-32 of a structure, all bits of its second word set, where it stands; without inversion
/// before or after (mdadm `calc_crc`).
fn checksum(structure: &[u8]) -> Option<u32> {
    let (magic, rest) = (slice(structure, 0, 4)?, structure.get(8..)?);
    Some(crc32(crc32(crc32(0, magic), &[0xff; 4]), rest))
}

/// What makes changed metadata pass their checksums.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(volume: &dyn ReadAt) -> Option<Vec<(u64, Vec<u8>)>> {
    let anchor = volume.size().checked_div(SECTOR)?.checked_sub(1)?.checked_mul(SECTOR)?;
    let block = read(volume, anchor, 512).ok()??;
    let lba = be64(&block, 96)?;
    let header_at = lba.checked_mul(SECTOR)?;
    let header = read(volume, header_at, 512).ok()??;
    let mut structures = vec![(anchor, 512), (header_at, 512)];
    structures.extend([DISKS, ARRAYS, DISK_DATA].iter().filter_map(|at| place(&header, lba, *at)));
    let (start, len) = place(&header, lba, CONFIGURATIONS)?;
    let length = length(&header);
    let records = (0..len.checked_div(length)?).filter_map(|record| record.checked_mul(length));
    structures.extend(records.map(|at| (start.saturating_add(at as u64), length)));
    let sealed = structures.into_iter().filter_map(|(at, len)| {
        let sum = checksum(&read(volume, at, len).ok()??)?;
        Some((at.checked_add(4)?, sum.to_be_bytes().to_vec()))
    });
    Some(sealed.collect())
}
