//! Storing snapshots and removing them.

use crate::repository::Repository;
use crate::repository::error::Result;
use crate::repository::format::{Id, Snapshot, json_file};
use crate::repository::lock::{ExclusiveLock, Lock};
use crate::store::FileKind;

impl Repository {
    /// Stores a snapshot, after the [`super::PackWriter`] has finished; returns its name.
    ///
    /// # Errors
    /// [`crate::repository::RepositoryError::LockLost`] when the lock was gone at any time: others may have pruned
    /// what the snapshot refers to. There is no snapshot then.
    pub fn save_snapshot(&self, lock: &Lock, snapshot: &Snapshot) -> Result<Id> {
        self.require_writable()?;
        lock.confirm()?;
        let id = json_file::save(&*self.store, &self.key, FileKind::Snapshot, snapshot)?;
        lock.ensure_held().inspect_err(|_| {
            // Nobody was told of it; should it stay, it is listed as what it is.
            let removed = self.store.remove(FileKind::Snapshot, &id.to_string());
            let _ = removed.and_then(|()| self.store.sync_names(FileKind::Snapshot));
        })?;
        Ok(id)
    }

    /// Removes snapshots; the space their blobs take is freed by pruning.
    pub fn remove_snapshots(&self, lock: &ExclusiveLock, ids: &[Id]) -> Result<()> {
        self.remove_all(lock, FileKind::Snapshot, ids)
    }
}
