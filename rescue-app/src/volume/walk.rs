//! Whose lost bytes are, by a walk through all folders.

use std::collections::HashSet;

use super::doubt::Doubt;
use super::files::{EntryKind, FileId, FileTree};
use super::owners::{Tally, join};
use super::used_map::UsedMap;
use crate::bytes::{Extent, Extents};

/// More files than this are not looked at.
const MOST_FILES: u64 = 1 << 26;
/// More folders than this are not followed, nor as many files told apart of which something is lost.
const MOST_SEEN: usize = 1 << 21;
/// Of a larger folder not all entries are looked at.
const MOST_ENTRIES: usize = 1 << 20;

struct Walk<'a, 'b> {
    tree: &'a dyn FileTree,
    tally: &'a mut Tally<'b>,
    /// Folders by their number, or by where they begin on the volume: of two that begin in the same
    /// place, one may be in the other.
    folders_seen: HashSet<(bool, u64, u64)>,
    /// Files of which something is lost; those with several names count once.
    files_hit: HashSet<FileId>,
    /// Bytes of files that are lost.
    claimed: UsedMap,
    /// Files looked at.
    count: u64,
    /// Everything was read so far.
    complete: bool,
}

/// A folder that waits to be looked into.
type Waiting = (FileId, String);

/// Counts and names the files that lie in lost bytes. Goes on over what cannot be read, and says at
/// the end that the answer is incomplete; else returns the lost bytes that are some file's.
pub(crate) fn find(tree: &dyn FileTree, tally: &mut Tally<'_>) -> Result<Extents, Doubt> {
    let (folders_seen, files_hit, claimed) = (HashSet::new(), HashSet::new(), UsedMap::new());
    let mut walk = Walk { tree, tally, folders_seen, files_hit, claimed, count: 0, complete: true };
    let mut waiting = Vec::new();
    walk.visit((tree.root(), EntryKind::Folder), "/".into(), &mut waiting);
    while let Some((folder, path)) = waiting.pop() {
        for (file, kind, name) in walk.entries(folder) {
            walk.visit((file, kind), join(&path, &name), &mut waiting);
        }
    }
    if walk.complete {
        return Ok(walk.claimed.finish());
    }
    Err(Doubt::because("some of its files or folders could not be looked at"))
}

/// Counts as the filesystem's own what of the `used` and lost bytes no file has.
pub(crate) fn count_rest(used: &Extents, claimed: &Extents, tally: &mut Tally<'_>) {
    for used in used.iter() {
        let own = claimed.gaps_within(used.start, used.end);
        own.iter().for_each(|own| tally.metadata(own.start, own.end));
    }
}

impl Walk<'_, '_> {
    fn entries(&mut self, folder: FileId) -> Vec<(FileId, EntryKind, String)> {
        let (mut entries, mut more) = (Vec::new(), false);
        let listed = self.tree.list(folder, &mut |entry| {
            more = entries.len() >= MOST_ENTRIES;
            if !more {
                let name = String::from_utf8_lossy(entry.name).into_owned();
                entries.push((entry.file, entry.kind, name));
            }
        });
        self.complete &= listed.is_ok() && !more;
        entries
    }

    /// Counts what of a file or folder is lost; a folder is added to those that wait.
    fn visit(
        &mut self,
        (file, kind): (FileId, EntryKind),
        path: String,
        waiting: &mut Vec<Waiting>,
    ) {
        self.count = self.count.saturating_add(1);
        if self.count > MOST_FILES {
            self.complete = false;
            return;
        }
        let (mut lost, mut first) = (Vec::new(), None::<u64>);
        let tally = &*self.tally;
        let told = self.tree.extents(file, &mut |Extent { start, end }| {
            first = Some(first.map_or(start, |first| first.min(start)));
            if tally.lost(start, end) > 0 {
                lost.push((start, end));
            }
        });
        self.complete &= told.is_ok();
        if kind == EntryKind::Folder {
            let place = first.map_or((false, file.0, file.1), |first| (true, first, 0));
            if self.folders_seen.contains(&place) {
                return;
            }
            let has_room = self.folders_seen.len() < MOST_SEEN;
            self.complete &= has_room;
            if has_room {
                self.folders_seen.insert(place);
                waiting.push((file, path.clone()));
            }
        }
        if !lost.is_empty() {
            self.count_lost(file, &path, &lost);
        }
    }

    fn count_lost(&mut self, file: FileId, path: &str, lost: &[(u64, u64)]) {
        if self.files_hit.len() < MOST_SEEN && !self.files_hit.insert(file) {
            return;
        }
        let mut is_named = false;
        for (start, end) in lost {
            // A file is numbered in the order of the walk.
            is_named |= self.tally.file(self.count, *start, *end);
            self.claimed.add(*start, *end);
        }
        if is_named {
            self.tally.name(self.count, path);
        }
    }
}
