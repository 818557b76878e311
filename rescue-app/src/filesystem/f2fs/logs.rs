//! The logs, to which everything is written, held against the tables.
//!
//! The tables are brought up to date by journals in a checkpoint pack that have no checksum.
//! Without them they tell of the filesystem as it was before, which adds up too. But what was
//! written last is in the segments that the checkpoint names: a block there that something points
//! to and the segment table calls free, or a node that is newer than the one in its table, betrays
//! that a table is old.
//!
//! Source: Linux `fs/f2fs/node.h`, `fill_node_footer_blkaddr`: a node has the version of the
//! checkpoint before it; `fs/f2fs/segment.h`, `LFS`, `SSR`; `fs/f2fs/gc.c`, `is_alive`.

use super::checkpoint::{Checkpoint, Log};
use super::inode;
use super::nodes::{Identity, Nodes};
use super::summaries::{self, Datum};
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{Extents, ReadAt, le32};
use crate::volume::Doubt;

/// Blocks to be read at most: for each in a log one of the address table and another node.
const MOST_BLOCKS: u64 = SEGMENT as u64 * 6 * 2;
/// Blocks read at once.
const TOGETHER: usize = 128;
/// Byte of a node at which the version of its checkpoint is. The upper half may hold the
/// checkpoint's checksum instead.
const VERSION: usize = 4084;

/// A node that was written to a log.
struct Written {
    node: u32,
    version: u32,
    /// Byte of the volume.
    place: u64,
}

/// Fails when the tables know less than the logs.
pub(super) fn check(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
    used: &Extents,
) -> Result<(), Doubt> {
    let (mut nodes, certain) = Nodes::new(volume, superblock, checkpoint, MOST_BLOCKS);
    if !certain {
        return Err(Doubt::because("the journal of its node address table makes no sense"));
    }
    let mut written = Vec::new();
    for log in &checkpoint.node_logs {
        written.extend(nodes_of(volume, superblock, log)?);
    }
    // In the order of the address table, of which a block is kept at a time.
    written.sort_unstable_by_key(|written| written.node);
    written.iter().try_for_each(|written| agree(&mut nodes, used, written))?;
    let mut data = summaries::data(volume, superblock, checkpoint)?;
    data.sort_unstable_by_key(|datum| datum.node);
    data.chunk_by(|one, next| one.node == next.node)
        .try_for_each(|of_node| agree_on_data(&mut nodes, used, of_node))
}

/// What was written to a log's segment.
fn nodes_of(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    log: &Log,
) -> Result<Vec<Written>, Doubt> {
    let places: Vec<u64> = summaries::places(superblock, log)?.collect();
    let mut written = Vec::new();
    for piece in places.chunks(TOGETHER) {
        let start = piece.first().copied().unwrap_or_default();
        let len = piece.len().saturating_mul(BLOCK as usize);
        let bytes = volume.read_vec(start, len).map_err(Doubt::reading("a log of nodes"))?;
        let blocks = bytes.chunks_exact(BLOCK as usize).zip(piece);
        written.extend(blocks.filter_map(|(block, &place)| {
            let (node, version) = (Identity::of(block)?.node, version(block)?);
            Some(Written { node, version, place })
        }));
    }
    Ok(written)
}

fn version(node: &[u8]) -> Option<u32> {
    le32(node, VERSION)
}

/// Fails when the segment table calls a node of a log free, or the address table has an older one.
fn agree(nodes: &mut Nodes<'_>, used: &Extents, written: &Written) -> Result<(), Doubt> {
    let Written { node, version: newest, place } = *written;
    let named = named(nodes, node)?;
    let Some(other) = named.filter(|other| *other != place) else {
        return if named.is_some() { must_be_used(used, node, place) } else { Ok(()) };
    };
    let bytes = nodes.bytes(other).ok_or_else(|| unreadable(node))?;
    let is_it = Identity::of(&bytes).is_some_and(|found| found.node == node);
    if is_it && version(&bytes).is_some_and(|version| version >= newest) {
        return Ok(());
    }
    Err(Doubt::because(format!("its tables are older than node {node}")))
}

/// Fails when a node has the address of a block in a log that the segment table calls free.
fn agree_on_data(nodes: &mut Nodes<'_>, used: &Extents, of_node: &[Datum]) -> Result<(), Doubt> {
    let Some(node) = of_node.first().map(|datum| datum.node) else { return Ok(()) };
    let addresses = match named(nodes, node)? {
        Some(place) => {
            let bytes = nodes.bytes(place).ok_or_else(|| unreadable(node))?;
            inode::addresses_in(bytes, node, nodes.superblock).ok_or_else(|| unreadable(node))?
        }
        None => Vec::new(),
    };
    for datum in of_node {
        let address = le32(&addresses, datum.index.saturating_mul(4));
        if address.and_then(|address| nodes.superblock.main_block(address)) == Some(datum.place) {
            must_be_used(used, node, datum.place)?;
        }
    }
    Ok(())
}

/// Where the address table has a node, if there is one.
fn named(nodes: &mut Nodes<'_>, node: u32) -> Result<Option<u64>, Doubt> {
    if node >= nodes.most() {
        return Ok(None);
    }
    let address = nodes.address(node).ok_or_else(|| unreadable(node))?;
    Ok(nodes.superblock.main_block(address))
}

fn unreadable(node: u32) -> Doubt {
    Doubt::because(format!("node {node} cannot be read"))
}

fn must_be_used(used: &Extents, node: u32, place: u64) -> Result<(), Doubt> {
    if used.within(place, place.saturating_add(BLOCK.into())).next().is_some() {
        return Ok(());
    }
    Err(Doubt::because(format!("its segment table calls blocks of node {node} free")))
}
