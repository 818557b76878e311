//! Log trees: what was synced since the last complete transaction. Neither their blocks nor the
//! extents they tell of are in the extent tree.
//!
//! Source: Linux `fs/btrfs/tree-log.c`; `struct btrfs_file_extent_item`.

use std::collections::BTreeSet;

use super::node::Key;
use super::roots::{ROOT_ITEM, root};
use super::superblock::Root;
use super::trees::{Trees, Visitor};
use crate::bytes::{Extents, le64};
use crate::volume::probe::byte;
use crate::volume::{Doubt, UsedMap};

/// Object of the log trees: -6.
const LOG_TREE: u64 = !5;
/// Key kind of file extents.
const EXTENT_DATA: u8 = 108;
/// The data lie in the item itself.
const INLINE: u8 = 0;

/// The logical addresses that log trees need; none when there is no log.
pub(super) fn extents(trees: &Trees<'_>) -> Result<Extents, Doubt> {
    let node_size = u64::from(trees.superblock.node_size);
    let mut log = Log { node_size, used: UsedMap::new(), roots: Vec::new() };
    if let Some(top) = trees.superblock.log_tree {
        trees.walk(top, None, &mut log)?;
    }
    let mut seen = BTreeSet::new();
    for root in std::mem::take(&mut log.roots) {
        if !seen.insert(root.address) {
            return Err(Doubt::because("two log trees begin at the same block"));
        }
        trees.walk(root, None, &mut log)?;
    }
    Ok(log.used.finish())
}

struct Log {
    node_size: u64,
    used: UsedMap,
    roots: Vec<Root>,
}

impl Visitor for Log {
    fn block(&mut self, address: u64) {
        self.used.add(address, address.saturating_add(self.node_size));
    }

    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        match (key.object, key.kind) {
            (LOG_TREE, ROOT_ITEM) => self.roots.extend(root(data)),
            (_, EXTENT_DATA) if byte(data, 20) != Some(INLINE) => {
                let place = le64(data, 21).zip(le64(data, 29));
                let (start, len) =
                    place.ok_or_else(|| Doubt::because("a log item is cut short"))?;
                // Address 0 stands for a hole.
                let end = start.saturating_add(if start == 0 { 0 } else { len });
                self.used.add(start, end);
            }
            _ => {}
        }
        Ok(())
    }
}
