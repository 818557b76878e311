//! A filesystem that the kernel has mounted for a while, since its tools work on it only so.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use crate::tool;

use super::error::ResizeError;

/// Unmounted again when dropped.
pub(super) struct MountedFilesystem {
    folder: PathBuf,
    is_mounted: bool,
}

impl MountedFilesystem {
    /// Mounts what is in a device or a file, for which `options` have `loop`, in a folder of its own.
    pub(super) fn new(what: &Path, kind: &str, options: &str) -> Result<Self, ResizeError> {
        let mut mounted = Self { folder: temporary_folder()?, is_mounted: false };
        let mut command = tool::command("mount")?;
        command.args(["-t", kind, "-o", options]).arg(what).arg(&mounted.folder);
        tool::run(command, |status| status == 0)?;
        mounted.is_mounted = true;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Unmounts it, by which all that was changed arrives.
    pub(super) fn end(mut self) -> Result<(), ResizeError> {
        self.is_mounted = false;
        let mut command = tool::command("umount")?;
        command.arg(&self.folder);
        let ended = tool::run(command, |status| status == 0).map(drop);
        self.is_mounted = ended.is_err();
        Ok(ended?)
    }
}

impl Drop for MountedFilesystem {
    fn drop(&mut self) {
        if self.is_mounted {
            // A process that looks into it keeps it until that ends.
            let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
        }
        // What cannot be removed is an empty folder.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// A new empty folder to mount in.
pub(super) fn temporary_folder() -> Result<PathBuf, ResizeError> {
    tool::temporary_folder().map_err(|error| ResizeError::io("making a folder to mount in", error))
}
