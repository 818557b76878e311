//! The map of used bytes: the extents of the extent tree, where chunks put them on this device.
//!
//! Sources: btrfs documentation, "On-disk format", extent tree; Linux `fs/btrfs/extent-tree.c`,
//! `fs/btrfs/block-group.c`.

use std::collections::BTreeMap;

use super::chunk::Chunk;
use super::feature::compat_ro;
use super::log;
use super::node::Key;
use super::roots::Roots;
use super::superblock::{COPIES, LEN};
use super::trees::{Trees, Visitor};
use crate::bytes::{Extents, le64};
use crate::volume::{Doubt, UsedMap};

/// Numbers of trees.
pub(super) const EXTENT_TREE: u64 = 2;
const BLOCK_GROUP_TREE: u64 = 11;
/// Key kinds.
pub(super) const EXTENT_ITEM: u8 = 168;
pub(super) const METADATA_ITEM: u8 = 169;
const BLOCK_GROUP_ITEM: u8 = 192;

/// The start of every device is left to boot loaders (`BTRFS_DEVICE_RANGE_RESERVED`), bytes.
pub(super) const RESERVED: u64 = 1 << 20;

/// All bytes of a device of `size` bytes that are in use or lie outside of the filesystem.
pub(super) fn used(trees: &Trees<'_>, roots: &Roots, size: u64) -> Result<Extents, Doubt> {
    let superblock = &trees.superblock;
    let device = &superblock.device;
    let mut map = UsedMap::new();
    map.add(0, RESERVED.min(size));
    for place in COPIES.into_iter().filter(|place| *place < device.size) {
        map.add(place, place.saturating_add(LEN as u64).min(size));
    }
    map.add(device.size, size);
    let mut census = Census::new(trees, map);
    trees.walk(roots.extents, Some(EXTENT_TREE), &mut census)?;
    if superblock.compat_ro & compat_ro::BLOCK_GROUP_TREE != 0 {
        let root = roots.block_groups;
        let root = root.ok_or_else(|| Doubt::because("its tree of block groups is missing"))?;
        trees.walk(root, Some(BLOCK_GROUP_TREE), &mut |key, data: &[u8]| {
            census.block_group(key, data)
        })?;
    }
    census.check()?;
    let mut map = census.finish();
    for extent in log::extents(trees)?.iter() {
        let chunk = trees.chunks.find(extent.start).filter(|chunk| extent.end <= chunk.end());
        let chunk =
            chunk.ok_or_else(|| Doubt::because("the log tree points outside all chunks"))?;
        chunk.on_device(device.id, (extent.start, extent.end), &mut |from, to| map.add(from, to));
    }
    Ok(map.finish())
}

/// Counts and maps the extents of the extent tree.
struct Census<'a> {
    trees: &'a Trees<'a>,
    map: UsedMap,
    /// Extents that follow each other, which are mapped together.
    run: (u64, u64),
    /// The chunk they lie in.
    chunk: Option<&'a Chunk>,
    total: u64,
    /// Bytes in use of the chunks that start at these addresses.
    by_chunk: BTreeMap<u64, u64>,
    /// The same by the block groups' own count.
    by_group: BTreeMap<u64, u64>,
}

impl Visitor for Census<'_> {
    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        match key.kind {
            EXTENT_ITEM => self.extent(key.object, key.offset),
            METADATA_ITEM => self.extent(key.object, self.trees.superblock.node_size.into()),
            BLOCK_GROUP_ITEM => self.block_group(key, data),
            _ => Ok(()),
        }
    }
}

impl<'a> Census<'a> {
    fn new(trees: &'a Trees<'a>, map: UsedMap) -> Self {
        let (by_chunk, by_group) = Default::default();
        Self { trees, map, run: (0, 0), chunk: None, total: 0, by_chunk, by_group }
    }

    fn extent(&mut self, start: u64, len: u64) -> Result<(), Doubt> {
        let sector = u64::from(self.trees.superblock.sector_size);
        let end = start.checked_add(len).filter(|_| start.is_multiple_of(sector));
        let end = end.filter(|end| len > 0 && end.is_multiple_of(sector) && start >= self.run.1);
        let end = end.ok_or_else(|| wrong(start, "overlaps another one or is not aligned"))?;
        if self.chunk.is_none_or(|chunk| end > chunk.end()) {
            self.flush();
            let chunk = self.trees.chunks.find(start).filter(|chunk| end <= chunk.end());
            self.chunk = Some(chunk.ok_or_else(|| wrong(start, "lies in no chunk"))?);
        }
        self.total = self.total.saturating_add(len);
        let group = self.chunk.map_or(0, |chunk| chunk.start);
        let sum = self.by_chunk.entry(group).or_default();
        *sum = sum.saturating_add(len);
        if start != self.run.1 {
            self.flush();
            self.run.0 = start;
        }
        self.run.1 = end;
        Ok(())
    }

    /// Maps what has come together. Its end stays, for the next extent to be compared with.
    fn flush(&mut self) {
        let device = self.trees.superblock.device.id;
        let map = &mut self.map;
        if let Some(chunk) = self.chunk {
            chunk.on_device(device, self.run, &mut |from, to| map.add(from, to));
        }
        self.run.0 = self.run.1;
    }

    fn block_group(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        if key.kind != BLOCK_GROUP_ITEM {
            return Ok(());
        }
        let chunk = self.trees.chunks.find(key.object);
        let fits = |chunk: &&Chunk| (chunk.start, chunk.length) == (key.object, key.offset);
        chunk.filter(fits).ok_or_else(|| wrong_group(key.object, "has no chunk"))?;
        let used = le64(data, 0).ok_or_else(|| wrong_group(key.object, "is cut short"))?;
        self.by_group.insert(key.object, used);
        Ok(())
    }

    /// Whether the filesystem counts the same, in all and for every block group.
    fn check(&self) -> Result<(), Doubt> {
        for chunk in self.trees.chunks.iter() {
            let found = self.by_chunk.get(&chunk.start).copied().unwrap_or(0);
            let says = self.by_group.get(&chunk.start);
            let says = says.ok_or_else(|| wrong_group(chunk.start, "is missing"))?;
            if *says != found {
                let words = format!("has extents of {found} bytes and says {says}");
                return Err(wrong_group(chunk.start, &words));
            }
        }
        let (found, says) = (self.total, self.trees.superblock.bytes_used);
        if found != says {
            let words = format!("its extents are {found} bytes, the superblock says {says}");
            return Err(Doubt::because(words));
        }
        Ok(())
    }

    fn finish(mut self) -> UsedMap {
        self.flush();
        self.map
    }
}

fn wrong(extent: u64, words: &str) -> Doubt {
    Doubt::because(format!("the extent at {extent:#x} {words}"))
}

fn wrong_group(start: u64, words: &str) -> Doubt {
    Doubt::because(format!("the block group at {start:#x} {words}"))
}
