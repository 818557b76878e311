//! Partition tables: reading GPT and MBR, and fitting a captured table to another disk.
//!
//! Reading is done in two steps. The bytes are checked by us (bounds, checksums, agreement of the
//! copies, overlaps), then decoded by the `gpt` and `mbrman` crates from buffers of known size:
//! both crates panic or allocate without bound when given a hostile table as it stands.
//!
//! A table is read as Linux does. Where other programs read it otherwise, or it contradicts itself,
//! [`Table::doubts`] say so and the partitions concerned are [`Table::contested`]: no map of used
//! blocks is believed in what is not surely that partition. A table of which no copy can be read
//! is no table: [`Scheme::None`], the disk is one piece, and nothing of it is left out.

mod check;
mod crc;
#[cfg(any(test, fuzzing))]
pub(crate) use crc::crc32;
mod edit;
mod fit;
mod fresh;
mod gpt;
mod mbr;
mod names;
mod purpose;
mod stick;

use serde::{Deserialize, Serialize};

pub use edit::{Position, Room, extended_records, rewrite, room};
pub use fit::{Patch, fit_to_disk};
pub use fresh::{Fresh, FreshType};
pub use gpt::PARTITIONS_MAX;
pub use names::UNKNOWN_TYPE;
pub use purpose::Purpose;
pub use stick::{STICK_DATA_NUMBER, STICK_DATA_START, stick_data_size, with_stick_data};

use std::fmt;

use crate::bytes::{Extents, ReadAt};

/// Kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// GUID partition table (UEFI specification, chapter 5).
    Gpt,
    /// Master boot record with up to four primary partitions and chains of logical ones.
    Mbr,
    /// No table, or none that can be trusted: the disk is one piece.
    None,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpt => "GPT",
            Self::Mbr => "MBR",
            Self::None => "none",
        })
    }
}

/// A partition by its number, or a disk without a table, for a person.
pub fn name_of(partition: Option<u32>) -> String {
    partition.map_or_else(|| "the disk".to_owned(), |number| format!("partition {number}"))
}

/// What a partition is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Every GPT partition, and the MBR partitions 1 to 4 that hold data.
    Primary,
    /// An MBR partition that holds logical partitions; it has no content of its own.
    Extended,
    /// A partition inside an extended one, numbered from 5.
    Logical,
}

/// Types of EFI system partitions on a GPT and in an MBR (UEFI specification 2.10, 5.3.3 and 5.2.2).
const EFI_SYSTEM: [&str; 2] = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"];

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Number as the kernel counts: slot of the table from 1, logical partitions from 5.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Type GUID in lower case, or the MBR type byte as `0x83`.
    pub type_id: String,
    /// The type in words.
    pub type_name: String,
    /// What Linux calls `PARTUUID`: the GPT partition GUID, or `<disk signature>-<number>`.
    pub uuid: Option<String>,
    /// GPT partition name.
    pub name: Option<String>,
    /// GPT attribute bits; 0 in an MBR.
    pub attributes: u64,
    /// Primary, extended or logical.
    pub role: Role,
    /// MBR active flag, or the GPT attribute "legacy BIOS bootable" (bit 2).
    pub bootable: bool,
}

impl Partition {
    /// One past the last byte.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// How its content is to be read, by its type.
    pub fn purpose(&self) -> Purpose {
        Purpose::of(&self.type_id)
    }

    /// Whether UEFI firmware starts programs from it, by its type.
    pub fn is_efi_system(&self) -> bool {
        EFI_SYSTEM.contains(&self.type_id.as_str())
    }
}

/// The partition table of a disk, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Kind of table.
    pub scheme: Scheme,
    /// Logical sector size in bytes that the table counts in.
    pub sector_size: u32,
    /// GPT disk GUID in lower case, or the MBR disk signature as eight hexadecimal digits.
    pub disk_id: Option<String>,
    /// Partitions by number; gaps in the numbering are normal.
    pub partitions: Vec<Partition>,
    /// What a person should know about the table's state.
    pub notices: Vec<String>,
    /// Why readers of the table may see other partitions than these. When there are any, no single
    /// partition of the disk is written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// Numbers of the partitions whose bounds are in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contested: Vec<u32>,
    /// Whether a part of the table could not be read, so that partitions may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
}

impl Table {
    /// A table that says there is none.
    pub fn none(sector_size: u32, notices: Vec<String>) -> Self {
        Self {
            scheme: Scheme::None,
            sector_size,
            disk_id: None,
            partitions: Vec::new(),
            notices,
            doubts: Vec::new(),
            contested: Vec::new(),
            unreadable: false,
        }
    }

