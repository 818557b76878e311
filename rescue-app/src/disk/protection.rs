//! The kernel's write protection of block devices (`BLKROSET`).

use std::fs::File;
use std::path::Path;

use super::{DiskError, ioctl};
use crate::console;

/// Sets or lifts the kernel's write protection of a block device (`BLKROSET`).
///
/// # Errors
/// When the device cannot be opened or the kernel refuses.
pub fn set_read_only(device: &Path, read_only: bool) -> Result<(), DiskError> {
    let file = File::open(device).map_err(DiskError::io("opening", device))?;
    ioctl::set_read_only(&file, read_only)
        .map_err(DiskError::io("changing the write protection of", device))
}

/// Lifts the kernel's write protection of a device; dropping it protects the device again.
#[derive(Debug)]
pub struct WriteLift {
    device: File,
}

impl WriteLift {
    /// `None` when the device was not protected: then there is nothing to put back.
    ///
    /// # Errors
    /// When the device is write-protected by itself, or cannot be opened.
    pub fn new(path: &Path) -> Result<Option<Self>, DiskError> {
        Self::of(File::open(path).map_err(DiskError::io("opening", path))?, path)
    }

    /// [`Self::new`] of the device that is open; `path` is how it is called.
    pub(super) fn of(device: File, path: &Path) -> Result<Option<Self>, DiskError> {
        let changing = "lifting the write protection of";
        if !ioctl::read_only(&device).map_err(DiskError::io(changing, path))? {
            return Ok(None);
        }
        ioctl::set_read_only(&device, false).map_err(DiskError::io(changing, path))?;
        if ioctl::read_only(&device).map_err(DiskError::io(changing, path))? {
            return Err(DiskError::Refused {
                disk: console::path(path),
                why: "the device itself is write-protected; look for a switch on it".into(),
            });
        }
        Ok(Some(Self { device }))
    }
}

impl Drop for WriteLift {
    fn drop(&mut self) {
        // What the page cache still holds must reach the device before it is protected.
        let _ = self.device.sync_all();
        // Nothing is left to do when this fails: the disk then stays writable until reboot.
        let _ = ioctl::set_read_only(&self.device, true);
    }
}
