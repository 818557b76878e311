//! Where the files of an image repository live.
//!
//! A repository consists of a few kinds of files that are written once, never changed and
//! removed as a whole. [`Store`] is all that the format engine asks of a place for them.

mod error;
mod filesystem_type;
mod local;
mod location;
mod network;
mod pausing;

use std::fmt;
use std::time::Duration;

pub use error::StoreError;
pub use local::LocalStore;
pub use location::{Location, LocationError};
pub use network::{
    Address, Link, Login, NetworkOptions, NetworkStore, S3Key, Secret, Web, without_passwords,
};
pub use pausing::{PausingStore, WhenFull};

/// What a store's methods return.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The kinds of files in a repository (restic `doc/design.rst`, "Repository Layout").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// The one configuration file; its name is always `config`.
    Config,
    /// Master key, sealed with a passphrase.
    Key,
    /// Who is working on the repository.
    Lock,
    /// One captured image.
    Snapshot,
    /// Where blobs lie in packs.
    Index,
    /// Blobs.
    Pack,
}

impl FileKind {
    /// All kinds that live in a folder of their own.
    pub const FOLDERS: [Self; 5] = [Self::Key, Self::Lock, Self::Snapshot, Self::Index, Self::Pack];

    /// Name of the kind's folder; empty for the configuration, which lies at the top.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Config => "",
            Self::Key => "keys",
            Self::Lock => "locks",
            Self::Snapshot => "snapshots",
            Self::Index => "index",
            Self::Pack => "data",
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "config file",
            Self::Key => "key file",
            Self::Lock => "lock file",
            Self::Snapshot => "snapshot file",
            Self::Index => "index file",
            Self::Pack => "pack file",
        })
    }
}

/// A file found by [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileEntry {
    /// 64 lower-case hex digits.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
}

/// The right to create a repository in a place, for as long as it lives.
pub type Claim = Box<dyn Send>;

/// A place for the files of one repository.
///
/// Names are 64 lower-case hex digits (`config` for [`FileKind::Config`]); anything else is
/// refused, so that a name can never lead out of the store.
pub trait Store: Send + Sync {
    /// Claims the place for the creation of a repository. While the claim lives, another one is
    /// [`StoreError::BeingCreated`], where the place can tell; it ends with the process too.
    fn claim(&self) -> Result<Claim> {
        Ok(Box::new(()))
    }

    /// Whether [`Self::claim`] keeps others from creating a repository there at the same time.
    fn can_claim(&self) -> bool {
        true
    }

    /// Makes the folders of an empty repository.
    fn create_layout(&self) -> Result<()>;

    /// Refuses a place whose folders are links: what is written or removed there would be somewhere
    /// else, perhaps in another repository.
    fn refuse_links(&self) -> Result<()> {
        Ok(())
    }

    /// All complete files of a kind, sorted by name; leftovers of interrupted writes and
    /// foreign files are not among them.
    fn list(&self, kind: FileKind) -> Result<Vec<FileEntry>>;

    /// Size in bytes of a file.
    fn size(&self, kind: FileKind, name: &str) -> Result<u64>;

    /// Whether the file is there.
    fn exists(&self, kind: FileKind, name: &str) -> Result<bool> {
        match self.size(kind, name) {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Fills `buf` from byte `offset` of the file; a file that ends earlier is
    /// [`StoreError::TooShort`].
    fn read_range(&self, kind: FileKind, name: &str, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// The whole file. One of more than `limit` bytes is refused before it is read, so that a
    /// hostile repository cannot use up the memory.
    fn read(&self, kind: FileKind, name: &str, limit: u64) -> Result<Vec<u8>> {
        let size = self.size(kind, name)?;
        let len = usize::try_from(size).ok().filter(|_| size <= limit);
        let len =
            len.ok_or_else(|| StoreError::TooLarge { kind, name: name.to_owned(), size, limit })?;
        let mut bytes = vec![0; len];
        self.read_range(kind, name, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file: afterwards it is there whole and survives a power cut, or there is an
    /// error and no file under this name.
    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Result<()>;

    /// Removes a file; one that is already gone is [`StoreError::NotFound`]. A power cut may bring
    /// it back until [`Self::sync_names`]; a snapshot or an index file comes back whole or not at all.
    fn remove(&self, kind: FileKind, name: &str) -> Result<()>;

    /// Makes a kind's list of files as it is now survive a power cut: what was removed, and what
    /// anybody wrote who did not come to that. Nothing done later reaches the disk before it. The
    /// space of what was removed is free afterwards.
    fn sync_names(&self, kind: FileKind) -> Result<()>;

    /// How long ago a file was written by the place's own clock, which is the one that all
    /// machines that use the place have in common; zero for a file from the future, `None` where
    /// the place cannot tell.
    fn age(&self, kind: FileKind, name: &str) -> Result<Option<Duration>>;

    /// Removes what interrupted writes and power cuts left behind before the given file was written, and
    /// returns how many bytes that freed. The caller makes sure that nobody else has been
    /// writing since before that file.
    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> Result<u64>;

    /// Puts a note for people beside the repository's files, such as `README.txt`, or into a folder of
    /// its own there, such as `logs/NAME`.
    fn write_note(&self, name: &str, text: &str) -> Result<()>;

    /// Whether there is room for notes beside the repository's files.
    fn takes_notes(&self) -> bool {
        true
    }

    /// How long a machine that has just written a file may still be shown a list of before. What
    /// others had written when this has passed is seen.
    fn settle_time(&self) -> Duration;

    /// Bytes that can still be written, where the place can tell.
    fn free_space(&self) -> Option<u64>;

    /// How many threads should read or write at the same time for the place to do what it can.
    fn connections(&self) -> usize {
        2
    }

    /// The place in words for messages, such as the folder's path.
    fn location(&self) -> String;
}

/// Whether `name` may name a file of this kind.
fn valid_name(kind: FileKind, name: &str) -> bool {
    match kind {
        FileKind::Config => name == "config",
        _ => name.len() == 64 && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')),
    }
}
