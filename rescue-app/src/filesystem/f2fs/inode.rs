//! Inodes, and the trees of nodes that say where their content is.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_inode`, `struct direct_node`,
//! `struct indirect_node`; `fs/f2fs/node.c`, `get_node_path`; `fs/f2fs/f2fs.h`,
//! `inline_data_addr`, `get_inline_xattr_addrs`.

use super::nodes::{Identity, Nodes};
use super::superblock::Superblock;
use crate::bytes::{le16, le32, le64, slice};
use crate::volume::probe::byte;
use crate::volume::{EntryKind, Permissions, Stat, Times, times};

/// Bytes of the inode at which the addresses of blocks are, and the numbers of nodes behind them.
const ADDRESSES: usize = 360;
const NODES: usize = 4052;
/// Levels of nodes between each of those and its addresses.
const LEVELS: [u32; 5] = [0, 0, 1, 1, 2];
/// Addresses or numbers in a node that is no inode.
const PER_NODE: u32 = 1018;
/// Bytes of an address.
const WORD: usize = 4;
/// `i_inline`: attributes, content, entries in the inode; more fields before the addresses.
const INLINE_XATTR: u8 = 0x01;
const INLINE_DATA: u8 = 0x02;
const INLINE_DENTRY: u8 = 0x04;
const EXTRA_ATTR: u8 = 0x20;
/// `F2FS_COMPR_FL` of `i_flags`.
const COMPRESS: u32 = 0x4;
/// Bytes of the extra fields with which `i_crtime` and its nanoseconds are among them.
const CREATED: u16 = 24;
/// `FADVISE_ENCRYPT_BIT` of `i_advise`.
const ENCRYPTED: u8 = 0x04;
/// Addresses whose room inline attributes have where the inode does not tell.
const ATTRIBUTES: u16 = 50;
/// `XATTR_NODE_OFFSET`: the place of the node that holds extended attributes.
const ATTRIBUTES_NODE: u32 = u32::MAX >> 3;
/// `NULL_ADDR`, and from `COMPRESS_ADDR` on what is no address either.
const NO_BLOCK: u32 = 0;
const COMPRESSED: u32 = u32::MAX - 1;
const FIRST_MARK: u32 = COMPRESSED;

/// A block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// What is in the file: which of its blocks, and the byte of the volume at which that is.
    Content(u64, u64),
    /// What says where that is, or extended attributes.
    Node(u64),
    /// What stands for several blocks that are compressed.
    Compressed,
}

/// An inode.
pub(super) struct Inode {
    number: u32,
    bytes: Vec<u8>,
    /// Where in those the addresses are, or content in their place.
    area: std::ops::Range<usize>,
}

impl Inode {
    /// Reads one.
    pub(super) fn read(nodes: &mut Nodes<'_>, number: u32) -> Option<Self> {
        let bytes = nodes.read(Identity { node: number, inode: number, position: 0 })?;
        Self::parse(bytes, number, nodes.superblock)
    }

    /// The inode of that number in its block.
    pub(super) fn parse(bytes: Vec<u8>, number: u32, superblock: &Superblock) -> Option<Self> {
        let inline = byte(&bytes, 3)?;
        let has = |flag| inline & flag != 0;
        let extra = if has(EXTRA_ATTR) { le16(&bytes, ADDRESSES)? } else { 0 };
        let attributes = if superblock.has_flexible_attributes() {
            le16(&bytes, ADDRESSES.checked_add(2)?)?
        } else if has(INLINE_XATTR) || has(INLINE_DENTRY) {
            ATTRIBUTES
        } else {
            0
        };
        let start = ADDRESSES.checked_add(extra.into())?;
        let end = NODES.checked_sub(usize::from(attributes).checked_mul(WORD)?)?;
        Some(Self { number, bytes, area: start..end })
    }

    fn kind(&self) -> u16 {
        le16(&self.bytes, 0).unwrap_or(0) & 0xf000
    }

