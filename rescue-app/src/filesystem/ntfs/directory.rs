//! Files by their names: the indexes of directories.
//!
//! Source: libfsntfs, "The index".

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::master::Master;
use super::record::{REFERENCE_MASK, fix_up, kind};
use super::stream::Stream;
use crate::bytes::{le16, le32, le64, slice};
use crate::volume::probe::byte;
use crate::volume::{Doubt, text};

/// File record of the root directory.
pub(super) const ROOT: u64 = 5;
/// The name of indexes of file names.
const INDEX_NAME: &[u8] = b"$\0I\x003\x000\0";
/// `INDEX_ENTRY_NODE`: the entry leads to a child node.
const HAS_CHILD: u16 = 1;
/// `INDEX_ENTRY_END`: the last entry of a node, without a name.
const LAST: u16 = 2;
/// Bytes of an entry before its key.
const HEADER: usize = 16;
/// `FILE_NAME_DOS`: the short name beside a long one.
pub(super) const DOS: u8 = 2;
/// A directory with more index blocks than this is not searched to the end.
const MOST_NODES: usize = 1 << 16;

/// The record of the file `name` in the directory `folder`; names compare without regard to case
/// in ASCII.
pub(super) fn find(master: &Master<'_>, folder: u64, name: &str) -> Result<Option<u64>, Doubt> {
    let mut found = None;
    entries(master, folder, &mut |entry| {
        if !entry.name().eq_ignore_ascii_case(name) {
            return ControlFlow::Continue(());
        }
        found = Some(entry.record);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// What is shown an entry. It says whether to go on.
pub(super) type Each<'a> = dyn FnMut(&Entry<'_>) -> ControlFlow<()> + 'a;

/// Calls `each` for the entries of the directory `folder`, in no order. They form a B-tree, gone
/// through here as a whole, which spares the collation rules.
pub(super) fn entries(master: &Master<'_>, folder: u64, each: &mut Each<'_>) -> Result<(), Doubt> {
    let damaged = || Doubt::because("the index of a directory is damaged");
    let root = master.value(folder, kind::INDEX_ROOT, INDEX_NAME)?;
    let block_size = le32(&root, 8).filter(|size| (512..=1 << 16).contains(size));
    let block_size = block_size.ok_or_else(damaged)?;
    let mut children = Vec::new();
    let node = root.get(16..).and_then(|node| read_node(node, &mut children, each));
    if node.ok_or_else(damaged)?.is_break() || children.is_empty() {
        return Ok(());
    }
    let blocks = master.stream(folder, kind::INDEX_ALLOCATION, INDEX_NAME)?;
    let mut seen = HashSet::new();
    while let Some(child) = children.pop() {
        if !seen.insert(child) || seen.len().max(children.len()) > MOST_NODES {
            return Err(damaged());
        }
        let block = index_block(master, &blocks, child, block_size)?.ok_or_else(damaged)?;
        let node = block.get(24..).and_then(|node| read_node(node, &mut children, each));
        if node.ok_or_else(damaged)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Child numbers count clusters, or sectors of 512 bytes where clusters are larger than a block.
fn index_block(
    master: &Master<'_>,
    blocks: &Stream,
    child: u64,
    block_size: u32,
) -> Result<Option<Vec<u8>>, Doubt> {
    let cluster = master.boot.cluster_size;
    let unit = if cluster > block_size { 512 } else { cluster };
    let mut bytes = vec![0; block_size as usize];
    master
        .read(blocks, child.saturating_mul(unit.into()), &mut bytes)
        .map_err(Doubt::reading("the index of a directory"))?;
    Ok(fix_up(&mut bytes, b"INDX").map(|()| bytes))
}

/// Goes through the entries of a node; `header` starts at its `INDEX_HEADER`.
fn read_node(
    header: &[u8],
    children: &mut Vec<u64>,
    each: &mut Each<'_>,
) -> Option<ControlFlow<()>> {
    let (first, end) = (le32(header, 0)?, le32(header, 4)?);
    let (first, end) = (usize::try_from(first).ok()?, usize::try_from(end).ok()?);
    let mut entries = header.get(first..end)?;
    loop {
        let len = usize::from(le16(entries, 8)?);
        let (entry, rest) = entries.split_at_checked(len).filter(|_| len >= HEADER)?;
        let flags = le16(entry, 12)?;
        if flags & HAS_CHILD != 0 {
            children.push(le64(entry, len.checked_sub(8)?)?);
        }
        if flags & LAST != 0 {
            return Some(ControlFlow::Continue(()));
        }
        let record = le64(entry, 0)? & REFERENCE_MASK;
        if each(&Entry { record, key: entry.get(HEADER..)? }).is_break() {
            return Some(ControlFlow::Break(()));
        }
        entries = rest;
    }
}

/// An entry of a directory.
pub(super) struct Entry<'a> {
    /// The file's record.
    pub(super) record: u64,
    /// The `FILE_NAME` attribute that serves as the entry's key.
    key: &'a [u8],
}

impl Entry<'_> {
    /// The name.
    pub(super) fn name(&self) -> String {
        let units = byte(self.key, 64).map_or(0, usize::from);
        let found = units.checked_mul(2).and_then(|len| slice(self.key, 66, len));
        text::utf16(found.unwrap_or_default())
    }

    /// Whether it is the short name beside a long one.
    pub(super) fn is_short_name(&self) -> bool {
        byte(self.key, 65) == Some(DOS)
    }

    /// The file's attributes (`FILE_ATTR_*`).
    pub(super) fn attributes(&self) -> u32 {
        le32(self.key, 56).unwrap_or(0)
    }

    /// Of a reparse point the kind (`FILE_NAME` in ntfs-3g's layout.h, `reparse_point_tag`).
    pub(super) fn reparse_tag(&self) -> u32 {
        le32(self.key, 60).unwrap_or(0)
    }
}
