//! The B+trees of free extents.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_btree_block` (short form),
//! `struct xfs_alloc_rec`; "XFS Algorithms & Data Structures", "AG Free Space B+trees".

use super::checksum;
use super::group::Tree;
use super::layout::Layout;
use crate::bytes::{ReadAt, be16, be32, be64};
use crate::volume::Doubt;
use crate::volume::probe::has;

/// `XFS_BTREE_MAXLEVELS`.
const DEEPEST: u32 = 9;
/// Bytes before the records in version 4 and version 5.
const HEADERS: [usize; 2] = [16, 56];
/// Byte of `bb_crc` in version 5.
const CHECKSUM: usize = 52;
/// Bytes of a record, and of a key.
const RECORD: usize = 8;
/// Bytes of a key and a pointer.
const ENTRY: usize = RECORD + 4;

/// The order of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By first block.
    Block,
    /// By length, then by first block.
    Len,
}

/// A free extent: first block in its group, and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) start: u32,
    pub(super) len: u32,
}

/// One tree of one group.
pub(super) struct Walk<'a> {
    pub(super) volume: &'a dyn ReadAt,
    pub(super) layout: &'a Layout<'a>,
    pub(super) group: u32,
    pub(super) order: Order,
}

impl Walk<'_> {
    /// Calls `each` for all records in their order. It has to refuse records out of order, which
    /// also ends a walk in circles, since every block visited holds at least one record.
    pub(super) fn run(
        &self,
        tree: Tree,
        each: &mut dyn FnMut(Record) -> Result<(), Doubt>,
    ) -> Result<(), Doubt> {
        let top = tree.levels.checked_sub(1).filter(|_| tree.levels <= DEEPEST);
        let top = top.and_then(|top| u16::try_from(top).ok());
        self.block(tree.root, top.ok_or_else(|| self.wrong("has no sensible depth"))?, true, each)
    }

    fn block(
        &self,
        number: u32,
        level: u16,
        is_root: bool,
        each: &mut dyn FnMut(Record) -> Result<(), Doubt>,
    ) -> Result<(), Doubt> {
        let block = self.read(number)?;
        let header = self.header_len();
        let records = usize::from(be16(&block, 6).unwrap_or(0));
        let size = if level == 0 { RECORD } else { ENTRY };
        let body = block.get(header..).unwrap_or_default();
        let most = body.len().checked_div(size).unwrap_or(0);
        let may_be_empty = is_root && level == 0;
        if be16(&block, 4) != Some(level) || records > most || records == 0 && !may_be_empty {
            return Err(self.wrong("has a damaged block"));
        }
        if level == 0 {
            return body.chunks_exact(RECORD).take(records).try_for_each(|bytes| {
                let field = |at: usize| be32(bytes, at).unwrap_or(0);
                each(Record { start: field(0), len: field(4) })
            });
        }
        // All keys that a block has room for, then the pointers.
        let pointers = body.get(most.saturating_mul(RECORD)..).unwrap_or_default();
        pointers.chunks_exact(4).take(records).try_for_each(|pointer| {
            let child = be32(pointer, 0).unwrap_or(u32::MAX);
            self.block(child, level.saturating_sub(1), false, each)
        })
    }

    fn read(&self, number: u32) -> Result<Vec<u8>, Doubt> {
        let superblock = self.layout.superblock;
        let inside = self.layout.header_blocks()..self.layout.group_len(self.group);
        if !inside.contains(&number.into()) {
            return Err(self.wrong("leads outside of the group"));
        }
        let at = self.layout.byte(self.group, number.into());
        let len = usize::try_from(superblock.block_size).unwrap_or(0);
        let block =
            self.volume.read_vec(at, len).map_err(Doubt::reading("a block of free space"))?;
        let sound = if superblock.has_checksums() {
            // The block says its own place, in units of 512 bytes, and whose it is.
            be64(&block, 16) == at.checked_div(512)
                && has(&block, 32, &superblock.metadata_uuid)
                && be32(&block, 48) == Some(self.group)
                && checksum::is_intact(&block, CHECKSUM)
        } else {
            true
        };
        if !sound || !has(&block, 0, self.magic()) {
            return Err(self.wrong("has a block whose checksum or identity is wrong"));
        }
        Ok(block)
    }

    fn magic(&self) -> &'static [u8] {
        match (self.order, self.layout.superblock.has_checksums()) {
            (Order::Block, false) => b"ABTB",
            (Order::Block, true) => b"AB3B",
            (Order::Len, false) => b"ABTC",
            (Order::Len, true) => b"AB3C",
        }
    }

    fn header_len(&self) -> usize {
        let [plain, checked] = HEADERS;
        if self.layout.superblock.has_checksums() { checked } else { plain }
    }

    fn wrong(&self, words: &str) -> Doubt {
        let order = match self.order {
            Order::Block => "place",
            Order::Len => "length",
        };
        Doubt::because(format!(
            "allocation group {}: its tree of free space by {order} {words}",
            self.group
        ))
    }
}
