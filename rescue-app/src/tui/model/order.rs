//! What a person chose, and what is to be done with it.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::console;
use crate::disk::Agreement;
use crate::job::{
    CaptureArgs, CloneArgs, PrepareArgs, RepoArgs, RestoreArgs, StickArgs, TargetArgs, Verb, What,
};
use crate::operation::{
    ImagePartition, ImagePlace, ImageSummary, KeepRules, Keys, Passphrase, Place, Survey, Volume,
    map_name,
};
use crate::store::Location;
use crate::volume::LogicalVolume;

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

/// What to capture and where to.
#[derive(Clone, Debug)]
pub struct CaptureOrder {
    /// The source.
    pub disk: Survey,
    /// The repository that receives the image.
    pub repository: Repository,
    /// Encrypted containers that were unlocked.
    pub keys: Keys,
    /// What is captured of it, and how.
    pub args: CaptureArgs,
    /// What was planned for it, once it was.
    pub planned: Option<Planned>,
}

impl CaptureOrder {
    /// A capture of `disk`, or of some of its partitions, as it usually is.
    pub fn new(
        disk: Survey,
        partitions: Option<Vec<u32>>,
        keys: Keys,
        repository: Repository,
    ) -> Self {
        let mut args = CaptureArgs::all_of(disk.path(), RepoArgs::at(repository.location.clone()));
        args.source.partitions = partitions;
        let mut numbers: Vec<u32> = keys.keys().filter_map(|at| at.partition).collect();
        numbers.dedup();
        args.source.unlock = Some(numbers).filter(|_| !keys.is_empty());
        Self { disk, repository, keys, args, planned: None }
    }

    /// The same as a command.
    pub fn verb(&self) -> Verb {
        Verb::Capture(Box::new(self.args.clone()))
    }

    /// The name of the map, a file in the repository's folder.
    pub fn map(&self) -> Option<String> {
        self.args.keep_map.then(|| map_name(&self.disk.disk.identity()))
    }
}

/// A disk to be erased and made a place for images.
#[derive(Clone, Debug)]
pub struct PrepareOrder {
    /// The disk.
    pub disk: Survey,
    /// What is made on it.
    pub args: PrepareArgs,
    /// What the plan was made for, once there is one.
    pub agreed: Option<Agreement>,
}

/// A disk to be made a stick.
#[derive(Clone, Debug)]
pub struct StickOrder {
    /// The disk.
    pub disk: Survey,
    /// What is written to it and made on it.
    pub args: StickArgs,
    /// What the plan was made for, once there is one.
    pub agreed: Option<Agreement>,
}

impl StickOrder {
    /// Where what is written comes from.
    pub(in crate::tui) fn from(&self) -> String {
        self.args.iso.as_deref().map_or_else(|| "this medium".into(), console::path)
    }
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
        image: Box<ImageSummary>,
        /// The repository it is in.
        repository: Box<Repository>,
    },
    /// Another disk.
    Disk(Box<Survey>),
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
            Self::Image { image, .. } => image.line(),
            Self::Disk(disk) => disk.line(),
        }
    }

    /// Whether it keeps boot entries of the captured machine's firmware.
    pub fn has_boot_entries(&self) -> bool {
        matches!(self, Self::Image { image, .. } if !image.boot_entries.is_empty())
    }

    /// Size of its disk in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Image { image, .. } => image.size,
            Self::Disk(disk) => disk.disk.size,
        }
    }

    /// Bytes that a target has to have for all of it: less than that is in use. Whether it fits on a
    /// smaller disk, the plan finds out.
    pub fn least_whole(&self) -> u64 {
        let used = match self {
            Self::Image { image, .. } => image.used,
            Self::Disk(disk) => disk.volumes.iter().map(|it| it.used().unwrap_or(it.size)).sum(),
        };
        used.min(self.size())
    }

    /// Bytes that a target has to have for any of it.
    pub fn least_target(&self) -> u64 {
        let alone = self.logical_volumes().filter(|volume| volume.plain).map(|volume| volume.size);
        alone.min().unwrap_or(u64::MAX).min(self.least_whole())
    }

    /// Its partitions, each with whether its content is there to be written.
    pub fn partitions(&self) -> Vec<(&Volume, bool)> {
        match self {
            Self::Image { image, .. } => {
                image.partitions.iter().map(|it| (&it.volume, it.is_stored())).collect()
            }
            Self::Disk(disk) => disk.volumes.iter().map(|volume| (volume, true)).collect(),
        }
    }

    /// The logical volumes in an image, of which those that lie on other disks too need images of these.
    pub fn logical_volumes(&self) -> impl Iterator<Item = &LogicalVolume> {
        let partitions: &[ImagePartition] = match self {
            Self::Image { image, .. } => &image.partitions,
            Self::Disk(_) => &[],
        };
        let stored = partitions.iter().filter(|partition| partition.is_stored());
        stored.flat_map(|partition| &partition.volume.logical_volumes)
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
    pub disk: Survey,
    /// What of it; the images that a logical volume needs besides by their whole ids, once they were
    /// found.
    pub what: What,
    /// How it is written.
    pub target: TargetArgs,
    /// Read and prove everything of an image before the first write.
    pub verify_first: bool,
    /// What was planned for it, once it was.
    pub planned: Option<Planned>,
}

