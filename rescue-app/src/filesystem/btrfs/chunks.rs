//! All chunks of a filesystem, and what they take of this device.
//!
//! Source: Linux `fs/btrfs/volumes.c`, `btrfs_read_sys_array` and `btrfs_read_chunk_tree`.

use std::collections::BTreeMap;

use super::chunk::Chunk;
use super::node::Key;
use super::superblock::Superblock;
use super::trees::{Trees, Visitor};
use crate::bytes::{Extents, le64};
use crate::volume::Doubt;
use crate::volume::probe::has;

/// The chunk tree's number.
const CHUNK_TREE: u64 = 3;
/// Key kind of a chunk item.
const CHUNK_ITEM: u8 = 228;

/// More chunks than this are not taken for real: one has a gibibyte on any large filesystem.
const MOST_CHUNKS: usize = 1 << 18;

/// Chunks by their first logical address.
#[derive(Default)]
pub(super) struct Chunks(BTreeMap<u64, Chunk>);

impl Chunks {
    /// Those of the superblock, which hold the chunk tree.
    pub(super) fn of_system(superblock: &Superblock) -> Result<Self, Doubt> {
        let torn = || Doubt::because("the superblock's chunks are not understood");
        let mut chunks = Self::default();
        let mut rest = superblock.system_chunks.as_slice();
        while !rest.is_empty() {
            let key = Key::read(rest, 0).filter(|key| key.kind == CHUNK_ITEM).ok_or_else(torn)?;
            let (_, item) = rest.split_at_checked(Key::LEN).ok_or_else(torn)?;
            let len = Chunk::item_len(item).ok_or_else(torn)?;
            chunks.add(Chunk::parse(key.offset, item)?)?;
            (_, rest) = item.split_at_checked(len).ok_or_else(torn)?;
        }
        Ok(chunks)
    }

    /// All, from the chunk tree, which lies in those of `trees`. This device's item has to agree.
    pub(super) fn read(trees: &Trees<'_>) -> Result<Self, Doubt> {
        let mut reader =
            Reader { superblock: &trees.superblock, chunks: Self::default(), used: None };
        trees.walk(trees.superblock.chunk_tree, Some(CHUNK_TREE), &mut reader)?;
        let Reader { chunks, used, .. } = reader;
        let same = |chunk: &Chunk| chunks.find(chunk.start) == Some(chunk);
        if !trees.chunks.0.values().all(same) {
            return Err(Doubt::because("superblock and chunk tree tell of different chunks"));
        }
        let allocated = chunks.allocated(&trees.superblock)?;
        match used.ok_or_else(|| Doubt::because("the chunk tree does not know this device"))? {
            used if used == allocated.total() => Ok(chunks),
            used => Err(Doubt::because(format!(
                "chunks take {} bytes of this device, its item says {used}",
                allocated.total()
            ))),
        }
    }

    fn add(&mut self, chunk: Chunk) -> Result<(), Doubt> {
        let before = self.0.range(..chunk.end()).next_back();
        if before.is_some_and(|(_, before)| before.end() > chunk.start) {
            return Err(Doubt::because("chunks overlap"));
        }
        if self.0.len() >= MOST_CHUNKS {
            return Err(Doubt::because("it has more chunks than can be real"));
        }
        self.0.insert(chunk.start, chunk);
        Ok(())
    }

    /// The chunk that holds a logical address.
    pub(super) fn find(&self, address: u64) -> Option<&Chunk> {
        let (_, chunk) = self.0.range(..=address).next_back()?;
        (address < chunk.end()).then_some(chunk)
    }

    /// All in the order of logical addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.0.values()
    }

    /// The length of each piece that chunks take of device `device`.
    pub(super) fn pieces(&self, device: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let stripes = self.0.values().flat_map(|chunk| {
            let len = chunk.stripe_length();
            chunk.stripes.iter().map(move |stripe| (stripe, len))
        });
        stripes.filter(move |(stripe, _)| stripe.device == device).map(|(s, len)| (s.start, len))
    }

    /// What chunks take of this device, no byte twice.
    fn allocated(&self, superblock: &Superblock) -> Result<Extents, Doubt> {
        let device = &superblock.device;
        let mut sum = 0u64;
        let mut pieces = Vec::new();
        for (start, len) in self.pieces(device.id) {
            sum = sum.saturating_add(len);
            pieces.push((start, len));
        }
        let own = |chunk: &Chunk| {
            let mut own = chunk.stripes.iter().filter(|stripe| stripe.device == device.id);
            own.all(|stripe| stripe.device_uuid == device.uuid)
        };
        let allocated = Extents::from(pieces);
        if allocated.total() != sum || allocated.end() > device.size || !self.iter().all(own) {
            return Err(Doubt::because("chunks do not fit on this device"));
        }
        Ok(allocated)
    }
}

struct Reader<'a> {
    superblock: &'a Superblock,
    chunks: Chunks,
    /// Bytes that chunks take of this device, by its item.
    used: Option<u64>,
}

impl Visitor for Reader<'_> {
    fn item(&mut self, key: Key, data: &[u8]) -> Result<(), Doubt> {
        /// Object of all device items.
        const DEVICE_ITEMS: u64 = 1;
        /// Object of all chunk items.
        const CHUNK_ITEMS: u64 = 256;
        /// Key kind of a device item.
        const DEVICE_ITEM: u8 = 216;
        match (key.object, key.kind) {
            (CHUNK_ITEMS, CHUNK_ITEM) => self.chunks.add(Chunk::parse(key.offset, data)?),
            (DEVICE_ITEMS, DEVICE_ITEM) => self.device(key.offset, data),
            _ => Ok(()),
        }
    }
}

impl Reader<'_> {
    fn device(&mut self, id: u64, item: &[u8]) -> Result<(), Doubt> {
        if !has(item, 82, &self.superblock.metadata_uuid) {
            return Err(Doubt::because("it builds upon a seed device"));
        }
        let own = &self.superblock.device;
        if id != own.id {
            return Ok(());
        }
        if le64(item, 8) != Some(own.size) || !has(item, 66, &own.uuid) {
            return Err(Doubt::because(
                "superblock and chunk tree describe this device differently",
            ));
        }
        self.used = le64(item, 16);
        Ok(())
    }
}
