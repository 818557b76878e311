//! Master boot record and extended boot records.
//!
//! `mbrman` decodes the sectors. The chain of extended boot records is walked here: the crate
//! overflows on hostile addresses, walks without limit, counts empty records and refuses chains
//! that run backwards, while the numbers must be the ones the Linux kernel gives
//! (`block/partitions/msdos.c`).

use std::io::Cursor;

use mbrman::{MBRHeader, MBRPartitionEntry};

use super::names::mbr_type_name;
use super::{Partition, Role, Scheme, Table};
use crate::bytes::{Extents, ReadAt};

/// An MBR or EBR has 512 bytes, whatever the sector size.
const RECORD: usize = 512;
/// Where its four entries stand, and the bytes of each.
const ENTRIES: usize = 446;
const ENTRY: usize = 16;
/// More logical partitions than the kernel gives numbers to (DISK_MAX_PARTS).
const MAX_LOGICAL: usize = 256;
/// Type byte of the entry that protects a GPT.
const PROTECTIVE: u8 = 0xee;
/// Type bytes of extended partitions that the kernel follows.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// What sector 0 says.
pub(super) enum Found {
    /// No table, for these reasons if there may be one.
    Nothing { doubts: Vec<String>, unreadable: bool },
    /// The disk has a GPT; the partitions are those the MBR lists besides, as a hybrid one does.
    Protective(Vec<Partition>),
    /// An MBR with partitions.
    Table(Table),
}

/// Reads sector 0 and the chains that start there.
pub(super) fn read(disk: &dyn ReadAt, sector_size: u32) -> Found {
    let header = match record(disk, 0) {
        Ok(Record::Valid(header)) => header,
        Ok(Record::None) => return nothing(None),
        Ok(Record::OddFlags(header)) => {
            return nothing(with_odd_flags(&header, disk.size(), sector_size));
        }
        Err(error) => {
            let why = format!("the first sector cannot be read: {error}");
            return Found::Nothing { doubts: vec![why], unreadable: true };
        }
    };
    let used: Vec<Slot> = used_entries(&header).collect();
    if header.iter().any(|(_, entry)| entry.sys == PROTECTIVE) {
        let others: Vec<Slot> =
            used.into_iter().filter(|(_, entry)| entry.sys != PROTECTIVE).collect();
        return Found::Protective(table(disk, sector_size, &header, &others).partitions);
    }
    if used.is_empty() {
        return nothing(None);
    }
    Found::Table(table(disk, sector_size, &header, &used))
}

fn nothing(doubt: Option<String>) -> Found {
    Found::Nothing { doubts: doubt.into_iter().collect(), unreadable: false }
}

/// Linux and libblkid take no sector for a table in which a boot flag is neither 00 nor 80;
/// libfdisk does. What stands there may be boot code just as well: then the numbers make no sense.
fn with_odd_flags(header: &MBRHeader, disk_size: u64, sector_size: u32) -> Option<String> {
    let entries: Vec<Slot> = used_entries(header).collect();
    let inside = |(_, entry): &Slot| {
        let (start, size) = place(entry, u64::from(entry.starting_lba), sector_size);
        entry.sys != 0 && start > 0 && start + size <= disk_size
    };
    (!entries.is_empty() && entries.iter().all(inside)).then(|| {
        "the first sector looks like an MBR but for a boot flag that is neither 00 nor 80: Linux \
         sees no partitions there, other programs do"
            .to_owned()
    })
}

