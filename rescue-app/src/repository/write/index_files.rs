//! Writing index files anew.

use std::collections::HashSet;

use crate::repository::Repository;
use crate::repository::error::Result;
use crate::repository::format::index::{IndexFile, IndexedPack};
use crate::repository::format::{Id, json_file};
use crate::repository::lock::ExclusiveLock;
use crate::store::FileKind;

/// An index file is written after this many blobs.
const INDEX_BLOBS: usize = 50_000;

impl Repository {
    /// Rewrites the index files so that the packs `removed` are in none of them any more and
    /// the packs `added` are in one.
    pub(in crate::repository) fn replace_in_index(
        &self,
        lock: &ExclusiveLock,
        removed: &HashSet<Id>,
        added: Vec<IndexedPack>,
    ) -> Result<()> {
        self.rewrite_index(lock, &|pack| (!removed.contains(&pack.id)).then_some(pack), added)
    }

    /// Rewrites the index files: what they say of a pack becomes what `change` makes of it, and the
    /// packs `added` are in one. Files that need no change stay, if they are not small. The lock is
    /// exclusive, for who has listed index files and not yet read them would miss the old ones.
    ///
    /// New files are complete before the first old one is removed: whenever it is interrupted,
    /// every pack that stays is in some index file.
    pub(in crate::repository) fn rewrite_index(
        &self,
        lock: &ExclusiveLock,
        change: &dyn Fn(IndexedPack) -> Option<IndexedPack>,
        added: Vec<IndexedPack>,
    ) -> Result<()> {
        let mut files = IndexFiles::new(self);
        let mut old = Vec::new();
        for id in self.ids(FileKind::Index)? {
            let file: IndexFile = json_file::load(&*self.store, &self.key, FileKind::Index, &id)?;
            let blobs: usize = file.packs.iter().map(|pack| pack.blobs.len()).sum();
            let stays = |pack: &IndexedPack| change(pack.clone()).as_ref() == Some(pack);
            if blobs < INDEX_BLOBS / 2 || !file.packs.iter().all(stays) {
                old.push(id);
                file.packs.into_iter().filter_map(change).try_for_each(|pack| files.add(pack))?;
            }
        }
        added.into_iter().try_for_each(|pack| files.add(pack))?;
        files.finish()?;
        lock.confirm()?;
        self.remove_all(lock, FileKind::Index, &old)
    }
}

/// Writes packs to index files of bearable size, each pack once.
pub(in crate::repository) struct IndexFiles<'r> {
    repo: &'r Repository,
    known: HashSet<Id>,
    file: IndexFile,
    blobs: usize,
}

impl<'r> IndexFiles<'r> {
    pub(in crate::repository) fn new(repo: &'r Repository) -> Self {
        Self { repo, known: HashSet::new(), file: IndexFile::default(), blobs: 0 }
    }

    /// Adds a pack; writes a file when enough have come together.
    pub(in crate::repository) fn add(&mut self, pack: IndexedPack) -> Result<()> {
        if self.known.insert(pack.id) {
            self.blobs += pack.blobs.len();
            self.file.packs.push(pack);
        }
        if self.blobs >= INDEX_BLOBS { self.finish() } else { Ok(()) }
    }

    /// Writes what is left.
    pub(in crate::repository) fn finish(&mut self) -> Result<()> {
        let file = std::mem::take(&mut self.file);
        self.blobs = 0;
        if !file.packs.is_empty() {
            let repo = self.repo;
            json_file::save(&*repo.store, &repo.key, FileKind::Index, &file)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::format::pack::{BlobType, PackEntry};
    use crate::store::LocalStore;

    #[test]
    fn many_packs_make_several_index_files_and_lose_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store, "a").unwrap();
        let (kind, id) = (BlobType::Data, Id::of(b"blob"));
        let entry = PackEntry { id, kind, offset: 0, length: 100, uncompressed: None };
        let pack = |n: u8| IndexedPack { id: Id::of(&[n]), blobs: vec![(&entry).into(); 20_000] };
        let mut files = IndexFiles::new(&repo);
        (0..7).chain(0..7).try_for_each(|n| files.add(pack(n))).unwrap();
        files.finish().unwrap();
        assert_eq!(repo.ids(FileKind::Index).unwrap().len(), 3);
        assert_eq!(repo.load_index().unwrap().index().len(), 7 * 20_000);
    }
}
