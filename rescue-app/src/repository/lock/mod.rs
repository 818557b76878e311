//! Locks: who is working on a repository, visible to restic and to other Lifeboats
//! (restic `doc/design.rst`, "Locks"; `internal/repository/lock.go`, `internal/restic/lock.go`).

mod files;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use super::crypto::Key;
use super::error::{RepositoryError, Result};
use super::identity::Identity;
use super::{Id, Repository, json_file};
use crate::store::{FileKind, Store, StoreError};

use files::{LockFile, Locks};

/// How often a lock is confirmed.
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);

/// A lock of ours: confirmed in the background, given back when dropped.
#[must_use = "the repository is locked only as long as this lives"]
pub struct Lock {
    held: Arc<Held>,
    alone: bool,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What [`Repository::unlock`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unlocked {
    /// Locks removed.
    pub removed: u64,
    /// Why others are still there.
    pub left: Vec<String>,
}

/// What the confirming thread shares with the lock.
struct Held {
    store: Arc<dyn Store>,
    key: Arc<Key>,
    identity: Identity,
    exclusive: bool,
    name: Mutex<Id>,
}

impl Held {
    /// Writes a new lock file, then removes the old one.
    fn refresh(&self) -> Result<()> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match self.locks().save(self.exclusive) {
            Err(RepositoryError::Store(StoreError::Full { .. })) => return self.replace(&mut name),
            new => new?,
        };
        let old = std::mem::replace(&mut *name, new);
        Ok(self.store.remove(FileKind::Lock, &old.to_string())?)
    }

    fn locks(&self) -> Locks<'_> {
        Locks { store: &*self.store, key: &self.key, identity: &self.identity }
    }

    /// Confirms the lock where no second lock file fits: the old one makes room for the new one.
    /// For a moment there is none, so whoever came in between has the older right: the lock is
    /// then gone, as it is when the new one does not fit either.
    fn replace(&self, name: &mut Id) -> Result<()> {
        self.store.remove(FileKind::Lock, &name.to_string())?;
        *name = self.locks().save(self.exclusive)?;
        self.locks().settle();
        self.locks().refuse_conflicts(self.exclusive, Some(*name)).inspect_err(|_| {
            // If it cannot be removed it goes stale by itself.
            let _ = self.store.remove(FileKind::Lock, &name.to_string());
        })?;
        Ok(())
    }

    fn release(&self) {
        let name = *self.name.lock().unwrap_or_else(PoisonError::into_inner);
        // If it cannot be removed it goes stale by itself.
        let _ = self.store.remove(FileKind::Lock, &name.to_string());
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.held.release();
    }
}

impl Repository {
    /// Locks for reading and adding: excludes only those who remove, prune or check.
    pub fn lock_shared(&self) -> Result<Lock> {
        self.lock(false)
    }

    /// Locks for reading alone: like [`Self::lock_shared`], but a repository on a read-only
    /// medium, where nothing can be removed either, is read without a lock. So is one in a place
    /// so full that no lock fits: that of someone who wants to remove something fits neither.
    pub fn lock_for_reading(&self) -> Result<Option<Lock>> {
        match self.lock_shared() {
            Err(RepositoryError::Store(StoreError::ReadOnly { .. } | StoreError::Full { .. })) => {
                Ok(None)
            }
            lock => lock.map(Some),
        }
    }

    /// Locks for removing and pruning: excludes everybody.
    pub fn lock_exclusive(&self) -> Result<Lock> {
        self.lock(true)
    }

    fn lock(&self, exclusive: bool) -> Result<Lock> {
        self.locks().refuse_conflicts(exclusive, None)?;
        let name = self.locks().save(exclusive)?;
        let mut lock = Lock {
            held: Arc::new(Held {
                store: Arc::clone(&self.store),
                key: Arc::clone(&self.key),
                identity: self.identity.clone(),
                exclusive,
                name: Mutex::new(name),
            }),
            alone: false,
            stop: None,
            thread: None,
        };
        self.locks().settle();
        lock.alone = self.locks().refuse_conflicts(exclusive, Some(name))?;
        if lock.alone {
            // Nobody else is writing, so what was unfinished before our lock is nobody's.
            self.store.remove_leftovers_older_than(FileKind::Lock, &name.to_string())?;
        }
        lock.start_refreshing()?;
        Ok(lock)
    }

    /// Removes the locks of those who are certainly gone, or with `all` every lock.
    pub fn unlock(&self, all: bool) -> Result<Unlocked> {
        let mut unlocked = Unlocked::default();
        for id in self.ids(FileKind::Lock)? {
            let lock: Result<LockFile> =
                json_file::load(&*self.store, &self.key, FileKind::Lock, &id);
            let problem = match lock {
                Ok(lock) if lock.is_stale(&self.identity) => None,
                Ok(lock) => Some(lock.conflict()),
                Err(RepositoryError::Store(StoreError::NotFound { .. })) => continue,
                Err(error) => Some(error),
            };
            match problem {
                Some(problem) if !all => unlocked.left.push(problem.to_string()),
                _ => {
                    self.remove_if_there(FileKind::Lock, &id)?;
                    unlocked.removed += 1;
                }
            }
        }
        Ok(unlocked)
    }

    fn locks(&self) -> Locks<'_> {
        Locks { store: &*self.store, key: &self.key, identity: &self.identity }
    }
}

impl Lock {
    /// Whether nobody else held a lock when this one was taken.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether it excludes everybody else.
    pub fn is_exclusive(&self) -> bool {
        self.held.exclusive
    }

    /// Makes sure that the lock is still there, and confirms it. To be called before something
    /// refers to what was stored under it: while this machine slept, others may have taken the
    /// lock for stale, removed it, and pruned what nothing referred to yet.
    pub fn confirm(&self) -> Result<()> {
        let name = *self.held.name.lock().unwrap_or_else(PoisonError::into_inner);
        match self.held.store.exists(FileKind::Lock, &name.to_string())? {
            true => self.held.refresh(),
            false => Err(RepositoryError::LockLost { location: self.held.store.location() }),
        }
    }

    fn start_refreshing(&mut self) -> Result<()> {
        let (stop, stopped) = mpsc::channel();
        let held = Arc::clone(&self.held);
        let work = move || {
            while stopped.recv_timeout(REFRESH_EVERY) == Err(RecvTimeoutError::Timeout) {
                // A failed confirmation is tried again; there are six before the lock is stale.
                let _ = held.refresh();
            }
        };
        let thread = std::thread::Builder::new().name("lock".to_owned());
        let thread = thread
            .spawn(work)
            .map_err(|error| RepositoryError::Stopped(format!("starting a thread: {error}")))?;
        (self.stop, self.thread) = (Some(stop), Some(thread));
        Ok(())
    }
}
