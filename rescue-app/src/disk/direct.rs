//! Reading a disk around the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::libc;

use crate::bytes::{AlignedBuffer, slice};

/// A disk or image file whose reads ask the device itself, sector by sector. The page cache
/// fetches whole pages, so that through it one bad sector takes its seven neighbours along.
#[derive(Debug)]
pub struct DirectSource {
    file: File,
    sector: u64,
    /// Memory that the device writes to; grows to the largest read.
    memory: Mutex<AlignedBuffer>,
}

impl DirectSource {
    /// Opens a block device or plain file with sectors of `sector` bytes, read-only.
    ///
    /// # Errors
    /// Whatever the kernel says; `EINVAL` from filesystems that cannot do without their cache.
    pub fn open(path: &Path, sector: u32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path)?;
        Ok(Self { file, sector: u64::from(sector).max(1), memory: Mutex::default() })
    }

    /// Fills `buf` from byte `offset`. The sectors that it touches are read whole.
    ///
    /// # Errors
    /// The device's; [`io::ErrorKind::UnexpectedEof`] past the end.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let too_far = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = offset - offset % self.sector;
        let skip = usize::try_from(offset - start).map_err(|_| too_far())?;
        let wanted = skip.checked_add(buf.len()).ok_or_else(too_far)?;
        let sector = usize::try_from(self.sector).map_err(|_| too_far())?;
        let whole = wanted.checked_next_multiple_of(sector).ok_or_else(too_far)?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.set_len(whole);
        self.fill(start, &mut memory, wanted)?;
        buf.copy_from_slice(slice(&memory, skip, buf.len()).ok_or_else(too_far)?);
        Ok(())
    }

    /// Reads until `wanted` bytes are there; the last sector of an image file may be cut off.
    fn fill(&self, start: u64, aligned: &mut [u8], wanted: usize) -> io::Result<()> {
        let mut done = 0;
        while done < wanted {
            let rest = aligned.get_mut(done..).unwrap_or_default();
            match self.file.read_at(rest, start + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_is_read_also_at_a_ragged_end() {
        let bytes: Vec<u8> = (0..20_000u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
        // Not the temporary folder: that may be a tmpfs, which knows no direct reads.
        let file = tempfile::NamedTempFile::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let source = DirectSource::open(file.path(), 512).unwrap();
        for (at, len) in [(0, 512), (511, 2), (700, 9000), (19_999, 1), (0, 20_000)] {
            let mut buf = vec![0; len];
            source.read_at(at as u64, &mut buf).unwrap();
            assert_eq!(buf, bytes[at..at + len], "{len} bytes at {at}");
        }
        let error = source.read_at(19_999, &mut [0; 2]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
