//! Whose the lost bytes of a volume are, as a reader counts and names it.

use std::collections::{BTreeMap, HashMap};

use super::doubt::Doubt;
use super::text;
use crate::bytes::Extents;

/// Files named at most; of the others only the number is told.
const MOST_FILES: usize = 1000;
/// A longer path is cut.
const LONGEST_PATH: usize = 4096;

/// The files that lie in given bytes of a volume: what bad sectors cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Files and folders, by path.
    pub files: Vec<Owner>,
    /// Files beyond those.
    pub more: u64,
    /// Bytes that hold the filesystem's own records.
    pub metadata: u64,
    /// Why the answer is incomplete.
    pub note: Option<String>,
}

/// A file or folder and what of it lies in the bytes asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Where it is, from the root of the volume; or what is known of it without a name.
    pub path: String,
    /// Bytes of it.
    pub bytes: u64,
}

/// Collects what lies in the lost bytes.
pub(crate) struct Tally<'a> {
    lost: &'a Extents,
    /// Lost bytes by the filesystem's own number of the file.
    files: BTreeMap<u64, u64>,
    more: u64,
    newest: u64,
    metadata: Extents,
    /// Paths of the files found.
    paths: HashMap<u64, String>,
}

impl<'a> Tally<'a> {
    /// Nothing counted yet of these bytes.
    pub(crate) fn new(lost: &'a Extents) -> Self {
        Self {
            lost,
            files: BTreeMap::new(),
            more: 0,
            newest: 0,
            metadata: Extents::new(),
            paths: HashMap::new(),
        }
    }

    /// What was counted, with the names that were found; `looked_up` tells what kept the reader from
    /// finding all.
    pub(crate) fn owners(mut self, looked_up: Result<(), Doubt>) -> Owners {
        let files = self.files.iter().map(|(id, bytes)| {
            let unnamed = || format!("file number {id}, whose name was not found");
            Owner { path: self.paths.remove(id).unwrap_or_else(unnamed), bytes: *bytes }
        });
        let mut files: Vec<Owner> = files.collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let note = looked_up.err().map(|doubt| doubt.to_string());
        Owners { files, more: self.more, metadata: self.metadata.total(), note }
    }

    /// Bytes of `start..end` that are lost.
    pub(crate) fn lost(&self, start: u64, end: u64) -> u64 {
        self.lost.within(start, end).map(crate::bytes::Extent::len).sum()
    }

    /// Bytes `start..end` belong to a file.
    /// Returns whether any of them is lost and the file is one of those that are named.
    pub(crate) fn file(&mut self, id: u64, start: u64, end: u64) -> bool {
        let lost = self.lost(start, end);
        if lost == 0 {
            return false;
        }
        if self.files.len() < MOST_FILES || self.files.contains_key(&id) {
            let bytes = self.files.entry(id).or_default();
            *bytes = bytes.saturating_add(lost);
            return true;
        }
        if self.newest != id {
            // Files come one after the other, so that this counts each once.
            self.newest = id;
            self.more = self.more.saturating_add(1);
        }
        false
    }

    /// Bytes `start..end` belong to the filesystem itself.
    pub(crate) fn metadata(&mut self, start: u64, end: u64) {
        for part in self.lost.within(start, end) {
            self.metadata.push(part.start, part.end);
        }
    }

    /// Names a file, unless it has a name.
    pub(crate) fn name(&mut self, id: u64, path: &str) {
        self.paths.entry(id).or_insert_with(|| path.to_owned());
    }

    /// Number of files named.
    pub(crate) fn named(&self) -> usize {
        self.paths.len()
    }

    /// The files found.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.files.keys().copied().collect()
    }
}

/// A path with one more name, in which no control character reaches a terminal.
pub(crate) fn join(folder: &str, name: &str) -> String {
    let name = text::printable(name);
    let mut path = format!("{}/{name}", folder.trim_end_matches('/'));
    if path.len() > LONGEST_PATH {
        let mut cut = LONGEST_PATH;
        while !path.is_char_boundary(cut) {
            cut = cut.saturating_sub(1);
        }
        path.truncate(cut);
    }
    path
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_files_is_bounded() {
        let lost = Extents::of(0, 1 << 30);
        let mut tally = Tally::new(&lost);
        for id in 1..1500u64 {
            tally.file(id, id * 10, id * 10 + 5);
            tally.file(id, id * 10 + 5, id * 10 + 7);
        }
        assert_eq!((tally.files.len(), tally.more), (1000, 499));
        assert_eq!(tally.files[&7], 7);
        tally.file(2000, 2 << 30, 3 << 30);
        assert_eq!(tally.more, 499, "what lies elsewhere does not count");
    }

    #[test]
    fn paths_are_harmless() {
        assert_eq!(join("/", "a\x1b[2Jb"), "/a?[2Jb");
        assert_eq!(join("/x", "y"), "/x/y");
        assert!(join(&"/ä".repeat(4000), "y").len() <= LONGEST_PATH);
    }
}
