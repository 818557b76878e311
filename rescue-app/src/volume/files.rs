//! The files of a filesystem, read by our own readers: nothing is mounted for it.

use std::io;

use serde::Serialize;
use time::OffsetDateTime;

use super::doubt::Doubt;
use crate::bytes::{Extent, ReadAt};

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A plain file.
    File,
    /// A symbolic link, or what else leads elsewhere.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

impl EntryKind {
    /// By the type bits of an `i_mode` (inode(7), `S_IFMT`).
    pub(crate) fn of_mode(mode: u16) -> Self {
        match mode & 0xf000 {
            0x4000 => Self::Folder,
            0x8000 => Self::File,
            0xa000 => Self::Link,
            _ => Self::Other,
        }
    }

    /// By the type that directory entries of Linux' own filesystems carry (Linux `fs/fs_types.c`,
    /// `FT_*`); `None` where it is unknown.
    pub(crate) fn of_type(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::File),
            2 => Some(Self::Folder),
            7 => Some(Self::Link),
            3..=6 => Some(Self::Other),
            _ => None,
        }
    }
}

/// A file or folder of one [`FileTree`]: one or two numbers whose meaning is its format's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub(crate) u64, pub(crate) u64);

/// A name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderEntry<'a> {
    /// As the kernel shows it: UTF-8 where the format has UTF-16, U+FFFD for what is none.
    pub name: &'a [u8],
    /// What it stands for.
    pub kind: EntryKind,
    /// What it names, for the other questions to the tree.
    pub file: FileId,
}

/// What is shown the entries of a folder one after the other.
pub type EachEntry<'a> = dyn FnMut(FolderEntry<'_>) + 'a;

/// What is shown the bytes of a volume that a file lies in.
pub type EachExtent<'a> = dyn FnMut(Extent) + 'a;

/// What is shown where a file's content lies: the first byte in the file, and the bytes of the volume.
pub type EachPlace<'a> = dyn FnMut(u64, Extent) + 'a;

/// When something happened to a file, as far as its format keeps that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Its content was last written.
    pub modified: Option<OffsetDateTime>,
    /// It was last read, if anybody kept count of that.
    pub accessed: Option<OffsetDateTime>,
    /// Its content or its description last changed.
    pub changed: Option<OffsetDateTime>,
    /// It was made.
    pub created: Option<OffsetDateTime>,
}

/// Who may do what with a file, on filesystems of Unix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Its owner's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// The lowest twelve bits of its mode: permissions, sticky, setgid and setuid (inode(7)).
    pub mode: u16,
}

/// What is known of a file or folder besides its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file's content; of other kinds whatever the format says.
    pub size: u64,
    /// Names that it has; 1 where the format knows no others.
    pub links: u32,
    /// Times. FAT keeps them in a time zone that it does not tell: those count as UTC.
    pub times: Times,
    /// Owner and mode; `None` where the format has none.
    pub permissions: Option<Permissions>,
    /// `FILE_ATTRIBUTE_*` of Windows (MS-FSCC, 2.6); `None` where the format has none.
    pub attributes: Option<u32>,
}

/// Why a file or folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is in order, but in a form that this version does not read.
    #[error("{0}")]
    Unsupported(String),
    /// What stands there makes no sense.
    #[error("{0}")]
    Damaged(String),
    /// The volume failed.
    #[error("{what} cannot be read: {source}")]
    Read {
        /// The structure.
        what: &'static str,
        /// The failure.
        source: io::Error,
    },
}

impl FileError {
    /// For a form that is not read, in words.
    pub(crate) fn unsupported(words: impl Into<String>) -> Self {
        Self::Unsupported(words.into())
    }

    /// For what makes no sense, in words.
    pub(crate) fn damaged(words: impl Into<String>) -> Self {
        Self::Damaged(words.into())
    }

    /// For what is asked of the content of a folder, a link, a device.
    pub(crate) fn no_file() -> Self {
        Self::damaged("it is no plain file")
    }

    /// For what is asked where a link leads and is none.
    pub(crate) fn no_link() -> Self {
        Self::damaged("it is no symbolic link")
    }
}

