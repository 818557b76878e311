//! An image as the files that its disk, partitions and logical volumes are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::bytes::{Overlay, OverlayRoom, ReadAt};
use crate::export::{self, ExportedDisk, ExportedFile};
use crate::image::read_ahead::ReadAhead;
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::progress::{Control, available_memory, workers};
use crate::repository::SharedLock;

use super::access::RepoAccess;
use super::error::OperationError;
use super::format::size;
use super::latest::{self, OfSeveral};
use super::restore;

/// Of the memory that is free, what is written to an image may take one part in so many.
const PART_OF_MEMORY: u64 = 4;

/// A layer over an image that can be written, and is gone at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThrowAway {
    /// A folder for what memory has no room for.
    pub folder: Option<PathBuf>,
}

/// An image that is open, and stays where it is so long.
pub(super) struct ImageFiles {
    /// Its disk, its partitions and logical volumes, and what is noted of them.
    pub(super) files: Vec<ExportedFile>,
    /// The start of its id.
    pub(super) id: String,
    /// When it was made.
    pub(super) made: SystemTime,
    layer: Option<Arc<Overlay<Arc<dyn ReadAt>>>>,
    lock: Option<SharedLock>,
}

impl ImageFiles {
    /// Opens an image: the start of its id, `latest` or `latest:DISK`.
    pub(super) fn open(
        image: &str,
        access: &RepoAccess,
        control: Control<'_>,
    ) -> Result<Self, OperationError> {
        Self::open_with(image, access, None, control)
    }

    /// Opens an image as [`Self::open`] does; with a layer, its files can be written.
    pub(super) fn open_with(
        image: &str,
        access: &RepoAccess,
        layer: Option<&ThrowAway>,
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
        let layer = layer.map(|layer| Arc::new(Overlay::new(Arc::clone(&disk), room(layer))));
        let disk = match &layer {
            Some(layer) => ExportedDisk::Writable(layer.clone()),
            None => ExportedDisk::ReadOnly(disk),
        };
        let files = export::files(&image.manifest, &disk, volumes).map_err(|error| {
            OperationError::io("writing the manifest of the image", std::io::Error::other(error))
        })?;
        Ok(Self { files, id, made, layer, lock })
    }

    /// Says, when it can be written, what becomes of that.
    pub(super) fn tell_of_layer(&self, control: Control<'_>) {
        if self.layer.is_some() {
            let id = &self.id;
            control.info(format!("what is written is gone at the end; image {id} stays as it is"));
        }
    }

    /// Says what is gone, at the end.
    pub(super) fn tell_of_changes(&self, control: Control<'_>) {
        if let Some(layer) = &self.layer {
            let written = size(layer.changes().data.total());
            let id = &self.id;
            control.info(format!("{written} that were written are gone; image {id} is as it was"));
        }
    }

    /// Fails when somebody who took the lock away may have removed what was read.
    pub(super) fn ensure_held(&self) -> Result<(), OperationError> {
        Ok(self.lock.as_ref().map_or(Ok(()), |lock| lock.ensure_held())?)
    }
}

fn room(layer: &ThrowAway) -> OverlayRoom {
    let memory = available_memory() / PART_OF_MEMORY;
    OverlayRoom { memory, folder: layer.folder.clone() }
}
