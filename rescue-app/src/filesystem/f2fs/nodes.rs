//! The node address table: in which block each node is, inodes included.
//!
//! Source: Linux `fs/f2fs/node.c`, `f2fs_get_node_info`; `fs/f2fs/node.h`, `current_nat_addr`;
//! `include/linux/f2fs_fs.h`, `struct f2fs_nat_entry`, `struct node_footer`.

use std::collections::BTreeMap;

use super::checkpoint::{Checkpoint, Table};
use super::summaries;
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{ReadAt, le16, le32, slice};

/// Entries of a block of the table, and the bytes of one.
const PER_BLOCK: u32 = 455;
const ENTRY: usize = 9;
/// Byte of an entry at which the address of its block is.
const ADDRESS: usize = 5;
/// Bytes of an entry of the journal, a number before the same entry, and how many there may be.
const JOURNAL_ENTRY: usize = 13;
const JOURNAL_ENTRIES: u16 = 38;
/// Where the footer of a node says what it is: its number, its inode's, its place in that.
const FOOTER: [usize; 3] = [4072, 4076, 4080];
/// Flags below the place, bits.
const FLAG_BITS: u32 = 3;

/// What a node has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its number.
    pub(super) node: u32,
    /// The number of its inode; an inode's is its own.
    pub(super) inode: u32,
    /// Its place among the nodes of its inode, which is 0.
    pub(super) position: u32,
}

impl Identity {
    /// What a node says it is.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let [node, inode, flags] = FOOTER.map(|at| le32(bytes, at));
        let position = flags?.checked_shr(FLAG_BITS)?;
        Some(Self { node: node?, inode: inode?, position })
    }
}

/// Finds and reads nodes.
pub(super) struct Nodes<'a> {
    pub(super) volume: &'a dyn ReadAt,
    pub(super) superblock: &'a Superblock,
    checkpoint: &'a Checkpoint,
    kept: Kept,
}

/// What is kept from one use of the table to the next.
#[derive(Default)]
pub(super) struct Kept {
    /// Addresses that are newer than those in the table.
    newer: BTreeMap<u32, u32>,
    /// The block of the table that was read last.
    block: Option<(u32, Vec<u8>)>,
    /// Blocks that may still be read.
    pub(super) left: u64,
}

impl<'a> Nodes<'a> {
    /// Those of a volume, of which so many blocks may be read; and whether it is certain where
    /// they are.
    pub(super) fn new(
        volume: &'a dyn ReadAt,
        superblock: &'a Superblock,
        checkpoint: &'a Checkpoint,
        left: u64,
    ) -> (Self, bool) {
        let journal = summaries::journal(volume, checkpoint, Table::Nodes).ok();
        let newer = journal.and_then(|journal| newer(&journal));
        let certain = newer.is_some();
        let newer = newer.unwrap_or_default();
        let kept = Kept { newer, block: None, left };
        (Self::again(volume, superblock, checkpoint, kept), certain)
    }

    /// The table with what was kept of an earlier use.
    pub(super) fn again(
        volume: &'a dyn ReadAt,
        superblock: &'a Superblock,
        checkpoint: &'a Checkpoint,
        kept: Kept,
    ) -> Self {
        Self { volume, superblock, checkpoint, kept }
    }

    /// What is worth to keep.
    pub(super) fn kept(self) -> Kept {
        self.kept
    }

    /// More than the number of any node.
    pub(super) fn most(&self) -> u32 {
        self.superblock.nat_blocks().saturating_mul(PER_BLOCK)
    }

    /// Byte of the volume at which a node is.
    pub(super) fn place(&mut self, node: u32) -> Option<u64> {
        let address = self.address(node)?;
        self.superblock.main_block(address)
    }

    /// The block that a node is in, no block of the main area when there is no such node.
    pub(super) fn address(&mut self, node: u32) -> Option<u32> {
        match self.kept.newer.get(&node) {
            Some(address) => Some(*address),
            None => self.entry(node),
        }
    }

    /// The address in the table.
    fn entry(&mut self, node: u32) -> Option<u32> {
        let number = node / PER_BLOCK;
        if self.kept.block.as_ref().is_none_or(|(kept, _)| *kept != number) {
            self.kept.block = Some((number, self.table_block(number)?));
        }
        let (_, block) = self.kept.block.as_ref()?;
        let at = usize::try_from(node % PER_BLOCK).ok()?.checked_mul(ENTRY)?;
        le32(block, at.checked_add(ADDRESS)?)
    }

    /// A block of the table: the segments of its two copies take turns.
    fn table_block(&mut self, number: u32) -> Option<Vec<u8>> {
        if number >= self.superblock.nat_blocks() {
            return None;
        }
        let second = self.checkpoint.second_copy(Table::Nodes, number)?;
        let segment = (number / SEGMENT).checked_mul(2)?.checked_add(second.into())?;
        let block = segment.checked_mul(SEGMENT)?.checked_add(number % SEGMENT)?;
        self.bytes(Superblock::block(self.superblock.nat.checked_add(block)?.into()))
    }

    /// A block that is read from byte `at` of the volume.
    pub(super) fn bytes(&mut self, at: u64) -> Option<Vec<u8>> {
        self.kept.left = self.kept.left.checked_sub(1)?;
        self.volume.read_vec(at, BLOCK as usize).ok()
    }

    /// A node that is what it has to be. No block can be two of them.
    pub(super) fn read(&mut self, expected: Identity) -> Option<Vec<u8>> {
        let place = self.place(expected.node)?;
        let bytes = self.bytes(place)?;
        (Identity::of(&bytes)? == expected).then_some(bytes)
    }
}

/// The addresses in a journal.
fn newer(journal: &[u8]) -> Option<BTreeMap<u32, u32>> {
    let count = le16(journal, 0).filter(|count| *count <= JOURNAL_ENTRIES)?;
    let entries = slice(journal, 2, usize::from(count).checked_mul(JOURNAL_ENTRY)?)?;
    let address = ADDRESS.checked_add(4)?;
    entries
        .chunks_exact(JOURNAL_ENTRY)
        .map(|entry| Some((le32(entry, 0)?, le32(entry, address)?)))
        .collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_read_as_far_as_it_makes_sense() {
        let mut journal = vec![0u8; 507];
        journal[0] = 2;
        journal[2..15].copy_from_slice(&[7, 0, 0, 0, 1, 7, 0, 0, 0, 0x34, 0x12, 0, 0]);
        journal[15..28].copy_from_slice(&[9, 1, 0, 0, 1, 7, 0, 0, 0, 0x78, 0x56, 0, 0]);
        assert_eq!(newer(&journal), Some(BTreeMap::from([(7, 0x1234), (0x109, 0x5678)])));
        journal[0] = 39;
        assert_eq!(newer(&journal), None, "more than there is room for");
    }
}
