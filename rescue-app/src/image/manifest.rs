//! `manifest.json`: what an image says about its disk that a raw `disk.img` cannot.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bytes::Extents;
use crate::console;
use crate::firmware::BootEntry;
use crate::table::{PARTITIONS_MAX, Table};
use crate::volume::{Filesystem, LogicalVolume};

use super::damage::Damage;
use super::left_out::LeftOut;

/// The major version this program writes and the newest it reads.
pub const MAJOR: u32 = 1;

/// Everything about a captured disk besides its bytes. Fields this version does not know are
/// kept in `other`, so that a manifest survives being read and written by an older program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version; a larger one is refused.
    pub version: u32,
    /// Program and version that made the image.
    pub tool: String,
    /// The disk captured.
    pub disk: DiskIdentity,
    /// The machine it was captured on.
    #[serde(default)]
    pub machine: Machine,
    /// The form in which a file or folder held the disk, where it was no device and no plain image file: "qcow2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// Entries of that machine's firmware for programs on this disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_entries: Vec<BootEntry>,
    /// Chunk size in bytes; chunks restart at every region.
    pub chunk_size: u64,
    /// The partition table as read.
    pub table: Table,
    /// The disk from first to last byte, without gaps or overlaps.
    pub regions: Vec<Region>,
    /// Bytes of the disk that could not be read; stored as zeros.
    #[serde(default, skip_serializing_if = "Extents::is_empty")]
    pub unreadable: Extents,
    /// The same with what is known of each place.
    #[serde(default, skip_serializing_if = "Damage::is_none")]
    pub damage: Damage,
    /// What the capture warned of.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Fields of newer minor versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Which disk it is, independent of the name the kernel gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskIdentity {
    /// Model as the disk reports it; the file name for an image file.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World Wide Name.
    pub wwn: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Logical sector size in bytes.
    pub logical_sector: u32,
    /// Physical sector size in bytes.
    pub physical_sector: u32,
    /// How it was attached.
    pub transport: String,
}

impl DiskIdentity {
    /// "Samsung SSD 870 (S5Y1NJ0R)", as shown to a person.
    pub fn name(&self) -> String {
        let model = self.model.as_deref().unwrap_or("disk");
        console::name(&match &self.serial {
            Some(serial) => format!("{model} ({serial})"),
            None => model.to_owned(),
        })
    }

    /// "Samsung-SSD-870-S5Y1NJ0R": the usual folder of the disk inside its images. Letters and
    /// digits of all scripts, dot and underscore survive; every run of anything else becomes one
    /// dash.
    pub fn folder(&self) -> String {
        let joined = [self.model.as_deref(), self.serial.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("-");
        file_name(&joined)
    }
}

/// The longest name of a file made from that of a disk, bytes.
const NAME_MAX: usize = 200;

/// What a disk is called, as the name of a file; see [`DiskIdentity::folder`].
pub fn file_name(disk: &str) -> String {
    let mut name = String::new();
    for character in disk.chars() {
        if character.is_alphanumeric() || "._".contains(character) {
            name.push(character);
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    // Most filesystems end names at 255 bytes, and something may be added behind.
    let ends = name.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| *end <= NAME_MAX).last().unwrap_or_default();
    let name = name.get(..end).unwrap_or_default();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() { "disk".to_owned() } else { name.to_owned() }
}

/// The machine an image was captured on, from DMI and the firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Vendor, as DMI's `sys_vendor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Product, as DMI's `product_name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// `UEFI` or `BIOS`: how Lifeboat was started, which is how the disk most likely boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// How much of a region an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    /// The blocks in use.
    Used,
    /// Every byte.
    Whole,
    /// The header only: swap space, whose content means nothing after a restart.
    Header,
    /// Nothing: the partition was not chosen.
    Nothing,
}

/// A partition, or a stretch of disk outside all partitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Partition number; absent outside partitions and on a disk without a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// What is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Filesystem>,
    /// What an array, or a container that was unlocked for the capture, holds, outermost first;
    /// what was encrypted without labels and identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<Filesystem>,
    /// The operating system installed on it, as [`crate::inspect::system`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// How much of it the image holds.
    pub stored: Stored,
    /// The bytes that matter, as offsets on the disk. What is in none of them was unused:
    /// restoring may leave it as it is, while a used zero is really written.
    pub used: Extents,
    /// The logical volumes in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logical_volumes: Vec<LogicalVolume>,
    /// Smallest size in bytes the filesystem could have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_size: Option<u64>,
    /// Files of which not all is in `used`: systems make it anew, or it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Fields of newer minor versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Region {
    /// One past the last byte on the disk.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of this shape.
    #[error("the image's manifest.json cannot be read: {0}; run `lifeboat verify` on this image")]
    Json(#[from] serde_json::Error),
    /// Made by a newer program.
    #[error(
        "the image's manifest.json has version {0}, this program knows up to {MAJOR}; \
         use a newer Lifeboat, or restore disk.img with stock restic"
    )]
    TooNew(u32),
    /// Contradicts itself.
    #[error("the image's manifest.json is not usable: {0}; run `lifeboat verify` on this image")]
    Inconsistent(String),
}

impl Manifest {
    /// Files and folders whose content was left out because somebody asked for it.
    pub fn excluded(&self) -> impl Iterator<Item = String> {
        self.regions.iter().flat_map(|region| {
            let number = region.partition.unwrap_or_default();
            let asked = region.left_out.iter().filter(|file| file.asked);
            asked.map(move |file| format!("{number}{}", console::name(&file.path)))
        })
    }

    /// Reads and checks a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let version = serde_json::from_slice::<Version>(json)?.version;
        if version > MAJOR {
            return Err(ManifestError::TooNew(version));
        }
        let manifest: Self = serde_json::from_slice(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |what: String| Err(ManifestError::Inconsistent(what));
        if self.chunk_size == 0 || !self.chunk_size.is_power_of_two() {
            return wrong(format!("the chunk size is {}", self.chunk_size));
        }
        if !matches!(self.disk.logical_sector, 512 | 1024 | 2048 | 4096) {
            return wrong(format!("the sector size is {}", self.disk.logical_sector));
        }
        // Partitions and what lies around each: more there cannot be, and some of what is done with
        // them takes the square of their number.
        if self.table.partitions.len() > PARTITIONS_MAX
            || self.regions.len() > 2 * PARTITIONS_MAX + 1
        {
            return wrong(format!("it has {} regions", self.regions.len()));
        }
        let mut at = 0u64;
        for region in &self.regions {
            let end = region.start.checked_add(region.size);
            let Some(end) = end.filter(|end| region.start == at && *end <= self.disk.size) else {
                return wrong(format!("the region at byte {} is out of place", region.start));
            };
            if region.used.iter().any(|extent| extent.start < region.start || extent.end > end) {
                return wrong(format!("used blocks outside the region at byte {}", region.start));
            }
            at = end;
        }
        if at == self.disk.size { Ok(()) } else { wrong("its regions end too early".to_owned()) }
    }

    /// The manifest as it is stored.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// All used bytes of the disk.
    pub fn used(&self) -> Extents {
        let mut used = Extents::new();
        for extent in self.regions.iter().flat_map(|region| region.used.iter()) {
            used.push(extent.start, extent.end);
        }
        used
    }

    /// The region of partition `number`.
    pub fn partition(&self, number: u32) -> Option<&Region> {
        self.regions.iter().find(|region| region.partition == Some(number))
    }
}
