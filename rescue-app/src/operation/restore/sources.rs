//! The image that is restored, and those of other disks that a logical volume lies on besides.

use std::sync::Arc;

use crate::bytes::{Extents, Window};
use crate::image::content::Placed;
use crate::image::manifest::{Region, Stored};
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::operation::error::OperationError;
use crate::operation::format::time;
use crate::operation::latest::{self, Meant, OfSeveral};
use crate::repository::IndexedRepository;
use crate::volume::{Companions, Kind};

use super::group_images::find_group_images;
use super::plan::{RestoreRequest, What, With};
use super::volume;

/// Images as one disk: the first byte of one follows the last byte of the one before.
#[derive(Debug)]
pub(super) struct Sources {
    /// The repository that they are in.
    pub(super) repo: Arc<IndexedRepository>,
    /// The image that was asked for.
    pub(super) image: OpenImage,
    /// Those named besides.
    pub(super) with: Vec<OpenImage>,
    /// Why the image may not be the one that was meant.
    pub(super) doubts: Vec<String>,
}

impl Sources {
    /// Finds the images that a request names.
    pub(super) fn find(
        repo: Arc<IndexedRepository>,
        request: &RestoreRequest,
    ) -> Result<Self, OperationError> {
        // A new file loses nothing when it turns out to be another disk's.
        let of_several =
            if request.target.creates_file() { OfSeveral::Newest } else { OfSeveral::Refused };
        let Meant { id, doubts } = latest::find(&repo, &request.image, of_several)?;
        let image = OpenImage::load(&repo, id)?;
        let mut sources = Self { repo, image, with: Vec::new(), doubts };
        match &request.what {
            What::Volume { with: With::Named(references), .. } => sources.add(references)?,
            What::Volume { name, with: With::Searched } => sources.search(name)?,
            What::Disk | What::Partitions(_) => {}
        }
        Ok(sources)
    }

    /// Adds images that were named.
    fn add(&mut self, references: &[String]) -> Result<(), OperationError> {
        for reference in references {
            let meant = latest::find(&self.repo, reference, OfSeveral::Refused)?;
            let other = OpenImage::load(&self.repo, meant.id)?;
            if self.all().all(|known| known.id != other.id) {
                self.with.push(other);
            }
        }
        Ok(())
    }

    /// Adds what the volume `name` needs besides the image, if there is such.
    fn search(&mut self, name: &str) -> Result<(), OperationError> {
        if !volume::is_elsewhere_too(self, name)? {
            return Ok(());
        }
        self.with = find_group_images(&self.repo, &self.image, name)?;
        let Some(transfers) = volume::transfers(self, &self.reader()?, name) else { return Ok(()) };
        let mut end = self.image.manifest.disk.size;
        self.with.retain(|other| {
            let base = end;
            end = end.saturating_add(other.manifest.disk.size);
            transfers.iter().any(|transfer| (base..end).contains(&transfer.from))
        });
        Ok(())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &OpenImage> {
        std::iter::once(&self.image).chain(&self.with)
    }

    /// The stored regions of all of them, each with the first byte of its disk in the whole.
    pub(super) fn regions(&self) -> impl Iterator<Item = (u64, &Region)> {
        let mut end = 0u64;
        let bases = self.all().map(move |image| {
            let base = end;
            end = end.saturating_add(image.manifest.disk.size);
            (base, image)
        });
        let regions =
            bases.flat_map(|(base, image)| image.manifest.regions.iter().map(move |r| (base, r)));
        regions.filter(|(_, region)| region.stored != Stored::Nothing)
    }

    /// Where each chunk lies in the whole.
    pub(super) fn placed(&self) -> Result<Vec<Placed>, OperationError> {
        let mut placed = self.image.placed(&self.repo)?;
        let mut base = self.image.manifest.disk.size;
        for other in &self.with {
            let moved = other.placed(&self.repo)?.into_iter();
            placed.extend(moved.map(|blob| Placed { offset: base + blob.offset, ..blob }));
            base += other.manifest.disk.size;
        }
        Ok(placed)
    }

    /// The whole, to be read like a disk.
    pub(super) fn reader(&self) -> Result<ImageReader, OperationError> {
        Ok(ImageReader::new(Arc::clone(&self.repo), self.placed()?.into()))
    }

    /// What of the `len` bytes from `from` in the whole the images hold.
    pub(super) fn used(&self, from: u64, len: u64) -> Extents {
        let mut used = Extents::new();
        for (base, region) in self.regions() {
            let start = from.saturating_sub(base);
            let end = (from + len).saturating_sub(base);
            for part in region.used.within(start, end) {
                used.push(base + part.start, base + part.end);
            }
        }
        used
    }

    /// What a person should know of them.
    pub(super) fn notices(&self) -> Vec<String> {
        let warnings = self.all().flat_map(|image| &image.manifest.warnings);
        let mut notices = self.doubts.clone();
        notices.extend(warnings.map(|warning| format!("image: {warning}")));
        if !self.with.is_empty() {
            let times: Vec<String> = self.all().map(|image| time(image.snapshot.time)).collect();
            notices.push(format!(
                "the parts are from images made at {}: if the volume was written to in between, \
                 they do not fit together",
                times.join(" and ")
            ));
        }
        notices
    }

    /// The bytes of the whole that the captures could not read.
    pub(super) fn unreadable(&self) -> Extents {
        let (mut base, mut unreadable) = (0, Extents::new());
        for image in self.all() {
            for part in image.manifest.unreadable.iter() {
                unreadable.push(base + part.start, base + part.end);
            }
            base += image.manifest.disk.size;
        }
        unreadable
    }

    /// What the capture could not read of any of them.
    pub(super) fn damage(&self) -> Vec<String> {
        self.all().flat_map(|image| image.manifest.damage.warnings()).collect()
    }
}

/// The regions of images, as the volumes beside each other that they were.
pub(super) struct ImageVolumes<'a> {
    /// The images as one disk.
    pub(super) disk: &'a ImageReader,
    /// Their regions.
    pub(super) regions: Vec<(u64, &'a Region)>,
}

impl Companions for ImageVolumes<'_> {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        let is_kind = |region: &Region| region.filesystem.as_ref().is_some_and(|f| f.kind == kind);
        let found = self.regions.iter().filter(|(_, region)| is_kind(region));
        found
            .map(|(base, region)| Window::new(self.disk, base + region.start, region.size))
            .collect()
    }
}
