//! A repository with its index.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

use super::Repository;
use super::error::{RepositoryError, Result};
use super::format::index::{Held, Index, IndexFile};
use super::format::{Id, json_file};
use crate::store::FileKind;

/// The most blobs and packs the index may name: a gigabyte in memory, 80 TB of disk in chunks of
/// 4 MiB. Without a limit a few megabytes of index files could fill any memory.
const INDEX_LIMIT: usize = 20_000_000;

/// An opened repository whose index is in memory: what needs to know where blobs lie is asked of
/// this. Threads may share it.
pub struct IndexedRepository {
    repository: Repository,
    index: RwLock<Arc<Index>>,
    damaged: Vec<(Id, RepositoryError)>,
}

impl fmt::Debug for IndexedRepository {
    /// Neither keys nor index.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexedRepository").finish_non_exhaustive()
    }
}

impl Deref for IndexedRepository {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

impl Repository {
    /// Reads all index files, as they are now. Damaged ones are left out and told of
    /// ([`IndexedRepository::damaged_index_files`]), so that images which do not need them stay
    /// usable.
    ///
    /// # Errors
    /// When the index files cannot be listed.
    pub fn load_index(&self) -> Result<IndexedRepository> {
        self.load_index_up_to(INDEX_LIMIT)
    }

    /// Like [`Self::load_index`]; files that would bring the number of blobs and packs above
    /// `room` count as damaged.
    pub(super) fn load_index_up_to(&self, mut room: usize) -> Result<IndexedRepository> {
        let mut fits = |id: Id, file: IndexFile| {
            let len: usize = file.packs.iter().map(|pack| 1 + pack.blobs.len()).sum();
            let problem = "with it the index names more blobs than fit into memory";
            let too_large = || RepositoryError::damaged(FileKind::Index, id, problem);
            room = room.checked_sub(len).ok_or_else(too_large)?;
            Ok(file)
        };
        let (mut damaged, mut failed) = (Vec::new(), None);
        let load = |id: Id| {
            json_file::load(&*self.store, &self.key, FileKind::Index, &id)
                .and_then(|file| fits(id, file))
                .map_err(|error| match error.is_out_of_reach() {
                    true => failed = Some(error),
                    false => damaged.push((id, error)),
                })
                .ok()
        };
        let index = Index::default().with(self.ids(FileKind::Index)?.into_iter().filter_map(load));
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(IndexedRepository {
            repository: self.clone(),
            index: RwLock::new(Arc::new(index)),
            damaged,
        })
    }
}

impl IndexedRepository {
    /// Index files that could not be used when the index was loaded, and why. Blobs that only they
    /// know are missing.
    pub fn damaged_index_files(&self) -> &[(Id, RepositoryError)] {
        &self.damaged
    }

    /// How much there is, as the index tells.
    pub fn totals(&self) -> Held {
        self.index().totals()
    }

    /// The index as it is now.
    pub(super) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the index in memory.
    pub(super) fn set_index(&self, index: Index) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
    }
}
