//! Which blobs the images need.

use crate::repository::IndexedRepository;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::index::{EntryNumber, Index};
use crate::repository::format::{BlobType, Id, SnapshotFile};

/// A set of index entries: one bit each, for there may be millions.
pub(super) struct EntrySet {
    bits: Vec<u64>,
}

impl EntrySet {
    /// The empty set over an index with this many entries.
    pub(super) fn new(entries: usize) -> Self {
        Self { bits: vec![0; entries.div_ceil(64)] }
    }

    pub(super) fn contains(&self, entry: EntryNumber) -> bool {
        self.bits.get(entry as usize / 64).is_some_and(|word| word >> (entry % 64) & 1 == 1)
    }

    /// Adds an entry; tells whether it was not there before.
    pub(super) fn insert(&mut self, entry: EntryNumber) -> bool {
        let new = !self.contains(entry);
        if let Some(word) = self.bits.get_mut(entry as usize / 64) {
            *word |= 1 << (entry % 64);
        }
        new
    }

    pub(super) fn remove(&mut self, entry: EntryNumber) {
        if let Some(word) = self.bits.get_mut(entry as usize / 64) {
            *word &= !(1 << (entry % 64));
        }
    }
}

/// The walk over all images. Memory grows with the index and the largest directory, not with
/// the number of images: every directory is read once, however many images share it.
pub(super) struct Search<'s> {
    pub(super) repo: &'s IndexedRepository,
    pub(super) index: &'s Index,
    /// Entries in packs that are not there, which are as good as nothing.
    pub(super) lost: &'s EntrySet,
    pub(super) used: EntrySet,
}

impl Search<'_> {
    /// Marks everything an image needs. Fails when something of it is not there.
    pub(super) fn mark_image(&mut self, image: &SnapshotFile) -> Result<()> {
        self.walk(image.snapshot.tree).map_err(|error| RepositoryError::Unprunable {
            problem: format!("image {} is incomplete: {error}", image.id.short()),
        })
    }

    fn walk(&mut self, top: Id) -> Result<()> {
        let mut trees = Vec::new();
        if self.mark(BlobType::Tree, &top)? {
            trees.push(top);
        }
        while let Some(tree) = trees.pop() {
            // Whatever names a blob keeps it, also kinds of entries we know nothing of.
            for node in self.repo.read_tree(&tree)?.into_nodes() {
                for id in node.content.iter().flatten() {
                    self.mark(BlobType::Data, id)?;
                }
                if let Some(subtree) = node.subtree
                    && self.mark(BlobType::Tree, &subtree)?
                {
                    trees.push(subtree);
                }
            }
        }
        Ok(())
    }

    /// Marks all copies of a blob; tells whether it was not marked before.
    fn mark(&mut self, kind: BlobType, id: &Id) -> Result<bool> {
        let (mut found, mut new) = (false, false);
        for entry in self.index.copies(id) {
            let fits = self.index.location(entry).is_some_and(|(_, at)| at.kind == kind);
            if fits && !self.lost.contains(entry) {
                found = true;
                new |= self.used.insert(entry);
            }
        }
        if found { Ok(new) } else { Err(RepositoryError::MissingBlob { blob: *id }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_apart() {
        let mut marks = EntrySet::new(130);
        for entry in [0, 63, 64, 129] {
            assert!(marks.insert(entry) && !marks.insert(entry));
        }
        marks.remove(64);
        let found: Vec<_> = (0..130).filter(|entry| marks.contains(*entry)).collect();
        assert_eq!(found, [0, 63, 129]);
    }
}
