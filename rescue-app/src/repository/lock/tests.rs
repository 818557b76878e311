//! Locks of our own, of others, and of the dead.

use time::Duration;

use super::files::LockFile;
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
        let expected = format!("{} on {}-other", repo.identity.username, repo.identity.hostname);
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
    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> crate::store::Result<u64> {
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
