//! All images of a repository and the disks they are of, those that lack data among them.

use crate::image::ImageError;
use crate::image::identity;
use crate::repository::{Id, IndexedRepository, RepositoryError, SnapshotFile};

use super::access::RepoAccess;
use super::error::OperationError;
use super::format;
use super::images::ImageSummary;
use super::order;
use crate::image::stored::{OpenImage, folder_of, is_ours};

/// An image in a repository.
pub(super) struct Listed {
    /// Its snapshot.
    pub(super) file: SnapshotFile,
    /// What is known of it.
    pub(super) summary: ImageSummary,
    /// Number of its disk in this repository.
    pub(super) disk: usize,
    /// See [`identity::content_id`].
    content_id: Option<String>,
}

impl Listed {
    fn whole(file: SnapshotFile, image: &OpenImage) -> (Self, Vec<String>) {
        let content_id = identity::content_id(&image.manifest);
        let summary = ImageSummary::of(image);
        (Self { file, summary, disk: 0, content_id }, identity::signs(&image.manifest))
    }

    /// Nothing is known but what its snapshot says: it is a disk of its own.
    fn lacking(file: SnapshotFile, problem: &ImageError) -> (Self, Vec<String>) {
        let summary = ImageSummary::incomplete(&file, problem.to_string());
        (Self { file, summary, disk: 0, content_id: None }, Vec::new())
    }

    /// Whether it lacks data.
    pub(super) fn is_incomplete(&self) -> bool {
        self.summary.incomplete.is_some()
    }

    /// The disk's folder in the image.
    pub(super) fn folder(&self) -> String {
        folder_of(&self.file.snapshot)
    }

    /// "image 3fa4b5c6 of 2026-11-22 03:00 UTC".
    pub(super) fn name(&self) -> String {
        let time = format::time(self.file.snapshot.time);
        format!("image {} of {time}", self.summary.short_id())
    }

    /// The names its disk goes by, from the one that is most likely its own.
    fn names(&self) -> impl Iterator<Item = String> {
        let ImageSummary { model, serial, disk_name, .. } = &self.summary;
        [
            serial.clone(),
            Some(self.folder()),
            self.content_id.clone(),
            Some(disk_name.clone()),
            model.clone(),
        ]
        .into_iter()
        .flatten()
    }
}

/// The images of a repository.
pub(super) struct Catalog {
    /// Oldest first.
    pub(super) images: Vec<Listed>,
    /// Snapshot files that cannot be used, and why.
    pub(super) damaged: Vec<(Id, RepositoryError)>,
}

impl Catalog {
    /// Opens the repository and reads all of it, pack files that are gone left out of account.
    pub(super) fn open(access: &RepoAccess) -> Result<Self, OperationError> {
        let repo = access.open()?.load_index()?;
        repo.distrust_bad_packs(&repo.packs_with_sizes()?);
        Self::read(&repo)
    }

    /// Reads all manifests of a repository. Snapshots made by other programs are left out.
    pub(super) fn read(repo: &IndexedRepository) -> Result<Self, OperationError> {
        let list = repo.snapshots()?;
        let listed = list.snapshots.into_iter().filter_map(|file| look_at(repo, file));
        let (mut images, signs): (Vec<_>, Vec<_>) = listed.unzip();
        let numbers = identity::numbers(signs.iter().map(Vec::as_slice));
        for (image, number) in images.iter_mut().zip(numbers) {
            image.disk = number;
        }
        Ok(Self { images, damaged: list.damaged })
    }

    /// The images of each disk, newest first; disks in order of folder and oldest image.
    pub(super) fn disks(&self) -> Vec<Vec<&Listed>> {
        let mut disks: Vec<Vec<&Listed>> = Vec::new();
        for image in self.images.iter().rev() {
            disks.resize_with(disks.len().max(image.disk + 1), Vec::new);
            disks[image.disk].push(image);
        }
        disks.sort_by_key(|images| images.first().map(|image| image.folder()));
        disks
    }
}

fn look_at(repo: &IndexedRepository, file: SnapshotFile) -> Option<(Listed, Vec<String>)> {
    let image = match OpenImage::open(repo, file.clone()) {
        Ok(image) => image,
        Err(ImageError::NotADisk(_)) => return None,
        Err(error) => return is_ours(&file.snapshot).then(|| Listed::lacking(file, &error)),
    };
    let (mut listed, signs) = Listed::whole(file, &image);
    let missing = image.blobs().filter(|id| repo.blob(id).is_none()).count() as u64;
    if missing > 0 {
        let problem =
            format!("{} of it missing in the repository", format::count(missing, "piece"));
        listed.summary.incomplete = Some(problem);
    }
    Some((listed, signs))
}

/// The name that fits only this one of several disks, for a person to type.
pub(super) fn own_name(disk: &[&Listed], disks: &[Vec<&Listed>]) -> Option<String> {
    let is_own = |name: &String| disks.iter().filter(|disk| is_called(disk, name)).count() == 1;
    disk.iter().flat_map(|image| image.names()).find(is_own)
}

/// Whether a disk goes by that name in any of its images.
pub(super) fn is_called(disk: &[&Listed], name: &str) -> bool {
    disk.iter().flat_map(|image| image.names()).any(|own| own.eq_ignore_ascii_case(name))
}

/// A warning where the images of a disk were not stored in the order of their times.
pub(super) fn clock_warning(disk: &[&Listed]) -> Option<String> {
    let whole = disk.iter().filter(|image| !image.is_incomplete());
    let (stored, dated) = order::contradiction(whole.map(|image| &image.file))?;
    let of = |file: &SnapshotFile| {
        format!("image {} of {}", file.id.short(), format::time(file.snapshot.time))
    };
    Some(format!(
        "the clock was wrong for an image of {}: {} was stored after {}, which is dated later; \
         'latest' and rules that keep images go by these times",
        disk.first().map(|image| image.summary.disk_name.clone()).unwrap_or_default(),
        of(stored),
        of(dated),
    ))
}
