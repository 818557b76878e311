//! The images in a repository.

use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;

use crate::firmware::BootEntry;
use crate::image::damage::Damage;
use crate::image::manifest::{Manifest, Region, Stored};
use crate::image::stored::{OpenImage, folder_of};
use crate::progress::Control;
use crate::repository::{Id, Snapshot, SnapshotFile};
use crate::table::Table;
use crate::volume::Kind;

use super::access::RepoAccess;
use super::boot::BootNote;
use super::catalog::{Catalog, Listed};
use super::error::OperationError;
use super::format::content_name;
use super::format::count;
use super::label;
use super::latest::{self, OfSeveral};
use super::survey::Volume;

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
    /// What the firmware of the captured machine started from this disk: `"debian"
    /// (\EFI\debian\shimx64.efi)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot_entries: Vec<String>,
    /// The form in which a file or folder held the disk, where it was no device and no plain image file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// What of the disk could not be read.
    #[serde(skip_serializing_if = "Damage::is_none")]
    pub damage: Damage,
    /// What the capture warned of.
    pub warnings: Vec<String>,
    /// Numbers of the partitions it holds, where others were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_partitions: Option<Vec<u32>>,
    /// Files and folders whose content was left out because somebody asked for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
    /// Sectors of the disk that could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing_sectors: u64,
    /// Why it cannot be restored whole: what of it the repository lacks. Then all else that is not
    /// in its snapshot may be unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// The words that people gave it to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What people noted of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How it came out when it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_test: Option<BootNote>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A partition in an image.
#[derive(Clone, Debug)]
pub struct ImagePartition {
    /// What it was when it was captured. Locked containers in it are not told.
    pub volume: Volume,
    /// What it holds besides, when it is an array or a container that was unlocked.
    pub inside: Vec<Kind>,
    /// How much of it the image holds.
    pub stored: Stored,
}

impl ImagePartition {
    /// Whether its content is in the image.
    pub fn is_stored(&self) -> bool {
        self.stored != Stored::Nothing
    }
}

/// Flat, with what a filesystem tells beside the rest.
impl Serialize for ImagePartition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Volume { partition, start, size, content, .. } = &self.volume;
        let filesystem = self.volume.filesystem.as_ref();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("number", partition)?;
        map.serialize_entry("start", start)?;
        map.serialize_entry("size", size)?;
        map.serialize_entry("kind", &filesystem.map(|it| it.kind))?;
        map.serialize_entry("content", content)?;
        map.serialize_entry("label", &self.volume.label())?;
        map.serialize_entry("uuid", &filesystem.and_then(|it| it.uuid.as_ref()))?;
        map.serialize_entry("used", &self.volume.used())?;
        if let Some(least) = self.volume.minimum_size {
            map.serialize_entry("minimum_size", &least)?;
        }
        if let Some(last_use) = filesystem.and_then(|it| it.last_use.as_ref()) {
            map.serialize_entry("last_use", last_use)?;
        }
        if !self.inside.is_empty() {
            map.serialize_entry("inside", &self.inside)?;
        }
        if let Some(system) = &self.volume.system {
            map.serialize_entry("system", system)?;
        }
        map.serialize_entry("state", self.volume.state())?;
        map.serialize_entry("stored", &self.stored)?;
        if !self.volume.logical_volumes.is_empty() {
            map.serialize_entry("logical_volumes", &self.volume.logical_volumes)?;
        }
        map.end()
    }
}

impl ImageSummary {
    /// Digits of the id that name an image on the command line, as restic shows them.
    pub const SHORT_ID: usize = 8;

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
            boot_entries: entry_names(&manifest.boot_entries),
            imported_from: manifest.imported_from.clone(),
            damage: manifest.damage.clone(),
            warnings: manifest.warnings.clone(),
            only_partitions: only_partitions(manifest),
            excluded: manifest.excluded().collect(),
            missing_sectors: manifest
                .unreadable
                .total()
                .div_ceil(u64::from(manifest.disk.logical_sector)),
            incomplete: None,
            tags: label::tags(snapshot),
            note: label::note(snapshot),
            boot_test: None,
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
            boot_entries: Vec::new(),
            imported_from: None,
            damage: Damage::default(),
            warnings: Vec::new(),
            only_partitions: None,
            excluded: Vec::new(),
            missing_sectors: 0,
            incomplete: Some(problem),
            tags: label::tags(&file.snapshot),
            note: label::note(&file.snapshot),
            boot_test: None,
        }
    }

    /// With what is noted of it in the folder of its repository.
    fn with_boot_test(self, repo: Option<&Path>) -> Self {
        Self { boot_test: repo.and_then(|repo| BootNote::read(repo, &self.id)), ..self }
    }

    /// What it lacks, in a few words each: `partitions 1, 2` (only these), `12 sectors missing`,
    /// `incomplete`, `content of 3/home/anna left out`.
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
        let excluded = (!self.excluded.is_empty())
            .then(|| format!("content of {} left out", self.excluded.join(", ")));
        [only, sectors, incomplete, excluded].into_iter().flatten().collect()
    }

    /// The first digits of the id: enough to name it.
    pub fn short_id(&self) -> &str {
        self.id.get(..Self::SHORT_ID).unwrap_or(&self.id)
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
    let kind = region.filesystem.as_ref().map(|filesystem| filesystem.kind);
    let volume = Volume {
        partition: region.partition,
        start: region.start,
        size: region.size,
        filesystem: region.filesystem.clone(),
        content: content_name(kind, region.partition.and_then(|number| table.partition(number))),
        minimum_size: region.minimum_size,
        logical_volumes: region.logical_volumes.clone(),
        containers: Vec::new(),
        system: region.system.clone(),
    };
    let inside = region.inside.iter().map(|filesystem| filesystem.kind).collect();
    ImagePartition { volume, inside, stored: region.stored }
}

/// Boot entries for a person.
fn entry_names(entries: &[BootEntry]) -> Vec<String> {
    entries.iter().filter_map(|entry| Some(entry.load_option()?.to_string())).collect()
}

/// When a snapshot was made, RFC 3339.
pub(super) fn rfc3339(snapshot: &Snapshot) -> String {
    snapshot.time.format(&Rfc3339).unwrap_or_else(|_| snapshot.time.to_string())
}

/// The images of disks in a repository, newest first; those that lack data among them.
pub fn list_images(access: &RepoAccess) -> Result<Vec<ImageSummary>, OperationError> {
    let images = Catalog::open(access)?.images;
    let noted = |image: Listed| image.summary.with_boot_test(access.folder());
    Ok(images.into_iter().rev().map(noted).collect())
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
    Ok(ImageSummary::of(&OpenImage::load(&repo, meant.id)?).with_boot_test(access.folder()))
}
