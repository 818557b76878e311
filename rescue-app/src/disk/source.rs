//! Reading a disk, and nothing else.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::libc;
use nix::unistd::{Whence, lseek};

use super::{DirectSource, DiskError, ShortTimeout, Sysfs, ioctl, sysfs};
use crate::bytes::{DirectFile, Extents, ReadAt};

/// Stretches of a sparse file that are told apart; what lies behind them is taken for data.
const MOST_STRETCHES: usize = 1 << 20;

/// The disk that a file or folder holds in a form of its own.
pub trait View: ReadAt + fmt::Debug {
    /// What of it is no hole.
    fn data(&self) -> Extents;
}

/// A disk, partition or image file opened read-only.
#[derive(Debug)]
pub struct Source {
    file: DirectFile,
    path: PathBuf,
    size: u64,
    /// What is read instead of the file itself.
    view: Option<Arc<dyn View>>,
}

impl Source {
    /// Opens a block device or plain file, read-only.
    ///
    /// # Errors
    /// When it cannot be opened, or is of another kind.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        Self::new(File::open(path).map_err(DiskError::io("opening", path))?, path)
    }

    /// [`Self::open`], and nobody else in this system may mount, map or swap to the device or a
    /// partition of it meanwhile (`O_EXCL` without `O_CREAT`, open(2)). It does not ask for a plain
    /// file.
    ///
    /// # Errors
    /// [`DiskError::Claimed`] when somebody does so already, be it out of this process's sight.
    pub fn claim(path: &Path) -> Result<Self, DiskError> {
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(path);
        Self::new(opened.map_err(|error| claimed_or(path, "opening", error))?, path)
    }

    /// The disk that the file or folder at `path` holds, read through `view`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn showing(view: Arc<dyn View>, path: &Path) -> Result<Self, DiskError> {
        let file = File::open(path).map_err(DiskError::io("opening", path))?;
        let (file, size) = (DirectFile::cached(file), view.size());
        Ok(Self { file, path: path.to_owned(), size, view: Some(view) })
    }

    fn new(file: File, path: &Path) -> Result<Self, DiskError> {
        let size = size_of(&file, path)?;
        let is_device = file.metadata().is_ok_and(|meta| meta.file_type().is_block_device());
        // An image file may well be in the page cache already.
        let file = if is_device { DirectFile::new(file) } else { DirectFile::cached(file) };
        Ok(Self { file, path: path.to_owned(), size, view: None })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        self.file.file()
    }

    /// Tells the kernel that reads come in ascending order, so that it reads further ahead.
    pub fn advise_sequential(&self) {
        advise(self.file.file(), 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
    }

    /// What of it is no hole; see [`data_of_file`]. All of a device.
    pub fn data(&self) -> Extents {
        if let Some(view) = &self.view {
            return view.data();
        }
        let file = self.file.file();
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return Extents::of(0, self.size);
        }
        data_of_file(file, self.size)
    }

    /// The same past the page cache, where there is a way.
    pub fn open_direct(&self, sector: u32) -> Option<DirectSource> {
        match self.view {
            Some(_) => None,
            None => DirectSource::open(&self.path, sector).ok(),
        }
    }

    /// As [`Sysfs::shorten_timeout`].
    pub fn shorten_timeout(&self) -> Option<ShortTimeout> {
        Sysfs::host().shorten_timeout(&self.path)
    }

    /// Whether the device was unplugged or given up by the kernel since it was opened. Reads then
    /// fail like those of bad sectors, and go on failing.
    pub fn is_gone(&self) -> bool {
        let Ok(meta) = self.file.file().metadata() else { return true };
        meta.file_type().is_block_device()
            && (ioctl::size(self.file.file()).map_or(true, |size| size == 0)
                || sysfs::is_gone(Path::new("/sys"), meta.rdev()))
    }
}

/// What of the first `size` bytes of a plain file is no hole, as far as its filesystem tells (lseek(2), `SEEK_DATA`).
pub fn data_of_file(file: &File, size: u64) -> Extents {
    let mut data = Extents::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => break,
            Err(_) => at,
        };
        let known = data.count() < MOST_STRETCHES;
        let end = seek(file, start, Whence::SeekHole).ok().filter(|end| known && *end > start);
        at = end.map_or(size, |end| end.min(size));
        data.push(start, at);
    }
    data
}

fn seek(file: &File, at: u64, whence: Whence) -> Result<u64, Errno> {
    let at = i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?;
    u64::try_from(lseek(file, at, whence)?).map_err(|_| Errno::EOVERFLOW)
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match &self.view {
            Some(view) => view.read_at(offset, buf),
            None => self.file.read_exact_at(buf, offset),
        }
    }
}

/// The error of an open(2) with `O_EXCL`.
pub(super) fn claimed_or(path: &Path, doing: &'static str, error: io::Error) -> DiskError {
    match error.raw_os_error() {
        Some(libc::EBUSY) => DiskError::Claimed { path: path.to_owned() },
        _ => DiskError::io(doing, path)(error),
    }
}

/// Size in bytes of a block device or plain file.
pub(super) fn size_of(file: &File, path: &Path) -> Result<u64, DiskError> {
    let meta = file.metadata().map_err(DiskError::io("looking at", path))?;
    if meta.file_type().is_block_device() {
        return ioctl::size(file).map_err(DiskError::io("asking for the size of", path));
    }
    if !meta.is_file() {
        return Err(DiskError::NotADisk { path: path.to_owned() });
    }
    Ok(meta.len())
}

/// A hint to the page cache; what it makes of it does not matter to the result.
pub(super) fn advise(file: &File, offset: u64, len: u64, advice: PosixFadviseAdvice) {
    if let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) {
        let _ = posix_fadvise(file, offset, len, advice);
    }
}
