//! A captured table with its partitions in other places, on a disk of any size.
//!
//! Only places change: numbers, types, GUIDs, names, attributes, flags and the disk's identity are
//! those that were captured, entry by entry, since boot loaders, fstab and the Windows BCD refer to
//! them. A partition that stays where it was keeps its entry byte for byte.

mod chain;

use super::fit::{Patch, Plan};
use super::gpt::{Copies, Copy, last_lba, set};
use super::{Partition, Role, Scheme, Table, TableError};
use crate::bytes::{Extents, ReadAt, le32, slice};

/// Where the MBR and every extended boot record have their four entries, and the bytes of each.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
const SLOTS: usize = 4;
/// Type byte of an entry.
const TYPE: usize = 4;
/// Type of the entry that protects a GPT.
const PROTECTIVE: u8 = 0xee;
/// The place of a partition on the new disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Of a logical partition, the byte at which its extended boot record begins.
    pub record: u64,
}

impl Position {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// Where on a disk partitions can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The first byte that the table leaves free.
    pub first: u64,
    /// One past the last byte that a partition may have.
    pub end: u64,
    /// Bytes that a disk must have behind the last partition, for the table.
    pub behind: u64,
}

/// What the captured table leaves to partitions on a disk of `target_size` bytes: of a GPT what lies
/// between its copies and in its usable sectors, of an MBR what 32 bits can count.
///
/// # Errors
/// When `image` holds no usable copy of the table.
pub fn room(image: &dyn ReadAt, table: &Table, target_size: u64) -> Result<Room, TableError> {
    let sector = u64::from(table.sector_size);
    if table.scheme != Scheme::Gpt {
        let end = (target_size / sector).min(u64::from(u32::MAX)) * sector;
        return Ok(Room { first: sector, end, behind: 0 });
    }
    let copies = Copies::read(image, table.sector_size);
    let best = copies.best().ok_or(TableError::Lost)?;
    let array = best.array_sectors(table.sector_size);
    let front = copies.primary.as_ref().map_or(2, |copy| copy.header.part_start) + array;
    let behind = array.saturating_add(1);
    let mut end = (target_size / sector).saturating_sub(behind);
    if last_lba(target_size, table.sector_size) <= last_lba(image.size(), table.sector_size) {
        end = end.min(best.header.last_usable.saturating_add(1));
    }
    Ok(Room {
        first: best.header.first_usable.max(front).saturating_mul(sector),
        end: end.saturating_mul(sector),
        behind: behind.saturating_mul(sector),
    })
}

/// The patches that turn the captured table of the disk `image` into one of a disk of `target_size` bytes
/// with its partitions at `positions`; those that are not among them are left out. They do not overlap.
///
/// # Errors
/// When a copy of a GPT has no room, a number cannot be kept, or a place cannot be written down.
pub fn rewrite(
    image: &dyn ReadAt,
    table: &Table,
    positions: &[Position],
    target_size: u64,
) -> Result<Vec<Patch>, TableError> {
    let edit = Edit { image, table, positions, sector: u64::from(table.sector_size) };
    let mut patches = match table.scheme {
        Scheme::Gpt => edit.gpt(target_size)?,
        Scheme::Mbr => edit.mbr()?,
        Scheme::None => Vec::new(),
    };
    patches.sort_by_key(|patch| patch.offset);
    Ok(patches)
}

/// The extended boot records of the logical partitions in the extended one that lies at `frame`, in the order of their
/// numbers.
///
/// # Errors
/// When there is no room for a record in front of its partition, or a partition lies too far for one.
pub fn extended_records(
    frame: &Position,
    logical: &[(Partition, Position)],
    sector_size: u32,
) -> Result<Vec<Patch>, TableError> {
    let (nothing, table) = (Vec::<u8>::new(), Table::none(sector_size, Vec::new()));
    let sector = u64::from(sector_size);
    let edit = Edit { image: &nothing, table: &table, positions: &[], sector };
    let logical: Vec<_> = logical.iter().map(|(partition, at)| (partition, Some(at))).collect();
    edit.chain(frame, &logical)
}

