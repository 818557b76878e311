//! An image as the files that its disk, partitions and logical volumes are.

use std::sync::Arc;
use std::time::SystemTime;

use crate::bytes::ReadAt;
use crate::export::{self, ExportedFile};
use crate::image::read_ahead::ReadAhead;
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::progress::{Control, workers};
use crate::repository::SharedLock;

use super::access::RepoAccess;
use super::error::OperationError;
use super::latest::{self, OfSeveral};
use super::restore;

/// An image that is open, and stays where it is so long.
pub(super) struct ImageFiles {
    /// Its disk, its partitions and logical volumes, and what is noted of them.
    pub(super) files: Vec<ExportedFile>,
    /// The start of its id.
    pub(super) id: String,
    /// When it was made.
    pub(super) made: SystemTime,
    lock: Option<SharedLock>,
}

impl ImageFiles {
    /// Opens an image: the start of its id, `latest` or `latest:DISK`.
    pub(super) fn open(
        image: &str,
        access: &RepoAccess,
        control: Control<'_>,
    ) -> Result<Self, OperationError> {
        let repo = access.open()?;
        let lock = repo.lock_for_reading()?;
        let repo = Arc::new(repo.load_index()?);
        let meant = latest::find(&repo, image, OfSeveral::Newest)?;
        meant.doubts.into_iter().for_each(|doubt| control.warn(doubt));
        let image = OpenImage::load(&repo, meant.id)?;
        let placed = image.placed(&repo)?.into();
        let reader = ImageReader::new(Arc::clone(&repo), placed);
        let (id, made) = (image.short_id(), image.snapshot.time.into());
        let (image, volumes) = restore::volumes_of(repo, image, &reader);
        let disk = ReadAhead::new(reader, workers())
            .map_err(|error| OperationError::io("starting threads that read ahead", error))?;
        let disk: Arc<dyn ReadAt> = Arc::new(disk);
        let files = export::files(&image.manifest, &disk, volumes).map_err(|error| {
            OperationError::io("writing the manifest of the image", std::io::Error::other(error))
        })?;
        Ok(Self { files, id, made, lock })
    }

    /// Fails when somebody who took the lock away may have removed what was read.
    pub(super) fn ensure_held(&self) -> Result<(), OperationError> {
        Ok(self.lock.as_ref().map_or(Ok(()), |lock| lock.ensure_held())?)
    }
}
