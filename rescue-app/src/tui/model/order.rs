//! What a person chose, and what is to be done with it.

use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ByItself, Disk, Volume};
use crate::disk::Agreement;
use crate::image::manifest::file_name;
use crate::operation::{Compression, KeepRules, Keys, Passphrase, PlaceFilesystem};

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a partition that is mounted only while it is used.
    Partition {
        /// Partition path below `/dev`.
        device: PathBuf,
        /// Folder, relative to its root.
        folder: PathBuf,
        /// Its filesystem, such as `ext4`.
        kind: String,
        /// Where it is mounted already; it is used there then.
        mounted: Option<MountPoint>,
    },
    /// In a folder that is reachable already.
    Folder(PathBuf),
}

/// `folder` below `root`; a repository may be the root itself.
pub fn below(root: &Path, folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { root.to_owned() } else { root.join(folder) }
}

/// Where a partition is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// The folder.
    pub dir: PathBuf,
    /// Whether nothing can be stored in it as it is.
    pub read_only: bool,
}

/// A repository chosen by the person.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where it is.
    pub location: Location,
    /// How to name it on screen.
    pub title: String,
    /// Its own passphrase; `None` for the published word.
    pub passphrase: Option<Passphrase>,
    /// Path of the disk it is on, where known.
    pub disk: Option<PathBuf>,
}

/// One captured disk in a repository.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Snapshot id, 64 hexadecimal digits.
    pub id: String,
    /// When it was captured, as shown.
    pub time: String,
    /// Model and serial number of the captured disk.
    pub disk: String,
    /// Size of the captured disk in bytes.
    pub size: u64,
    /// Bytes of it that the image holds.
    pub used: u64,
    /// Its partitions.
    pub partitions: Vec<ImagePartition>,
    /// What was noted while capturing.
    pub warnings: Vec<String>,
    /// What it lacks of its disk, a few words each: "partitions 1, 2", "12 sectors missing".
    pub marks: Vec<String>,
}

impl Image {
    /// The first eight digits of the id: enough to name it on the command line.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// The logical volumes, of which those that lie on other disks too need images of these.
    pub fn logical_volumes(&self) -> impl Iterator<Item = &Volume> {
        let captured = self.partitions.iter().filter(|partition| partition.captured);
        captured.flat_map(|partition| &partition.volume.inside)
    }

    /// Bytes that a target has to have for any of it.
    pub fn least_target(&self) -> u64 {
        let possible = self.logical_volumes().filter(|it| it.by_itself != ByItself::Never);
        possible.map(|volume| volume.size).fold(self.size, u64::min)
    }

    /// The captured disk as a [`Disk`], for drawing.
    pub fn volumes(&self) -> Vec<Volume> {
        self.partitions.iter().map(|partition| partition.volume.clone()).collect()
    }
}

/// A partition of an [`Image`].
#[derive(Clone, Debug, Default)]
pub struct ImagePartition {
    /// What it is.
    pub volume: Volume,
    /// Whether its content is in the image.
    pub captured: bool,
}

/// How much of a disk, or of the chosen partitions, an image holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Blocks in use, and what lies outside of partitions.
    #[default]
    Used,
    /// Blocks in use; what lies outside of partitions is neither read nor stored, but for the ends of
    /// each such stretch.
    Partitioned,
    /// Every byte.
    All,
}

/// What to capture and where to.
#[derive(Clone, Debug)]
pub struct CaptureOrder {
    /// The source.
    pub disk: Disk,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The repository that receives the image.
    pub repository: Repository,
    /// Compression level.
    pub compression: Compression,
    /// Encrypted containers that were unlocked.
    pub keys: Keys,
    /// How much of it is stored.
    pub content: Content,
    /// Of NTFS that was not closed what its tables call used, instead of everything.
    pub trusts_unclosed: bool,
    /// How often sectors that cannot be read are tried again.
    pub retries: u32,
    /// Whether a map of what was read is kept beside the images.
    pub keeps_map: bool,
    /// What was planned for it, once it was.
    pub planned: Option<Planned>,
}

impl CaptureOrder {
    /// Whether an NTFS that was not closed is captured by its tables; there is nothing to trust them
    /// for when every byte is stored.
    pub fn trusts_tables(&self) -> bool {
        self.trusts_unclosed && self.content != Content::All
    }

    /// The name of the map, a file in the repository's folder.
    pub fn map(&self) -> Option<String> {
        self.keeps_map.then(|| format!("{}.map", file_name(&self.disk.identity)))
    }
}

/// A disk to be erased and made a place for images.
#[derive(Clone, Debug)]
pub struct PrepareOrder {
    /// The disk.
    pub disk: Disk,
    /// What is made on it.
    pub filesystem: PlaceFilesystem,
    /// Label of the filesystem.
    pub label: String,
    /// What the plan was made for, once there is one.
    pub agreed: Option<Agreement>,
}

/// A plan as it was made, with all that was opened for it: a mounted place, a claimed disk. What was
/// shown is what is carried out.
#[derive(Clone)]
pub struct Planned(Arc<dyn Any + Send + Sync>);

impl Planned {
    /// Keeps a plan.
    pub fn new(plan: impl Any + Send + Sync) -> Self {
        Self(Arc::new(plan))
    }

