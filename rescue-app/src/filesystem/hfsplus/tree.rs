//! B-trees: the catalog and the list of further extents.
//!
//! Source: Apple Technical Note TN1150, "B-Trees".

use std::collections::HashSet;

use super::header::{Fork, Header};
use crate::bytes::{ReadAt, be16, be32, slice};
use crate::volume::probe::byte;

/// Bytes of a node's descriptor.
const DESCRIPTOR: usize = 14;
/// Bytes of the header record that are needed.
const HEADER: usize = 32;
/// Kinds of nodes.
const LEAF: u8 = 0xff;
const INDEX: u8 = 0;
/// Trees are not higher than this.
const DEEPEST: u32 = 16;

/// A tree of records.
pub(super) struct BTree<'a> {
    /// What it lies on.
    pub(super) volume: &'a dyn ReadAt,
    /// The volume's header.
    pub(super) header: &'a Header,
    fork: &'a Fork,
    node_size: usize,
    root: u32,
    /// Nodes that may still be read.
    pub(super) left: u32,
}

impl<'a> BTree<'a> {
    /// The tree in a file, of which so many nodes may be read.
    pub(super) fn open(
        volume: &'a dyn ReadAt,
        header: &'a Header,
        fork: &'a Fork,
        nodes: u32,
    ) -> Option<Self> {
        let first = fork.read(volume, header, 0, DESCRIPTOR.checked_add(HEADER)?)?;
        let node_size = usize::from(be16(&first, 32)?);
        let sane = node_size.is_power_of_two() && node_size >= 512;
        let root = be32(&first, 16)?;
        sane.then_some(Self { volume, header, fork, node_size, root, left: nodes })
    }

    /// A node by its number.
    pub(super) fn node(&mut self, number: u32) -> Option<Node> {
        self.left = self.left.checked_sub(1)?;
        let at = u64::from(number).checked_mul(self.node_size as u64)?;
        self.fork.read(self.volume, self.header, at, self.node_size).map(Node)
    }

    /// The leaf in which the records begin that `is_before` says no to.
    pub(super) fn first_leaf(&mut self, is_before: &dyn Fn(&[u8]) -> bool) -> Option<u32> {
        let mut number = self.root;
        for _ in 0..DEEPEST {
            let node = self.node(number)?;
            if node.is_leaf() {
                return Some(number);
            }
            let records = (0..node.count()?).map_while(|index| node.record(index));
            let before = records.take_while(|(key, _)| is_before(key)).last();
            let (_, child) = before.or_else(|| node.record(0)).filter(|_| node.is_index())?;
            number = be32(child, 0)?;
        }
        None
    }

    /// Calls `each` once for all leaves that can be read; whether that was all.
    pub(super) fn leaves(&mut self, each: &mut dyn FnMut(&Node)) -> bool {
        // An empty tree has no root.
        self.root == 0 || self.below(self.root, DEEPEST, &mut HashSet::new(), each)
    }

    /// Two pointers to one node would have no end of paths.
    fn below(
        &mut self,
        number: u32,
        deepest: u32,
        seen: &mut HashSet<u32>,
        each: &mut dyn FnMut(&Node),
    ) -> bool {
        let Some(deepest) = deepest.checked_sub(1).filter(|_| seen.insert(number)) else {
            return false;
        };
        let Some(node) = self.node(number) else { return false };
        if node.is_leaf() {
            each(&node);
            return true;
        }
        let mut complete = node.is_index();
        for index in 0..node.count().filter(|_| node.is_index()).unwrap_or(0) {
            let child = node.record(index).and_then(|(_, child)| be32(child, 0));
            complete &= child.is_some_and(|child| self.below(child, deepest, seen, each));
        }
        complete
    }
}

/// A node.
pub(super) struct Node(Vec<u8>);

impl Node {
    /// Whether it holds records rather than pointers.
    pub(super) fn is_leaf(&self) -> bool {
        byte(&self.0, 8) == Some(LEAF)
    }

    fn is_index(&self) -> bool {
        byte(&self.0, 8) == Some(INDEX)
    }

    /// The next node of its level; 0 behind the last one.
    pub(super) fn next(&self) -> Option<u32> {
        be32(&self.0, 0)
    }

    /// Records in it.
    pub(super) fn count(&self) -> Option<usize> {
        be16(&self.0, 10).map(usize::from)
    }

    /// Key and data of record `index`: its place stands at the end of the node, those of later ones
    /// before it. Data begin at an even byte.
    pub(super) fn record(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let place = index.checked_add(1)?.checked_mul(2)?;
        let at = usize::from(be16(&self.0, self.0.len().checked_sub(place)?)?);
        let record = self.0.get(at..)?;
        let len = usize::from(be16(record, 0)?);
        let data = record.get(len.checked_add(2)?.checked_next_multiple_of(2)?..)?;
        Some((slice(record, 2, len)?, data))
    }

    /// All records.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.count().unwrap_or(0)).map_while(|index| self.record(index))
    }
}
