//! Directories: in the inode, in one block, or in data blocks with an index behind them, which is
//! not needed to go through all entries.
//!
//! Source: Linux `fs/xfs/libxfs/xfs_da_format.h`, `struct xfs_dir2_sf_hdr`,
//! `struct xfs_dir2_data_hdr`, `struct xfs_dir3_data_hdr`, `struct xfs_dir2_block_tail`.

use std::ops::ControlFlow;

use super::checksum;
use super::inode::{Fork, Inode, Inodes};
use crate::bytes::{be16, be32, be64, slice};
use crate::volume::EntryKind;
use crate::volume::probe::{byte, has};

/// Bytes before the entries of a data block in version 4 and version 5.
const HEADERS: [usize; 2] = [16, 64];
/// Byte of a block's checksum in version 5.
const CHECKSUM: usize = 4;
/// Bytes of the end of a directory in one block, and of an entry of the index before that.
const TAIL: usize = 8;
const INDEX_ENTRY: usize = 8;
/// Stands in place of an inode number where there is no entry.
const UNUSED: u16 = 0xffff;
/// Byte of a directory's content at which data blocks end (`XFS_DIR2_LEAF_OFFSET`).
const DATA_END: u64 = 32 << 30;
/// Bytes of the header of an extent of a long link's target in version 5, "XSLM".
const LINK_HEADER: usize = 56;

/// What is shown an entry: inode, name, and type (`XFS_DIR3_FT_*`) or 0. It says whether to go on.
pub(super) type Each<'a> = dyn FnMut(u64, &[u8], u8) -> ControlFlow<()> + 'a;

/// Calls `each` for the entries of a folder as far as they can be read. `None` when some of them
/// cannot.
pub(super) fn entries(
    inodes: &mut Inodes<'_>,
    folder: &Inode,
    each: &mut Each<'_>,
) -> Option<ControlFlow<()>> {
    let superblock = inodes.layout.superblock;
    let typed = superblock.has_file_types();
    if folder.stat.kind != EntryKind::Folder {
        return None;
    }
    if let Fork::Local(bytes) = &folder.fork {
        return short(bytes, typed, each);
    }
    let size = superblock.directory_block_size()?;
    let unit = u64::from(superblock.block_size);
    let extents = inodes.list(&folder.fork, DATA_END.checked_div(unit)?)?;
    let (mut at, mut complete) = (0u64, Some(ControlFlow::Continue(())));
    for extent in &extents {
        let start = extent.offset.checked_mul(unit)?;
        let end = start.checked_add(extent.count.checked_mul(unit)?)?.min(DATA_END);
        // A block may lie in several extents.
        at = at.max(start.checked_sub(start.checked_rem(size)?)?);
        while at < end {
            let block = inodes.content(&extents, at, size);
            let read = block.and_then(|block| data(inodes, &block, typed, each));
            if read == Some(ControlFlow::Break(())) {
                return read;
            }
            complete = complete.and(read);
            at = at.checked_add(size)?;
        }
    }
    complete
}

/// A directory in the inode: inode numbers have four bytes or all have eight.
fn short(bytes: &[u8], typed: bool, each: &mut Each<'_>) -> Option<ControlFlow<()>> {
    let count = u16::from(byte(bytes, 0)?).max(byte(bytes, 1)?.into());
    let wide = byte(bytes, 1)? != 0;
    let width = if wide { 8 } else { 4 };
    let mut rest = bytes.get(2usize.checked_add(width)?..)?;
    for _ in 0..count {
        let len = usize::from(byte(rest, 0)?);
        let name = slice(rest, 3, len)?;
        let at = len.checked_add(3)?;
        let kind = if typed { byte(rest, at)? } else { 0 };
        let at = at.checked_add(usize::from(typed))?;
        let inode = if wide { be64(rest, at)? } else { be32(rest, at)?.into() };
        if each(inode, name, kind).is_break() {
            return Some(ControlFlow::Break(()));
        }
        rest = rest.get(at.checked_add(width)?..)?;
    }
    Some(ControlFlow::Continue(()))
}

/// A block of entries.
fn data(
    inodes: &Inodes<'_>,
    block: &[u8],
    typed: bool,
    each: &mut Each<'_>,
) -> Option<ControlFlow<()>> {
    let checked = inodes.layout.superblock.has_checksums();
    let (single, many): (&[u8], &[u8]) =
        if checked { (b"XDB3", b"XDD3") } else { (b"XD2B", b"XD2D") };
    let end = if has(block, 0, single) {
        let tail = block.len().checked_sub(TAIL)?;
        let index = usize::try_from(be32(block, tail)?).ok()?.checked_mul(INDEX_ENTRY)?;
        tail.checked_sub(index)?
    } else {
        has(block, 0, many).then_some(block.len())?
    };
    if checked && !checksum::is_intact(block, CHECKSUM) {
        return None;
    }
    let [plain, summed] = HEADERS;
    let mut rest = block.get(if checked { summed } else { plain }..end)?;
    while !rest.is_empty() {
        let len = if be16(rest, 0)? == UNUSED {
            usize::from(be16(rest, 2)?)
        } else {
            let len = usize::from(byte(rest, 8)?);
            let name = slice(rest, 9, len)?;
            let kind = if typed { byte(rest, len.checked_add(9)?)? } else { 0 };
            if !matches!(name, b"." | b"..") && each(be64(rest, 0)?, name, kind).is_break() {
                return Some(ControlFlow::Break(()));
            }
            // Inode, length, name, type, and the entry's own place in two bytes at its end.
            len.checked_add(usize::from(typed))?.checked_add(11)?.checked_next_multiple_of(8)?
        };
        rest = rest.get(len..).filter(|_| len >= 8)?;
    }
    Some(ControlFlow::Continue(()))
}

/// The target of a symbolic link.
pub(super) fn target(inodes: &mut Inodes<'_>, link: &Inode, most: u64) -> Option<Vec<u8>> {
    if link.stat.kind != EntryKind::Link {
        return None;
    }
    if let Fork::Local(bytes) = &link.fork {
        return Some(bytes.clone());
    }
    let superblock = inodes.layout.superblock;
    let unit = u64::from(superblock.block_size);
    let len = usize::try_from(link.stat.size.min(most)).ok()?;
    let header = if superblock.has_checksums() { LINK_HEADER } else { 0 };
    // Each extent has one header, however many blocks it has (`xfs_symlink_remote_read`).
    let mut target = Vec::new();
    for extent in inodes.list(&link.fork, most.div_ceil(unit).checked_add(1)?)? {
        let left = len.checked_sub(target.len())? as u64;
        let room = inodes.layout.bytes(extent.count).min(left.checked_add(header as u64)?);
        let at = inodes.layout.bytes(extent.offset);
        let stored = inodes.content(&[extent], at, room)?;
        target.extend(stored.get(header..)?);
    }
    if target.len() != len {
        return None;
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shown_until_one_is_enough() {
        // Two entries, the parent's inode, then length, place, name and inode of each.
        let folder = b"\x02\x00\0\0\0\x80\x01\0\x60a\0\0\0\x81\x01\0\x70b\0\0\0\x82";
        let shown = |last: u64| {
            let mut inodes = Vec::new();
            let end = short(folder, false, &mut |inode, _, _| {
                inodes.push(inode);
                if inode == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            (end, inodes)
        };
        assert_eq!(shown(0x81), (Some(ControlFlow::Break(())), vec![0x81]));
        assert_eq!(shown(0), (Some(ControlFlow::Continue(())), vec![0x81, 0x82]));
    }
}
