//! The data partition of a stick: what is there already, and what is made.

use serde::Serialize;

use crate::bytes::{Extents, ReadAt, Window};
use crate::disk::Disk;
use crate::inspect;
use crate::operation::error::OperationError;
use crate::operation::prepare::PlaceFilesystem;
use crate::operation::survey::{Survey, Volume};
use crate::table::{STICK_DATA_NUMBER, STICK_DATA_START, Scheme, stick_data_size};
use crate::volume::Kind;

/// A data partition smaller than this holds no images worth it, bytes.
const LEAST_DATA: u64 = 64 << 20;

/// The smallest stick, bytes.
pub(super) const LEAST_STICK: u64 = STICK_DATA_START + LEAST_DATA;

/// What becomes of the data partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "data")]
pub enum StickData {
    /// An empty exFAT is made.
    New,
    /// The exFAT that is there stays as it is, with all that is in it.
    Kept {
        /// Its label.
        label: Option<String>,
        /// Its size in bytes.
        size: u64,
    },
}

impl StickData {
    /// What is to become of what lies at the place of the data partition.
    pub(super) fn plan(disk: &dyn ReadAt, anew: bool) -> Result<Self, OperationError> {
        let size = stick_data_size(disk.size());
        if anew {
            return Ok(Self::New);
        }
        let place = Window::new(disk, STICK_DATA_START, size);
        let reading = |error| OperationError::io("reading the place of the data partition", error);
        // exFAT specification, section 3.1.2: FileSystemName at byte 3.
        let named = place.read_vec(3, 8).map_err(reading)? == b"EXFAT   ";
        let found = inspect::recognise(&place).map_err(reading)?;
        match found.filter(|found| found.kind == Kind::ExFat) {
            Some(found) if found.size <= size => {
                Ok(Self::Kept { label: found.label, size: found.size })
            }
            None if !named => Ok(Self::New),
            _ => Err(OperationError::refused(
                "the stick has a data partition that is damaged, or cut off",
                "repair or save it first; or give it up and say --new-data",
            )),
        }
    }

    /// The bytes of the disk that stay as they are.
    pub(super) fn kept(&self) -> Extents {
        match self {
            Self::New => Extents::new(),
            Self::Kept { size, .. } => Extents::from(vec![(STICK_DATA_START, *size)]),
        }
    }

    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }
}

/// The label of a new data partition.
pub(super) fn label() -> &'static str {
    PlaceFilesystem::Exfat.usual_label()
}

/// Whether a volume is the data partition of the stick that Lifeboat was started from: the one part of it
/// that is written to.
pub fn is_stick_data(disk: &Disk, volume: &Volume) -> bool {
    disk.boot_medium
        && volume.partition == Some(STICK_DATA_NUMBER)
        && volume.start == STICK_DATA_START
        && volume.filesystem.as_ref().is_some_and(|found| found.kind == Kind::ExFat)
}

/// Bytes of the stick that Lifeboat was started from which could hold images and are no partition yet;
/// `None` of any other disk.
pub fn stick_room(survey: &Survey) -> Option<u64> {
    let Survey { disk, table, volumes, .. } = survey;
    let is_stick = disk.boot_medium && disk.uses.is_empty() && disk.logical_sector == 512;
    let is_free = table.scheme == Scheme::Mbr
        && !table.partitions.is_empty()
        && table.partitions.iter().all(|part| {
            part.end() <= STICK_DATA_START
                || part.number == STICK_DATA_NUMBER && part.start == STICK_DATA_START
        });
    let is_made = volumes.iter().any(|volume| is_stick_data(disk, volume));
    let size = stick_data_size(disk.size);
    (is_stick && is_free && !is_made && size >= LEAST_DATA).then_some(size)
}