/// A table and what it becomes.
struct Edit<'a> {
    image: &'a dyn ReadAt,
    table: &'a Table,
    positions: &'a [Position],
    sector: u64,
}

impl Edit<'_> {
    /// Both copies of a GPT, and the MBR before them.
    fn gpt(&self, target_size: u64) -> Result<Vec<Patch>, TableError> {
        let sector_size = self.table.sector_size;
        let copies = Copies::read(self.image, sector_size);
        let best = copies.best().ok_or(TableError::Lost)?;
        let last = last_lba(target_size, sector_size);
        let grows = last > last_lba(self.image.size(), sector_size);
        let data = self.positions.iter().map(|it| (it.start, it.size)).collect::<Vec<_>>();
        let plan = Plan::new(&Extents::from(data), sector_size, &copies, last, grows)?;
        let edited = best.with_entries(self.gpt_entries(best));
        let mut patches = plan.primary(&edited);
        patches.extend(plan.backup(&edited));
        patches.push(self.first_sector(|entry, _| self.beside_gpt(entry, last))?);
        Ok(patches)
    }

    /// The array of entries. Offsets: UEFI specification, table 5-6.
    fn gpt_entries(&self, best: &Copy) -> Vec<u8> {
        let mut entries = best.entries.clone();
        let stride = usize::try_from(best.header.part_size).unwrap_or(usize::MAX);
        for (number, entry) in (1..).zip(entries.chunks_mut(stride)) {
            match (self.table.partition(number), self.position(number)) {
                (Some(old), Some(new)) if is_same(old, new) => {}
                (Some(_), Some(new)) => {
                    set(entry, 32, &(new.start / self.sector).to_le_bytes());
                    set(entry, 40, &(new.end() / self.sector).saturating_sub(1).to_le_bytes());
                }
                (Some(_), None) => entry.fill(0),
                (None, _) => {}
            }
        }
        entries
    }

    /// What an entry of the MBR before a GPT becomes: the protective one ends with the disk, others
    /// (of a hybrid MBR) follow the partitions of the GPT that they stand for.
    fn beside_gpt(&self, entry: &mut [u8], last: u64) -> Result<(), TableError> {
        let (start, sectors) = (field(entry, 8), field(entry, 12));
        if entry.get(TYPE) == Some(&PROTECTIVE) {
            let most = last.saturating_add(1).saturating_sub(start.into());
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let covers_all = start == 1 && self.is_only_entry();
            if sectors != u32::MAX && (covers_all && sectors != most || sectors > most) {
                set(entry, 5, &[0xff; 3]);
                set(entry, 12, &most.to_le_bytes());
            }
            return Ok(());
        }
        let place = (u64::from(start) * self.sector, u64::from(sectors) * self.sector);
        let old = self.table.partitions.iter().find(|it| (it.start, it.size) == place);
        self.put(entry, old, old.and_then(|old| self.position(old.number)))
    }

    fn is_only_entry(&self) -> bool {
        let mbr = self.image.read_vec(0, 512).unwrap_or_default();
        let types = mbr.get(ENTRIES..).unwrap_or_default().chunks(ENTRY).take(SLOTS);
        types.filter(|entry| entry.get(TYPE) != Some(&0)).count() == 1
    }

    /// The MBR, and the chain of extended boot records where anything of it changes.
    fn mbr(&self) -> Result<Vec<Patch>, TableError> {
        let mut patches = vec![self.first_sector(|entry, number| {
            self.put(entry, self.table.partition(number), self.position(number))
        })?];
        let logical = |it: &&Partition| it.role == Role::Logical;
        let changes = self
            .table
            .partitions
            .iter()
            .filter(|it| it.role != Role::Primary)
            .any(|old| self.position(old.number).is_none_or(|new| !is_same(old, new)));
        let frame = self.table.partitions.iter().find(|it| it.role == Role::Extended);
        if let (Some(frame), true) = (frame.and_then(|it| self.position(it.number)), changes) {
            let chain: Vec<_> = self
                .table
                .partitions
                .iter()
                .filter(logical)
                .map(|old| (old, self.position(old.number)))
                .collect();
            patches.extend(self.chain(frame, &chain)?);
        }
        Ok(patches)
    }

    /// The four entries of the first sector, each as `change` leaves it; it gets the number of the slot.
    fn first_sector(
        &self,
        change: impl Fn(&mut [u8], u32) -> Result<(), TableError>,
    ) -> Result<Patch, TableError> {
        let unreadable = |error| TableError::Unwritable(format!("the captured one: {error}"));
        let mbr = self.image.read_vec(0, 512).map_err(unreadable)?;
        let mut bytes = slice(&mbr, ENTRIES, ENTRY * SLOTS).unwrap_or_default().to_vec();
        for (number, entry) in (1..).zip(bytes.chunks_mut(ENTRY)) {
            if !entry.iter().all(|byte| *byte == 0) {
                change(entry, number)?;
            }
        }
        Ok(Patch { offset: ENTRIES as u64, bytes, what: "the MBR's entries" })
    }

    /// Gives an entry of the first sector its new place, or empties it.
    fn put(
        &self,
        entry: &mut [u8],
        old: Option<&Partition>,
        new: Option<&Position>,
    ) -> Result<(), TableError> {
        match (old, new) {
            (Some(old), Some(new)) if is_same(old, new) => Ok(()),
            (Some(_), Some(new)) => self.set_place(entry, 0, new.start, new.size),
            (Some(_), None) => {
                entry.fill(0);
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Start and size in an entry, the start as it counts from the byte `base`.
    fn set_place(
        &self,
        entry: &mut [u8],
        base: u64,
        start: u64,
        size: u64,
    ) -> Result<(), TableError> {
        let count = |bytes: u64| {
            u32::try_from(bytes / self.sector)
                .map_err(|_| TableError::Unwritable(format!("byte {bytes} is too far for an MBR")))
        };
        let last = (start.saturating_add(size) / self.sector).saturating_sub(1);
        set(entry, 1, &chs(start / self.sector));
        set(entry, 5, &chs(last));
        set(entry, 8, &count(start.saturating_sub(base))?.to_le_bytes());
        set(entry, 12, &count(size)?.to_le_bytes());
        Ok(())
    }

    fn position(&self, number: u32) -> Option<&Position> {
        self.positions.iter().find(|position| position.number == number)
    }
}

fn is_same(old: &Partition, new: &Position) -> bool {
    (old.start, old.size) == (new.start, new.size)
}

fn field(entry: &[u8], at: usize) -> u32 {
    le32(entry, at).unwrap_or_default()
}

/// A sector's address by cylinder, head and sector with the usual 255 heads of 63 sectors; what lies
/// behind cylinder 1023 has none, and is written as the last one (as `sfdisk` does).
fn chs(lba: u64) -> [u8; 3] {
    const HEADS: u64 = 255;
    const SECTORS: u64 = 63;
    let cylinder = lba / (HEADS * SECTORS);
    if cylinder > 1023 {
        return [0xfe, 0xff, 0xff];
    }
    let byte = |value: u64| u8::try_from(value & 0xff).unwrap_or_default();
    let (head, sector) = (lba / SECTORS % HEADS, lba % SECTORS + 1);
    [byte(head), byte(sector | (cylinder >> 8 << 6)), byte(cylinder)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_fdisk() {
        // As sfdisk 2.41 writes them for these sectors.
        assert_eq!(chs(0), [0, 1, 0]);
        assert_eq!(chs(2048), [0x20, 0x21, 0]);
        assert_eq!(chs(1023 * 255 * 63), [0, 0xc1, 0xff]);
        assert_eq!(chs(1024 * 255 * 63), [0xfe, 0xff, 0xff]);
    }
}
