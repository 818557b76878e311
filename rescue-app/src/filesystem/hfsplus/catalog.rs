//! Files by their paths: the catalog.
//!
//! Source: Apple Technical Note TN1150, "Catalog File", "HFS Plus Permissions".

use super::header::{Fork, Header};
use super::tree::BTree;
use crate::bytes::{ReadAt, be16, be32, slice};
use crate::volume::path::Tree;
use crate::volume::probe::byte;
use crate::volume::text;

/// Number of the root folder.
pub(super) const ROOT: u32 = 2;
/// Number of what it lies in.
const ROOT_PARENT: u32 = 1;
/// Kinds of records.
pub(super) const FOLDER: u16 = 1;
pub(super) const FILE: u16 = 2;
/// Byte of a record at which the number of the file or folder is.
pub(super) const NUMBER: usize = 8;
/// Bytes of a file's record at which the forks of its data and its resources are.
pub(super) const FORKS: [usize; 2] = [88, 168];
/// Byte of the owner's flags, and that of content that is not in the data fork (`UF_COMPRESSED`).
const FLAGS: usize = 41;
const COMPRESSED: u8 = 0x20;
/// Byte of the mode, in which a symbolic link shows.
const MODE: usize = 42;
const SYMLINK: u16 = 0xa000;
/// For one path no more nodes are read.
const MOST_NODES: u32 = 1 << 12;

/// A record: its folder's number, or the leaf that it is in and which of that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A folder.
    Folder(u32),
    /// A file.
    File(u32, usize),
}

/// The tree of names.
pub(super) struct Catalog<'a>(BTree<'a>);

impl<'a> Catalog<'a> {
    /// That of a volume. `None` when its header does not tell all of its place.
    pub(super) fn open(volume: &'a dyn ReadAt, header: &'a Header) -> Option<Self> {
        BTree::open(volume, header, header.catalog_file()?, MOST_NODES).map(Self)
    }

    /// The root folder's name, which is the volume's.
    pub(super) fn volume_name(&mut self) -> Option<String> {
        let before = |key: &[u8]| parent(key).is_some_and(|parent| parent < ROOT_PARENT);
        let leaf = self.0.first_leaf(&before)?;
        let node = self.0.node(leaf).filter(|node| node.is_leaf())?;
        let mut records = node.records();
        let (key, _) = records.find(|(key, data)| {
            parent(key) == Some(ROOT_PARENT) && be16(data, 0) == Some(FOLDER)
        })?;
        name(key).map(|name| text::printable(&name)).filter(|name| !name.is_empty())
    }
}

impl Tree for Catalog<'_> {
    type Node = Entry;

    fn root(&self) -> Entry {
        Entry::Folder(ROOT)
    }

    /// Names compare without regard to case in ASCII.
    fn child(&mut self, folder: Entry, name: &[u8]) -> Option<Entry> {
        let Entry::Folder(folder) = folder else { return None };
        let name = std::str::from_utf8(name).ok()?;
        let before = |key: &[u8]| parent(key).is_some_and(|parent| parent < folder);
        let mut number = self.0.first_leaf(&before)?;
        while number != 0 {
            let node = self.0.node(number).filter(|node| node.is_leaf())?;
            for (index, (key, data)) in node.records().enumerate() {
                let parent = parent(key)?;
                if parent > folder {
                    return None;
                }
                if parent == folder && self::name(key)?.eq_ignore_ascii_case(name) {
                    return match be16(data, 0)? {
                        FOLDER => Some(Entry::Folder(be32(data, NUMBER)?)),
                        FILE => Some(Entry::File(number, index)),
                        _ => None,
                    };
                }
            }
            number = node.next()?;
        }
        None
    }

    fn link(&mut self, _: Entry) -> Option<Vec<u8>> {
        None
    }

    fn content(&mut self, node: Entry, most: u64) -> Option<Vec<u8>> {
        let Entry::File(number, index) = node else { return None };
        let node = self.0.node(number)?;
        let (_, data) = node.record(index)?;
        let is_plain =
            byte(data, FLAGS)? & COMPRESSED == 0 && be16(data, MODE)? & 0xf000 != SYMLINK;
        let [content, _] = FORKS;
        let fork = Fork::parse(slice(data, content, Fork::LEN)?).filter(|_| is_plain)?;
        let len = usize::try_from(fork.size.min(most)).ok()?;
        fork.read(self.0.volume, self.0.header, 0, len)
    }
}

/// The folder that a record's key names.
pub(super) fn parent(key: &[u8]) -> Option<u32> {
    be32(key, 0)
}

/// The name in a record's key.
pub(super) fn name(key: &[u8]) -> Option<String> {
    let units = usize::from(be16(key, 4)?);
    Some(text::utf16_be(slice(key, 6, units.checked_mul(2)?)?))
}
