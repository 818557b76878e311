//! GUID partition table (UEFI specification, chapter 5.3).
//!
//! The `gpt` crate decodes header and entries and checks their CRCs. It gets them in buffers that
//! were bounded before: on the table as it stands it panics for entry sizes other than 128 bytes,
//! allocates whatever the header says, and looks for the backup in one place only.

use std::io::Cursor;

use gpt::disk::LogicalBlockSize;
use gpt::header::{Header, read_header_from_arbitrary_device};
use gpt::partition::file_read_partitions;

use super::crc::crc32;
use super::names::gpt_type_name;
use super::{Partition, Role, Scheme, Table, mbr};
use crate::bytes::{Extents, ReadAt, le32, slice};

pub(super) const SIGNATURE: &[u8] = b"EFI PART";
/// Bytes of the header that revision 1.0 defines.
const HEADER: usize = 92;
/// Bytes of an entry that revision 1.0 defines; entries may be larger by powers of two.
const ENTRY: usize = 128;
/// An array of entries larger than this is taken for damage; the usual one has 16 KiB.
const MAX_ARRAY: usize = 1 << 20;

/// The most partitions that a table is read to have.
pub const PARTITIONS_MAX: usize = MAX_ARRAY / ENTRY;
/// Attribute bit: legacy BIOS bootable.
const BIOS_BOOTABLE: u64 = 1 << 2;

/// One valid copy of the table: checksums right, bounds possible.
pub(super) struct Copy {
    /// The decoded header.
    pub(super) header: Header,
    /// The sector it stands in.
    pub(super) header_sector: Vec<u8>,
    /// The array of entries as it is on the disk.
    pub(super) entries: Vec<u8>,
    partitions: Vec<(u32, gpt::partition::Partition)>,
}

/// Why a copy is not valid.
pub(super) struct Damage {
    why: String,
    /// Whether there is a GPT signature at all.
    signed: bool,
}

/// Both copies of the table.
pub(super) struct Copies {
    pub(super) primary: Result<Copy, Damage>,
    pub(super) backup: Result<Copy, Damage>,
}

impl Copies {
    /// The backup is looked for where the primary header says and at the end of the disk.
    pub(super) fn read(disk: &dyn ReadAt, sector_size: u32) -> Self {
        let primary = Copy::read(disk, sector_size, 1);
        let last = last_lba(disk.size(), sector_size);
        let told = primary.as_ref().ok().map(|copy| copy.header.backup_lba);
        let backup = match told.filter(|lba| *lba > 1 && *lba < last) {
            Some(lba) => {
                Copy::read(disk, sector_size, lba).or_else(|_| Copy::read(disk, sector_size, last))
            }
            None => Copy::read(disk, sector_size, last),
        };
        Self { primary, backup }
    }

    /// The copy that counts: the primary when it is valid.
    pub(super) fn best(&self) -> Option<&Copy> {
        self.primary.as_ref().or(self.backup.as_ref()).ok()
    }

    /// The partitions of the backup, when it differs from a valid primary copy.
    fn second_opinion(&self, sector_size: u32) -> Vec<Partition> {
        let (Ok(primary), Ok(backup)) = (&self.primary, &self.backup) else { return Vec::new() };
        if primary.entries == backup.entries {
            return Vec::new();
        }
        let listed = backup.partitions.iter();
        listed.filter_map(|(number, entry)| partition(*number, entry, sector_size)).collect()
    }

    fn valid(&self) -> impl Iterator<Item = &Copy> {
        [&self.primary, &self.backup].into_iter().flatten()
    }
}

/// Number of the last whole sector.
pub(super) fn last_lba(size: u64, sector_size: u32) -> u64 {
    (size / u64::from(sector_size.max(1))).saturating_sub(1)
}

