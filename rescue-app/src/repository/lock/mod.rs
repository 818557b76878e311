//! Locks: who is working on a repository, visible to restic and to other Lifeboats
//! (restic `doc/design.rst`, "Locks"; `internal/repository/lock.go`, `internal/restic/lock.go`).
//!
//! A machine may sleep at any point, and whoever finds its lock old, or is told to by a person,
//! removes it. So a lock only counts as long as it was never gone:
//!
//! * It is confirmed by a new file, which is written while the old one is there and counts only if
//!   the old one is still there to be removed afterwards. A lock that was ever missed stays lost.
//! * Before something is removed, or written that refers to what is stored, the lock is looked
//!   for; and once more afterwards, before that counts: [`Repository::save_snapshot`],
//!   [`Repository::remove_all`]. Whoever sleeps in between finds out, and ends with an error.
//! * Whoever looks for locks and meets one that vanishes looks again.
//!
//! `explore/` runs this code, step by step, in every order that two and three clients can take.

#[cfg(test)]
mod explore;
mod files;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use super::Repository;
use super::error::{RepositoryError, Result};
use super::format::Id;
use super::format::crypto::Key;
use super::format::identity::Identity;
use crate::store::{FileKind, Store, StoreError};

use files::Locks;

/// How often a lock is confirmed.
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);

/// A lock of ours, of either kind: confirmed in the background, given back when dropped.
#[must_use = "the repository is locked only as long as this lives"]
pub struct Lock {
    held: Arc<Held>,
    alone: bool,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A [`Lock`] for reading and adding. Others may do the same meanwhile.
#[must_use = "the repository is locked only as long as this lives"]
pub struct SharedLock(Lock);

/// A [`Lock`] that excludes everybody else: what removes something asks for one.
#[must_use = "the repository is locked only as long as this lives"]
pub struct ExclusiveLock(Lock);

impl Deref for SharedLock {
    type Target = Lock;

    fn deref(&self) -> &Lock {
        &self.0
    }
}

impl Deref for ExclusiveLock {
    type Target = Lock;

    fn deref(&self) -> &Lock {
        &self.0
    }
}

/// What [`Repository::unlock`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unlocked {
    /// Locks removed.
    pub removed: u64,
    /// Why others are still there.
    pub left: Vec<String>,
}

/// What threads share of a lock.
pub(super) struct Held {
    store: Arc<dyn Store>,
    key: Arc<Key>,
    identity: Identity,
    exclusive: bool,
    /// The lock file; `None` once it was found missing.
    name: Mutex<Option<Id>>,
}

impl Held {
    fn name(&self) -> MutexGuard<'_, Option<Id>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> Locks<'_> {
        Locks { store: &*self.store, key: &self.key, identity: &self.identity }
    }

    fn lost(&self) -> RepositoryError {
        RepositoryError::LockLost { location: self.store.location() }
    }

    /// Makes sure that the lock was never gone.
    pub(super) fn ensure(&self) -> Result<()> {
        self.find(&mut self.name()).map(drop)
    }

    /// The lock's file, which is there.
    fn find(&self, name: &mut Option<Id>) -> Result<Id> {
        let id = name.ok_or_else(|| self.lost())?;
        // Read, not looked up: for a look NFS may answer from memory, but a file that is opened
        // is asked for (`nfs(5)`, "close-to-open cache consistency").
        match self.store.read_range(FileKind::Lock, &id.to_string(), 0, &mut [0]) {
            Err(StoreError::NotFound { .. }) => {
                *name = None;
                Err(self.lost())
            }
            read => Ok(read.map(|()| id)?),
        }
    }

    /// Writes a new lock file, then removes the old one, which must have been there all the time.
    fn refresh(&self) -> Result<()> {
        let mut name = self.name();
        let old = self.find(&mut name)?;
        let new = match self.locks().save(self.exclusive) {
            // Where no second lock file fits, the old one has to do: without any for a moment,
            // the lock would be lost.
            Err(RepositoryError::Store(StoreError::Full { .. })) => return Ok(()),
            new => new?,
        };
        match self.store.remove(FileKind::Lock, &old.to_string()) {
            Ok(()) => {
                *name = Some(new);
                Ok(())
            }
            Err(error) => {
                // Should it stay, it goes stale by itself.
                let _ = self.store.remove(FileKind::Lock, &new.to_string());
                match error {
                    StoreError::NotFound { .. } => {
                        *name = None;
                        Err(self.lost())
                    }
                    other => Err(other.into()),
                }
            }
        }
    }

