//! Members of Linux md RAID arrays. A mirror's member holds the array's content as it is; linear
//! and striped arrays are put together when all their members are there. The map of such a member
//! is that of the content. Of all other levels a member is captured whole.
//!
//! Source: Linux `include/uapi/linux/raid/md_p.h`, `drivers/md/{md,md-linear,raid0}.c`; md(4).

mod array;
mod version_0;
mod version_1;

use std::io;

use crate::bytes::{Extent, ReadAt};
use crate::volume::probe::read;
use crate::volume::{Companions, Content, Doubt, Filesystem, Format, Kind, OpenContent, Part};

const MAGIC: u32 = 0xa92b_4efc;

/// Bytes of a superblock of either version.
const SUPERBLOCK: usize = 4096;

/// Contents end with a whole chunk; one of more than 1 MiB is not usual, bytes.
const LARGEST_CHUNK: u64 = 1 << 20;

/// The reader.
pub(crate) struct MdRaid;

/// What a superblock says of the device it is on.
struct Member {
    label: Option<String>,
    uuid: Option<String>,
    /// What of the array lies on this member; or why that is not to be relied on.
    share: Result<Share, String>,
}

/// A member's part in an array whose content can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    /// Where its part of the content lies.
    data: Extent,
    level: Level,
    /// Its place among the members, below their number.
    role: u32,
    members: u32,
    /// Grows with every change of the array.
    events: u64,
}

/// How an array makes one content of its members'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Mirror,
    /// One after the other.
    Linear,
    /// By turns of that many bytes.
    Striped(u64),
}

impl Level {
    /// By the number in a superblock; `chunk` in bytes.
    fn of(number: u32, chunk: u64) -> Result<Self, String> {
        match number {
            1 => Ok(Self::Mirror),
            u32::MAX => Ok(Self::Linear),
            0 if chunk != 0 => Ok(Self::Striped(chunk)),
            level => Err(format!(
                "members of {} arrays are not mapped by this version",
                name_of_level(level)
            )),
        }
    }
}

/// As `mdadm` names them.
fn name_of_level(number: u32) -> String {
    match number.cast_signed() {
        -4 => "multipath".to_owned(),
        -5 => "faulty".to_owned(),
        level => format!("RAID {level}"),
    }
}

impl Format for MdRaid {
    /// The forms at the end come into play for mirrors above all, whose start looks like the
    /// filesystem inside.
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let member = members(volume)?.into_iter().next();
        Ok(member.map(|member| {
            let container = Filesystem::container(Kind::MdRaid, volume.size(), member.uuid);
            Filesystem { label: member.label, ..container }
        }))
    }

    fn content<'a>(&self, volume: &dyn ReadAt, companions: &'a dyn Companions) -> OpenContent<'a> {
        let mut members = members(volume).map_err(Doubt::reading("a RAID superblock"))?.into_iter();
        let (Some(member), None) = (members.next(), members.next()) else {
            return Err(Doubt::because("it has superblocks of two arrays"));
        };
        let share = member.share.map_err(Doubt::because)?;
        let (array, others) = array::assemble(&share, member.uuid.as_deref(), companions)?;
        // Its own: superblock, bitmap, list of bad blocks and what else lies before and behind.
        let content = Content::around(share.data, Part::only(array), volume.size());
        Ok(Some(Content { others, ..content }))
    }

    /// Only version 0.90 does not say where it stands: that of the last partition may lie where the
    /// disk's would.
    fn is_of_disk(&self, disk: &dyn ReadAt, partitions: &[Extent]) -> bool {
        let is_version_1 = |at: u64| {
            let block = read(disk, at, SUPERBLOCK).ok().flatten();
            block.is_some_and(|block| version_1::parse(&block, at, disk.size()).is_some())
        };
        places_1(disk.size()).any(is_version_1)
            || !partitions.iter().any(|partition| is_of_partition(disk, *partition) == Some(true))
    }

    fn is_container(&self) -> bool {
        true
    }
}

