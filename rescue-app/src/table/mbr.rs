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
/// More logical partitions than the kernel gives numbers to (DISK_MAX_PARTS).
const MAX_LOGICAL: usize = 256;
/// Type byte of the entry that protects a GPT.
const PROTECTIVE: u8 = 0xee;
/// Type bytes of extended partitions that the kernel follows.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// What sector 0 says.
pub(super) enum Found {
    /// No table, with notices why.
    Nothing(Vec<String>),
    /// The disk has a GPT; `hybrid` when some of its partitions are in the MBR as well.
    Protective { hybrid: bool },
    /// An MBR with partitions.
    Table(Table),
}

/// Reads sector 0 and the chains that start there.
pub(super) fn read(disk: &dyn ReadAt, sector_size: u32) -> Found {
    let header = match record(disk, 0) {
        Ok(Some(header)) => header,
        Ok(None) => return Found::Nothing(Vec::new()),
        Err(error) => {
            return Found::Nothing(vec![format!("the first sector cannot be read: {error}")]);
        }
    };
    let used: Vec<(u32, MBRPartitionEntry)> = used_entries(&header).collect();
    if used.is_empty() {
        return Found::Nothing(Vec::new());
    }
    if used.iter().any(|(_, entry)| entry.sys == PROTECTIVE) {
        return Found::Protective { hybrid: used.len() > 1 };
    }
    Found::Table(table(disk, sector_size, &header, &used))
}

fn table(
    disk: &dyn ReadAt,
    sector_size: u32,
    header: &MBRHeader,
    used: &[(u32, MBRPartitionEntry)],
) -> Table {
    let signature = u32::from_le_bytes(header.disk_signature);
    let mut partitions = Vec::new();
    let mut notices = Vec::new();
    let mut logical = Vec::new();
    for (number, entry) in used {
        let role = if is_extended(entry) { Role::Extended } else { Role::Primary };
        let placed = place(entry, u64::from(entry.starting_lba), sector_size);
        partitions.push(partition(*number, placed, entry, role, signature));
        if role == Role::Extended {
            let chain = Chain::walk(disk, sector_size, entry);
            notices.extend(chain.notice.map(|why| format!("extended partition {number}: {why}")));
            logical.extend(chain.logical);
        }
    }
    for (number, (placed, entry)) in (5..).zip(&logical) {
        partitions.push(partition(number, *placed, entry, Role::Logical, signature));
    }
    if partitions.iter().any(|partition| partition.type_id == "0x42") {
        notices.push("this is a Windows dynamic disk; restore it whole, not by partitions".into());
    }
    let disk_id = Some(format!("{signature:08x}"));
    Table { scheme: Scheme::Mbr, sector_size, disk_id, partitions, notices, doubts: Vec::new() }
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

/// The record at byte `offset`; `Ok(None)` when the bytes there are none.
fn record(disk: &dyn ReadAt, offset: u64) -> std::io::Result<Option<MBRHeader>> {
    if offset.checked_add(RECORD as u64).is_none_or(|end| end > disk.size()) {
        return Ok(None);
    }
    let bytes = disk.read_vec(offset, RECORD)?;
    // mbrman refuses a missing 55 AA and boot flags other than 00 and 80, as the kernel does.
    Ok(MBRHeader::read_from(&mut Cursor::new(bytes)).ok())
}

/// Slots in use with their numbers. The kernel asks for the size, we ask for the type as well: an
/// entry without a type is left over.
fn used_entries(header: &MBRHeader) -> impl Iterator<Item = (u32, MBRPartitionEntry)> {
    let slots = [1, 2, 3, 4].into_iter();
    slots.zip(header.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>()).filter(is_used)
}

fn is_used((_, entry): &(u32, MBRPartitionEntry)) -> bool {
    entry.is_used() && entry.sectors > 0
}

/// The logical partitions of one extended partition.
struct Chain {
    logical: Vec<(Place, MBRPartitionEntry)>,
    /// Byte offsets of the extended boot records.
    records: Vec<u64>,
    /// Why the walk ended before the chain did.
    notice: Option<&'static str>,
}

impl Chain {
    /// Follows the chain: each record has one entry for a partition, relative to the record, and
    /// one for the next record, relative to the extended partition.
    fn walk(disk: &dyn ReadAt, sector_size: u32, extended: &MBRPartitionEntry) -> Self {
        let mut chain = Self { logical: Vec::new(), records: Vec::new(), notice: None };
        let base = u64::from(extended.starting_lba);
        let end = base + u64::from(extended.sectors);
        let mut at = Some(base);
        while let Some(lba) = at {
            at = match chain.step(disk, sector_size, base, end, lba) {
                Ok(next) => next,
                Err(why) => {
                    chain.notice = Some(why);
                    None
                }
            };
        }
        chain
    }

    /// Takes in the record at `lba` and returns where the next one is.
    fn step(
        &mut self,
        disk: &dyn ReadAt,
        sector_size: u32,
        base: u64,
        end: u64,
        lba: u64,
    ) -> Result<Option<u64>, &'static str> {
        let offset = lba * u64::from(sector_size);
        if self.records.contains(&offset) {
            return Err("the chain of logical partitions runs in a circle; it was cut there");
        }
        if self.records.len() >= MAX_LOGICAL {
            return Err("more than 256 logical partitions; the rest is not listed");
        }
        let found = record(disk, offset).map_err(|_| "a record of its chain cannot be read")?;
        let Some(header) = found else {
            // An extended partition nothing was ever put into need not have a record.
            let unused = lba == base;
            return if unused { Ok(None) } else { Err("its chain is broken; it was cut there") };
        };
        self.records.push(offset);
        let mut next = None;
        for (_, entry) in used_entries(&header) {
            let start = u64::from(entry.starting_lba);
            if is_extended(&entry) {
                next = next.or(Some(base + start));
            } else if start == 0 || lba + start + u64::from(entry.sectors) > end {
                return Err("a logical partition reaches out of it; the chain was cut there");
            } else {
                self.logical.push((place(&entry, lba + start, sector_size), entry));
            }
        }
        match next {
            Some(lba) if lba >= end => Err("its chain leads out of it; it was cut there"),
            next => Ok(next),
        }
    }
}

/// Bytes of the MBR and of all extended boot records.
pub(super) fn extents(disk: &dyn ReadAt, table: &Table) -> Extents {
    let mut records = vec![0];
    if let Ok(Some(header)) = record(disk, 0) {
        for (_, entry) in used_entries(&header).filter(|(_, entry)| is_extended(entry)) {
            records.extend(Chain::walk(disk, table.sector_size, &entry).records);
        }
    }
    let sector = u64::from(table.sector_size);
    Extents::from(records.into_iter().map(|offset| (offset, sector)).collect::<Vec<_>>())
}
