//! Reading and writing a file or device without the page cache, where that can be done.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use super::aligned::PAGE;

/// Below this many bytes the page cache is the better way.
const LEAST_LEN: usize = 128 << 10;

/// What a direct transfer must start at in memory, bytes. Devices with larger blocks refuse it
/// and get the page cache instead.
const MEMORY_ALIGNMENT: usize = 512;

/// A file whose large transfers go past the page cache (`O_DIRECT`, open(2)): that takes a tenth
/// of the processor time, leaves the cache to others, and reading shows what the medium holds.
///
/// Only whole pages go past the cache. A page of which a part was written through the cache must
/// never be written past it at the same time: the cache would put its old bytes back.
#[derive(Debug)]
pub struct DirectFile {
    cached: File,
    direct: Option<File>,
}

impl DirectFile {
    /// Takes a file opened in any mode. Filesystems that have no direct transfers are fine.
    pub fn new(file: File) -> Self {
        let direct = reopen_direct(&file).ok();
        Self { cached: file, direct }
    }

    /// Takes a file whose transfers all go through the page cache.
    pub fn cached(file: File) -> Self {
        Self { cached: file, direct: None }
    }

    /// The file as it was given.
    pub fn file(&self) -> &File {
        &self.cached
    }

    /// Fills `buf` from byte `offset`.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let done = self.past_cache(whole_pages(buf, offset), offset, |file, part, at| {
            file.read_at(buf.get_mut(part).unwrap_or_default(), at)
        })?;
        let (head, rest) = buf.split_at_mut(done.start);
        self.cached.read_exact_at(head, offset)?;
        let tail = rest.get_mut(done.len()..).unwrap_or_default();
        self.cached.read_exact_at(tail, offset + done.end as u64)
    }

    /// Writes all of `bytes` at byte `offset`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let done = self.past_cache(whole_pages(bytes, offset), offset, |file, part, at| {
            file.write_at(bytes.get(part).unwrap_or_default(), at)
        })?;
        let (head, rest) = bytes.split_at(done.start);
        self.cached.write_all_at(head, offset)?;
        let tail = rest.get(done.len()..).unwrap_or_default();
        self.cached.write_all_at(tail, offset + done.end as u64)
    }

    /// Moves as much as goes past the cache of these pages of a buffer that belongs at `offset`: until
    /// they are all moved, the file ends, or the kernel wants it done another way. `transfer` moves
    /// some bytes of a part of the buffer, at a byte of the file. Returns which were moved.
    fn past_cache(
        &self,
        pages: Range<usize>,
        offset: u64,
        mut transfer: impl FnMut(&File, Range<usize>, u64) -> io::Result<usize>,
    ) -> io::Result<Range<usize>> {
        let Some(file) = self.direct.as_ref().filter(|_| pages.len() >= LEAST_LEN) else {
            return Ok(0..0);
        };
        let mut at = pages.start;
        while at < pages.end {
            match transfer(file, at..pages.end, offset + at as u64) {
                Ok(0) => break,
                Ok(len) => at += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(error),
            }
        }
        Ok(pages.start..at)
    }
}

/// The same file once more, in the same mode, for direct transfers.
fn reopen_direct(file: &File) -> io::Result<File> {
    let mode = fcntl(file, FcntlArg::F_GETFL)? & libc::O_ACCMODE;
    OpenOptions::new()
        .read(mode != libc::O_WRONLY)
        .write(mode != libc::O_RDONLY)
        .custom_flags(OFlag::O_DIRECT.bits())
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The part of `buf`, which belongs at `offset`, that fills whole pages of the file and lies in
/// memory as devices need it.
fn whole_pages(buf: &[u8], offset: u64) -> Range<usize> {
    let into = usize::try_from(offset % PAGE as u64).unwrap_or_default();
    let start = (PAGE - into) % PAGE;
    let aligned = (buf.as_ptr() as usize).wrapping_add(start).is_multiple_of(MEMORY_ALIGNMENT);
    match buf.len().checked_sub(start) {
        Some(rest) if aligned => start..start + (rest - rest % PAGE),
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::AlignedBuffer;

    fn noise(len: usize) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::default();
        buffer.set_len(len);
        getrandom::fill(&mut buffer).unwrap();
        buffer
    }

    /// A folder on a disk and one in memory, where some kernels have no direct transfers.
    fn places() -> [tempfile::TempDir; 2] {
        let here = std::env::current_dir().unwrap();
        [tempfile::tempdir_in(here).unwrap(), tempfile::tempdir_in("/dev/shm").unwrap()]
    }

    #[test]
    fn any_length_and_alignment_is_written_and_read() {
        let noise = noise(3 << 20);
        for place in places() {
            let path = place.path().join("file");
            std::fs::write(&path, b"").unwrap();
            let file = DirectFile::new(File::options().read(true).write(true).open(&path).unwrap());
            for in_memory in [0, 1, 512] {
                for offset in [0, 512, 4096, 5000] {
                    for len in [0, 1, LEAST_LEN - 1, LEAST_LEN + 8192, 1_500_000] {
                        let bytes = &noise[in_memory..in_memory + len];
                        file.write_all_at(bytes, offset).unwrap();
                        let mut back = AlignedBuffer::default();
                        back.set_len(in_memory + len);
                        file.read_exact_at(&mut back[in_memory..], offset).unwrap();
                        assert!(back[in_memory..] == *bytes, "{in_memory} {offset} {len}");
                        let whole = std::fs::read(&path).unwrap();
                        let at = usize::try_from(offset).unwrap();
                        assert!(len == 0 || whole[at..at + len] == *bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn neighbours_of_a_direct_write_stay() {
        let noise = noise(1 << 20);
        let place = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, vec![9; 2 << 20]).unwrap();
        let file = DirectFile::new(File::options().read(true).write(true).open(&path).unwrap());
        assert!(file.direct.is_some());
        file.file().write_all_at(&[1; 100], 4000).unwrap();
        file.write_all_at(&noise[96..500_000], 4192).unwrap();
        file.file().write_all_at(&[2; 92], 4100).unwrap();
        let mut expected = vec![9; 2 << 20];
        expected[4000..4100].fill(1);
        expected[4100..4192].fill(2);
        expected[4192..4192 + 499_904].copy_from_slice(&noise[96..500_000]);
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn reading_past_the_end_is_an_error_and_so_is_writing_without_leave() {
        let place = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, vec![9; 1 << 20]).unwrap();
        let file = DirectFile::new(File::open(&path).unwrap());
        let mut buffer = noise(1 << 20);
        let past = file.read_exact_at(&mut buffer, 4096).unwrap_err();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
        assert!(file.write_all_at(&buffer, 0).is_err());
    }
}
