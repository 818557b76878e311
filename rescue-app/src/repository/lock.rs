//! Locks: who is working on a repository, visible to restic and to other Lifeboats
//! (restic `doc/design.rst`, "Locks"; `internal/repository/lock.go`, `internal/restic/lock.go`).

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::crypto::Key;
use super::error::{RepositoryError, Result};
use super::identity::Identity;
use super::{Id, Repository, json_file};
use crate::store::{FileKind, Store, StoreError};

/// A lock not confirmed for so long belongs to nobody.
const STALE_AFTER: Duration = Duration::minutes(30);

/// How often a lock is confirmed.
const REFRESH_EVERY: StdDuration = StdDuration::from_secs(5 * 60);

/// After creating a lock one waits this long and looks again: of two that came at the same
/// time, each then sees the other.
const SETTLE: StdDuration = StdDuration::from_millis(200);

/// A lock file; fields in restic's order.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LockFile {
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(id: &u32) -> bool {
    *id == 0
}

impl LockFile {
    fn new(identity: &Identity, exclusive: bool) -> Self {
        Self {
            time: OffsetDateTime::now_utc(),
            exclusive,
            hostname: identity.hostname.clone(),
            username: identity.username.clone(),
            pid: identity.pid,
            uid: identity.uid,
            gid: identity.gid,
        }
    }

    /// Whether its owner is certainly gone. A lock from the future is alive: the clocks of
    /// rescue environments are often wrong.
    fn is_stale(&self, identity: &Identity) -> bool {
        let age = OffsetDateTime::now_utc() - self.time;
        age > STALE_AFTER || self.hostname == identity.hostname && !is_running(self.pid)
    }

    fn conflict(&self) -> RepositoryError {
        let who = format!("{} on {}", self.username, self.hostname);
        RepositoryError::Locked { who, pid: self.pid, since: self.time }
    }
}

/// Whether a process of this number exists on this machine.
fn is_running(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

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
        std::thread::sleep(SETTLE);
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
        std::thread::sleep(SETTLE);
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

/// The lock files of a repository, and who looks at them.
struct Locks<'a> {
    store: &'a dyn Store,
    key: &'a Key,
    identity: &'a Identity,
}