impl Copy {
    fn read(disk: &dyn ReadAt, sector_size: u32, lba: u64) -> Result<Self, Damage> {
        let damage = |why: String| Damage { why, signed: true };
        let unreadable = |error| damage(format!("it cannot be read: {error}"));
        let sector = u64::from(sector_size);
        let len = usize::try_from(sector_size).unwrap_or(HEADER);
        let header_sector = disk.read_vec(lba.saturating_mul(sector), len).map_err(unreadable)?;
        let header = decode_header(&header_sector)?;
        if header.current_lba != lba {
            return Err(damage(format!("it says it belongs at sector {}", header.current_lba)));
        }
        let array = array_len(&header)?;
        if header.part_start < 2 || header.part_start == lba {
            return Err(damage(format!("its entries cannot be at sector {}", header.part_start)));
        }
        let offset = header.part_start.saturating_mul(sector);
        let entries = disk.read_vec(offset, array).map_err(unreadable)?;
        let partitions = decode_entries(&header, &entries)?;
        Ok(Self { header, header_sector, entries, partitions })
    }

    /// The same table with other entries, as many as it has.
    pub(super) fn with_entries(&self, entries: Vec<u8>) -> Self {
        let mut header_sector = self.header_sector.clone();
        // UEFI specification, table 5-5: PartitionEntryArrayCRC32.
        set(&mut header_sector, 88, &crc32(&entries).to_le_bytes());
        let header = self.header.clone();
        Self { header, header_sector, entries, partitions: Vec::new() }
    }

    /// Bytes of the array of entries in whole sectors.
    pub(super) fn array_sectors(&self, sector_size: u32) -> u64 {
        (self.entries.len() as u64).div_ceil(u64::from(sector_size.max(1)))
    }

    /// Header and array on the disk.
    pub(super) fn extents(&self, sector_size: u32) -> Extents {
        let sector = u64::from(sector_size);
        let at = |lba: u64, count: u64| (lba.saturating_mul(sector), count.saturating_mul(sector));
        let array = at(self.header.part_start, self.array_sectors(sector_size));
        Extents::from(vec![at(self.header.current_lba, 1), array])
    }
}

/// Checks the header's own CRC over the length it gives, then has the crate decode it.
fn decode_header(sector: &[u8]) -> Result<Header, Damage> {
    if slice(sector, 0, 8) != Some(SIGNATURE) {
        return Err(Damage { why: "its signature is missing".into(), signed: false });
    }
    let damage = |why: &str| Damage { why: why.to_owned(), signed: true };
    let len = le32(sector, 12).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    let header = slice(sector, 0, len).filter(|_| len >= HEADER);
    let mut header = header.ok_or_else(|| damage("its length is impossible"))?.to_vec();
    let stored = le32(&header, 16);
    set(&mut header, 16, &[0; 4]);
    if stored != Some(crc32(&header)) {
        return Err(damage("its checksum is wrong"));
    }
    // The crate knows the 92 bytes of revision 1.0 only and takes the CRC over them.
    header.truncate(HEADER);
    let crc = crc32(&header);
    set(&mut header, 16, &crc.to_le_bytes());
    let mut device = vec![0; LogicalBlockSize::Lb512.as_usize()];
    device.extend_from_slice(&header);
    read_header_from_arbitrary_device(&mut Cursor::new(device), LogicalBlockSize::Lb512)
        .map_err(|error| damage(&error.to_string()))
}

/// Overwrites bytes at `at`; what would reach past the end is left out.
pub(super) fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(value) {
        *place = *byte;
    }
}

fn array_len(header: &Header) -> Result<usize, Damage> {
    let damage = |why: String| Damage { why, signed: true };
    let size = header.part_size;
    if size < 128 || !size.is_power_of_two() {
        return Err(damage(format!("entries of {size} bytes are impossible")));
    }
    let len = u64::from(header.num_parts) * u64::from(size);
    let len = usize::try_from(len).ok().filter(|len| (1..=MAX_ARRAY).contains(len));
    len.ok_or_else(|| damage(format!("{} entries are impossible", header.num_parts)))
}