    /// All that a person should know about the table.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.notices.iter().chain(&self.doubts)
    }

    /// The partition of that number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.number == number)
    }

    /// Partitions with content of their own: all but the extended ones. They may overlap, and end
    /// behind the disk.
    pub fn data_partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter().filter(|partition| partition.role != Role::Extended)
    }

    /// Numbers of the logical partitions in the extended partition `number`; `None` for any other.
    pub fn logical_partitions_in(&self, number: u32) -> Option<Vec<u32>> {
        let outer = self.partition(number).filter(|partition| partition.role == Role::Extended)?;
        let inside = self.partitions.iter().filter(|partition| {
            partition.role == Role::Logical && (outer.start..outer.end()).contains(&partition.start)
        });
        Some(inside.map(|partition| partition.number).collect())
    }

    /// The bytes in data partitions.
    pub fn partitioned(&self) -> Extents {
        let ranges = self.data_partitions().map(|partition| (partition.start, partition.size));
        Extents::from(ranges.collect::<Vec<_>>())
    }

    /// The partitions of which no byte belongs to another one, by their start.
    pub fn separate_partitions(&self) -> Vec<&Partition> {
        let mut sorted: Vec<&Partition> = self.data_partitions().collect();
        sorted.sort_by_key(|partition| (partition.start, partition.end()));
        let mut furthest = 0;
        let mut separate = Vec::new();
        for (at, partition) in sorted.iter().enumerate() {
            let next = sorted.get(at + 1);
            if partition.start >= furthest && next.is_none_or(|n| n.start >= partition.end()) {
                separate.push(*partition);
            }
            furthest = furthest.max(partition.end());
        }
        separate
    }
}

/// An error of the `table` layer.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not a sector size that tables are written with.
    #[error("a partition table cannot be read with sectors of {0} bytes; 512 to 4096 are possible")]
    SectorSize(u32),
    /// The target is smaller than the disk that was captured.
    #[error(
        "the target has {target_size} bytes, fewer than the {needed} bytes of the captured disk; choose a disk \
         of at least that size"
    )]
    TooSmall {
        /// Size of the target in bytes.
        target_size: u64,
        /// Size of the captured disk in bytes.
        needed: u64,
    },
    /// No usable copy of the GPT was found where [`read`] found one.
    #[error("the captured disk holds no valid GPT any more; verify the image")]
    Lost,
    /// Something else lies where a copy of the GPT has to go.
    #[error("the {copy} GPT cannot be written: something else lies where it belongs")]
    NoRoom {
        /// "primary" or "backup".
        copy: &'static str,
        /// The least size of a disk on which there is room, bytes; `None` when size does not help.
        needed: Option<u64>,
    },
    /// The partitions cannot be written into such a table.
    #[error("the partition table cannot be written anew: {0}")]
    Unwritable(String),
    /// A new table was wanted where none can be.
    #[error("a new GPT cannot be made: {0}")]
    Unmade(String),
}

/// Reads the partition table of a disk. `sector_size` is the disk's logical sector size in bytes.
///
/// # Errors
/// Only for an impossible sector size. Unreadable, damaged or contradictory tables are reported
/// in the notices of the result.
pub fn read(disk: &dyn ReadAt, sector_size: u32) -> Result<Table, TableError> {
    if !(512..=4096).contains(&sector_size) || !sector_size.is_power_of_two() {
        return Err(TableError::SectorSize(sector_size));
    }
    Ok(match mbr::read(disk, sector_size) {
        mbr::Found::Nothing { doubts, unreadable } => {
            let mut table = gpt::without_protection(disk, sector_size);
            table.doubts.extend(doubts);
            Table { unreadable, ..table }
        }
        mbr::Found::Protective(others) => {
            let (table, mut claims) = gpt::read(disk, sector_size);
            claims.extend(others);
            check::weighed(disk, table, &claims)
        }
        mbr::Found::Table(mut table) => {
            table.notices.extend(gpt::stale(disk, sector_size));
            check::weighed(disk, table, &[])
        }
    })
}

/// The bytes in which the table itself is written: MBR, both copies of the GPT, extended boot
/// records.
pub fn metadata_extents(disk: &dyn ReadAt, table: &Table) -> Extents {
    match table.scheme {
        Scheme::Gpt => gpt::extents(disk, table.sector_size),
        Scheme::Mbr => mbr::extents(disk, table.sector_size),
        Scheme::None => Extents::new(),
    }
}