fn table(disk: &dyn ReadAt, sector_size: u32, header: &MBRHeader, used: &[Slot]) -> Table {
    let signature = u32::from_le_bytes(header.disk_signature);
    let mut partitions = Vec::new();
    let mut doubts = Vec::new();
    let mut unreadable = false;
    let mut logical = Vec::new();
    for (number, entry) in used {
        let role = if is_extended(entry) { Role::Extended } else { Role::Primary };
        let placed = place(entry, u64::from(entry.starting_lba), sector_size);
        partitions.push(partition(*number, placed, entry, role, signature));
        if entry.sys == 0 {
            doubts.push(format!(
                "partition {number} has a size but no type: Linux shows it, others do not"
            ));
        }
        if role == Role::Extended {
            let chain = Chain::walk(disk, sector_size, entry);
            doubts.extend(
                chain.doubts.into_iter().map(|why| format!("extended partition {number}: {why}")),
            );
            unreadable |= chain.unreadable;
            logical.extend(chain.logical);
        }
    }
    if partitions.iter().filter(|partition| partition.role == Role::Extended).count() > 1 {
        doubts.push("there is more than one extended partition; some programs see one only".into());
    }
    for (number, (placed, entry)) in (5..).zip(&logical) {
        partitions.push(partition(number, *placed, entry, Role::Logical, signature));
    }
    let mut notices = Vec::new();
    if partitions.iter().any(|partition| partition.type_id == "0x42") {
        notices.push("this is a Windows dynamic disk; restore it whole, not by partitions".into());
    }
    let disk_id = Some(format!("{signature:08x}"));
    let none = Table::none(sector_size, notices);
    Table { scheme: Scheme::Mbr, disk_id, partitions, doubts, unreadable, ..none }
}

/// Start and size in bytes.
type Place = (u64, u64);

fn place(entry: &MBRPartitionEntry, start_lba: u64, sector_size: u32) -> Place {
    let sector = u64::from(sector_size);
    // Both factors have 33 bits at most, hence no overflow.
    (start_lba * sector, u64::from(entry.sectors) * sector)
}

fn partition(
    number: u32,
    (start, size): Place,
    entry: &MBRPartitionEntry,
    role: Role,
    signature: u32,
) -> Partition {
    Partition {
        number,
        start,
        size,
        type_id: format!("{:#04x}", entry.sys),
        type_name: mbr_type_name(entry.sys).to_owned(),
        uuid: (signature != 0).then(|| format!("{signature:08x}-{number:02x}")),
        name: None,
        attributes: 0,
        role,
        bootable: entry.is_active(),
    }
}

fn is_extended(entry: &MBRPartitionEntry) -> bool {
    EXTENDED.contains(&entry.sys)
}

/// The 512 bytes where a boot record may stand.
enum Record {
    /// One, with its entries.
    Valid(MBRHeader),
    /// One but for boot flags other than 00 and 80, which are left out here.
    OddFlags(MBRHeader),
    /// Without the signature 55 AA, or behind the end of the disk.
    None,
}

/// Reads the record at byte `offset`.
fn record(disk: &dyn ReadAt, offset: u64) -> std::io::Result<Record> {
    if offset.checked_add(RECORD as u64).is_none_or(|end| end > disk.size()) {
        return Ok(Record::None);
    }
    let mut bytes = disk.read_vec(offset, RECORD)?;
    // mbrman refuses a missing 55 AA and boot flags other than 00 and 80.
    let mut odd = false;
    for flag in bytes.iter_mut().skip(ENTRIES).step_by(ENTRY).take(4) {
        odd |= *flag & 0x7f != 0;
        *flag &= 0x80;
    }
    Ok(match MBRHeader::read_from(&mut Cursor::new(bytes)) {
        Ok(header) if odd => Record::OddFlags(header),
        Ok(header) => Record::Valid(header),
        Err(_) => Record::None,
    })
}

/// An entry and its number.
type Slot = (u32, MBRPartitionEntry);

/// The entries with a size, with their numbers: all that Linux takes for partitions, those without
/// a type too (`block/partitions/msdos.c`).
fn used_entries(header: &MBRHeader) -> impl Iterator<Item = Slot> {
    let slots = [1, 2, 3, 4].into_iter();
    let entries = slots.zip(header.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>());
    entries.filter(|(_, entry)| entry.sectors > 0)
}

/// The logical partitions of one extended partition.
struct Chain {
    logical: Vec<(Place, MBRPartitionEntry)>,
    /// Byte offsets of the extended boot records.
    records: Vec<u64>,
    /// Why the walk ended before the chain did, and where programs read it otherwise.
    doubts: Vec<String>,
    /// Whether a record cannot be read.
    unreadable: bool,
    /// Sectors of the extended partition, from its first to behind its last.
    base: u64,
    end: u64,
}

/// Where a record stands.
#[derive(Clone, Copy)]
struct Link {
    lba: u64,
    /// Sectors that the record before it gives to this one.
    sectors: u64,
}