/// Has the crate decode the array, whose CRC it checks.
fn decode_entries(
    header: &Header,
    entries: &[u8],
) -> Result<Vec<(u32, gpt::partition::Partition)>, Damage> {
    let damage = |why: String| Damage { why, signed: true };
    let mut header = Header { part_start: 0, ..header.clone() };
    let mut array = entries.to_vec();
    let stride = usize::try_from(header.part_size).unwrap_or(ENTRY);
    if stride != ENTRY {
        // The crate knows entries of 128 bytes only: it gets the part that is defined.
        if crc32(entries) != header.crc32_parts {
            return Err(damage("the checksum of its entries is wrong".into()));
        }
        array =
            entries.chunks(stride).flat_map(|entry| entry.iter().take(ENTRY)).copied().collect();
        header.part_size = 128;
        header.crc32_parts = crc32(&array);
    }
    let decoded = file_read_partitions(&mut Cursor::new(array), &header, LogicalBlockSize::Lb512)
        .map_err(|error| damage(format!("its entries: {error}")))?;
    Ok(decoded.into_iter().filter(|(_, entry)| entry.is_used()).collect())
}

/// Reads the table of a disk with a protective MBR. Beside it the partitions that its other copy
/// names otherwise.
pub(super) fn read(disk: &dyn ReadAt, sector_size: u32) -> (Table, Vec<Partition>) {
    let copies = Copies::read(disk, sector_size);
    let State { notices, mut doubts } = state_of(&copies, disk, sector_size);
    let Some(best) = copies.best() else {
        doubts.extend(other_sector_size(disk, sector_size));
        doubts.push("no copy of the GPT is usable; the disk is treated as one piece".into());
        return (Table { doubts, ..Table::none(sector_size, notices) }, Vec::new());
    };
    doubts.extend(refused_by_others(&best.header, last_lba(disk.size(), sector_size)));
    let mut partitions = Vec::new();
    for (number, entry) in &best.partitions {
        match partition(*number, entry, sector_size) {
            Some(partition) => partitions.push(partition),
            None => {
                doubts.push(format!("partition {number} ends before it begins; it is not listed"));
            }
        }
    }
    let scheme = Scheme::Gpt;
    let disk_id = Some(best.header.disk_guid.to_string());
    let none = Table::none(sector_size, notices);
    let table = Table { scheme, disk_id, partitions, doubts, ..none };
    (table, copies.second_opinion(sector_size))
}

/// Why Linux or libfdisk takes a header with right checksums for none at all (`is_gpt_valid` in
/// block/partitions/efi.c, `gpt_check_lba_sanity` in libfdisk/src/gpt.c).
fn refused_by_others(header: &Header, last: u64) -> Option<String> {
    let (first_usable, last_usable) = (header.first_usable, header.last_usable);
    if last_usable > last {
        return Some("the GPT is of a larger disk: Linux shows no partitions".into());
    }
    if first_usable > last_usable {
        return Some(format!(
            "the GPT's usable sectors end before they begin ({first_usable} to {last_usable}): \
             Linux shows no partitions"
        ));
    }
    if first_usable == 0 {
        return Some(
            "the GPT's header lies in its usable sectors: fdisk shows no partitions".into(),
        );
    }
    (header.part_size as usize != ENTRY).then(|| {
        format!("the GPT's entries have {} bytes: Linux shows no partitions", header.part_size)
    })
}

/// USB enclosures that translate the sector size make tables that are of no use without them, and
/// an image file does not say what its sectors are.
fn other_sector_size(disk: &dyn ReadAt, sector_size: u32) -> Option<String> {
    let other = [512, 4096]
        .into_iter()
        .find(|other| *other != sector_size && Copy::read(disk, *other, 1).is_ok())?;
    Some(format!(
        "a GPT made with sectors of {other} bytes is on this disk of {sector_size}-byte sectors; \
         for an image file, name its sector size: --sector-size {other}"
    ))
}

