//! Locks of our own, of others, and of the dead.

use std::time::{Duration, SystemTime};

use super::files::LockFile;
use super::*;
use crate::repository::format::{Snapshot, json_file};
use crate::store::LocalStore;

fn repository() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::new(dir.path().join("images")));
    let repo = Repository::init(store, "a").unwrap();
    (dir, repo)
}

/// Puts a lock there as another process would.
fn put(repo: &Repository, change: impl FnOnce(&mut LockFile)) -> Id {
    let mut file = LockFile::new(&repo.identity, false);
    change(&mut file);
    json_file::save(&*repo.store, &repo.key, FileKind::Lock, &file).unwrap()
}

/// Makes a lock older, or newer, than it is by the clock of the place.
fn set_age(dir: &tempfile::TempDir, id: &Id, minutes: i64) {
    let path = dir.path().join("images/locks").join(id.to_string());
    let distance = Duration::from_secs(minutes.unsigned_abs() * 60);
    let now = SystemTime::now();
    let time = if minutes < 0 { now + distance } else { now - distance };
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn remove(repo: &Repository, id: &Id) {
    repo.store.remove(FileKind::Lock, &id.to_string()).unwrap();
}

fn move_elsewhere(file: &mut LockFile) {
    file.hostname.push_str("-other");
}

/// A process id that is certainly not in use: that of a child that has ended.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn only_locks_of_the_living_hold_us_up() {
    let (dir, repo) = repository();
    put(&repo, |file| file.pid = dead_pid());
    let old = put(&repo, move_elsewhere);
    set_age(&dir, &old, 31);
    assert!(repo.lock_exclusive().unwrap().is_alone());
    assert!(repo.ids(FileKind::Lock).unwrap().is_empty(), "the stale ones are removed");

    // The other machine's processes cannot be looked at; what counts is the clock of the place,
    // not what hour the other machine takes it for.
    for (age, shift) in [(29, 0), (-600, 0), (1, -14), (1, 14)] {
        let id = put(&repo, |file| {
            move_elsewhere(file);
            (file.pid, file.time) = (dead_pid(), file.time + time::Duration::hours(shift));
        });
        set_age(&dir, &id, age);
        assert!(!repo.lock_shared().unwrap().is_alone());
        let refused = repo.lock_exclusive().err().unwrap();
        let expected = format!("{} on {}-other", repo.identity.username, repo.identity.hostname);
        assert!(matches!(refused, RepositoryError::Locked { who, .. } if who == expected));
        assert_eq!(repo.unlock(false).unwrap().removed, 0);
        remove(&repo, &id);
    }
    let ahead = put(&repo, |file| {
        move_elsewhere(file);
        file.time += time::Duration::hours(14);
    });
    set_age(&dir, &ahead, 31);
    assert!(repo.lock_exclusive().unwrap().is_alone());
}

/// What a lock says of its machine, and whether it is then certainly stale.
type Elsewhere = (fn(&mut LockFile), bool);

#[test]
fn a_host_name_alone_makes_no_machine() {
    let (_dir, repo) = repository();
    let cases: [Elsewhere; 5] = [
        // Stock restic's.
        (|file| file.origin = None, true),
        // This machine before it was started anew.
        (|file| file.origin.as_mut().unwrap().boot.push('x'), true),
        // Another machine of that name.
        (
            |file| {
                let origin = file.origin.as_mut().unwrap();
                (origin.machine, origin.boot) = (Some(Id::of(b"")), "other".to_owned());
            },
            false,
        ),
        // It cannot be told which, as on the boot medium.
        (
            |file| {
                let origin = file.origin.as_mut().unwrap();
                (origin.machine, origin.boot) = (None, "other".to_owned());
            },
            false,
        ),
        // A container that has its own numbers.
        (|file| file.origin.as_mut().unwrap().processes.push('x'), false),
    ];
    assert!(repo.identity.origin.as_ref().is_some_and(|origin| origin.machine.is_some()));
    for (number, (change, is_stale)) in cases.into_iter().enumerate() {
        let id = put(&repo, |file| {
            file.pid = dead_pid();
            change(file);
        });
        assert_eq!(repo.lock_exclusive().is_ok(), is_stale, "case {number}");
        let there = repo.ids(FileKind::Lock).unwrap().contains(&id);
        assert_eq!(there, !is_stale, "case {number}");
        if there {
            remove(&repo, &id);
        }
    }
}

