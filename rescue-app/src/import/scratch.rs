//! A disk that is unpacked into a file without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use crate::bytes::{Extents, ReadAt, free_space, is_zero, le16, le64, unnamed_file};
use crate::console;
use crate::disk::{View, data_of_file};

/// Bytes of the blocks that are holes when they are zero.
const BLOCK: usize = 64 << 10;

/// NTFS as partclone calls it.
pub(super) const NTFS: &str = "NTFS";

/// The file.
#[derive(Debug)]
pub(super) struct Scratch {
    file: File,
    folder: PathBuf,
    size: u64,
    written: u64,
}

impl Scratch {
    /// # Errors
    /// When the folder takes no file.
    pub(super) fn new(folder: &Path) -> Result<Self, ImportError> {
        let file = unnamed_file(folder).map_err(|source| ImportError::Io {
            what: format!("making a scratch file in {}", console::path(folder)),
            source,
        })?;
        Ok(Self { file, folder: folder.to_owned(), size: 0, written: 0 })
    }

    /// Puts bytes at a place that is not written to twice.
    ///
    /// # Errors
    /// [`ImportError::NoRoom`], or the system's.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), ImportError> {
        let mut place = at;
        for block in bytes.chunks(BLOCK) {
            if !is_zero(block) {
                self.file.write_all_at(block, place).map_err(|error| self.full_or(error))?;
                self.written += block.len() as u64;
            }
            place += block.len() as u64;
        }
        self.size = self.size.max(place);
        Ok(())
    }

    /// Makes it `size` bytes long, which it is not shorter than.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn finish(&mut self, size: u64) -> Result<(), ImportError> {
        self.size = size.max(self.size);
        self.file.set_len(self.size).map_err(|error| self.full_or(error))
    }

    /// Partclone leaves out the copy of an NTFS's first sector that its last one is: it is made anew
    /// (as `partclone.ntfsfixboot` does), for one that begins at `start` and has `room` bytes.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub(super) fn copy_boot_sector(&mut self, start: u64, room: u64) -> Result<(), ImportError> {
        let Ok(sector) = self.read_vec(start, 512) else { return Ok(()) };
        let bytes = u64::from(le16(&sector, 11).unwrap_or_default());
        let place = le64(&sector, 40).unwrap_or_default().checked_mul(bytes);
        let fits = |at: &u64| at.checked_add(bytes).is_some_and(|end| bytes > 0 && end <= room);
        match place.filter(fits) {
            Some(at) => self.put(start.saturating_add(at), &sector),
            None => Ok(()),
        }
    }

    /// Bytes that were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    fn full_or(&self, source: io::Error) -> ImportError {
        let folder = self.folder.clone();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => {
                let free = free_space(&folder).ok();
                ImportError::NoRoom { folder, written: self.written, free }
            }
            _ => {
                let what = format!("writing a scratch file in {}", console::path(&folder));
                ImportError::Io { what, source }
            }
        }
    }
}

impl ReadAt for Scratch {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl View for Scratch {
    fn data(&self) -> Extents {
        data_of_file(&self.file, self.size)
    }
}