fn partition(
    number: u32,
    entry: &gpt::partition::Partition,
    sector_size: u32,
) -> Option<Partition> {
    let sector = u64::from(sector_size);
    let sectors = entry.sectors_len().ok()?;
    let type_id = entry.part_type_guid.guid.to_string();
    // Names come from the disk and go to terminals.
    let name: String = entry.name.chars().filter(|c| !c.is_control()).collect();
    Some(Partition {
        number,
        start: entry.first_lba.saturating_mul(sector),
        size: sectors.saturating_mul(sector),
        type_name: gpt_type_name(&type_id).to_owned(),
        type_id,
        uuid: Some(entry.part_guid.to_string()),
        name: (!name.is_empty()).then_some(name),
        attributes: entry.flags,
        role: Role::Primary,
        bootable: entry.flags & BIOS_BOOTABLE != 0,
    })
}

/// What is to be said about the two copies.
#[derive(Default)]
struct State {
    notices: Vec<String>,
    doubts: Vec<String>,
}

/// Linux goes by the primary copy alone, unless it is told otherwise when it starts; tools take the
/// backup for a damaged one.
fn state_of(copies: &Copies, disk: &dyn ReadAt, sector_size: u32) -> State {
    let mut state = State::default();
    match (&copies.primary, &copies.backup) {
        (Ok(primary), Ok(backup)) => {
            if primary.entries != backup.entries {
                state
                    .doubts
                    .push("the two copies of the GPT differ; the primary one is used".into());
            }
            if backup.header.current_lba != last_lba(disk.size(), sector_size) {
                state.notices.push("the backup GPT is not at the end of the disk".into());
            }
        }
        (Err(damage), Ok(_)) => state
            .doubts
            .push(format!("the primary GPT is damaged ({}); the backup was used", damage.why)),
        (Ok(_), Err(damage)) => state.notices.push(format!(
            "the backup GPT is damaged or missing ({}); the primary one is used",
            damage.why
        )),
        (Err(primary), Err(backup)) => state.doubts.extend([
            format!("the primary GPT is damaged ({})", primary.why),
            format!("the backup GPT is damaged ({})", backup.why),
        ]),
    }
    state
}

/// A disk without an MBR. A GPT on it is not used, by the kernel neither: a filesystem made later on
/// the whole disk overwrites the front and leaves the backup behind. Where the front is still
/// there, some programs go by it.
pub(super) fn without_protection(disk: &dyn ReadAt, sector_size: u32) -> Table {
    let mut table = Table::none(sector_size, Vec::new());
    let copies = Copies::read(disk, sector_size);
    let what = |place: &str| {
        format!(
            "a GPT lies {place} of the disk, but the first sector has no protective MBR: it may be \
             left over; the disk is treated as one piece"
        )
    };
    match (&copies.primary, &copies.backup) {
        (Ok(_), _) => table.doubts.push(what("at the beginning")),
        (_, Ok(_)) => table.notices.push(what("at the end")),
        _ => {}
    }
    table
}

/// A notice when a disk with an MBR of its own holds a GPT too.
pub(super) fn stale(disk: &dyn ReadAt, sector_size: u32) -> Option<String> {
    let signed = |copy: &Result<Copy, Damage>| copy.as_ref().map_or_else(|d| d.signed, |_| true);
    let copies = Copies::read(disk, sector_size);
    (signed(&copies.primary) || signed(&copies.backup))
        .then(|| "remains of a GPT are on the disk; the MBR counts".to_owned())
}

/// Bytes of the protective MBR, of the valid copies, and of what a hybrid MBR leads to.
pub(super) fn extents(disk: &dyn ReadAt, sector_size: u32) -> Extents {
    let copies = Copies::read(disk, sector_size);
    let front = mbr::extents(disk, sector_size);
    copies.valid().fold(front, |all, copy| all.union(&copy.extents(sector_size)))
}
