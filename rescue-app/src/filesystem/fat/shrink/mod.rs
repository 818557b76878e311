//! Makes a volume smaller: clusters behind the new end get numbers below it, and everything that tells the old
//! ones is told the new ones: the tables, the entries of folders, and the boot sectors of FAT32.
//!
//! The tables keep their length, which may be more than the clusters need. Marks of a volume that was not closed
//! and chains that no file has stay, under new numbers where they have to. Bad clusters are forgotten: they were
//! those of another disk. Refused are files whose chains are too short or share clusters: where a cluster of theirs
//! is free it would become another's.
//!
//! Source: Microsoft, "FAT32 File System Specification" (fatgen103), version 1.03.

// Numbers and lengths of clusters were held against the volume's, of which there are at most 2^28.
#![allow(clippy::arithmetic_side_effects)]

mod folders;
mod moves;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;

use self::moves::{Move, Moves, Piece};
use super::super::moving::{copy_all, no_room, unwritten};
use super::super::space::Bits;
use super::boot_sector::{BootSector, RESERVED};
use super::table::{Link, Table};
use super::{compare_backup, tree};
use crate::bytes::{WriteAt, le16, le32, put};
use crate::progress::Cancel;
use crate::volume::{Doubt, Kind};

/// More pieces than this are not moved.
const MOST_PIECES: usize = 1 << 22;
/// `FSInfo` of FAT32: its sector's number in the boot sector, and places of its two signatures, of the number
/// of free clusters, and of where to look for the next one (fatgen103, "FAT32 FSInfo Sector Structure").
const INFO_SECTOR: usize = 48;
const INFO_SIGNATURES: [(usize, u32); 2] = [(0, 0x4161_5252), (484, 0x6141_7272)];
const FREE_COUNT: usize = 488;
const NEXT_FREE: usize = 492;

/// Makes the FAT on `volume` smaller, so that it ends at byte `size`.
///
/// # Errors
/// What it is about the volume that is not understood, or that what is used does not fit. The volume then may be
/// changed in part.
pub(crate) fn shrink(volume: &dyn WriteAt, size: u64, cancel: &Cancel) -> Result<(), Doubt> {
    let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
    let old = BootSector::parse(&sector).ok_or_else(|| Doubt::because("it is damaged"))?;
    if old.size() > volume.size() || size >= old.size() {
        return Err(Doubt::because("it is not larger than that"));
    }
    let cut = old.cut(size).ok_or_else(|| {
        Doubt::because(format!("with so few clusters it would be no {} any more", old.kind))
    })?;
    compare_backup(volume, &old)?;
    let table = Table::new(&old)?;
    if old.is_mirrored() {
        table.compare_copies(volume)?;
    }
    tree::check(volume, &old)?;
    let survey = Survey::of(volume, &table, &old, &cut)?;
    let used = survey.used;
    let moves = Moves::find(&survey.below, survey.pieces).ok_or_else(no_room)?;
    let places = moves.by_place();
    let at = |number: u32| old.cluster(number - RESERVED);
    let bytes = |count: u32| u64::from(count) * u64::from(old.cluster_size);
    let pieces = places.iter().map(|it| (at(it.from), at(it.to), bytes(it.len)));
    copy_all(volume, pieces, cancel)?;
    rewrite_table(volume, &table, &cut, (&moves, &places))?;
    let root = moves.now(cut.root_cluster);
    let new = cut.with_root(root);
    folders::renumber(volume, &new, &moves, cancel)?;
    write_boot_sectors(volume, sector, (&old, &new), used)
}

/// What there is on a volume.
struct Survey {
    /// Clusters before the new end that are in use.
    below: Bits,
    /// Clusters in use.
    used: u32,
    /// Those behind the new end.
    pieces: Vec<Piece>,
}

