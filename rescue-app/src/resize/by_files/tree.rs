//! All files of a mounted filesystem into another one, with all that belongs to them.
//!
//! Owners, modes, times, hard links, holes, extended attributes (access control lists, labels and capabilities
//! are some), flags and project numbers come along. `xfsdump` and `xfsrestore`, which do the same, cut
//! times to whole seconds.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink,
};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;

use crate::bytes::is_zero;
use crate::console;
use crate::disk::data_of_file;
use crate::disk::ioctl::{FileFlags, file_flags, set_file_flags};
use crate::progress::Cancel;
use crate::tool::ToolError;

use super::super::error::ResizeError;

/// How much is copied at once, bytes.
const PIECE: usize = 1 << 20;

/// A copy under way.
pub(super) struct TreeCopy<'a> {
    from: &'a Path,
    to: &'a Path,
    cancel: &'a Cancel,
    /// Where files with several names are by their inode numbers, below `to`.
    links: HashMap<u64, PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> TreeCopy<'a> {
    /// From one folder into another one, which is empty.
    pub(super) fn new(from: &'a Path, to: &'a Path, cancel: &'a Cancel) -> Self {
        Self { from, to, cancel, links: HashMap::new(), buffer: vec![0; PIECE] }
    }

    /// Copies it all.
    pub(super) fn run(mut self) -> Result<(), ResizeError> {
        let (from, to) = (self.from, self.to);
        let meta = from.metadata().map_err(|error| copying(from, error))?;
        self.folder(from, to, &meta)
    }

    /// What is in a folder, and then what belongs to the folder: its time is that of the last change in it.
    fn folder(&mut self, from: &Path, to: &Path, meta: &Metadata) -> Result<(), ResizeError> {
        let flags = file_flags_of(from)?;
        set_flags_of(to, flags.without_locks())?;
        for name in names(from).map_err(|error| copying(from, error))? {
            if self.cancel.is_requested() {
                return Err(ToolError::Cancelled.into());
            }
            self.one(&from.join(&name), &to.join(&name))?;
        }
        describe(from, to, meta).map_err(|error| copying(from, error))?;
        set_flags_of(to, flags)
    }

    fn one(&mut self, from: &Path, to: &Path) -> Result<(), ResizeError> {
        let failed = |error| copying(from, error);
        let meta = from.symlink_metadata().map_err(failed)?;
        let kind = meta.file_type();
        if kind.is_dir() {
            DirBuilder::new().mode(0o700).create(to).map_err(failed)?;
            return self.folder(from, to, &meta);
        }
        if meta.nlink() > 1 {
            if let Some(first) = self.links.get(&meta.ino()) {
                return fs::hard_link(first, to).map_err(failed);
            }
            self.links.insert(meta.ino(), to.to_owned());
        }
        if kind.is_file() {
            return self.file(from, to, &meta);
        }
        match kind.is_symlink() {
            true => fs::read_link(from).and_then(|target| symlink(target, to)).map_err(failed)?,
            false => special(to, &meta).map_err(failed)?,
        }
        describe(from, to, &meta).map_err(failed)
    }

    fn file(&mut self, from: &Path, to: &Path, meta: &Metadata) -> Result<(), ResizeError> {
        let failed = |error| copying(from, error);
        let source = File::open(from).map_err(failed)?;
        let made = File::create_new(to).map_err(failed)?;
        let flags = file_flags(&source).map_err(|error| failed(error.into()))?;
        // The size of an allocation is taken by empty files alone.
        set_file_flags(&made, flags.without_locks()).map_err(|error| failed(error.into()))?;
        made.set_len(meta.len()).map_err(failed)?;
        for part in data_of_file(&source, meta.len()).iter() {
            let mut at = part.start;
            while at < part.end {
                if self.cancel.is_requested() {
                    return Err(ToolError::Cancelled.into());
                }
                let len = usize::try_from(part.end - at).unwrap_or(PIECE).min(PIECE);
                let piece = self.buffer.get_mut(..len).unwrap_or_default();
                source.read_exact_at(piece, at).map_err(failed)?;
                if !is_zero(piece) {
                    made.write_all_at(piece, at).map_err(failed)?;
                }
                at += len as u64;
            }
        }
        describe(from, to, meta).map_err(failed)?;
        set_file_flags(&made, flags).map_err(|error| failed(error.into()))
    }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn file_flags_of(folder: &Path) -> Result<FileFlags, ResizeError> {
    let flags = File::open(folder).and_then(|folder| Ok(file_flags(&folder)?));
    flags.map_err(|error| copying(folder, error))
}

fn set_flags_of(folder: &Path, flags: FileFlags) -> Result<(), ResizeError> {
    let set = File::open(folder).and_then(|folder| Ok(set_file_flags(&folder, flags)?));
    set.map_err(|error| copying(folder, error))
}

/// A device, a pipe or a socket.
fn special(to: &Path, meta: &Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_block_device() => SFlag::S_IFBLK,
        () if kind.is_char_device() => SFlag::S_IFCHR,
        () if kind.is_fifo() => SFlag::S_IFIFO,
        () => SFlag::S_IFSOCK,
    };
    Ok(mknod(to, kind, Mode::S_IRUSR | Mode::S_IWUSR, meta.rdev())?)
}

/// Owner first: a change of it takes capabilities and setuid away. Then attributes, of which an access
/// control list changes the mode; times last.
fn describe(from: &Path, to: &Path, meta: &Metadata) -> io::Result<()> {
    lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    for name in xattr::list(from)? {
        if let Some(value) = xattr::get(from, &name)? {
            xattr::set(to, &name, &value)?;
        }
    }
    if !meta.file_type().is_symlink() {
        fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))?;
    }
    let (accessed, modified) = (
        TimeSpec::new(meta.atime(), meta.atime_nsec()),
        TimeSpec::new(meta.mtime(), meta.mtime_nsec()),
    );
    Ok(utimensat(AT_FDCWD, to, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?)
}

fn copying(path: &Path, error: io::Error) -> ResizeError {
    ResizeError::io(format!("copying {}", console::path(path)), error)
}
