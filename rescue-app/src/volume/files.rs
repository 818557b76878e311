//! The folders of a filesystem, read by our own readers: nothing is mounted for it.

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(pub(crate) u64, pub(crate) u64);

/// A name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderEntry<'a> {
    /// As the kernel shows it: UTF-8 where the format has UTF-16, U+FFFD for what is none.
    pub name: &'a [u8],
    /// What it stands for.
    pub kind: EntryKind,
    /// To list it, when it is a folder.
    pub file: FileId,
}

/// What is shown the entries of a folder one after the other.
pub type EachEntry<'a> = dyn FnMut(FolderEntry<'_>) + 'a;

/// The folders of a filesystem that was closed properly, or needs not to be.
pub trait FileTree {
    /// The folder that is shown where the filesystem is mounted.
    fn root(&self) -> FileId;

    /// Calls `each` for what is in a folder, but `.` and `..`. `None` when not all of it can be
    /// read, or when some of it makes no sense; then what was shown may be wrong. Reads and keeps
    /// no more than a folder may hold, and ends, whatever the bytes say.
    fn list(&mut self, folder: FileId, each: &mut EachEntry<'_>) -> Option<()>;

    /// Whether names that differ in case alone are different names to Linux.
    fn is_case_sensitive(&self) -> bool {
        true
    }

    /// Bytes that new files can take, where that is not the filesystem's size without what is in
    /// use, or where its description may be out of date. `used` is what is known to be in use
    /// ([`super::Filesystem::used`]), for formats of which only the whole map tells it.
    fn free(&mut self, _used: Option<u64>) -> Option<u64> {
        None
    }
}