    /// What is known of it.
    pub(super) fn stat(&self) -> Stat {
        let mode = le16(&self.bytes, 0).unwrap_or(0);
        let word = |at: usize| le32(&self.bytes, at).unwrap_or(0);
        let time = |seconds: usize, nanoseconds: usize| {
            let seconds = le64(&self.bytes, seconds)?.cast_signed();
            times::unix(seconds, le32(&self.bytes, nanoseconds)?)
        };
        let extra = byte(&self.bytes, 3).is_some_and(|inline| inline & EXTRA_ATTR != 0);
        let extra = if extra { le16(&self.bytes, ADDRESSES).unwrap_or(0) } else { 0 };
        Stat {
            kind: EntryKind::of_mode(mode),
            size: le64(&self.bytes, 16).unwrap_or(0),
            links: word(12),
            times: Times {
                accessed: time(32, 56),
                changed: time(40, 60),
                modified: time(48, 64),
                created: if extra >= CREATED { time(372, 380) } else { None },
            },
            permissions: Some(Permissions { uid: word(4), gid: word(8), mode: mode & 0o7777 }),
            attributes: None,
        }
    }

    /// Whether blocks of it may be compressed, and which node has which of them is another matter.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_regular() && le32(&self.bytes, 80).is_some_and(|flags| flags & COMPRESS != 0)
    }

    fn is_regular(&self) -> bool {
        self.kind() == 0x8000
    }

    /// Content that is in the inode, behind a reserved word; `None` where it has blocks.
    pub(super) fn inline_content(&self) -> Option<&[u8]> {
        let inline = byte(&self.bytes, 3)?;
        let area = self.bytes.get(self.area.clone()).filter(|_| inline & INLINE_DATA != 0)?;
        let size = usize::try_from(self.stat().size).ok()?;
        slice(area, WORD, size)
    }

    /// Whether it has its content in the inode, sound or not.
    pub(super) fn is_inline(&self) -> bool {
        byte(&self.bytes, 3).is_none_or(|inline| inline & (INLINE_DATA | INLINE_DENTRY) != 0)
    }

    /// A device has its number where others have addresses.
    fn has_addresses(&self) -> bool {
        matches!(self.kind(), 0x4000 | 0x8000 | 0xa000) && !self.is_inline()
    }

    /// The addresses in it, none where it has its content there.
    pub(super) fn addresses(&self) -> Option<&[u8]> {
        if self.has_addresses() { self.bytes.get(self.area.clone()) } else { Some(&[]) }
    }

    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.kind() == 0x4000
    }

    /// Whether the names in it are ciphertext.
    pub(super) fn is_encrypted(&self) -> bool {
        byte(&self.bytes, 2).is_some_and(|advise| advise & ENCRYPTED != 0)
    }

    /// A folder's entries that are in the inode, behind a reserved word.
    pub(super) fn entries(&self) -> Option<&[u8]> {
        let inline = byte(&self.bytes, 3)?;
        let area = self.bytes.get(self.area.clone()).filter(|_| inline & INLINE_DENTRY != 0)?;
        area.get(WORD..)
    }

    /// Calls `each` for all blocks of the file but the inode's own. `None` when some could not be
    /// found.
    pub(super) fn blocks(&self, nodes: &mut Nodes<'_>, each: &mut dyn FnMut(Block)) -> Option<()> {
        let attributes = le32(&self.bytes, 76).filter(|node| *node != 0);
        let mut complete = attributes.is_none_or(|node| {
            let place = nodes.place(node);
            place.into_iter().for_each(|place| each(Block::Node(place)));
            place.is_some()
        });
        if !self.has_addresses() {
            return complete.then_some(());
        }
        let list = self.addresses()?;
        complete &= addresses(nodes, (0, list), each);
        let mut index = u64::try_from(list.len() / WORD).ok()?;
        let numbers = slice(&self.bytes, NODES, LEVELS.len().checked_mul(WORD)?)?;
        let mut position = 1u32;
        for (number, level) in numbers.chunks_exact(WORD).zip(LEVELS) {
            let node = le32(number, 0)?;
            let expected = Identity { node, inode: self.number, position };
            complete &= node == 0 || below(nodes, expected, (index, level), each);
            position = position.checked_add(nodes_of(level)?)?;
            index = index.checked_add(blocks_of(level)?)?;
        }
        complete.then_some(())
    }
}