impl WriteOrder {
    /// All of it onto all of `disk`, read back.
    pub fn all_of(from: Origin, disk: Survey) -> Self {
        let target = TargetArgs::all_of(disk.path(), disk.erase());
        Self { from, disk, what: What::Disk, target, verify_first: false, planned: None }
    }

    /// The images of other disks that its logical volume needs besides, by their ids.
    pub fn others_are(&mut self, ids: Vec<String>) {
        if let What::Volume { with, .. } = &mut self.what {
            *with = ids;
        }
    }

    /// The same as a command; images go by the starts of their ids.
    pub fn verb(&self) -> Verb {
        match &self.from {
            Origin::Image { image, repository } => {
                let repo = RepoArgs::at(repository.location.clone());
                let mut args = RestoreArgs::all_of(image.short_id(), repo, self.target.clone());
                args.what = self.what.clone();
                if let What::Volume { with, .. } = &mut args.what {
                    with.iter_mut().for_each(|id| id.truncate(ImageSummary::SHORT_ID));
                }
                args.verify_first = self.verify_first;
                Verb::Restore(Box::new(args))
            }
            Origin::Disk(source) => Verb::Clone(Box::new(self.clone_args(source))),
        }
    }

    /// The clone of `source` that it is.
    pub fn clone_args(&self, source: &Survey) -> CloneArgs {
        let mut args = CloneArgs::all_of(source.path(), self.target.clone());
        if let What::Partitions(numbers) = &self.what {
            args.source.partitions = Some(numbers.clone());
        }
        args
    }
}

/// Files of an image that are copied.
#[derive(Clone, Debug)]
pub struct CopyOrder {
    /// Where the image is.
    pub repository: Repository,
    /// The image.
    pub image: ImageSummary,
    /// Files and folders of it.
    pub places: Vec<ImagePlace>,
    /// The partition that they go to, into a new folder.
    pub to: Box<Place>,
}

/// A long-running piece of work with progress.
#[derive(Clone, Debug)]
pub enum Job {
    /// Store a disk.
    Capture(Box<CaptureOrder>),
    /// Write a disk: from an image, or from another disk.
    Write(Box<WriteOrder>),
    /// Copy files out of an image.
    Copy(Box<CopyOrder>),
    /// Check stored data.
    Verify {
        /// The repository.
        repository: Repository,
        /// The image, or `None` for all.
        image: Option<Box<ImageSummary>>,
    },
    /// Check a repository's structure.
    Check {
        /// The repository.
        repository: Repository,
    },
    /// Check the medium that Lifeboat was started from.
    CheckMedium,
    /// Make a stick.
    Stick(Box<StickOrder>),
    /// Forget images and remove what no image uses.
    Free {
        /// The repository.
        repository: Repository,
        /// The images that stay.
        keep: Keep,
    },
}

impl Job {
    /// The repository it works on.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Capture(order) => Some(&order.repository),
            Self::Write(order) => order.from.repository(),
            Self::Copy(order) => Some(&order.repository),
            Self::Stick(_) | Self::CheckMedium => None,
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
