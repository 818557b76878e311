//! Blocks that files have reserved and not written yet: the checkpoint counts them, and no segment
//! holds them.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `NEW_ADDR`.

use super::checkpoint::Checkpoint;
use super::inode;
use super::nodes::Nodes;
use super::superblock::Superblock;
use crate::bytes::{ReadAt, le32};

/// More blocks than this are not read.
const MOST_BLOCKS: u64 = 1 << 24;
/// An address that stands for such a block.
const NEW: u32 = u32::MAX;

/// How many there are, by all nodes; `None` when a node cannot be read or is another one.
pub(super) fn count(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
) -> Option<u64> {
    let (mut nodes, certain) = Nodes::new(volume, superblock, checkpoint, MOST_BLOCKS);
    let mut reserved = 0u64;
    for node in 0..certain.then(|| nodes.most())? {
        let Some(place) = nodes.place(node) else { continue };
        reserved = reserved.checked_add(in_node(&mut nodes, node, place)?)?;
    }
    Some(reserved)
}

fn in_node(nodes: &mut Nodes<'_>, node: u32, place: u64) -> Option<u64> {
    let bytes = nodes.bytes(place)?;
    Some(marked(&inode::addresses_in(bytes, node, nodes.superblock)?))
}

fn marked(list: &[u8]) -> u64 {
    list.chunks_exact(4).filter(|word| le32(word, 0) == Some(NEW)).count() as u64
}
