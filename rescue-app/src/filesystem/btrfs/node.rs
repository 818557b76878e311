//! Tree blocks: inner nodes with pointers, leaves with items.
//!
//! Source: btrfs documentation, "On-disk format", B-trees; Linux
//! `include/uapi/linux/btrfs_tree.h`, `struct btrfs_header`.

use std::ops::{Range, RangeInclusive};

use super::superblock::{Root, Superblock};
use crate::bytes::{le32, le64, slice};
use crate::volume::probe::{byte, has};

/// Bytes of the header.
const HEADER: usize = 101;
/// Bytes of a key.
const KEY: usize = 17;
/// Bytes of a pointer with its key.
const POINTER: usize = 33;
/// Bytes of an item's head with its key.
const ITEM: usize = 25;
/// Trees are not higher than this (`BTRFS_MAX_LEVEL`).
pub(super) const LEVELS: u8 = 8;

/// What items are sorted by, and found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Number of the object; its meaning depends on the tree.
    pub(super) object: u64,
    /// What the item is.
    pub(super) kind: u8,
    /// Depends on the kind.
    pub(super) offset: u64,
}

impl Key {
    /// Bytes of a key.
    pub(super) const LEN: usize = KEY;
    /// Before all others.
    pub(super) const FIRST: Self = Self { object: 0, kind: 0, offset: 0 };
    /// After all others.
    pub(super) const LAST: Self = Self { object: u64::MAX, kind: u8::MAX, offset: u64::MAX };

    /// All keys of one object and kind.
    pub(super) fn of(object: u64, kind: u8) -> RangeInclusive<Self> {
        Self { object, kind, offset: 0 }..=Self { object, kind, offset: u64::MAX }
    }

    /// The key that starts at byte `at`.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let key = slice(bytes, at, KEY)?;
        Some(Self { object: le64(key, 0)?, kind: byte(key, 8)?, offset: le64(key, 9)? })
    }
}

/// What is known of a tree block before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Expected {
    /// Address, generation and level.
    pub(super) root: Root,
    /// The tree it belongs to, where blocks tell.
    pub(super) owner: Option<u64>,
    /// Its first key, by the pointer to it.
    pub(super) first: Option<Key>,
}

/// A tree block that was verified.
pub(super) struct Node {
    bytes: Vec<u8>,
    level: u8,
    count: usize,
}

impl Node {
    /// Verifies a block.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn new(
        bytes: Vec<u8>,
        superblock: &Superblock,
        expected: &Expected,
    ) -> Result<Self, &'static str> {
        if superblock.checksum.is_none_or(|checksum| !checksum.is_right(&bytes)) {
            return Err("its checksum is wrong");
        }
        let root = expected.root;
        let owner = le64(&bytes, 88);
        let is_expected = has(&bytes, 32, &superblock.metadata_uuid)
            && le64(&bytes, 48) == Some(root.address)
            && root.generation.is_none_or(|generation| le64(&bytes, 80) == Some(generation))
            && byte(&bytes, 100) == Some(root.level)
            && expected.owner.is_none_or(|expected| owner == Some(expected));
        if !is_expected {
            return Err("it is another one than expected");
        }
        let count = le32(&bytes, 96).and_then(|count| usize::try_from(count).ok());
        let node = Self { bytes, level: root.level, count: count.unwrap_or(usize::MAX) };
        let first = node.key(0);
        if expected.first.is_some() && first != expected.first {
            return Err("its first key is not the one in the pointer to it");
        }
        node.has_order().then_some(node).ok_or("its keys or items are not in order")
    }

    /// Whether everything lies inside the block, and keys ascend.
    fn has_order(&self) -> bool {
        let entry = if self.is_leaf() { ITEM } else { POINTER };
        let end = self.count.checked_mul(entry).and_then(|len| len.checked_add(HEADER));
        if end.is_none_or(|end| end > self.bytes.len()) {
            return false;
        }
        let mut last = None;
        (0..self.count).all(|index| {
            let key = self.key(index);
            let ascends = key > last;
            last = key;
            ascends && (!self.is_leaf() || self.item(index).is_some())
        })
    }

    fn entry(&self, index: usize) -> Option<usize> {
        let len = if self.is_leaf() { ITEM } else { POINTER };
        (index < self.count).then(|| index.checked_mul(len)?.checked_add(HEADER))?
    }

    fn key(&self, index: usize) -> Option<Key> {
        Key::read(&self.bytes, self.entry(index)?)
    }

    /// Whether it has items rather than pointers.
    pub(super) fn is_leaf(&self) -> bool {
        self.level == 0
    }

    /// The positions of the items with such keys, or of the pointers that may lead to some.
    pub(super) fn positions(&self, keys: &RangeInclusive<Key>) -> Range<usize> {
        let key = |index: &usize| self.key(*index);
        let before = (0..self.count).take_while(|index| key(index) < Some(*keys.start())).count();
        let through = (0..self.count).take_while(|index| key(index) <= Some(*keys.end())).count();
        // A pointer stands for the keys up to the next one.
        let exact = self.is_leaf() || self.key(before) == Some(*keys.start());
        before.saturating_sub(usize::from(!exact))..through
    }

    /// Items or pointers.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The block that pointer `index` leads to.
    pub(super) fn child(&self, index: usize, owner: Option<u64>) -> Option<Expected> {
        let at = self.entry(index)?.checked_add(KEY)?;
        let (address, generation) =
            (le64(&self.bytes, at)?, le64(&self.bytes, at.checked_add(8)?)?);
        let level = self.level.checked_sub(1)?;
        let root = Root { address, generation: Some(generation), level };
        Some(Expected { root, owner, first: self.key(index) })
    }

    /// Item `index` with its key.
    pub(super) fn item(&self, index: usize) -> Option<(Key, &[u8])> {
        let at = self.entry(index)?.checked_add(KEY)?;
        let offset = usize::try_from(le32(&self.bytes, at)?).ok()?.checked_add(HEADER)?;
        let len = usize::try_from(le32(&self.bytes, at.checked_add(4)?)?).ok()?;
        Some((self.key(index)?, slice(&self.bytes, offset, len)?))
    }
}
