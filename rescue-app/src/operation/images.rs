//! The images in a repository.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::image::damage::Damage;
use crate::image::manifest::{Manifest, Region, Stored};
use crate::image::stored::{OpenImage, folder_of};
use crate::progress::Control;
use crate::repository::{Id, Snapshot, SnapshotFile};
use crate::table::Table;
use crate::volume::{Kind, LastUse, LogicalVolume, State};

use super::access::RepoAccess;
use super::catalog::Catalog;
use super::error::OperationError;
use super::format::content_name;
use super::format::count;
use super::latest::{self, OfSeveral};

/// An image as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct ImageSummary {
    /// Snapshot id, 64 hexadecimal digits.
    pub id: String,
    /// When it was made, RFC 3339.
    pub time: String,
    /// The captured disk, as shown to a person.
    pub disk_name: String,
    /// Its model.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that the image holds.
    pub used: u64,
    /// Its partitions.
    pub partitions: Vec<ImagePartition>,
    /// What of the disk could not be read.
    #[serde(skip_serializing_if = "Damage::is_none")]
    pub damage: Damage,
    /// What the capture warned of.
    pub warnings: Vec<String>,
    /// Numbers of the partitions it holds, where others were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_partitions: Option<Vec<u32>>,
    /// Sectors of the disk that could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing_sectors: u64,
    /// Why it cannot be restored whole: what of it the repository lacks. Then all else that is not
    /// in its snapshot may be unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A partition in an image.
#[derive(Clone, Debug, Serialize)]
pub struct ImagePartition {
    /// Partition number; `None` on a disk without a table.
    pub number: Option<u32>,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Filesystem.
    pub kind: Option<Kind>,
    /// What it holds in a few words, from the partition's type where there is no filesystem.
    pub content: String,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
    /// Bytes in use, by its own count.
    pub used: Option<u64>,
    /// Bytes that the filesystem's own tool is expected to be able to shrink it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_size: Option<u64>,
    /// When and where it was last in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_use: Option<LastUse>,
    /// What it holds besides, when it is an array or a container that was unlocked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<Kind>,
    /// The operating system installed on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Whether it was in order.
    pub state: State,
    /// How much of it the image holds.
    pub stored: Stored,
    /// The logical volumes in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logical_volumes: Vec<LogicalVolume>,
}

impl ImageSummary {
    /// The image as it is listed.
    pub(super) fn of(image: &OpenImage) -> Self {
        Self::new(image.id, &image.snapshot, &image.manifest)
    }

    /// Sums up a snapshot and its manifest.
    pub(super) fn new(id: Id, snapshot: &Snapshot, manifest: &Manifest) -> Self {
        Self {
            id: id.to_string(),
            time: rfc3339(snapshot),
            disk_name: manifest.disk.name(),
            model: manifest.disk.model.clone(),
            serial: manifest.disk.serial.clone(),
            size: manifest.disk.size,
            used: manifest.regions.iter().map(|region| region.used.total()).sum(),
            partitions: partitions(manifest),
            damage: manifest.damage.clone(),
            warnings: manifest.warnings.clone(),
            only_partitions: only_partitions(manifest),
            missing_sectors: manifest
                .unreadable
                .total()
                .div_ceil(u64::from(manifest.disk.logical_sector)),
            incomplete: None,
        }
    }

    /// Of an image whose manifest cannot be read.
    pub(super) fn incomplete(file: &SnapshotFile, problem: String) -> Self {
        Self {
            id: file.id.to_string(),
            time: rfc3339(&file.snapshot),
            disk_name: folder_of(&file.snapshot),
            model: None,
            serial: None,
            size: file.snapshot.summary.as_ref().map_or(0, |sum| sum.total_bytes_processed),
            used: 0,
            partitions: Vec::new(),
            damage: Damage::default(),
            warnings: Vec::new(),
            only_partitions: None,
            missing_sectors: 0,
            incomplete: Some(problem),
        }
    }

    /// What it lacks, in a few words each: `partitions 1, 2` (only these), `12 sectors missing`,
    /// `incomplete`.
    pub fn marks(&self) -> Vec<String> {
        let only = self.only_partitions.as_ref().map(|numbers| match numbers[..] {
            [] => "no partition".to_owned(),
            [number] => format!("partition {number}"),
            _ => {
                let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                format!("partitions {}", numbers.join(", "))
            }
        });
        let sectors = (self.missing_sectors > 0)
            .then(|| format!("{} missing", count(self.missing_sectors, "sector")));
        let incomplete = self.incomplete.as_ref().map(|_| "incomplete".to_owned());
        [only, sectors, incomplete].into_iter().flatten().collect()
    }

    /// The first eight digits of the id, as restic shows them.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }
}

fn only_partitions(manifest: &Manifest) -> Option<Vec<u32>> {
    let left_out = manifest.regions.iter().any(|region| region.stored == Stored::Nothing);
    let stored = manifest.regions.iter().filter(|region| region.stored != Stored::Nothing);
    left_out.then(|| stored.filter_map(|region| region.partition).collect())
}

fn partitions(manifest: &Manifest) -> Vec<ImagePartition> {
    let kept = |region: &&Region| region.partition.is_some() || region.filesystem.is_some();
    let regions = manifest.regions.iter().filter(kept);
    regions.map(|region| partition(region, &manifest.table)).collect()
}

fn partition(region: &Region, table: &Table) -> ImagePartition {
    let filesystem = region.filesystem.as_ref();
    let kind = filesystem.map(|filesystem| filesystem.kind);
    ImagePartition {
        number: region.partition,
        start: region.start,
        size: region.size,
        kind,
        content: content_name(kind, region.partition.and_then(|number| table.partition(number))),
        label: filesystem.and_then(|filesystem| filesystem.label.clone()),
        uuid: filesystem.and_then(|filesystem| filesystem.uuid.clone()),
        used: filesystem.and_then(|filesystem| filesystem.used),
        minimum_size: region.minimum_size,
        last_use: filesystem.and_then(|filesystem| filesystem.last_use.clone()),
        inside: region.inside.iter().map(|filesystem| filesystem.kind).collect(),
        system: region.system.clone(),
        state: region.state(),
        stored: region.stored,
        logical_volumes: region.logical_volumes.clone(),
    }
}

/// When a snapshot was made, RFC 3339.
pub(super) fn rfc3339(snapshot: &Snapshot) -> String {
    snapshot.time.format(&Rfc3339).unwrap_or_else(|_| snapshot.time.to_string())
}

/// The images of disks in a repository, newest first; those that lack data among them.
pub fn list_images(access: &RepoAccess) -> Result<Vec<ImageSummary>, OperationError> {
    let images = Catalog::open(access)?.images;
    Ok(images.into_iter().rev().map(|image| image.summary).collect())
}

/// One image: the start of its id, `latest` or `latest:DISK`.
pub fn show_image(
    access: &RepoAccess,
    reference: &str,
    control: Control<'_>,
) -> Result<ImageSummary, OperationError> {
    let repo = access.open()?.load_index()?;
    let meant = latest::find(&repo, reference, OfSeveral::Newest)?;
    meant.doubts.into_iter().for_each(|doubt| control.warn(doubt));
    Ok(ImageSummary::of(&OpenImage::load(&repo, meant.id)?))
}
