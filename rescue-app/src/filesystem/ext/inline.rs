//! Directories and files whose content lies in their inode (`inline_data`).
//!
//! Source: Linux `Documentation/filesystems/ext4/inlinedata.rst`, `attributes.rst`;
//! `fs/ext4/inline.c`.

use super::owners::parse;
use crate::bytes::{le16, le32, slice};
use crate::volume::probe::{byte, has};

/// Where the block numbers of other inodes are, and how many bytes; a directory has the number of its
/// parent first.
const START: usize = 40;
const LEN: usize = 60;
const PARENT: usize = 4;
/// `i_extra_isize`: bytes of fields behind the first 128.
const EXTRA: usize = 128;
/// `EXT4_XATTR_MAGIC`: attributes in the inode follow.
const MAGIC: &[u8] = &[0, 0, 2, 0xea];
/// Bytes of an attribute's entry before its name.
const ENTRY: usize = 16;
/// `EXT4_XATTR_INDEX_SYSTEM` with the name "data": the rest of the content.
const SYSTEM: u8 = 7;
const DATA: &[u8] = b"data";

/// Calls `each` for the entries in an inode, as [`parse`] does.
pub(super) fn entries(inode: &[u8], each: &mut dyn FnMut(u32, &[u8], u8)) -> Option<()> {
    parse(slice(inode, START, LEN)?.get(PARENT..)?, each)?;
    parse(rest(inode)?, each)
}

/// The content of a file, or the target of a link, of `size` bytes.
pub(super) fn content(inode: &[u8], size: u64) -> Option<Vec<u8>> {
    let mut content = [slice(inode, START, LEN)?, rest(inode)?].concat();
    let size = usize::try_from(size).ok().filter(|size| *size <= content.len())?;
    content.truncate(size);
    Some(content)
}

/// What does not fit in the first part; nothing where there is no such attribute.
fn rest(inode: &[u8]) -> Option<&[u8]> {
    let Some(extra) = le16(inode, EXTRA) else { return Some(&[]) };
    let attributes = inode.get(EXTRA.checked_add(extra.into())?..)?;
    if !has(attributes, 0, MAGIC) {
        return Some(&[]);
    }
    let attributes = attributes.get(MAGIC.len()..)?;
    let mut at = 0usize;
    // Four zeros end the list.
    while le32(attributes, at)? != 0 {
        let len = usize::from(byte(attributes, at)?);
        let name = slice(attributes, at.checked_add(ENTRY)?, len)?;
        if byte(attributes, at.checked_add(1)?)? == SYSTEM && name == DATA {
            let place = usize::from(le16(attributes, at.checked_add(2)?)?);
            let size = le32(attributes, at.checked_add(8)?)?;
            return slice(attributes, place, usize::try_from(size).ok()?);
        }
        at = at.checked_add(ENTRY)?.checked_add(len)?.checked_next_multiple_of(4)?;
    }
    Some(&[])
}
