//! Which files lie in given bytes: a walk through all directories.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::directory;
use super::inode::{Extent, Inodes, Type};
use super::layout::Layout;
use super::map;
use crate::bytes::ReadAt;
use crate::volume::owners::{Names, Tally, join};
use crate::volume::{Doubt, UsedMap};

/// More blocks than this are not read.
const MOST_BLOCKS: u64 = 1 << 24;
/// More folders and files with several names than this are not followed.
const MOST_SEEN: usize = 1 << 21;
/// Of a larger folder not all entries are looked at.
const MOST_ENTRIES: usize = 1 << 20;

struct Walk<'a, 'b, 'c> {
    inodes: Inodes<'a>,
    tally: &'b mut Tally<'c>,
    names: &'b mut Names,
    /// Folders, and files with several names, which count once.
    seen: HashSet<u64>,
    /// Extents of files of which something is lost.
    claimed: UsedMap,
    /// Everything was read so far.
    complete: bool,
}

/// Walks the whole tree. What is in use and belongs to no file is the filesystem's own.
pub(super) fn walk(
    volume: &dyn ReadAt,
    layout: &Layout<'_>,
    tally: &mut Tally<'_>,
    names: &mut Names,
) -> Result<(), Doubt> {
    let mut walk = Walk {
        inodes: Inodes { volume, layout, left: MOST_BLOCKS },
        tally,
        names,
        seen: HashSet::new(),
        claimed: UsedMap::new(),
        complete: true,
    };
    let mut folders = Vec::new();
    walk.visit(layout.superblock.root_inode, "/".into(), &mut folders);
    while let Some((folder, path)) = folders.pop() {
        for (inode, name) in walk.entries(folder) {
            walk.visit(inode, join(&path, &name), &mut folders);
        }
    }
    if !walk.complete {
        return Err(Doubt::because("some of its files or folders could not be looked at"));
    }
    let claimed = walk.claimed.finish();
    for used in map::used(volume, layout)?.iter() {
        let own = claimed.gaps_within(used.start, used.end);
        own.iter().for_each(|own| walk.tally.metadata(own.start, own.end));
    }
    Ok(())
}

impl Walk<'_, '_, '_> {
    /// The entries of a folder.
    fn entries(&mut self, folder: u64) -> Vec<(u64, String)> {
        let mut entries = Vec::new();
        let inode = self.inodes.read(folder);
        let all = inode.and_then(|inode| {
            directory::entries(&mut self.inodes, &inode, &mut |inode, name, _| {
                if entries.len() >= MOST_ENTRIES {
                    return ControlFlow::Break(());
                }
                entries.push((inode, String::from_utf8_lossy(name).into_owned()));
                ControlFlow::Continue(())
            })
        });
        self.complete &= all == Some(ControlFlow::Continue(()));
        entries
    }

    /// Counts what of an inode is lost; a folder is added to those to go through.
    fn visit(&mut self, number: u64, path: String, folders: &mut Vec<(u64, String)>) {
        let Some(inode) = self.inodes.read(number) else {
            self.complete = false;
            return;
        };
        let is_folder = inode.kind == Type::Folder;
        if is_folder || inode.links > 1 {
            if self.seen.len() >= MOST_SEEN {
                self.complete = false;
                return;
            }
            if !self.seen.insert(number) {
                return;
            }
        }
        let layout = self.inodes.layout;
        let mut places = Vec::new();
        let (tally, claimed) = (&mut *self.tally, &mut self.claimed);
        let mut hit = false;
        let mut count = |tally: &mut Tally<'_>, start: u64, end: u64| {
            hit |= tally.file(number, start, end);
            if tally.lost(start, end) > 0 {
                claimed.add(start, end);
            }
        };
        let read = self.inodes.extents(
            &inode.fork,
            &mut |Extent { start, count: blocks, .. }| {
                count(tally, start, start.saturating_add(layout.bytes(blocks)));
                true
            },
            &mut |start, end| places.push((start, end)),
        );
        places.into_iter().for_each(|(start, end)| count(self.tally, start, end));
        self.complete &= read.is_some();
        if hit {
            self.names.set(number, &path);
        }
        if is_folder {
            folders.push((number, path));
        }
    }
}
