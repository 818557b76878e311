//! Showing an image as files in a folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::bytes::ReadAt;
use crate::console;
use crate::export::{self, Mounted};
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::progress::{Control, mixed_workers};

use super::access::RepoAccess;
use super::error::OperationError;
use super::latest::{self, OfSeveral};
use super::restore;

/// How often is looked whether it is to end.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is shown, and where.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// Start of the image's id, `latest` or `latest:DISK`.
    pub image: String,
    /// Where the image is.
    pub repo: RepoAccess,
    /// An empty folder.
    pub dir: PathBuf,
}

/// Shows the disk, partitions and logical volumes of an image as files in a folder, to be read by any
/// program, until it is stopped or somebody unmounts the folder.
///
/// # Errors
/// Refuses a folder that is not there or not empty; otherwise any failure to read the image, and of
/// the kernel to mount. A file that cannot be read does not end it.
pub fn mount(request: &MountRequest, control: Control<'_>) -> Result<(), OperationError> {
    refuse_folder(&request.dir)?;
    let repo = request.repo.open()?;
    let lock = repo.lock_for_reading()?;
    let repo = Arc::new(repo.load_index()?);
    let meant = latest::find(&repo, &request.image, OfSeveral::Newest)?;
    meant.doubts.into_iter().for_each(|doubt| control.warn(doubt));
    let image = OpenImage::load(&repo, meant.id)?;
    let placed = image.placed(&repo)?.into();
    let disk: Arc<dyn ReadAt> = Arc::new(ImageReader::new(Arc::clone(&repo), placed));
    let (id, made) = (image.short_id(), image.snapshot.time.into());
    let (image, volumes) = restore::volumes_of(repo, image)?;
    let files = export::files(&image.manifest, &disk, volumes).map_err(|error| {
        OperationError::io("writing the manifest of the image", std::io::Error::other(error))
    })?;
    let mounted = Mounted::new(files, made, &request.dir, mixed_workers())?;
    let dir = console::path(&request.dir);
    control.info(format!("image {id} is shown in {dir}; Ctrl-C or `umount {dir}` ends it"));
    while !mounted.has_ended() && !control.cancel.is_requested() {
        thread::sleep(INTERVAL);
    }
    mounted.end()?;
    // Somebody who took it away may have removed what was read.
    lock.as_ref().map_or(Ok(()), |lock| lock.ensure_held())?;
    Ok(())
}

/// What is in a folder is out of reach while something is mounted over it.
fn refuse_folder(dir: &std::path::Path) -> Result<(), OperationError> {
    let name = console::path(dir);
    let refused = |why: String| Err(OperationError::refused(why, "name an empty folder"));
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Err(error) => refused(format!("nothing can be shown in {name}: {error}")),
        Ok(true) => refused(format!("{name} is not empty")),
        Ok(false) => Ok(()),
    }
}