impl Chain {
    /// Follows the chain as Linux does (`parse_extended`): each record has entries for partitions,
    /// relative to the record, and one for the next record, relative to the extended partition.
    fn walk(disk: &dyn ReadAt, sector_size: u32, extended: &MBRPartitionEntry) -> Self {
        let base = u64::from(extended.starting_lba);
        let sectors = u64::from(extended.sectors);
        let (logical, records, doubts) = (Vec::new(), Vec::new(), Vec::new());
        let end = base + sectors;
        let mut chain = Self { logical, records, doubts, unreadable: false, base, end };
        let mut at = Some(Link { lba: base, sectors });
        while let Some(link) = at {
            at = chain.step(disk, sector_size, link).unwrap_or_else(|why| {
                chain.doubts.push(why);
                None
            });
        }
        chain
    }

    /// Takes in one record and returns where the next one is.
    fn step(
        &mut self,
        disk: &dyn ReadAt,
        sector_size: u32,
        link: Link,
    ) -> Result<Option<Link>, String> {
        let offset = link.lba * u64::from(sector_size);
        if self.records.contains(&offset) {
            return Err("the chain of logical partitions runs in a circle; it was cut there".into());
        }
        if self.records.len() >= MAX_LOGICAL {
            return Err("more than 256 logical partitions; the rest is not listed".into());
        }
        let found = record(disk, offset).map_err(|error| {
            self.unreadable = true;
            format!("a record of its chain cannot be read, and it was cut there: {error}")
        })?;
        let header = match found {
            // Nobody looks at the flags of these records.
            Record::Valid(header) | Record::OddFlags(header) => header,
            // An extended partition nothing was ever put into need not have a record.
            Record::None if link.lba == self.base => return Ok(None),
            Record::None => return Err("its chain is broken; it was cut there".into()),
        };
        self.records.push(offset);
        for (slot, entry) in used_entries(&header).filter(|(_, entry)| !is_extended(entry)) {
            self.take(slot, entry, link, sector_size);
        }
        self.next(&header)
    }

    /// Lists the partition of an entry, unless it is one of the last two and makes no sense: those
    /// often hold old bytes. Some programs never look at them.
    fn take(&mut self, slot: u32, entry: MBRPartitionEntry, link: Link, sector_size: u32) {
        let (offset, sectors) = (u64::from(entry.starting_lba), u64::from(entry.sectors));
        let start = link.lba + offset;
        let end = start + sectors;
        let past = end > self.end;
        if slot > 2 {
            if offset + sectors > link.sectors || start < self.base || past {
                return;
            }
            self.doubts.push(format!("a partition stands in entry {slot} of a record"));
        } else if past {
            self.doubts.push("a logical partition reaches out of it".into());
        } else if offset == 0 {
            self.doubts.push("a logical partition lies over its own record".into());
        }
        if entry.sys == 0 {
            self.doubts.push("a logical partition has a size but no type".into());
        }
        self.logical.push((place(&entry, start, sector_size), entry));
    }

    /// The record that follows: the first link counts, others are junk.
    fn next(&mut self, header: &MBRHeader) -> Result<Option<Link>, String> {
        let mut links = used_entries(header).filter(|(_, entry)| is_extended(entry));
        let Some((_, entry)) = links.next() else { return Ok(None) };
        if links.next().is_some() {
            self.doubts.push("a record of its chain names two next ones".into());
        }
        let lba = self.base + u64::from(entry.starting_lba);
        if lba >= self.end {
            self.doubts.push("its chain leads out of it".into());
        }
        Ok(Some(Link { lba, sectors: u64::from(entry.sectors) }))
    }
}

/// Bytes of the MBR and of all extended boot records.
pub(super) fn extents(disk: &dyn ReadAt, sector_size: u32) -> Extents {
    let mut records = vec![0];
    if let Ok(Record::Valid(header)) = record(disk, 0) {
        for (_, entry) in used_entries(&header).filter(|(_, entry)| is_extended(entry)) {
            records.extend(Chain::walk(disk, sector_size, &entry).records);
        }
    }
    let sector = u64::from(sector_size);
    Extents::from(records.into_iter().map(|offset| (offset, sector)).collect::<Vec<_>>())
}
