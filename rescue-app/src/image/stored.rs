//! An image that is in a repository.

use crate::console;
use crate::repository::{BlobReader, Id, IndexedRepository, Node, Snapshot, SnapshotFile};

use super::ImageError;
use super::content::{Placed, place};
use super::manifest::{Manifest, ManifestError};

/// Name of the raw disk in an image's folder.
pub const DISK_FILE: &str = "disk.img";
/// Name of the manifest beside it.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Tag that every snapshot of a disk carries.
pub const TAG: &str = "lifeboat";

/// A manifest larger than this is refused: the map of a badly fragmented 20 TiB disk has 100 MB.
const MANIFEST_MAX: u64 = 256 << 20;

/// One with more values than this too: a value takes up to 32 times the memory of its text.
const MANIFEST_VALUES_MAX: usize = 12_000_000;

/// Whether a snapshot was made by Lifeboat.
pub fn is_ours(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|tag| tag == TAG)
}

/// The folder of the disk in an image.
pub fn folder_of(snapshot: &Snapshot) -> String {
    let paths: Vec<_> = snapshot.paths.iter().map(|path| path.trim_start_matches('/')).collect();
    console::name(&paths.join(", "))
}

/// An image found in an open repository.
#[derive(Debug)]
pub struct OpenImage {
    /// Id of its snapshot.
    pub id: Id,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What it says of its disk.
    pub manifest: Manifest,
    disk: Node,
    manifest_node: Node,
}

impl OpenImage {
    /// The image of that id.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn load(repo: &IndexedRepository, id: Id) -> Result<Self, ImageError> {
        Self::open(repo, repo.load_snapshot(id)?)
    }

    /// Reads the manifest of a snapshot.
    ///
    /// # Errors
    /// When it is no image of a disk, or its manifest cannot be read.
    pub fn open(repo: &IndexedRepository, file: SnapshotFile) -> Result<Self, ImageError> {
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
            return Err(ImageError::WrongSize { stored, expected });
        }
        Ok(Self { id, snapshot, manifest, disk, manifest_node })
    }

    /// All images of disks, oldest first; an error for each whose manifest cannot be read.
    /// Snapshots made by other programs are left out.
    pub fn all(
        repo: &IndexedRepository,
    ) -> Result<impl DoubleEndedIterator<Item = Result<Self, ImageError>> + use<'_>, ImageError>
    {
        let files = repo.snapshots()?.snapshots.into_iter();
        Ok(files.filter_map(|file| {
            let ours = is_ours(&file.snapshot);
            match Self::open(repo, file) {
                Err(ImageError::NotADisk(_)) => None,
                Err(error) => ours.then_some(Err(error)),
                image => Some(image),
            }
        }))
    }

    /// Where each chunk lies on the disk, by the index of the repository that it is in.
    ///
    /// # Errors
    /// When a chunk is not in the index, or they do not add up to the disk.
    pub fn placed(&self, repo: &IndexedRepository) -> Result<Vec<Placed>, ImageError> {
        place(repo, content(&self.disk), self.disk.size)
    }

    /// Every blob the image needs, its trees excepted.
    pub fn blobs(&self) -> impl Iterator<Item = Id> + '_ {
        content(&self.disk).iter().chain(content(&self.manifest_node)).copied()
    }

    /// The first eight digits of the id.
    pub fn short_id(&self) -> String {
        self.id.short()
    }
}

fn content(file: &Node) -> &[Id] {
    file.content.as_deref().unwrap_or_default()
}

fn read_file(repo: &IndexedRepository, node: &Node) -> Result<Vec<u8>, ImageError> {
    if node.size > MANIFEST_MAX {
        return Err(ImageError::WrongSize { stored: node.size, expected: MANIFEST_MAX });
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
