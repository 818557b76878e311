//! Removing files: under a lock that was never gone, and in an order that a power cut keeps.
//!
//! What is removed is what nothing refers to any more: packs that no index file names, index files
//! that newer ones replace, blobs of images that are gone. A filesystem may bring back what was
//! removed first and keep what was removed last, so the names of what referred reach the disk
//! before what it referred to goes.

use crate::repository::Repository;
use crate::repository::error::Result;
use crate::repository::format::Id;
use crate::repository::lock::ExclusiveLock;
use crate::store::{FileKind, StoreError};

impl Repository {
    /// Removes files that may have gone already, as long as the lock was never gone. Done when a
    /// power cut brings none of them back.
    pub(in crate::repository) fn remove_all<'i>(
        &self,
        lock: &ExclusiveLock,
        kind: FileKind,
        ids: impl IntoIterator<Item = &'i Id>,
    ) -> Result<()> {
        ids.into_iter().try_for_each(|id| self.remove_held(lock, kind, id))?;
        self.store.sync_names(kind)?;
        lock.ensure_held()
    }

    /// Removes packs that no index file names, and calls `done` after each. They are last: nothing
    /// relies on their being gone, so they are not waited for.
    pub(in crate::repository) fn remove_packs<'i>(
        &self,
        lock: &ExclusiveLock,
        ids: impl IntoIterator<Item = &'i Id>,
        mut done: impl FnMut(&Id) -> Result<()>,
    ) -> Result<()> {
        // What was found removed may be so in memory only, by someone who was stopped.
        self.store.sync_names(FileKind::Snapshot)?;
        self.store.sync_names(FileKind::Index)?;
        for id in ids {
            self.remove_held(lock, FileKind::Pack, id)?;
            done(id)?;
        }
        lock.ensure_held()
    }

    fn remove_held(&self, lock: &ExclusiveLock, kind: FileKind, id: &Id) -> Result<()> {
        lock.ensure_held()?;
        match self.store.remove(kind, &id.to_string()) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }
}