impl Survey {
    fn of(
        volume: &dyn WriteAt,
        table: &Table,
        old: &BootSector,
        cut: &BootSector,
    ) -> Result<Self, Doubt> {
        let many = || Doubt::because("it has too many clusters, or pieces of chains, to move them");
        let bits = |count: u32| Bits::free(count.into()).ok_or_else(many);
        let (mut taken, mut below) = (bits(old.clusters)?, bits(cut.clusters)?);
        let (mut used, mut pieces) = (0, Vec::new());
        table.links(volume, |number, link| {
            let next = match link {
                Link::Free | Link::Bad => return Ok(()),
                Link::End(next) | Link::Next(next) => next,
            };
            let index = u64::from(number - RESERVED);
            taken.take(index, index + 1);
            below.take(index, index + 1);
            used += 1;
            if cut.position(number).is_none() {
                Piece::add(&mut pieces, number, next);
            }
            if pieces.len() <= MOST_PIECES { Ok(()) } else { Err(many()) }
        })?;
        // What leads to a free cluster would lead into a file that moves there.
        table.links(volume, |number, link| match link {
            Link::Next(next) if !taken.is_taken(u64::from(next - RESERVED)) => Err(Doubt::because(
                format!("cluster {number} is followed by {next}, which is free"),
            )),
            _ => Ok(()),
        })?;
        Ok(Self { below, used, pieces })
    }
}

/// Entries of clusters that there are no more become free, and so do bad ones.
fn rewrite_table(
    volume: &dyn WriteAt,
    table: &Table,
    cut: &BootSector,
    (moves, places): (&Moves, &[Move]),
) -> Result<(), Doubt> {
    let mut arrivals = places.iter().peekable();
    table.rewrite(volume, |number, link| {
        if cut.position(number).is_none() {
            return Ok(0);
        }
        while arrivals.next_if(|it| it.to + it.len <= number).is_some() {}
        if let Some(it) = arrivals.peek().filter(|it| it.to <= number) {
            let is_last = number + 1 == it.to + it.len;
            return Ok(if is_last { moves.now(it.next) } else { number + 1 });
        }
        Ok(match link {
            Link::Free | Link::Bad => 0,
            Link::End(mark) => mark,
            Link::Next(next) => moves.now(next),
        })
    })
}

/// The backup of FAT32's first, the one that counts last; with them what they say of free clusters.
fn write_boot_sectors(
    volume: &dyn WriteAt,
    sector: Vec<u8>,
    (old, new): (&BootSector, &BootSector),
    used: u32,
) -> Result<(), Doubt> {
    let unit = u64::from(new.sector_size);
    let info = le16(&sector, INFO_SECTOR).filter(|at| !matches!(at, 0 | 0xffff));
    if let Some(backup) = new.backup_sector {
        let at = u64::from(backup) * unit;
        let mut copy = volume.read_vec(at, 512).map_err(Doubt::reading("the backup"))?;
        if BootSector::parse(&copy).is_some_and(|copy| copy.same_geometry(old)) {
            new.put_into(&mut copy);
            volume.write_at(at, &copy).map_err(unwritten)?;
            // The backup is one of all sectors up to that of FSInfo.
            info.map_or(Ok(()), |info| write_info(volume, at + u64::from(info) * unit, new, used))?;
        }
    }
    // FAT12 and FAT16 have code in that place.
    if let (Some(info), true) = (info, new.kind == Kind::Fat32) {
        write_info(volume, u64::from(info) * unit, new, used)?;
    }
    let mut sector = sector;
    new.put_into(&mut sector);
    volume.write_at(0, &sector).map_err(unwritten)
}

fn write_info(volume: &dyn WriteAt, at: u64, boot: &BootSector, used: u32) -> Result<(), Doubt> {
    let inside = at + 512 <= boot.fat(0);
    let Some(mut info) = inside.then(|| volume.read_vec(at, 512).ok()).flatten() else {
        return Ok(());
    };
    if INFO_SIGNATURES.iter().all(|(at, word)| le32(&info, *at) == Some(*word)) {
        put(&mut info, FREE_COUNT, &boot.clusters.saturating_sub(used).to_le_bytes());
        // It is looked for from the beginning.
        put(&mut info, NEXT_FREE, &u32::MAX.to_le_bytes());
        volume.write_at(at, &info).map_err(unwritten)?;
    }
    Ok(())
}