impl From<Doubt> for FileError {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::Read { what, source } => Self::Read { what, source },
            Doubt::NoMap(_) | Doubt::NoNames(_) => Self::Unsupported(doubt.to_string()),
            Doubt::Because(words) => Self::Damaged(words),
        }
    }
}

/// How much is asked of a filesystem before its files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrutiny {
    /// For answers that hold: refused is what a log, a check or another device may yet change, and
    /// a folder with anything in it that makes no sense.
    Strict,
    /// For what can be had of a damaged one, or of one in use: folders show all that looks like
    /// an entry, and then say that something was wrong.
    Lenient,
}

/// Blocks that are read for one question to a [`FileTree`] where that counts blocks, and to look at all
/// files of a damaged volume.
pub(crate) const MOST_BLOCKS: u64 = 1 << 16;
pub(crate) const MOST_BLOCKS_OF_ALL: u64 = 1 << 24;

/// The files of a filesystem. No call reads without end or keeps more than a folder, or a list of
/// the places that a file lies in, whatever the bytes say.
pub trait FileTree {
    /// The folder that is shown where the filesystem is mounted.
    fn root(&self) -> FileId;

    /// The folders that may be the root of an installed system, the likeliest first.
    fn system_roots(&self) -> Vec<FileId> {
        vec![self.root()]
    }

    /// Calls `each` for what is in a folder, but `.` and `..`.
    ///
    /// # Errors
    /// When not all of it can be read, or when some of it makes no sense; then what was shown may
    /// be wrong.
    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError>;

    /// What has a name in a folder: exactly this one, but for the case of ASCII letters where case
    /// does not tell names apart.
    ///
    /// # Errors
    /// When it was not found in a folder of which not all can be read.
    fn lookup(
        &self,
        folder: FileId,
        name: &[u8],
    ) -> Result<Option<(FileId, EntryKind)>, FileError> {
        let is_exact = self.is_case_sensitive();
        let mut found = None;
        let listed = self.list(folder, &mut |entry| {
            let is_it = match is_exact {
                true => entry.name == name,
                false => entry.name.eq_ignore_ascii_case(name),
            };
            if is_it && found.is_none() {
                found = Some((entry.file, entry.kind));
            }
        });
        if found.is_some() { Ok(found) } else { listed.map(|()| None) }
    }

    /// What is known of a file or folder.
    ///
    /// # Errors
    /// When that cannot be read, or makes no sense.
    fn stat(&self, file: FileId) -> Result<Stat, FileError>;

    /// Where a symbolic link leads, as it stands there; on NTFS a path of Windows.
    ///
    /// # Errors
    /// When it cannot be read, or is no link.
    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError>;

    /// The content of a plain file, to be read anywhere; holes are zeros.
    ///
    /// # Errors
    /// With the reason, when it is no plain file, or its content is in a form that is not read:
    /// encrypted, or compressed in a way that is not known.
    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError>;

    /// Calls `each` for the bytes of the volume that hold a file's or folder's content, and the
    /// blocks that only say where that is. What is part of a record or of a table that others
    /// share is not among them.
    ///
    /// # Errors
    /// When not all could be told.
    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError>;

    /// Calls `each` for the bytes of the volume that are a plain file's content, as it is and of no other
    /// file.
    ///
    /// # Errors
    /// When not all could be told, the content is in another form, or others may share it.
    fn content_places(&self, _file: FileId, _each: &mut EachPlace<'_>) -> Result<(), FileError> {
        Err(FileError::unsupported("other files may share its content"))
    }

    /// Whether names that differ in case alone are different names to Linux.
    fn is_case_sensitive(&self) -> bool {
        true
    }

    /// Bytes that new files can take, where that is not the filesystem's size without what is in
    /// use, or where its description may be out of date. `used` is what is known to be in use
    /// ([`super::Filesystem::used`]), for formats of which only the whole map tells it.
    fn free(&self, _used: Option<u64>) -> Option<u64> {
        None
    }
}
