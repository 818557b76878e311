//! Writing to a disk: the one place in the program that does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate};
use nix::libc;

use super::source::{advise, claimed_or, size_of};
use super::{Agreement, Busy, Disk, DiskError, DiskKind, WriteLift, ioctl};
use crate::bytes::{DirectFile, ReadAt};

/// How often, and how long apart, the kernel is asked to read a partition table anew while
/// something (a probing process, a slow close) still holds the device.
const RE_READ_TRIES: u32 = 20;
const RE_READ_PAUSE: Duration = Duration::from_millis(100);

/// A disk or image file opened for writing, and for nobody else.
#[derive(Debug)]
pub struct Target {
    file: DirectFile,
    path: PathBuf,
    size: u64,
    kind: DiskKind,
    /// Put back after the file is closed, hence declared last.
    protection: Option<WriteLift>,
}

impl Target {
    /// Opens `disk` for writing; a file that is to be made is made. What is open must be what was
    /// `agreed` to, free, and not the boot medium. The kernel's write protection is lifted for as long
    /// as the target lives.
    ///
    /// # Errors
    /// When the disk is in use, is write-protected by itself, or is no longer the same.
    pub fn open(disk: &Disk, agreed: &Agreement) -> Result<Self, DiskError> {
        // A file that came, or went, since the plan was made.
        let is_to_be_made = agreed.size_to_make().is_some();
        match disk.path.exists() {
            true if is_to_be_made => agreed.refuse_another(&Agreement::now(disk)?)?,
            false if !is_to_be_made && disk.kind == DiskKind::ImageFile => {
                agreed.refuse_another(&Agreement::to_make(&disk.path, disk.size))?;
            }
            _ => {}
        }
        if let Some(size) = agreed.size_to_make() {
            let file = make_file(&disk.path, size)?;
            lock(&file, disk)?;
            return Self::new(file, disk, None);
        }
        match disk.kind {
            DiskKind::ImageFile => Self::open_file(disk, agreed),
            DiskKind::Device => Self::open_device(disk, agreed),
        }
    }

