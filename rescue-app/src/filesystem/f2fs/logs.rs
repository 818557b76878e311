//! The logs of nodes, held against the tables.
//!
//! The tables are brought up to date by journals in a checkpoint pack that have no checksum. Without
//! them they tell of the filesystem as it was before, which adds up too. But nothing is written to a
//! file without a node that says so, and the last nodes are in the segments that the checkpoint
//! names: a node there that is newer than the one in its table betrays that the table is old.
//!
//! Source: Linux `fs/f2fs/node.h`, `fill_node_footer_blkaddr`: a node has the version of the
//! checkpoint before it; `fs/f2fs/segment.h`, `LFS`, `SSR`.

use super::checkpoint::{Checkpoint, Log};
use super::nodes::{Identity, Nodes};
use super::superblock::{BLOCK, SEGMENT, Superblock};
use crate::bytes::{Extents, ReadAt, le32};
use crate::filesystem::format::Doubt;

/// Blocks to be read at most: for each in a log those of the address table and of its successor.
const MOST_BLOCKS: u64 = SEGMENT as u64 * 3 * 2;
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
    written.iter().try_for_each(|written| agree(&mut nodes, used, written))
}

/// What was written to a log's segment.
fn nodes_of(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    log: &Log,
) -> Result<Vec<Written>, Doubt> {
    if log.segment >= superblock.main_segments || log.blocks > SEGMENT {
        return Err(Doubt::because("its checkpoint makes no sense"));
    }
    let first = u64::from(log.segment).saturating_mul(SEGMENT.into());
    let start = Superblock::block(first.saturating_add(superblock.main.into()));
    let len = usize::try_from(Superblock::block(log.blocks.into())).unwrap_or(0);
    let bytes = volume.read_vec(start, len).map_err(Doubt::reading("a log of nodes"))?;
    let places = (start..).step_by(BLOCK as usize);
    let blocks = bytes.chunks_exact(BLOCK as usize).zip(places);
    let written = blocks.filter_map(|(block, place)| {
        let (node, version) = (Identity::of(block)?.node, version(block)?);
        Some(Written { node, version, place })
    });
    Ok(written.collect())
}

fn version(node: &[u8]) -> Option<u32> {
    le32(node, VERSION)
}

/// Fails when one table has a node of a log and the other does not, or has it in an older state.
fn agree(nodes: &mut Nodes<'_>, used: &Extents, written: &Written) -> Result<(), Doubt> {
    let Written { node, version: newest, place } = *written;
    let unreadable = || Doubt::because(format!("the address of node {node} cannot be read"));
    let named = if node < nodes.most() {
        let address = nodes.address(node).ok_or_else(unreadable)?;
        nodes.superblock.main_block(address)
    } else {
        None
    };
    let is_used = used.within(place, place.saturating_add(BLOCK.into())).next().is_some();
    if is_used != (named == Some(place)) {
        let words = format!("its tables disagree on whether node {node} is in use");
        return Err(Doubt::because(words));
    }
    let Some(other) = named.filter(|other| *other != place) else { return Ok(()) };
    let bytes = nodes.bytes(other).ok_or_else(unreadable)?;
    let is_it = Identity::of(&bytes).is_some_and(|found| found.node == node);
    if is_it && version(&bytes).is_some_and(|version| version >= newest) {
        return Ok(());
    }
    Err(Doubt::because(format!("its tables are older than node {node}")))
}
