//! Blocks of directory entries, and those in inodes, which are the same but smaller.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_dentry_block`,
//! `struct f2fs_dir_entry`; `fs/f2fs/f2fs.h`, `make_dentry_ptr_inline`.

use crate::bytes::{le16, le32, slice};
use crate::volume::probe::byte;

/// Bytes of an entry, and of a piece of a name.
const ENTRY: usize = 11;
const PIECE: usize = 8;
/// Bits that each entry takes: with a piece, and the bit that says whether it is there.
const BITS: usize = (ENTRY + PIECE) * 8 + 1;

/// Calls `each` for the entries that are in use: inode, name, type (`FT_*`). `None` when one of
/// them makes no sense.
pub(super) fn entries(block: &[u8], each: &mut dyn FnMut(u32, &[u8], u8)) -> Option<()> {
    let count = block.len().checked_mul(8)?.checked_div(BITS)?;
    let names = block.len().checked_sub(count.checked_mul(PIECE)?)?;
    let first = names.checked_sub(count.checked_mul(ENTRY)?)?;
    let mut index = 0usize;
    while index < count {
        let bits = u32::from(byte(block, index / 8)?);
        let at = first.checked_add(index.checked_mul(ENTRY)?)?;
        let len = usize::from(le16(block, at.checked_add(8)?)?);
        if bits.checked_shr(u32::try_from(index % 8).ok()?)? & 1 == 0 || len == 0 {
            index = index.checked_add(1)?;
            continue;
        }
        let name = slice(block, names.checked_add(index.checked_mul(PIECE)?)?, len)?;
        if !matches!(name, b"." | b"..") {
            each(le32(block, at.checked_add(4)?)?, name, byte(block, at.checked_add(10)?)?);
        }
        index = index.checked_add(len.div_ceil(PIECE))?;
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn put(block: &mut [u8], (count, index): (usize, usize), inode: u8, name: &[u8]) {
        let (names, pieces) = (block.len() - count * 8 + index * 8, name.len().div_ceil(8));
        for piece in index..index + pieces {
            block[piece / 8] |= 1 << (piece % 8);
        }
        let at = block.len() - count * 19 + index * 11;
        block[at + 4] = inode;
        block[at + 8] = u8::try_from(name.len()).unwrap();
        block[names..names + name.len()].copy_from_slice(name);
    }

    fn read(block: &[u8]) -> Option<Vec<(u32, String)>> {
        let mut found = Vec::new();
        entries(block, &mut |inode, name, _| {
            found.push((inode, String::from_utf8_lossy(name).into_owned()));
        })?;
        Some(found)
    }

    #[test]
    fn entries_of_blocks_and_of_inodes_are_read() {
        // 214 entries in a block and 182 in an inode with inline attributes, by the kernel.
        for (len, count) in [(4096, 214), ((923 - 50 - 1) * 4, 182)] {
            let mut block = vec![0; len];
            put(&mut block, (count, 0), 3, b".");
            put(&mut block, (count, 2), 7, b"a name of 18 bytes");
            put(&mut block, (count, count - 1), 8, b"last");
            let names = [(7, "a name of 18 bytes".to_owned()), (8, "last".to_owned())];
            assert_eq!(read(&block).unwrap(), names);
            let at = len - count * 19 + (count - 1) * 11;
            block[at + 8] = 9;
            assert_eq!(read(&block), None, "a name that reaches past the end");
        }
    }
}
