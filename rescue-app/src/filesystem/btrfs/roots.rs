//! The tree of trees: where the others begin, and work that goes on over a restart.
//!
//! Source: Linux `include/uapi/linux/btrfs_tree.h`, `struct btrfs_root_item`,
//! `struct btrfs_dev_replace_item`.

use super::node::Key;
use super::superblock::Root;
use super::trees::Trees;
use crate::bytes::le64;
use crate::volume::Doubt;
use crate::volume::probe::byte;

/// Numbers of trees.
pub(super) const ROOT_TREE: u64 = 1;
const EXTENT_TREE: u64 = 2;
const DEVICE_TREE: u64 = 4;
const BLOCK_GROUP_TREE: u64 = 11;
/// Object of the balance that is going on: -4.
const BALANCE: u64 = !3;
/// Key kinds.
pub(super) const ROOT_ITEM: u8 = 132;
const TEMPORARY_ITEM: u8 = 248;
const DEVICE_REPLACE: u8 = 250;
/// `replace_state`: started, suspended.
const REPLACING: [u64; 2] = [1, 4];

/// What is needed of the tree of trees.
pub(super) struct Roots {
    /// The tree of extents.
    pub(super) extents: Root,
    /// The tree of block groups, if they have one.
    pub(super) block_groups: Option<Root>,
    /// A balance or the replacement of a device was under way: it goes on at the next mount.
    pub(super) unfinished: Option<&'static str>,
}

impl Roots {
    /// Walks through the tree of trees.
    pub(super) fn read(trees: &Trees<'_>) -> Result<Self, Doubt> {
        let (mut extents, mut block_groups, mut devices) = (None, None, None);
        let mut unfinished = None;
        let top = trees.superblock.root_tree;
        trees.walk(top, Some(ROOT_TREE), &mut |key: Key, data: &[u8]| {
            match (key.object, key.kind) {
                (EXTENT_TREE, ROOT_ITEM) => extents = root(data),
                (DEVICE_TREE, ROOT_ITEM) => devices = root(data),
                (BLOCK_GROUP_TREE, ROOT_ITEM) => block_groups = root(data),
                (BALANCE, TEMPORARY_ITEM) => unfinished = Some("a balance"),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(devices) = devices {
            trees.walk(devices, Some(DEVICE_TREE), &mut |key: Key, data: &[u8]| {
                let replacing = le64(data, 32).is_some_and(|state| REPLACING.contains(&state));
                if key.kind == DEVICE_REPLACE && replacing {
                    unfinished = Some("the replacement of a device");
                }
                Ok(())
            })?;
        }
        let extents = extents.ok_or_else(|| Doubt::because("its tree of extents is missing"))?;
        Ok(Self { extents, block_groups, unfinished })
    }
}

/// The tree that a root item tells of.
pub(super) fn root(item: &[u8]) -> Option<Root> {
    let (address, generation) = (le64(item, 176)?, Some(le64(item, 160)?));
    Some(Root { address, generation, level: byte(item, 238)? })
}
