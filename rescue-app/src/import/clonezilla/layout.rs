//! Where the partitions lie: the table as `sfdisk -d` and `parted` told it.

use super::{Folder, short_name};
use crate::bytes::{le16, le64};
use crate::console;
use crate::import::error::ImportError;
use crate::table::{Partition, Patch, Position, Role, extended_records};

/// Types of partitions that hold others, in an MBR.
const EXTENDED: [&str; 3] = ["5", "f", "85"];
const USUAL_SECTOR: u32 = 512;
/// Numbers of the first logical partition, and of partitions at most.
const FIRST_LOGICAL: u32 = 5;
const MOST_PARTS: usize = 4096;

/// A disk's partitions. All places and sizes are bytes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) is_gpt: bool,
    pub(super) sector: u32,
    pub(super) size: u64,
    pub(super) parts: Vec<Part>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// As files have it: "sda1".
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) size: u64,
    type_id: String,
    is_bootable: bool,
}

impl Part {
    /// Whether it holds others.
    pub(super) fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.type_id.as_str())
    }

    /// A line of a dump: "/dev/sda1 : start=        2048, size=       61440, type=83, bootable".
    fn parse(line: &str, sector: u64) -> Option<Self> {
        let (device, fields) = line.split_once(" : ")?;
        let fields = || fields.split(',').map(str::trim);
        let value = |names: &[&str]| {
            let named = fields().filter_map(|field| field.split_once('='));
            named.filter(|(name, _)| names.contains(name)).map(|(_, value)| value.trim()).next()
        };
        let bytes = |name: &str| value(&[name])?.parse::<u64>().ok()?.checked_mul(sector);
        let (start, size) = (bytes("start")?, bytes("size")?);
        start.checked_add(size)?;
        Some(Self {
            name: short_name(device.trim()),
            start,
            size,
            type_id: value(&["type", "Id"])?.to_ascii_lowercase(),
            is_bootable: fields().any(|field| field == "bootable"),
        })
        .filter(|part| part.size > 0)
    }
}

impl Layout {
    pub(super) fn read(folder: &Folder) -> Result<Self, ImportError> {
        let name = |end: &str| format!("{}-{end}", folder.disk);
        let dump = folder.text(&name("pt.sf"))?.unwrap_or_default();
        let parted = folder.text(&name("pt.parted"))?.unwrap_or_default();
        let first = folder.bytes(&name("gpt-1st"), super::MOST_TEXT)?;
        let wrong = |why: &str| {
            let file = folder.path.join(name("pt.sf"));
            ImportError::refused(
                format!("{} is not read: {why}", console::path(&file)),
                "restore the image with Clonezilla, and capture that disk",
            )
        };
        let field = |name: &str| dump.lines().find_map(|line| line.strip_prefix(name));
        let sector = match field("sector-size:").map(str::trim).or(parted_sector(&parted)) {
            Some(text) => text.parse().map_err(|_| wrong("the size of its sectors"))?,
            None => USUAL_SECTOR,
        };
        let is_gpt = match field("label:").map(str::trim) {
            Some("gpt") => true,
            Some("dos") => false,
            None => parted.contains("Partition Table: gpt"),
            Some(other) => return Err(wrong(&format!("a table of the kind {other}"))),
        };
        if is_gpt && sector != USUAL_SECTOR {
            // Clonezilla counts in sectors of 512 bytes where it saves the table.
            return Err(wrong(&format!(
                "a GPT in sectors of {sector} bytes, which Clonezilla cuts short"
            )));
        }
        let lines = dump.lines().take(MOST_PARTS);
        let parts: Vec<Part> =
            lines.filter_map(|line| Part::parse(line, u64::from(sector))).collect();
        let last = parts.iter().map(|part| part.start + part.size).max().unwrap_or(0);
        let told = parted_size(&parted, u64::from(sector));
        let by_gpt = first.filter(|_| is_gpt).and_then(|head| gpt_size(&head));
        let size = by_gpt.or(told).unwrap_or(last);
        if size < last || size > MOST_SIZE {
            return Err(wrong(&format!("partitions end at byte {last} of a disk of {size} bytes")));
        }
        Ok(Self { is_gpt, sector, size, parts })
    }

    pub(super) fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// The extended partition, and the extended boot records in it.
    pub(super) fn extended(&self) -> Result<Option<(&Part, Vec<Patch>)>, ImportError> {
        let Some(frame) = self.parts.iter().find(|part| part.is_extended()) else {
            return Ok(None);
        };
        let mut logical = Vec::new();
        let mut end = frame.start;
        for (number, part) in (FIRST_LOGICAL..).zip(self.logical(frame)) {
            // As far in front of its partition as that of the first one, where there is room.
            let gap = self.logical(frame).next().map_or(0, |first| first.start - frame.start);
            let record = part.start - gap.min(part.start.saturating_sub(end));
            end = end.max(part.start + part.size);
            let position = Position { number, start: part.start, size: part.size, record };
            logical.push((part.as_partition(number), position));
        }
        let place = Position { number: 0, start: frame.start, size: frame.size, record: 0 };
        let records = extended_records(&place, &logical, self.sector).map_err(|error| {
            ImportError::refused(
                error.to_string(),
                "restore the image with Clonezilla, and capture that disk",
            )
        })?;
        Ok(Some((frame, records)))
    }

    fn logical<'a>(&'a self, frame: &'a Part) -> impl Iterator<Item = &'a Part> {
        let inside = frame.start..frame.start + frame.size;
        self.parts.iter().filter(move |part| *part != frame && inside.contains(&part.start))
    }
}

impl Part {
    fn as_partition(&self, number: u32) -> Partition {
        Partition {
            number,
            start: self.start,
            size: self.size,
            type_id: format!("0x{:0>2}", self.type_id),
            type_name: String::new(),
            uuid: None,
            name: None,
            attributes: 0,
            role: Role::Logical,
            bootable: self.is_bootable,
        }
    }
}

/// Bytes of a disk at most: what files may have.
const MOST_SIZE: u64 = 1 << 62;

/// "Sector size (logical/physical): 512B/4096B".
fn parted_sector(parted: &str) -> Option<&str> {
    let line =
        parted.lines().find_map(|line| line.strip_prefix("Sector size (logical/physical):"))?;
    line.trim().split_once("B/").map(|(logical, _)| logical)
}

/// "Disk /dev/sda: 83886080s".
fn parted_size(parted: &str, sector: u64) -> Option<u64> {
    let line = parted.lines().find_map(|line| line.strip_prefix("Disk /dev/"))?;
    let (_, sectors) = line.rsplit_once(' ')?;
    sectors.trim().strip_suffix('s')?.parse::<u64>().ok()?.checked_mul(sector)
}

/// The second header of a GPT is in the last sector (UEFI specification, 5.3.2), and the first one says where.
fn gpt_size(head: &[u8]) -> Option<u64> {
    let sector = u64::from(USUAL_SECTOR);
    let is_table = le16(head, 510)? == 0xaa55 && head.get(512..520)? == b"EFI PART";
    let last = le64(head, 512 + 32).filter(|_| is_table)?;
    last.checked_add(1)?.checked_mul(sector)
}