impl Locks<'_> {
    /// Writes a new lock file of ours.
    fn save(&self, exclusive: bool) -> Result<Id> {
        let file = LockFile::new(self.identity, exclusive);
        json_file::save(self.store, self.key, FileKind::Lock, &file)
    }

    /// Fails if someone's lock excludes ours; removes stale locks. Tells whether there is no
    /// lock but `ours`.
    fn refuse_conflicts(&self, exclusive: bool, ours: Option<Id>) -> Result<bool> {
        let mut alone = true;
        let files = self.store.list(FileKind::Lock)?;
        for id in files.iter().filter_map(|file| file.name.parse().ok()) {
            if Some(id) == ours {
                continue;
            }
            let lock: LockFile = match json_file::load(self.store, self.key, FileKind::Lock, &id) {
                Ok(lock) => lock,
                // Given back between listing and reading.
                Err(RepositoryError::Store(StoreError::NotFound { .. })) => continue,
                Err(RepositoryError::Damaged { kind, name, problem }) => {
                    let problem = format!(
                        "{problem}; if nobody uses the repository, run 'lifeboat unlock --all'"
                    );
                    return Err(RepositoryError::Damaged { kind, name, problem });
                }
                Err(error) => return Err(error),
            };
            if lock.is_stale(self.identity) {
                self.remove_stale(&id)?;
                continue;
            }
            if exclusive || lock.exclusive {
                return Err(lock.conflict());
            }
            alone = false;
        }
        Ok(alone)
    }

    fn remove_stale(&self, id: &Id) -> Result<()> {
        match self.store.remove(FileKind::Lock, &id.to_string()) {
            // Already removed by someone else, or nobody can remove it: it holds no one up.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::ReadOnly { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LocalStore;

    fn repository() -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store, "a").unwrap();
        (dir, repo)
    }

    /// Puts a lock there as another process would.
    fn put(repo: &Repository, change: impl FnOnce(&mut LockFile)) {
        let mut file = LockFile::new(&repo.identity, false);
        change(&mut file);
        json_file::save(&*repo.store, &repo.key, FileKind::Lock, &file).unwrap();
    }

    /// A process id that is certainly not in use: that of a child that has ended.
    fn dead_pid() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn only_locks_of_the_living_hold_us_up() {
        let minutes = Duration::minutes;
        let (_dir, repo) = repository();
        let elsewhere = |file: &mut LockFile| file.hostname.push_str("-other");
        put(&repo, |file| file.pid = dead_pid());
        put(&repo, |file| (file.time -= minutes(31), elsewhere(file)).1);
        assert!(repo.lock_exclusive().unwrap().is_alone());
        assert!(repo.ids(FileKind::Lock).unwrap().is_empty(), "the stale ones are removed");

        // The other machine's processes cannot be looked at, and its clock may be ahead.
        for age in [minutes(29), minutes(-600)] {
            put(&repo, |file| {
                elsewhere(file);
                (file.pid, file.time) = (dead_pid(), file.time - age);
            });
            assert!(!repo.lock_shared().unwrap().is_alone());
            let refused = repo.lock_exclusive().err().unwrap();
            let expected =
                format!("{} on {}-other", repo.identity.username, repo.identity.hostname);
            assert!(matches!(refused, RepositoryError::Locked { who, .. } if who == expected));
            for id in repo.ids(FileKind::Lock).unwrap() {
                repo.locks().remove_stale(&id).unwrap();
            }
        }
    }

    #[test]
    fn confirming_replaces_the_file_and_giving_back_removes_it() {
        let (_dir, repo) = repository();
        let lock = repo.lock_shared().unwrap();
        let first = repo.ids(FileKind::Lock).unwrap();
        lock.held.refresh().unwrap();
        let second = repo.ids(FileKind::Lock).unwrap();
        assert!(first.len() == 1 && second.len() == 1 && first != second);
        lock.confirm().unwrap();
        drop(lock);
        assert!(repo.ids(FileKind::Lock).unwrap().is_empty());
    }

    #[test]
    fn a_lock_that_others_removed_is_noticed() {
        let (_dir, repo) = repository();
        let lock = repo.lock_shared().unwrap();
        repo.locks().remove_stale(&repo.ids(FileKind::Lock).unwrap()[0]).unwrap();
        assert!(matches!(lock.confirm(), Err(RepositoryError::LockLost { .. })));
    }

    #[test]
    fn an_unreadable_lock_is_named_with_the_way_out() {
        let (_dir, repo) = repository();
        let id = Id::of(b"").to_string();
        repo.store.write(FileKind::Lock, &id, b"").unwrap();
        let error = repo.lock_shared().err().unwrap().to_string();
        assert!(error.contains(&id) && error.contains("lifeboat unlock --all"), "{error}");
        let unlocked = repo.unlock(false).unwrap();
        assert!(unlocked.removed == 0 && unlocked.left[0].contains(&id), "{unlocked:?}");
        assert_eq!(repo.unlock(true).unwrap(), Unlocked { removed: 1, left: vec![] });
        drop(repo.lock_exclusive().unwrap());
    }

    #[test]
    fn unlocking_spares_the_living_unless_told_otherwise() {
        let (_dir, repo) = repository();
        let lock = repo.lock_shared().unwrap();
        put(&repo, |file| file.pid = dead_pid());
        put(&repo, |file| file.time -= Duration::minutes(31));
        let unlocked = repo.unlock(false).unwrap();
        assert_eq!((unlocked.removed, unlocked.left.len()), (2, 1));
        lock.confirm().unwrap();
        assert_eq!(repo.unlock(true).unwrap().removed, 1);
        assert!(lock.confirm().is_err());
    }

    /// A place in which there is room for `locks` lock files, as long as it is not changed.
    struct Cramped {
        inner: LocalStore,
        locks: std::sync::atomic::AtomicUsize,
    }

    impl Store for Cramped {
        fn create_layout(&self) -> crate::store::Result<()> {
            self.inner.create_layout()
        }
        fn list(&self, kind: FileKind) -> crate::store::Result<Vec<crate::store::FileEntry>> {
            self.inner.list(kind)
        }
        fn size(&self, kind: FileKind, name: &str) -> crate::store::Result<u64> {
            self.inner.size(kind, name)
        }
        fn read_range(
            &self,
            kind: FileKind,
            name: &str,
            offset: u64,
            buf: &mut [u8],
        ) -> crate::store::Result<()> {
            self.inner.read_range(kind, name, offset, buf)
        }
        fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> crate::store::Result<()> {
            let room = self.locks.load(std::sync::atomic::Ordering::Relaxed);
            if kind == FileKind::Lock && self.inner.list(kind)?.len() >= room {
                return Err(StoreError::Full { location: self.location() });
            }
            self.inner.write(kind, name, bytes)
        }
        fn remove(&self, kind: FileKind, name: &str) -> crate::store::Result<()> {
            self.inner.remove(kind, name)
        }
        fn remove_leftovers_older_than(
            &self,
            kind: FileKind,
            name: &str,
        ) -> crate::store::Result<u64> {
            self.inner.remove_leftovers_older_than(kind, name)
        }
        fn write_note(&self, name: &str, text: &str) -> crate::store::Result<()> {
            self.inner.write_note(name, text)
        }
        fn free_space(&self) -> Option<u64> {
            self.inner.free_space()
        }
        fn location(&self) -> String {
            self.inner.location()
        }
    }

    #[test]
    fn a_lock_is_confirmed_in_a_place_without_room_for_a_second_one() {
        let dir = tempfile::tempdir().unwrap();
        let inner = LocalStore::new(dir.path().join("images"));
        let store = Arc::new(Cramped { inner, locks: 1.into() });
        let repo = Repository::init(store.clone(), "a").unwrap();
        let lock = repo.lock_shared().unwrap();
        let first = repo.ids(FileKind::Lock).unwrap();
        lock.confirm().unwrap();
        let second = repo.ids(FileKind::Lock).unwrap();
        assert!(second.len() == 1 && first != second);

        store.locks.store(0, std::sync::atomic::Ordering::Relaxed);
        assert!(lock.held.refresh().is_err());
        assert!(repo.ids(FileKind::Lock).unwrap().is_empty());
        let lost = lock.confirm().err();
        assert!(matches!(lost, Some(RepositoryError::LockLost { .. })), "{lost:?}");
    }

    #[test]
    fn a_lock_that_gave_way_for_a_moment_yields_to_who_came_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let inner = LocalStore::new(dir.path().join("images"));
        let store = Arc::new(Cramped { inner, locks: 3.into() });
        let repo = Repository::init(store.clone(), "a").unwrap();
        let lock = repo.lock_shared().unwrap();
        put(&repo, |file| {
            file.exclusive = true;
            file.hostname.push_str("-other");
        });
        store.locks.store(2, std::sync::atomic::Ordering::Relaxed);
        let refused = lock.held.refresh().err();
        assert!(matches!(refused, Some(RepositoryError::Locked { .. })), "{refused:?}");
        assert!(matches!(lock.confirm(), Err(RepositoryError::LockLost { .. })));
    }
}
