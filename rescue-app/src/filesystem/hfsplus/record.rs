//! The records of files and folders in the catalog.
//!
//! Source: Apple Technical Note TN1150, "Catalog File", "HFS Plus Permissions", "Hard Links".

use super::catalog::{FILE, FOLDER, FORKS, NUMBER};
use super::header::Fork;
use crate::bytes::{be16, be32, slice};
use crate::volume::probe::{byte, has};
use crate::volume::{EntryKind, FileId, Permissions, Stat, Times, times};

/// Bytes of the longest record of a file or folder.
const RECORD: usize = 248;
/// Byte of the owner's flags, and the one of content that is not in the data fork (`UF_COMPRESSED`).
const FLAGS: usize = 41;
const COMPRESSED: u8 = 0x20;
/// Bytes of the owner, the group, the mode, and of the number of a link's file, which there says how
/// many links it has.
const OWNER: usize = 32;
const GROUP: usize = 36;
const MODE: usize = 42;
const SPECIAL: usize = 44;
/// Byte of the type and creator, and those of hard links to files and to folders.
const TYPE: usize = 48;
pub(super) const FILE_LINK: &[u8] = b"hlnkhfs+";
pub(super) const FOLDER_LINK: &[u8] = b"fdrpMACS";
/// Kinds of forks in the list of further extents.
const FORK_KINDS: [u8; 2] = [0x00, 0xff];
/// Bits of the index of a record in the number of a file, below that of its leaf.
pub(super) const INDEX_BITS: u32 = 16;

/// A record and where it is.
pub(super) struct Found<'a> {
    pub(super) leaf: u32,
    pub(super) index: usize,
    pub(super) key: &'a [u8],
    pub(super) data: &'a [u8],
}

impl Found<'_> {
    /// The number that it has as a file of the tree.
    pub(super) fn id(&self) -> Option<FileId> {
        let place = u64::from(self.leaf) << INDEX_BITS | u64::try_from(self.index).ok()?;
        Some(FileId(be32(self.data, NUMBER)?.into(), place))
    }
}

/// The record of a file or folder.
pub(super) struct Record(Vec<u8>);

impl Record {
    /// `None` for others.
    pub(super) fn of(found: &Found<'_>) -> Option<Self> {
        let is_one = matches!(be16(found.data, 0)?, FOLDER | FILE);
        is_one.then(|| Self(found.data.iter().take(RECORD).copied().collect()))
    }

    /// The number of the file or folder.
    pub(super) fn number(&self) -> Option<u32> {
        be32(&self.0, NUMBER)
    }

    /// Of a hard link the number of what it stands for.
    pub(super) fn stands_for(&self) -> Option<u32> {
        be32(&self.0, SPECIAL)
    }

    /// Kind and permissions (inode(7)); 0 where none was written.
    pub(super) fn mode(&self) -> u16 {
        be16(&self.0, MODE).unwrap_or(0)
    }

    /// Whether it is a folder's.
    pub(super) fn is_folder(&self) -> bool {
        be16(&self.0, 0) == Some(FOLDER)
    }

    /// Whether it is a hard link of this type and creator.
    pub(super) fn is_link_to(&self, what: &[u8]) -> bool {
        !self.is_folder() && has(&self.0, TYPE, what)
    }

    /// Whether its content is not in the data fork.
    pub(super) fn is_compressed(&self) -> bool {
        byte(&self.0, FLAGS).is_some_and(|flags| flags & COMPRESSED != 0)
    }

    /// Old systems wrote no mode.
    pub(super) fn kind(&self) -> EntryKind {
        match EntryKind::of_mode(self.mode()) {
            _ if self.is_folder() => EntryKind::Folder,
            _ if self.is_link_to(FOLDER_LINK) => EntryKind::Other,
            EntryKind::Link => EntryKind::Link,
            EntryKind::Other if self.mode() & 0xf000 != 0 => EntryKind::Other,
            _ => EntryKind::File,
        }
    }

    /// Those of the data and of the resources, with their kinds.
    pub(super) fn forks(&self) -> Option<[(Fork, u8); 2]> {
        let [data, resources] = FORKS.map(|at| Fork::parse(slice(&self.0, at, Fork::LEN)?));
        let [of_data, of_resources] = FORK_KINDS;
        Some([(data?, of_data), (resources?, of_resources)])
    }

    /// `is_linked` of what hard links stand for.
    pub(super) fn stat(&self, is_linked: bool) -> Stat {
        let time = |at: usize| times::mac(be32(&self.0, at)?);
        let word = |at: usize| be32(&self.0, at).unwrap_or(0);
        let size = self.forks().filter(|_| !self.is_folder());
        Stat {
            kind: self.kind(),
            size: size.map_or(0, |[(data, _), _]| data.size),
            links: if is_linked { word(SPECIAL) } else { 1 },
            times: Times {
                created: time(12),
                modified: time(16),
                changed: time(20),
                accessed: time(24),
            },
            permissions: (self.mode() != 0).then(|| Permissions {
                uid: word(OWNER),
                gid: word(GROUP),
                mode: self.mode() & 0o7777,
            }),
            attributes: None,
        }
    }
}