/// Nodes of a tree that is so many levels deep, the upper ones included.
fn nodes_of(level: u32) -> Option<u32> {
    (0..level).try_fold(1u32, |nodes, _| nodes.checked_mul(PER_NODE)?.checked_add(1))
}

/// Blocks of a file that such a tree has addresses of.
fn blocks_of(level: u32) -> Option<u64> {
    u64::from(PER_NODE).checked_pow(level.checked_add(1)?)
}

/// Whether all blocks of a node that is no inode, and of those below it, were found; `index` is the
/// first block of the file that it has.
fn below(
    nodes: &mut Nodes<'_>,
    expected: Identity,
    (mut index, level): (u64, u32),
    each: &mut dyn FnMut(Block),
) -> bool {
    let Some(place) = nodes.place(expected.node) else { return false };
    each(Block::Node(place));
    let Some(bytes) = nodes.read(expected) else { return false };
    let list = bytes.chunks_exact(WORD).take(PER_NODE as usize);
    let Some(level) = level.checked_sub(1) else {
        let end = list.len().saturating_mul(WORD);
        return addresses(nodes, (index, bytes.get(..end).unwrap_or_default()), each);
    };
    let mut position = expected.position.saturating_add(1);
    let mut complete = true;
    for number in list {
        let node = le32(number, 0).unwrap_or(0);
        let child = Identity { node, position, ..expected };
        complete &= node == 0 || below(nodes, child, (index, level), each);
        position = position.saturating_add(nodes_of(level).unwrap_or(u32::MAX));
        index = index.saturating_add(blocks_of(level).unwrap_or(u64::MAX));
    }
    complete
}

/// The addresses of blocks in the node of that number, or the numbers of nodes in an indirect one;
/// `None` when it is another node.
pub(super) fn addresses_in(bytes: Vec<u8>, node: u32, superblock: &Superblock) -> Option<Vec<u8>> {
    let found = Identity::of(&bytes).filter(|found| found.node == node)?;
    match found.position {
        0 if found.inode == node => {
            Some(Inode::parse(bytes, node, superblock)?.addresses()?.to_vec())
        }
        _ if found.inode == node => None,
        ATTRIBUTES_NODE => Some(Vec::new()),
        _ => Some(slice(&bytes, 0, (PER_NODE as usize).checked_mul(WORD)?)?.to_vec()),
    }
}

/// Whether all addresses, of the blocks of a file from `index` on, lead somewhere.
fn addresses(nodes: &Nodes<'_>, (index, list): (u64, &[u8]), each: &mut dyn FnMut(Block)) -> bool {
    let mut complete = true;
    for (index, word) in (index..).zip(list.chunks_exact(WORD)) {
        let address = le32(word, 0).unwrap_or(NO_BLOCK);
        match nodes.superblock.main_block(address) {
            Some(place) => each(Block::Content(index, place)),
            None if address == COMPRESSED => each(Block::Compressed),
            None => complete &= address == NO_BLOCK || address >= FIRST_MARK,
        }
    }
    complete
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_nodes_are_those_of_the_kernel() {
        // `get_node_path`: where the first of each kind is.
        let mut position = 1;
        let mut all = Vec::new();
        for level in LEVELS {
            all.push(position);
            position += nodes_of(level).unwrap();
        }
        assert_eq!(all, [1, 2, 3, 4 + 1018, 5 + 2 * 1018]);
        assert_eq!(position, 6 + 2 * 1018 + 1018 * 1019);
    }
}