    /// The plan, if it is of this kind.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planned")
    }
}

/// What is written to a disk.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An image.
    Image {
        /// The image.
        image: Box<Image>,
        /// The repository it is in.
        repository: Box<Repository>,
    },
    /// Another disk.
    Disk(Box<Disk>),
}

impl Origin {
    /// What writing it is called, as the first word of page titles.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Image { .. } => "Restore",
            Self::Disk(_) => "Clone",
        }
    }

    /// The work of writing it, as the start of a sentence.
    pub fn work(&self) -> &'static str {
        match self {
            Self::Image { .. } => "The restore",
            Self::Disk(_) => "The clone",
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Image { .. } => "Image",
            Self::Disk(_) => "Source",
        }
    }

    /// Which one it is, in a line.
    pub fn line(&self) -> String {
        match self {
            Self::Image { image, .. } => format!("{}, {}", image.time, image.disk),
            Self::Disk(disk) => disk.line(),
        }
    }

    /// Size of its disk in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Image { image, .. } => image.size,
            Self::Disk(disk) => disk.size,
        }
    }

    /// Bytes that a target has to have for any of it.
    pub fn least_target(&self) -> u64 {
        match self {
            Self::Image { image, .. } => image.least_target(),
            Self::Disk(disk) => disk.size,
        }
    }

    /// Its partitions.
    pub fn partitions(&self) -> Vec<ImagePartition> {
        let of_disk = |volume: &Volume| ImagePartition { volume: volume.clone(), captured: true };
        match self {
            Self::Image { image, .. } => image.partitions.clone(),
            Self::Disk(disk) => disk.volumes.iter().map(of_disk).collect(),
        }
    }

    /// The logical volumes that may be written alone.
    pub fn logical_volumes(&self) -> Vec<Volume> {
        match self {
            Self::Image { image, .. } => image.logical_volumes().cloned().collect(),
            Self::Disk(_) => Vec::new(),
        }
    }

    /// The repository it comes from.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Image { repository, .. } => Some(repository),
            Self::Disk(_) => None,
        }
    }
}

/// What to write and where to.
#[derive(Clone, Debug)]
pub struct WriteOrder {
    /// What is written.
    pub from: Origin,
    /// The target.
    pub disk: Disk,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The one logical volume (`group/name`) to restore instead, to the start of the target.
    pub volume: Option<String>,
    /// The ids of the images of other disks that the logical volume lies on besides, once they
    /// were found.
    pub with: Vec<String>,
    /// Compare first and write only what differs.
    pub only_changed: bool,
    /// Read and prove everything of an image before the first write.
    pub verify_first: bool,
    /// Read everything back afterwards and compare it.
    pub read_back: bool,
    /// What was planned for it, once it was.
    pub planned: Option<Planned>,
}

impl WriteOrder {
    /// All of it onto all of `disk`, read back.
    pub fn all_of(from: Origin, disk: Disk) -> Self {
        Self {
            from,
            disk,
            partitions: None,
            volume: None,
            with: Vec::new(),
            only_changed: false,
            verify_first: false,
            read_back: true,
            planned: None,
        }
    }
}

/// A long-running piece of work with progress.
#[derive(Clone, Debug)]
pub enum Job {
    /// Store a disk.
    Capture(CaptureOrder),
    /// Write a disk: from an image, or from another disk.
    Write(Box<WriteOrder>),
    /// Check stored data.
    Verify {
        /// The repository.
        repository: Repository,
        /// The image, or `None` for all.
        image: Option<Image>,
    },
    /// Check a repository's structure.
    Check {
        /// The repository.
        repository: Repository,
    },
    /// Forget images and remove what no image uses.
    Free {
        /// The repository.
        repository: Repository,
        /// The images that stay.
        keep: Keep,
    },
}

impl Job {
    /// The same without its plan, so that nothing stays open for it.
    #[must_use]
    pub fn ended(mut self) -> Self {
        match &mut self {
            Self::Capture(order) => order.planned = None,
            Self::Write(order) => order.planned = None,
            Self::Verify { .. } | Self::Check { .. } | Self::Free { .. } => {}
        }
        self
    }

    /// The repository it works on.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Capture(order) => Some(&order.repository),
            Self::Write(order) => order.from.repository(),
            Self::Verify { repository, .. }
            | Self::Check { repository }
            | Self::Free { repository, .. } => Some(repository),
        }
    }
}

/// Which images of every disk stay when space is freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// Those of 7 days, 4 weeks and 12 months.
    Rotation,
    /// The three newest.
    Three,
    /// The newest.
    One,
}

impl Keep {
    /// The rules; none when all stay.
    pub fn rules(self) -> Option<KeepRules> {
        let none = KeepRules::default();
        match self {
            Self::All => None,
            Self::Rotation => Some(KeepRules { daily: 7, weekly: 4, monthly: 12, ..none }),
            Self::Three => Some(KeepRules { last: 3, ..none }),
            Self::One => Some(KeepRules { last: 1, ..none }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_never_printed() {
        assert!(!format!("{:?}", Passphrase::new("tides")).contains("tides"));
    }
}