    fn release(&self) {
        if let Some(name) = self.name().take() {
            // If it cannot be removed it goes stale by itself.
            let _ = self.store.remove(FileKind::Lock, &name.to_string());
        }
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
    pub fn lock_shared(&self) -> Result<SharedLock> {
        self.lock(false, None).map(SharedLock)
    }

    /// Locks for reading alone: like [`Self::lock_shared`], but a repository on a read-only
    /// medium, where nothing can be removed either, is read without a lock. So is one in a place
    /// so full that no lock fits: that of someone who wants to remove something fits neither.
    pub fn lock_for_reading(&self) -> Result<Option<SharedLock>> {
        match self.lock_shared() {
            Err(RepositoryError::Store(StoreError::ReadOnly { .. } | StoreError::Full { .. })) => {
                Ok(None)
            }
            lock => lock.map(Some),
        }
    }

    /// Locks for removing and pruning: excludes everybody.
    pub fn lock_exclusive(&self) -> Result<ExclusiveLock> {
        self.lock(true, None).map(ExclusiveLock)
    }

    /// Excludes everybody but the owner of another lock, who asks.
    pub(super) fn lock_exclusive_beside(&self, other: &Lock) -> Result<ExclusiveLock> {
        self.lock(true, Some(other)).map(ExclusiveLock)
    }

    fn lock(&self, exclusive: bool, beside: Option<&Lock>) -> Result<Lock> {
        // Kept, so that the other one does not change its name meanwhile.
        let beside = beside.map(|lock| lock.held.name());
        let mut ours: Vec<Id> = beside.as_deref().copied().flatten().into_iter().collect();
        self.locks().refuse_conflicts(exclusive, &ours)?;
        let name = self.locks().save(exclusive)?;
        ours.push(name);
        let mut lock = Lock {
            held: Arc::new(Held {
                store: Arc::clone(&self.store),
                key: Arc::clone(&self.key),
                identity: self.identity.clone(),
                exclusive,
                name: Mutex::new(Some(name)),
            }),
            alone: false,
            stop: None,
            thread: None,
        };
        self.locks().settle();
        lock.alone = self.locks().refuse_conflicts(exclusive, &ours)?;
        if lock.alone && beside.is_none() {
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
            let problem = match self.locks().examine(&id) {
                Ok(None) => continue,
                Ok(Some((_, true))) => None,
                Ok(Some((lock, false))) => Some(lock.conflict()),
                Err(error) => Some(error),
            };
            match problem {
                Some(problem) if !all => unlocked.left.push(problem.to_string()),
                _ => {
                    let removed = self.store.remove(FileKind::Lock, &id.to_string());
                    match removed {
                        Err(StoreError::NotFound { .. }) => continue,
                        removed => removed?,
                    }
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

    /// Makes sure that the lock was never gone, and confirms it. To be called before something
    /// begins that others must not get in the way of: while this machine slept, they may have taken
    /// the lock for stale, removed it, and pruned what nothing referred to yet.
    pub fn confirm(&self) -> Result<()> {
        self.held.refresh()
    }

    /// Makes sure that the lock was never gone.
    pub fn ensure_held(&self) -> Result<()> {
        self.held.ensure()
    }

    /// What a thread needs to make sure of that.
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    fn start_refreshing(&mut self) -> Result<()> {
        let (stop, stopped) = mpsc::channel();
        let held = Arc::clone(&self.held);
        let work = move || {
            while stopped.recv_timeout(REFRESH_EVERY) == Err(RecvTimeoutError::Timeout) {
                // A failed confirmation is tried again; there are six before the lock is stale. A
                // lost lock stays lost, which is found out by whoever relies on it.
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
