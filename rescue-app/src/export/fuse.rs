//! A folder with the files of an image, through FUSE (Linux `include/uapi/linux/fuse.h`).

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenAccMode,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use nix::fcntl::FallocateFlags;
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{major, minor};

use crate::bytes::ReadAt;
use crate::console;

use super::{ExportedFile, FileBytes};

/// Nothing in the folder changes: the kernel may believe it for as long as it likes.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// How far the kernel reads ahead, bytes: a whole chunk of an image.
const READ_AHEAD: u32 = 4 << 20;

thread_local! {
    /// Each thread reads into the same memory again: new memory costs as much as what is copied into it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The number of the first file; that of the folder is 1.
const FIRST: u64 = 2;

/// Why a folder cannot be shown, or is not any more.
#[derive(Debug, thiserror::Error)]
pub enum FuseError {
    /// It could not be mounted.
    #[error("mounting {dir}: {error}")]
    Mount {
        /// The folder.
        dir: String,
        /// The cause.
        error: io::Error,
    },
    /// It could not be unmounted.
    #[error("unmounting {dir}: {error}; close what is open in it, then `umount {dir}`")]
    Unmount {
        /// The folder.
        dir: String,
        /// The cause.
        error: io::Error,
    },
}

/// A mounted folder.
pub struct Mounted {
    session: BackgroundSession,
    dir: PathBuf,
}

impl Mounted {
    /// Shows `files`, with the time of the image, in the folder `dir`, to be used by `threads` at once.
    ///
    /// # Errors
    /// When the kernel does not mount it.
    pub fn new(
        files: Vec<ExportedFile>,
        made: SystemTime,
        dir: &Path,
        threads: usize,
    ) -> Result<Self, FuseError> {
        let mut config = Config::default();
        let is_writable = files.iter().any(|file| file.content.writable().is_some());
        config.mount_options = [
            if is_writable { MountOption::RW } else { MountOption::RO },
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::FSName("lifeboat".into()),
            MountOption::Subtype("lifeboat".into()),
        ]
        .into();
        (config.n_threads, config.clone_fd) = (Some(threads), true);
        let session = fuser::spawn_mount(Folder { files, made }, dir, &config);
        match session {
            Ok(session) => {
                read_further_ahead(dir);
                Ok(Self { session, dir: dir.to_owned() })
            }
            Err(error) => Err(FuseError::Mount { dir: console::path(dir), error }),
        }
    }

    /// Whether somebody unmounted it.
    pub fn has_ended(&self) -> bool {
        self.session.guard.is_finished()
    }

    /// Unmounts it, unless that was done already. Whoever has a file open reads on until the program
    /// ends; without the rights of root they keep it mounted.
    ///
    /// # Errors
    /// When it is kept so.
    pub fn end(self) -> Result<(), FuseError> {
        let ended = match self.has_ended() {
            true => self.session.join(),
            false if umount2(&self.dir, MntFlags::MNT_DETACH).is_ok() => Ok(()),
            false => self.session.umount_and_join(),
        };
        ended.map_err(|error| FuseError::Unmount { dir: console::path(&self.dir), error })
    }
}

/// The kernel reads ahead no more than 128 KiB unless root asks it to (Linux
/// `Documentation/ABI/testing/sysfs-class-bdi`); without that each read is one of many small ones.
fn read_further_ahead(dir: &Path) {
    let Ok(folder) = fs::metadata(dir) else { return };
    let (major, minor) = (major(folder.dev()), minor(folder.dev()));
    let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    let _ = fs::write(setting, (READ_AHEAD >> 10).to_string());
}

struct Folder {
    files: Vec<ExportedFile>,
    made: SystemTime,
}

impl Folder {
    fn file(&self, number: INodeNo) -> Option<&ExportedFile> {
        let index = u64::from(number).checked_sub(FIRST)?;
        self.files.get(usize::try_from(index).ok()?)
    }

    fn attributes(&self, number: INodeNo) -> Option<FileAttr> {
        let file = self.file(number);
        if file.is_none() && number != INodeNo::ROOT {
            return None;
        }
        let size = file.map_or(0, |file| file.content.size());
        let used = file.map_or(0, |file| file.data.total());
        Some(FileAttr {
            ino: number,
            size,
            blocks: used.div_ceil(512),
            atime: self.made,
            mtime: self.made,
            ctime: self.made,
            crtime: self.made,
            kind: if file.is_some() { FileType::RegularFile } else { FileType::Directory },
            perm: match file.map(|file| &file.content) {
                None => 0o500,
                Some(FileBytes::Fixed(_)) => 0o400,
                Some(FileBytes::Writable { .. }) => 0o600,
            },
            nlink: 1,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Fills `buf` with what is left of at most `size` bytes.
    fn read(
        &self,
        number: INodeNo,
        offset: u64,
        size: u32,
        buf: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let file = self.file(number).ok_or(Errno::ENOENT)?;
        let left = file.content.size().saturating_sub(offset).min(size.into());
        buf.resize(usize::try_from(left).unwrap_or_default(), 0);
        file.read_at(offset, buf).map_err(|error| failed("reading", file, &error))
    }

    fn write(&self, number: INodeNo, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let file = self.file(number).ok_or(Errno::ENOENT)?;
        file.content.write_at(offset, bytes).map_err(|error| failed("writing", file, &error))
    }

    /// Makes holes and zeros; room is not set aside (fallocate(2)).
    fn zero(&self, number: INodeNo, offset: u64, len: u64, mode: i32) -> Result<(), Errno> {
        let file = self.file(number).ok_or(Errno::ENOENT)?;
        let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let zero = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if ![punch.bits(), zero.bits()].contains(&mode) {
            return Err(Errno::EOPNOTSUPP);
        }
        file.content.zero_at(offset, len).map_err(|error| failed("writing", file, &error))
    }

    /// What is known of a file or the folder after a change of its size. Of all else that can be changed,
    /// as the times of a file that was written, nothing is kept.
    fn changed(&self, number: INodeNo, size: Option<u64>) -> Result<FileAttr, Errno> {
        if let Some(size) = size {
            self.file(number)
                .ok_or(Errno::EISDIR)?
                .content
                .set_size(size)
                .map_err(|error| errno(&error))?;
        }
        self.attributes(number).ok_or(Errno::ENOENT)
    }

    /// Where data, or a hole, begins at or after `offset` (lseek(2)).
    fn seek(&self, number: INodeNo, offset: u64, whence: i32) -> Result<u64, Errno> {
        let file = self.file(number).ok_or(Errno::ENOENT)?;
        let size = file.content.size();
        if offset >= size {
            return Err(Errno::ENXIO);
        }
        let next = file.next_data(offset);
        match whence {
            nix::libc::SEEK_DATA => next.map(|data| data.start).ok_or(Errno::ENXIO),
            nix::libc::SEEK_HOLE => {
                Ok(next.filter(|data| data.start <= offset).map_or(offset, |data| data.end))
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Filesystem for Folder {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What the kernel does not take it answers with the most that it takes.
        if let Err(most) = config.set_max_readahead(READ_AHEAD) {
            let _ = config.set_max_readahead(most);
        }
        // Programs that make filesystems write block by block: the kernel gathers that. One that is too
        // old hands it on as it comes.
        let _ = config.add_capabilities(InitFlags::FUSE_WRITEBACK_CACHE);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.files.iter().position(|file| OsStr::new(&file.name) == name);
        let number = found.filter(|_| parent == INodeNo::ROOT).map(number_of);
        match number.and_then(|number| self.attributes(number)) {
            Some(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: Option<FileHandle>,
        reply: ReplyAttr,
    ) {
        match self.attributes(number) {
            Some(attributes) => reply.attr(&FOR_EVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    /// What was written by way of another file, of the disk or of a partition, is seen by whoever opens a file
    /// after that: only what never changes is kept from one to the next.
    fn open(&self, _request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let is_writable = self.file(number).is_some_and(|file| file.content.writable().is_some());
        match flags.acc_mode() {
            _ if is_writable => reply.opened(FileHandle(0), FopenFlags::empty()),
            OpenAccMode::O_RDONLY => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            _ => reply.error(Errno::EROFS),
        }
    }

    fn read(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(|buf| match Folder::read(self, number, offset, size, buf) {
            Ok(()) => reply.data(buf),
            Err(error) => reply.error(error),
        });
    }

    fn write(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write(number, offset, bytes) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        match self.changed(number, size) {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        match self.zero(number, offset, length, mode) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    /// All that was written is kept as it comes.
    fn fsync(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _only_data: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn lseek(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let found = u64::try_from(offset).map_err(|_| Errno::EINVAL);
        match found.and_then(|offset| self.seek(number, offset, whence)) {
            Ok(at) => reply.offset(i64::try_from(at).unwrap_or(i64::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if number != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let folder = [".", ".."].map(|name| (INodeNo::ROOT, FileType::Directory, name));
        let files = self.files.iter().enumerate();
        let files =
            files.map(|(at, file)| (number_of(at), FileType::RegularFile, file.name.as_str()));
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (number, kind, name)) in
            (1u64..).zip(folder.into_iter().chain(files)).skip(start)
        {
            if reply.add(number, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}

/// Says what went wrong, for the kernel hands on a number only.
fn failed(doing: &str, file: &ExportedFile, error: &io::Error) -> Errno {
    console::tell(&format!("{doing} {}: {error}", file.name));
    errno(error)
}

/// What a program is told of an error.
fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::StorageFull => Errno::ENOSPC,
        io::ErrorKind::FileTooLarge | io::ErrorKind::UnexpectedEof => Errno::EFBIG,
        io::ErrorKind::ReadOnlyFilesystem => Errno::EROFS,
        _ => Errno::EIO,
    }
}

fn number_of(index: usize) -> INodeNo {
    INodeNo(FIRST + index as u64)
}
