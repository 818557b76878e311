//! Records of files and folders: the catalog.
//!
//! Source: Apple Technical Note TN1150, "Catalog File", "HFS Plus Permissions".

use super::header::Header;
use super::tree::BTree;
use crate::bytes::{ReadAt, be16, be32, slice};
use crate::volume::text;

/// Number of the root folder.
pub(super) const ROOT: u32 = 2;
/// Number of what it lies in.
pub(super) const ROOT_PARENT: u32 = 1;
/// Kinds of records.
pub(super) const FOLDER: u16 = 1;
pub(super) const FILE: u16 = 2;
/// Byte of a record at which the number of the file or folder is.
pub(super) const NUMBER: usize = 8;
/// Bytes of a file's record at which the forks of its data and its resources are.
pub(super) const FORKS: [usize; 2] = [88, 168];
/// To find a name no more nodes are read.
const MOST_NODES: u32 = 1 << 12;

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

/// The folder that a record's key names.
pub(super) fn parent(key: &[u8]) -> Option<u32> {
    be32(key, 0)
}

/// The name in a record's key.
pub(super) fn name(key: &[u8]) -> Option<String> {
    let units = usize::from(be16(key, 4)?);
    Some(text::utf16_be(slice(key, 6, units.checked_mul(2)?)?))
}
