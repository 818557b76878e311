//! Which files lie in given bytes: a walk through all directories.

use std::collections::HashSet;

use super::checkpoint::Checkpoint;
use super::directory;
use super::inode::{Block, Inode};
use super::nodes::Nodes;
use super::segments;
use super::superblock::{BLOCK, Superblock};
use crate::bytes::ReadAt;
use crate::volume::owners::{Names, Tally, join};
use crate::volume::{Doubt, UsedMap};

/// More blocks than this are not read.
const MOST_BLOCKS: u64 = 1 << 24;
/// More files than this are not followed.
const MOST_SEEN: usize = 1 << 22;
/// Of a larger folder not all is looked at, blocks.
const LARGEST_FOLDER: usize = 1 << 20;
/// More folders than this are not remembered while others are looked at.
const MOST_FOLDERS: usize = 1 << 17;

struct Walk<'a, 'b, 'c> {
    nodes: Nodes<'a>,
    tally: &'b mut Tally<'c>,
    names: &'b mut Names,
    /// Inodes, which count once, whatever their names.
    seen: HashSet<u32>,
    /// Blocks of files of which something is lost.
    claimed: UsedMap,
    /// Everything was read so far.
    complete: bool,
}

/// Walks the whole tree. What is in use and belongs to no file is the filesystem's own.
pub(super) fn walk(
    volume: &dyn ReadAt,
    superblock: &Superblock,
    checkpoint: &Checkpoint,
    tally: &mut Tally<'_>,
    names: &mut Names,
) -> Result<(), Doubt> {
    let (nodes, complete) = Nodes::new(volume, superblock, checkpoint, MOST_BLOCKS);
    let (seen, claimed) = (HashSet::new(), UsedMap::new());
    let mut walk = Walk { nodes, tally, names, seen, claimed, complete };
    let mut folders = Vec::new();
    walk.visit(superblock.root, "/".into(), &mut folders);
    while let Some((folder, path)) = folders.pop() {
        walk.folder(folder, &path, &mut folders);
    }
    if !walk.complete {
        return Err(Doubt::because("some of its files or folders could not be looked at"));
    }
    let claimed = walk.claimed.finish();
    for used in segments::used(volume, superblock, checkpoint)?.bytes.iter() {
        let own = claimed.gaps_within(used.start, used.end);
        own.iter().for_each(|own| walk.tally.metadata(own.start, own.end));
    }
    Ok(())
}

impl Walk<'_, '_, '_> {
    /// Visits what is in a folder.
    fn folder(&mut self, number: u32, path: &str, folders: &mut Vec<(u32, String)>) {
        let Some(inode) = Inode::read(&mut self.nodes, number) else {
            self.complete = false;
            return;
        };
        if let Some(entries) = inode.entries() {
            self.entries(entries, &inode, path, folders);
        }
        let mut places = Vec::new();
        let mut more = false;
        let all = inode.blocks(&mut self.nodes, &mut |block| match block {
            Block::Content(place) if places.len() < LARGEST_FOLDER => places.push(place),
            Block::Content(_) => more = true,
            Block::Node(_) => {}
        });
        self.complete &= all.is_some() && !more;
        for place in places {
            match self.nodes.bytes(place) {
                Some(bytes) => self.entries(&bytes, &inode, path, folders),
                None => self.complete = false,
            }
        }
    }

    /// Visits what entries of a folder name.
    fn entries(
        &mut self,
        block: &[u8],
        folder: &Inode,
        path: &str,
        folders: &mut Vec<(u32, String)>,
    ) {
        let mut found = Vec::new();
        let all = directory::entries(block, &mut |number, name, _| {
            let name = if folder.is_encrypted() {
                format!("(encrypted name of inode {number})")
            } else {
                String::from_utf8_lossy(name).into_owned()
            };
            found.push((number, join(path, &name)));
        });
        self.complete &= all.is_some();
        for (number, path) in found {
            self.visit(number, path, folders);
        }
    }

    /// Counts what of an inode is lost; a folder is added to those to go through.
    fn visit(&mut self, number: u32, path: String, folders: &mut Vec<(u32, String)>) {
        if self.seen.len() >= MOST_SEEN {
            self.complete = false;
            return;
        }
        if !self.seen.insert(number) {
            return;
        }
        let mut hit = false;
        let (tally, claimed) = (&mut *self.tally, &mut self.claimed);
        let mut count = |block: Block| {
            let (Block::Content(start) | Block::Node(start)) = block;
            let end = start.saturating_add(BLOCK.into());
            hit |= tally.file(number.into(), start, end);
            if tally.lost(start, end) > 0 {
                claimed.add(start, end);
            }
        };
        let place = self.nodes.place(number);
        place.into_iter().for_each(|place| count(Block::Node(place)));
        let inode = Inode::read(&mut self.nodes, number);
        let all = inode.as_ref().and_then(|inode| inode.blocks(&mut self.nodes, &mut count));
        self.complete &= all.is_some();
        if hit {
            self.names.set(number.into(), &path);
        }
        if inode.is_some_and(|inode| inode.is_folder()) {
            self.complete &= folders.len() < MOST_FOLDERS;
            folders.extend(Some((number, path)).filter(|_| folders.len() < MOST_FOLDERS));
        }
    }
}
