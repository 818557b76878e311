//! Members of Linux md RAID arrays. A mirror's member holds the array's content as it is, so that
//! its map is the content's; of all other levels a member is captured whole.
//!
//! Source: Linux `include/uapi/linux/raid/md_p.h`, `drivers/md/md.c`; md(4).

mod version_0;
mod version_1;

use std::io;

use super::container::{Content, Part};
use super::format::{Doubt, Format};
use super::placement::{Placement, Spot};
use super::probe::read;
use super::{Companions, Filesystem, Kind, State};
use crate::bytes::{Extent, Extents, ReadAt};

const MAGIC: u32 = 0xa92b_4efc;

/// Bytes of a superblock of either version.
const SUPERBLOCK: usize = 4096;

/// The level of mirrors.
const MIRROR: u32 = 1;

/// The reader.
pub(super) struct MdRaid;

/// What a superblock says of the device it is on.
struct Member {
    label: Option<String>,
    uuid: Option<String>,
    /// Where the array's whole content lies; or why it is not, or may not be, on this member.
    data: Result<Extent, String>,
}

impl Format for MdRaid {
    /// The forms at the end come into play for mirrors above all, whose start looks like the
    /// filesystem inside.
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let member = members(volume)?.into_iter().next();
        Ok(member.map(|member| Filesystem {
            kind: Kind::MdRaid,
            label: member.label,
            uuid: member.uuid,
            size: volume.size(),
            block_size: 0,
            used: None,
            last_use: None,
            state: State::Unknown,
        }))
    }

    fn content<'a>(
        &self,
        volume: &dyn ReadAt,
        _companions: &'a dyn Companions,
        _found: &mut Filesystem,
    ) -> Result<Option<Content<'a>>, Doubt> {
        let mut members = members(volume).map_err(Doubt::reading("a RAID superblock"))?.into_iter();
        let (Some(member), None) = (members.next(), members.next()) else {
            return Err(Doubt::because("it has superblocks of two arrays"));
        };
        let data = member.data.map_err(Doubt::because)?;
        let mut placement = Placement::default();
        placement.push(data.len(), data.len(), vec![Some(Spot::here(data.start))]);
        let array =
            Part { name: None, placement, more: Extents::new(), doubt: None, readable: true };
        // Superblock, bitmap, list of bad blocks and what else lies before and behind.
        let own = Extents::of(data.start, data.end).gaps_within(0, volume.size());
        Ok(Some(Content { own, parts: vec![array], others: Vec::new(), warnings: Vec::new() }))
    }

    fn is_container(&self) -> bool {
        true
    }
}

/// Every superblock: 1.1 and 1.2 at the start, 1.0 and 0.90 at the end.
fn members(volume: &dyn ReadAt) -> io::Result<Vec<Member>> {
    let size = volume.size();
    let mut found = Vec::new();
    let places = [Some(0), Some(4096), (size & !511).checked_sub(8192).map(|at| at & !4095)];
    for at in places.into_iter().flatten() {
        let block = read(volume, at, SUPERBLOCK)?;
        found.extend(block.and_then(|block| version_1::parse(&block, at, size)));
    }
    if let Some(at) = (size & !0xffff).checked_sub(0x10000) {
        let block = read(volume, at, SUPERBLOCK)?;
        found.extend(block.and_then(|block| version_0::parse(&block, at)));
    }
    Ok(found)
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

/// A range of sectors as bytes, when it lies on the device and not over `superblock`.
fn data(start: u64, sectors: u64, superblock: Extent, size: u64) -> Result<Extent, String> {
    let start = start.checked_mul(512);
    let end = sectors.checked_mul(512).and_then(|len| start?.checked_add(len));
    let range = start.zip(end).map(|(start, end)| Extent { start, end });
    let apart = |range: &Extent| range.end <= superblock.start || range.start >= superblock.end;
    range
        .filter(|range| !range.is_empty() && range.end <= size && apart(range))
        .ok_or_else(|| "its superblock's geometry contradicts itself".to_owned())
}