/// Whether a superblock of version 0.90 at the disk's end stands at the partition's too, and tells of
/// a content that fills the partition.
fn is_of_partition(disk: &dyn ReadAt, partition: Extent) -> Option<bool> {
    let at = place_0(disk.size())?;
    let room = place_0(partition.len())?;
    let block = read(disk, at, SUPERBLOCK).ok()??;
    let left = room.checked_sub(version_0::content_len(&block)?)?;
    Some(partition.start.checked_add(room) == Some(at) && left < LARGEST_CHUNK)
}

/// Every superblock.
fn members(volume: &dyn ReadAt) -> io::Result<Vec<Member>> {
    let size = volume.size();
    let mut found = Vec::new();
    for at in places_1(size) {
        let block = read(volume, at, SUPERBLOCK)?;
        found.extend(block.and_then(|block| version_1::parse(&block, at, size)));
    }
    if let Some(at) = place_0(size) {
        let block = read(volume, at, SUPERBLOCK)?;
        found.extend(block.and_then(|block| version_0::parse(&block, at)));
    }
    Ok(found)
}

/// Where superblocks of 1.1 and 1.2 are, at the start, and of 1.0, at the end.
fn places_1(size: u64) -> impl Iterator<Item = u64> {
    let last = (size & !511).checked_sub(8192).map(|at| at & !4095);
    [Some(0), Some(4096), last].into_iter().flatten()
}

/// Where one of 0.90 is, at the end.
fn place_0(size: u64) -> Option<u64> {
    (size & !0xffff).checked_sub(0x10000)
}

/// What makes changed superblocks pass their sums.
#[cfg(any(test, fuzzing))]
pub(crate) fn seal(volume: &dyn ReadAt) -> Vec<(u64, Vec<u8>)> {
    let block = |at: u64| read(volume, at, SUPERBLOCK).ok().flatten();
    let patch =
        |at: u64, (field, sum): (usize, [u8; 4])| (at.saturating_add(field as u64), sum.to_vec());
    let first =
        places_1(volume.size()).filter_map(|at| Some(patch(at, version_1::seal(&block(at)?)?)));
    let last = place_0(volume.size()).and_then(|at| Some(patch(at, version_0::seal(&block(at)?)?)));
    first.chain(last).collect()
}

/// The sum of all words, the carries added to it (`calc_sb_1_csum` and `calc_sb_csum` of
/// `drivers/md/md.c`), with the word at byte `own` left out, where the sum itself stands.
fn checksum(bytes: &[u8], own: usize) -> u32 {
    let mut sum = 0u64;
    for (at, word) in bytes.chunks(4).enumerate() {
        let mut padded = [0; 4];
        padded.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        if at.checked_mul(4) != Some(own) {
            sum = sum.saturating_add(u32::from_le_bytes(padded).into());
        }
    }
    let (high, low) = (sum >> 32, sum & u64::from(u32::MAX));
    let folded = low.saturating_add(high) & u64::from(u32::MAX);
    u32::try_from(folded).unwrap_or(0)
}

/// A range of sectors as bytes, when it lies on the device and not over `superblock`. Where chunks
/// of `chunk` bytes matter, what is no whole one is left out, as the kernel does.
fn data(
    (start, sectors): (u64, u64),
    chunk: u64,
    superblock: Extent,
    size: u64,
) -> Result<Extent, String> {
    let start = start.checked_mul(512);
    let len = sectors.checked_mul(512);
    let len = len.and_then(|len| len.checked_sub(len.checked_rem(chunk).unwrap_or(0)));
    let end = len.and_then(|len| start?.checked_add(len));
    let range = start.zip(end).map(|(start, end)| Extent { start, end });
    let apart = |range: &Extent| range.end <= superblock.start || range.start >= superblock.end;
    range
        .filter(|range| !range.is_empty() && range.end <= size && apart(range))
        .ok_or_else(|| "its superblock's geometry contradicts itself".to_owned())
}
