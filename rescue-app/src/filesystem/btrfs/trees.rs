//! Scrutiny trees: addresses are looked up in the chunks, every block is verified, and the next
//! copy is read where one is damaged.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::chunk::STRIPE_LEN;
use super::chunks::Chunks;
use super::devices::Devices;
use super::node::{Expected, Key, LEVELS, Node};
use super::superblock::{Root, Superblock};
use crate::volume::Doubt;

/// The keys of a whole tree.
const ALL: RangeInclusive<Key> = Key::FIRST..=Key::LAST;

/// Blocks kept for the next search, at most 64 KiB each.
const MOST_KEPT: usize = 64;

/// What comes by in a walk through a tree.
pub(super) trait Visitor {
    /// A tree block at this logical address.
    fn block(&mut self, _address: u64) {}

    /// An item; items come in the order of their keys.
    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt>;
}

impl<F: FnMut(Key, &[u8]) -> Result<(), Doubt>> Visitor for F {
    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        self(key, data)
    }
}

/// All trees of a filesystem.
pub(super) struct Trees<'a> {
    /// Where they begin.
    pub(super) superblock: Superblock,
    /// Where they lie.
    pub(super) chunks: Chunks,
    devices: Devices<'a>,
    /// Blocks that may still be read: no more than there is room for.
    left: Cell<u64>,
    damaged: Cell<u64>,
    /// What searches came by: the next one begins at the same roots.
    kept: RefCell<HashMap<Expected, Rc<Node>>>,
}

impl<'a> Trees<'a> {
    /// Trees whose blocks lie in `chunks`.
    pub(super) fn new(superblock: Superblock, devices: Devices<'a>, chunks: Chunks) -> Self {
        let (left, damaged, kept) = Default::default();
        let trees = Self { superblock, chunks, devices, left, damaged, kept };
        trees.allow_all();
        trees
    }

    /// Tree blocks so far of which a copy was damaged.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged.get()
    }

    /// Shows `visitor` all blocks and items of the tree. Where blocks tell which tree they belong
    /// to, it is `owner`.
    pub(super) fn walk(
        &self,
        root: Root,
        owner: Option<u64>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Doubt> {
        self.descend(&Expected { root, owner, first: None }, &ALL, visitor)
    }

    /// The same for the items between two keys alone.
    pub(super) fn walk_within(
        &self,
        root: Root,
        keys: &RangeInclusive<Key>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Doubt> {
        self.descend(&Expected { root, owner: None, first: None }, keys, visitor)
    }

    /// Lets so many more blocks be read.
    pub(super) fn allow(&self, blocks: u64) {
        self.left.set(self.left.get().saturating_add(blocks));
    }

    /// The leaf at a logical address, whichever tree it belongs to.
    pub(super) fn leaf(&self, address: u64) -> Result<Node, Doubt> {
        let root = Root { address, generation: None, level: 0 };
        self.read(&Expected { root, owner: None, first: None })
    }

    /// Lets as many blocks be read as there is room for.
    pub(super) fn allow_all(&self) {
        self.left.set(self.room());
    }

    fn room(&self) -> u64 {
        self.devices.size().checked_div(self.superblock.node_size.into()).unwrap_or(0)
    }

    /// What holds the content of files.
    pub(super) fn data(&self) -> Data<'_> {
        Data { chunks: &self.chunks, devices: &self.devices }
    }

    /// Levels fall by one with each step, and a first key that has to be the pointer's keeps two
    /// pointers of a tree from leading to one block.
    fn descend(
        &self,
        expected: &Expected,
        keys: &RangeInclusive<Key>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), Doubt> {
        if expected.root.level >= LEVELS {
            return Err(Doubt::because("a tree is higher than the format allows"));
        }
        let node = if *keys == ALL { self.read(expected)?.into() } else { self.kept(expected)? };
        visitor.block(expected.root.address);
        for index in node.positions(keys) {
            if let Some((key, data)) = node.item(index).filter(|_| node.is_leaf()) {
                visitor.item(key, data)?;
            } else if let Some(child) = node.child(index, expected.owner) {
                self.descend(&child, keys, visitor)?;
            }
        }
        Ok(())
    }

    /// The same block again, or read.
    fn kept(&self, expected: &Expected) -> Result<Rc<Node>, Doubt> {
        if let Some(node) = self.kept.borrow().get(expected) {
            return Ok(Rc::clone(node));
        }
        let node = Rc::new(self.read(expected)?);
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(*expected, Rc::clone(&node));
        Ok(node)
    }

    /// The first copy that is in order.
    fn read(&self, expected: &Expected) -> Result<Node, Doubt> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| {
            Doubt::because("more tree blocks were to be read than is reasonable")
        })?);
        let (address, len) = (expected.root.address, self.superblock.node_size);
        let chunk = self.chunks.find(address);
        let copies = chunk.map(|chunk| chunk.copies(address, len.into())).unwrap_or_default();
        let mut failure = None;
        let mut elsewhere = None;
        for (stripe, at) in copies {
            let Some(read) = self.devices.read(stripe, at, len as usize) else {
                elsewhere = Some(missing(address, stripe.device));
                continue;
            };
            match read.map_err(unreadable).and_then(|bytes| self.verify(bytes, expected)) {
                Ok(node) => {
                    let damaged = u64::from(failure.is_some());
                    self.damaged.set(self.damaged.get().saturating_add(damaged));
                    return Ok(node);
                }
                Err(doubt) => failure = Some(doubt),
            }
        }
        let nowhere = || Doubt::because(format!("no chunk holds tree block {address:#x}"));
        Err(failure.or(elsewhere).unwrap_or_else(nowhere))
    }

    fn verify(&self, bytes: Vec<u8>, expected: &Expected) -> Result<Node, Doubt> {
        let address = expected.root.address;
        Node::new(bytes, &self.superblock, expected)
            .map_err(|what| Doubt::because(format!("tree block {address:#x}: {what}")))
    }
}

/// Where the content of files lies.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    chunks: &'a Chunks,
    devices: &'a Devices<'a>,
}

impl Data<'_> {
    /// The `len` bytes at a logical address, of the first copy that can be read.
    pub(super) fn read(&self, mut address: u64, len: u64) -> Option<Vec<u8>> {
        let end = address.checked_add(len)?;
        let mut bytes = Vec::new();
        while address < end {
            let chunk = self.chunks.find(address)?;
            // No further than a stripe goes.
            let within = address.checked_sub(chunk.start)? % STRIPE_LEN;
            let piece = STRIPE_LEN.checked_sub(within)?.min(end.checked_sub(address)?);
            let len = usize::try_from(piece).ok()?;
            let mut copies = chunk.copies(address, piece).into_iter();
            bytes.extend(copies.find_map(|(stripe, at)| self.devices.read(stripe, at, len)?.ok())?);
            address = address.checked_add(piece)?;
        }
        Some(bytes)
    }
}

fn unreadable(source: io::Error) -> Doubt {
    Doubt::Read { what: "a tree block", source }
}

fn missing(address: u64, device: u64) -> Doubt {
    Doubt::because(format!(
        "tree block {address:#x} is on device {device} of the filesystem, which was not found"
    ))
}