#[test]
fn an_old_lock_of_a_process_that_is_still_there_is_alive() {
    let (dir, repo) = repository();
    let lock = repo.lock_shared().unwrap();
    set_age(&dir, &repo.ids(FileKind::Lock).unwrap()[0], 600);
    assert!(repo.lock_exclusive().is_err());
    lock.ensure_held().unwrap();
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
fn a_lock_that_others_removed_is_lost_for_good() {
    let (_dir, repo) = repository();
    let lost = |result: Result<()>| matches!(result, Err(RepositoryError::LockLost { .. }));
    let lock = repo.lock_shared().unwrap();
    remove(&repo, &repo.ids(FileKind::Lock).unwrap()[0]);
    // What the confirming thread does, and whoever relies on the lock.
    assert!(lost(lock.held.refresh()));
    assert!(repo.ids(FileKind::Lock).unwrap().is_empty(), "it has come back");
    assert!(lost(lock.confirm()) && lost(lock.ensure_held()));
    assert!(lost(repo.save_snapshot(&lock, &Snapshot::of_nothing()).map(drop)));
    assert!(repo.ids(FileKind::Snapshot).unwrap().is_empty());
}

#[test]
fn without_its_lock_nothing_is_removed() {
    let (_dir, repo) = repository();
    let lock = repo.lock_exclusive().unwrap();
    let id = repo.save_snapshot(&lock, &Snapshot::of_nothing()).unwrap();
    assert_eq!(repo.unlock(true).unwrap().removed, 1);
    assert!(repo.remove_snapshots(&lock, &[id]).is_err());
    assert_eq!(repo.ids(FileKind::Snapshot).unwrap(), [id]);
}

#[test]
fn a_lock_beside_another_excludes_all_but_that() {
    let (_dir, repo) = repository();
    let shared = repo.lock_shared().unwrap();
    {
        let exclusive = repo.lock_exclusive_beside(&shared).unwrap();
        assert!(repo.lock_shared().is_err());
        shared.confirm().unwrap();
        exclusive.confirm().unwrap();
    }
    let other = repo.lock_shared().unwrap();
    assert!(repo.lock_exclusive_beside(&shared).is_err());
    drop(other);
    remove(&repo, &repo.ids(FileKind::Lock).unwrap()[0]);
    let lost = repo.lock_exclusive_beside(&shared).err();
    assert!(matches!(lost, Some(RepositoryError::LockLost { .. })), "{lost:?}");
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
    let (dir, repo) = repository();
    let lock = repo.lock_shared().unwrap();
    put(&repo, |file| file.pid = dead_pid());
    let old = put(&repo, move_elsewhere);
    set_age(&dir, &old, 31);
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
    fn sync_names(&self, kind: FileKind) -> crate::store::Result<()> {
        self.inner.sync_names(kind)
    }
    fn age(&self, kind: FileKind, name: &str) -> crate::store::Result<Option<Duration>> {
        self.inner.age(kind, name)
    }
    fn settle_time(&self) -> Duration {
        self.inner.settle_time()
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
fn in_a_place_without_room_for_a_second_lock_the_first_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let inner = LocalStore::new(dir.path().join("images"));
    let store = Arc::new(Cramped { inner, locks: 1.into() });
    let repo = Repository::init(store.clone(), "a").unwrap();
    let lock = repo.lock_shared().unwrap();
    let first = repo.ids(FileKind::Lock).unwrap();
    lock.confirm().unwrap();
    assert_eq!(repo.ids(FileKind::Lock).unwrap(), first);

    store.locks.store(2, std::sync::atomic::Ordering::Relaxed);
    lock.confirm().unwrap();
    let second = repo.ids(FileKind::Lock).unwrap();
    assert!(second.len() == 1 && first != second);

    store.locks.store(1, std::sync::atomic::Ordering::Relaxed);
    remove(&repo, &second[0]);
    assert!(matches!(lock.confirm(), Err(RepositoryError::LockLost { .. })));
}
