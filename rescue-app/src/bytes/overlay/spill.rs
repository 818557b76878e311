//! A file without a name, for blocks that memory has no room for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::OVERLAY_BLOCK;
use crate::bytes::unnamed_file;

/// Blocks in a file that is made once there is one, and whose room is used again.
#[derive(Debug)]
pub(super) struct Spill {
    folder: Option<PathBuf>,
    file: Option<File>,
    /// Where blocks were that are not needed any more.
    free: Vec<u64>,
    /// Bytes that were ever in use.
    len: u64,
}

impl Spill {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, file: None, free: Vec::new(), len: 0 }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(buf, at)
    }

    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.write_all_at(bytes, at).map_err(|error| self.told(&error))
    }

    /// Adds a block, and says where it is. `memory` is what is full, bytes.
    pub(super) fn add(&mut self, bytes: &[u8], memory: u64) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = Some(self.create(memory)?);
        }
        let at = self.free.last().copied().unwrap_or(self.len);
        self.write(at, bytes)?;
        if self.free.pop().is_none() {
            self.len += OVERLAY_BLOCK;
        }
        Ok(at)
    }

    /// The block that was at `at` is not needed any more.
    pub(super) fn free(&mut self, at: u64) {
        self.free.push(at);
    }

    fn create(&self, memory: u64) -> io::Result<File> {
        let Some(folder) = &self.folder else {
            let full = format!("the {} KiB of memory for changes are full", memory >> 10);
            return Err(io::Error::new(io::ErrorKind::StorageFull, full));
        };
        unnamed_file(folder).map_err(|error| self.told(&error))
    }

    /// An error, with the folder that it is about.
    fn told(&self, error: &io::Error) -> io::Error {
        let folder = self.folder.as_deref().unwrap_or(Path::new("")).display();
        io::Error::new(error.kind(), format!("keeping changes in a file in {folder}: {error}"))
    }
}
