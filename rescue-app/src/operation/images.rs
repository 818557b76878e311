//! The images in a repository.

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::filesystem::{Kind, LastUse, LogicalVolume, State};
use crate::image::ImageError;
use crate::image::content::{Placed, place};
use crate::image::damage::Damage;
use crate::image::manifest::{Manifest, ManifestError, Region, Stored};
use crate::repository::{BlobReader, Id, Node, Repository, Snapshot, SnapshotFile};
use crate::table::Table;

use super::access::RepoAccess;
use super::error::OperationError;
use super::format::content_name;

/// Name of the raw disk in an image's folder.
pub(super) const DISK_FILE: &str = "disk.img";
/// Name of the manifest beside it.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// Tag that every snapshot of a disk carries.
pub(super) const TAG: &str = "lifeboat";

/// A manifest larger than this is refused: the map of a badly fragmented 20 TiB disk has 100 MB.
const MANIFEST_MAX: u64 = 256 << 20;

/// One with more values than this too: a value takes up to 32 times the memory of its text.
const MANIFEST_VALUES_MAX: usize = 12_000_000;

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
        }
    }

    /// The first eight digits of the id, as restic shows them.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }
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

/// An image found in an open repository.
pub(super) struct OpenImage<'r> {
    pub(super) repo: &'r Repository,
    pub(super) id: Id,
    pub(super) snapshot: Snapshot,
    pub(super) manifest: Manifest,
    disk: Node,
    manifest_node: Node,
}

impl<'r> OpenImage<'r> {
    /// The image whose id starts with `reference`, or the newest for `latest`. The repository's
    /// index must be loaded.
    pub(super) fn find(repo: &'r Repository, reference: &str) -> Result<Self, OperationError> {
        Self::open(repo, repo.snapshot(reference)?)
    }

    /// Reads the manifest of a snapshot.
    pub(super) fn open(repo: &'r Repository, file: SnapshotFile) -> Result<Self, OperationError> {
        let SnapshotFile { id, snapshot } = file;
        let not_a_disk = || ImageError::NotADisk(id.short());
        let root = repo.read_tree(&snapshot.tree)?;
        let folder = root.nodes().iter().find_map(|node| node.subtree).ok_or_else(not_a_disk)?;
        let files = repo.read_tree(&folder)?;
        let file = |name: &str| files.find(name).cloned();
        let disk = file(DISK_FILE).ok_or_else(not_a_disk)?;
        let manifest_node = file(MANIFEST_FILE).ok_or_else(not_a_disk)?;
        let manifest = Manifest::parse(&read_file(repo, &manifest_node)?)?;
        if disk.size != manifest.disk.size {
            let (stored, expected) = (disk.size, manifest.disk.size);
            return Err(ImageError::WrongSize { stored, expected }.into());
        }
        Ok(Self { repo, id, snapshot, manifest, disk, manifest_node })
    }

    /// All images of disks, oldest first; snapshots made by other programs are left out.
    pub(super) fn all(repo: &'r Repository) -> Result<Vec<Self>, OperationError> {
        let mut images = Vec::new();
        for file in repo.snapshots()?.snapshots {
            match Self::open(repo, file) {
                Ok(image) => images.push(image),
                Err(OperationError::Image(ImageError::NotADisk(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(images)
    }

    /// Where each chunk lies on the disk.
    pub(super) fn placed(&self) -> Result<Vec<Placed>, OperationError> {
        Ok(place(self.repo, content(&self.disk), self.disk.size)?)
    }

    /// Every blob the image needs, its trees excepted.
    pub(super) fn blobs(&self) -> impl Iterator<Item = Id> + '_ {
        content(&self.disk).iter().chain(content(&self.manifest_node)).copied()
    }

    /// The first eight digits of the id.
    pub(super) fn short_id(&self) -> String {
        self.id.short()
    }

    /// The image as it is listed.
    pub(super) fn summary(&self) -> ImageSummary {
        ImageSummary::new(self.id, &self.snapshot, &self.manifest)
    }
}

fn content(file: &Node) -> &[Id] {
    file.content.as_deref().unwrap_or_default()
}

fn read_file(repo: &Repository, node: &Node) -> Result<Vec<u8>, OperationError> {
    if node.size > MANIFEST_MAX {
        return Err(ImageError::WrongSize { stored: node.size, expected: MANIFEST_MAX }.into());
    }
    let placed = place(repo, content(node), node.size)?;
    let mut reader = BlobReader::new()?;
    let mut bytes = Vec::new();
    for blob in placed {
        bytes.extend_from_slice(repo.read_blob(&blob.id, &mut reader)?);
    }
    if bytes.iter().filter(|&&byte| byte == b',').count() > MANIFEST_VALUES_MAX {
        let problem = format!("it has more than {MANIFEST_VALUES_MAX} values");
        return Err(ManifestError::Inconsistent(problem).into());
    }
    Ok(bytes)
}

/// The images of disks in a repository, newest first.
pub fn list_images(access: &RepoAccess) -> Result<Vec<ImageSummary>, OperationError> {
    let repo = access.open()?;
    repo.load_index()?;
    Ok(OpenImage::all(&repo)?.iter().rev().map(OpenImage::summary).collect())
}

/// One image.
pub fn show_image(access: &RepoAccess, reference: &str) -> Result<ImageSummary, OperationError> {
    let repo = access.open()?;
    repo.load_index()?;
    Ok(OpenImage::find(&repo, reference)?.summary())
}
