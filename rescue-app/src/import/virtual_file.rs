//! Disks of virtual machines.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Imported;
use super::description::Joined;
use crate::bytes::{Extents, ReadAt};
use crate::disk::View;
use crate::virtual_disk::{self, Format};

/// The disk in a file.
pub(super) struct VirtualFile {
    format: Format,
    disk: Box<dyn virtual_disk::Disk>,
}

impl VirtualFile {
    /// # Errors
    /// What is not in order in the file, or not known of the format.
    pub(super) fn open(format: Format, file: Arc<dyn ReadAt>) -> io::Result<Self> {
        Ok(Self { format, disk: virtual_disk::open(format, file)? })
    }

    /// The disk in the files beside a description, which is in `folder`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn described(text: &dyn ReadAt, folder: &Path) -> io::Result<Self> {
        Ok(Self { format: Format::Vmdk, disk: Box::new(Joined::open(text, folder)?) })
    }

    pub(super) fn imported(self) -> Imported {
        let (sector_size, form) = (self.disk.sector_size(), self.format.to_string());
        Imported { sector_size, ..Imported::new(Arc::new(self), form) }
    }
}

impl fmt::Debug for VirtualFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualFile").field("format", &self.format).finish_non_exhaustive()
    }
}

impl ReadAt for VirtualFile {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buf)
    }
}

impl View for VirtualFile {
    /// All of it where the tables cannot be read: whoever reads what they are for is told.
    fn data(&self) -> Extents {
        self.disk.data().unwrap_or_else(|_| Extents::of(0, self.disk.size()))
    }
}