    fn open_file(disk: &Disk, agreed: &Agreement) -> Result<Self, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&disk.path)
            .map_err(DiskError::io("opening for writing", &disk.path))?;
        let target = Self::new(file, disk, None)?;
        target.check(disk, agreed)?;
        lock(target.file.file(), disk)?;
        Ok(target)
    }

    fn open_device(disk: &Disk, agreed: &Agreement) -> Result<Self, DiskError> {
        // Not even the write protection of another disk is lifted.
        let looked = File::open(&disk.path).map_err(DiskError::io("opening", &disk.path))?;
        let looked = Self::new(looked, disk, None)?;
        looked.check(disk, agreed)?;
        let device = looked.file.file().try_clone();
        let device = device.map_err(DiskError::io("opening", &disk.path))?;
        let protection = WriteLift::of(device, &disk.path)?;
        drop(looked);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_EXCL)
            .open(&disk.path)
            .map_err(|error| claimed_or(&disk.path, "opening for writing", error))?;
        let target = Self::new(file, disk, protection)?;
        target.check(disk, agreed)?;
        Ok(target)
    }

    /// Holds what is open, by its descriptor, against what was agreed to.
    fn check(&self, disk: &Disk, agreed: &Agreement) -> Result<(), DiskError> {
        let (now, found) = Agreement::read(self.file.file(), self, disk)?;
        agreed.refuse_another(&found)?;
        refuse_busy(&agreed.judged(&now))
    }

    fn new(file: File, disk: &Disk, protection: Option<WriteLift>) -> Result<Self, DiskError> {
        let size = size_of(&file, &disk.path)?;
        let path = disk.path.clone();
        let file = DirectFile::new(file);
        Ok(Self { file, path, size, kind: disk.kind, protection })
    }

    /// Closes it for a program that opens it by itself; the write protection stays lifted for as long as
    /// what is returned lives.
    pub fn close(self) -> Option<WriteLift> {
        let Self { file, protection, .. } = self;
        drop(file);
        protection
    }

    /// The device node or image file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `data` at byte `offset`.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::UnexpectedEof`] when it would reach past the end, so that
    /// an image file never grows by a wrong offset.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_range(offset, data.len() as u64)?;
        self.file.write_all_at(data, offset)
    }

    /// Tells the device that a range holds nothing any more (a hole in an image file). Only a
    /// hint: returns whether it was taken, and says nothing about what the range then reads as.
    pub fn discard(&self, offset: u64, len: u64) -> bool {
        if len == 0 || self.check_range(offset, len).is_err() {
            return false;
        }
        match self.kind {
            DiskKind::Device => ioctl::discard(self.file.file(), offset, len).is_ok(),
            DiskKind::ImageFile => self.punch_hole(offset, len).is_ok(),
        }
    }

    fn punch_hole(&self, offset: u64, len: u64) -> nix::Result<()> {
        let to_signed = |value| i64::try_from(value).map_err(|_| Errno::EFBIG);
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(self.file.file(), flags, to_signed(offset)?, to_signed(len)?)
    }

    fn check_range(&self, offset: u64, len: u64) -> io::Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Waits until everything written has reached the device.
    ///
    /// # Errors
    /// A write error that the kernel noticed only now; the data is then not on the device.
    pub fn flush(&self) -> io::Result<()> {
        self.file.file().sync_all()
    }

    /// Flushes, then empties the page cache of the disk, so that what is read next comes from
    /// the device itself.
    ///
    /// # Errors
    /// As [`Target::flush`].
    pub fn drop_caches(&self) -> io::Result<()> {
        self.flush()?;
        match self.kind {
            DiskKind::Device => ioctl::flush_buffers(self.file.file())?,
            DiskKind::ImageFile => {
                advise(self.file.file(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            }
        }
        Ok(())
    }

    /// Makes the kernel see the partitions that are now on the disk. Does nothing for image files
    /// and for devices that cannot have partitions.
    ///
    /// # Errors
    /// When a partition of the disk stays in use for two seconds.
    pub fn re_read_table(&self) -> io::Result<()> {
        if self.kind == DiskKind::ImageFile {
            return Ok(());
        }
        for _ in 1..RE_READ_TRIES {
            match ioctl::re_read_partitions(self.file.file()) {
                // EINVAL: a device without partition support, such as a plain loop device.
                Ok(()) | Err(Errno::EINVAL) => return Ok(()),
                Err(_) => sleep(RE_READ_PAUSE),
            }
        }
        Ok(ioctl::re_read_partitions(self.file.file())?)
    }
}

impl ReadAt for Target {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

/// Creates a sparse image file of `size` bytes.
///
/// # Errors
/// When the file exists already or the size is too much for the filesystem.
pub fn create_image_file(path: &Path, size: u64) -> Result<(), DiskError> {
    make_file(path, size).map(drop)
}

/// [`create_image_file`], open for reading and writing.
fn make_file(path: &Path, size: u64) -> Result<File, DiskError> {
    let mut options = OpenOptions::new();
    // For its owner only: the disk that will be in it showed nothing to other users either.
    let created = options.read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => DiskError::Exists { path: path.to_owned() },
        _ => DiskError::io("creating", path)(source),
    })?;
    file.set_len(size).map_err(|source| {
        // An empty file left behind would be in the way of the next try.
        let _ = std::fs::remove_file(path);
        DiskError::io("setting the size of", path)(source)
    })?;
    Ok(file)
}

/// Keeps other runs of this program away from an image file (flock(2)).
fn lock(file: &File, disk: &Disk) -> Result<(), DiskError> {
    file.try_lock().map_err(|_| DiskError::Refused {
        disk: disk.identity(),
        why: "another program works on this file; wait for it to end".into(),
    })
}

fn refuse_busy(disk: &Disk) -> Result<(), DiskError> {
    let why = match disk.busy() {
        Some(Busy::Used(found)) => format!("{found}; {}", found.way_out()),
        Some(medium) => medium.to_string(),
        None => return Ok(()),
    };
    Err(DiskError::Refused { disk: disk.identity(), why })
}
