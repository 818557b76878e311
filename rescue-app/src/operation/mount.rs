//! Showing an image as files in a folder.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::console;
use crate::export::Mounted;
use crate::progress::{Control, mixed_workers};

use super::access::RepoAccess;
use super::error::OperationError;
use super::image_files::{ImageFiles, ThrowAway};

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
    /// So that the files can be written.
    pub layer: Option<ThrowAway>,
}

/// Shows the disk, partitions and logical volumes of an image as files in a folder, to be read (and, with a
/// layer, written) by any program, until it is stopped or somebody unmounts the folder.
///
/// # Errors
/// Refuses a folder that is not there or not empty; otherwise any failure to read the image, and of
/// the kernel to mount. A file that cannot be read does not end it.
pub fn mount(request: &MountRequest, control: Control<'_>) -> Result<(), OperationError> {
    refuse_folder(&request.dir)?;
    let layer = request.layer.as_ref();
    let mut image = ImageFiles::open_with(&request.image, &request.repo, layer, control)?;
    let files = std::mem::take(&mut image.files);
    let mounted = Mounted::new(files, image.made, &request.dir, mixed_workers())?;
    let dir = console::path(&request.dir);
    image.tell_of_layer(control);
    control.info(format!("image {} is shown in {dir}; Ctrl-C or `umount {dir}` ends it", image.id));
    while !mounted.has_ended() && !control.cancel.is_requested() {
        thread::sleep(INTERVAL);
    }
    mounted.end()?;
    image.tell_of_changes(control);
    image.ensure_held()
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
