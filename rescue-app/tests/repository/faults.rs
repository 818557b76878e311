//! Places that fill up or cannot be written to, and trees that make no sense.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::fixture::{CHUNK, disk, init, open, read_all, save, save_counted, snapshot};
use crate::stock_restic::{Restic, files_below};
use lifeboat::progress::Control;
use lifeboat::repository::{
    BlobType, Id, Node, PUBLIC_PASSPHRASE, PackWriter, Repository, RepositoryError,
    Result as RepoResult, Tree,
};
use lifeboat::store::{FileEntry, FileKind, LocalStore, Result, Store, StoreError};
use time::OffsetDateTime;

/// A folder with a limited number of bytes left, which may be read-only or stop changing.
pub struct Faulty {
    inner: LocalStore,
    pub left: AtomicU64,
    /// Files written or removed until nothing is any more, as after a power cut.
    pub changes_left: AtomicU64,
    read_only: AtomicBool,
}

impl Faulty {
    pub fn new(restic: &Restic) -> Arc<Self> {
        let inner = LocalStore::new(restic.repo());
        let (left, changes_left) = (u64::MAX.into(), u64::MAX.into());
        Arc::new(Self { inner, left, changes_left, read_only: false.into() })
    }

    /// Counts a change that is about to be made.
    fn change(&self) -> Result<()> {
        let take = |left: u64| left.checked_sub(1);
        let stopped = |_| StoreError::Io {
            action: "changing",
            path: self.location(),
            source: std::io::Error::other("the power is off"),
        };
        let left = self.changes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        left.map_err(stopped)?;
        match self.read_only.load(Ordering::Relaxed) {
            true => Err(StoreError::ReadOnly { location: self.location() }),
            false => Ok(()),
        }
    }
}

impl Store for Faulty {
    fn create_layout(&self) -> Result<()> {
        self.inner.create_layout()
    }

    fn list(&self, kind: FileKind) -> Result<Vec<FileEntry>> {
        self.inner.list(kind)
    }

    fn size(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.inner.size(kind, name)
    }

    fn read_range(&self, kind: FileKind, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.inner.read_range(kind, name, offset, buf)
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Result<()> {
        self.change()?;
        let len = bytes.len() as u64;
        let take = |left: u64| left.checked_sub(len);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| StoreError::Full { location: self.location() })?;
        self.inner.write(kind, name, bytes)
    }

    fn remove(&self, kind: FileKind, name: &str) -> Result<()> {
        self.change()?;
        self.inner.remove(kind, name)
    }

    fn sync_names(&self, kind: FileKind) -> Result<()> {
        self.inner.sync_names(kind)
    }

    fn age(&self, kind: FileKind, name: &str) -> Result<Option<Duration>> {
        self.inner.age(kind, name)
    }

    fn settle_time(&self) -> Duration {
        self.inner.settle_time()
    }

    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.inner.remove_leftovers_older_than(kind, name)
    }

    fn write_note(&self, name: &str, text: &str) -> Result<()> {
        self.inner.write_note(name, text)
    }

    fn free_space(&self) -> Option<u64> {
        Some(self.left.load(Ordering::Relaxed))
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// How many changes `work` makes; tried on a copy.
pub fn changes_made(restic: &Restic, work: impl FnOnce(&Repository) -> RepoResult<()>) -> u64 {
    let copy = restic.copy();
    let store = Faulty::new(&copy);
    work(&Repository::open(store.clone(), PUBLIC_PASSPHRASE).unwrap()).unwrap();
    u64::MAX - store.changes_left.load(Ordering::Relaxed)
}

/// The repository, which loses its power after this many changes.
pub fn stopping_after(restic: &Restic, changes: u64) -> Repository {
    let store = Faulty::new(restic);
    store.changes_left.store(changes, Ordering::Relaxed);
    Repository::open(store, PUBLIC_PASSPHRASE).unwrap()
}

/// Removes the locks of a power cut: they are of this process, which lives on.
pub fn remove_own_locks(restic: &Restic) {
    for lock in files_below(&restic.repo().join("locks")) {
        std::fs::remove_file(lock).unwrap();
    }
}

#[test]
fn a_full_place_stops_cleanly_and_is_continued_after_space_is_freed() {
    let restic = Restic::new();
    let store = Faulty::new(&restic);
    let repo = Repository::init(store.clone(), PUBLIC_PASSPHRASE).unwrap().load_index().unwrap();
    let before = disk(1, 1_000_000);
    save(&repo, &before);

    store.left.store(70 << 20, Ordering::Relaxed);
    let image = disk(2, 300_000_000);
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(&repo, &lock).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    let stopped = image
        .chunks(CHUNK)
        .find_map(|chunk| worker.save(BlobType::Data, None, chunk, 1).err())
        .expect("storing must stop");
    assert!(matches!(stopped, RepositoryError::Store(StoreError::Full { .. })), "{stopped}");
    assert!(worker.finish().is_err());
    let totals = pack_writer.totals();
    assert!(pack_writer.finish().is_err(), "nothing may refer to what is not stored");
    drop(lock);

    store.left.store(u64::MAX, Ordering::Relaxed);
    restic.ok(&["check", "--read-data"]);
    let repo = open(&restic);
    let lock = repo.lock_shared().unwrap();
    repo.adopt_packs(&lock, &repo.packs_with_sizes().unwrap()).unwrap();
    let (_, continued) = save_counted(&repo, &image);
    drop(lock);
    assert!(totals.packs >= 3 && continued.known_bytes > 40_000_000, "{totals:?} {continued:?}");
    restic.check();
    let list = repo.snapshots().unwrap().snapshots;
    for (file, bytes) in list.iter().zip([before, image]) {
        assert!(read_all(&repo, &file.snapshot.tree)["/machine/disk.img"] == bytes);
    }
}

#[test]
fn a_read_only_place_is_read_without_a_lock() {
    let restic = Restic::new();
    let store = Faulty::new(&restic);
    let repo = Repository::init(store.clone(), PUBLIC_PASSPHRASE).unwrap().load_index().unwrap();
    let image = disk(3, 500_000);
    save(&repo, &image);
    assert!(repo.lock_for_reading().unwrap().is_some());
    store.read_only.store(true, Ordering::Relaxed);
    assert!(repo.lock_for_reading().unwrap().is_none());
    let refused = repo.lock_shared().err();
    assert!(matches!(refused, Some(RepositoryError::Store(StoreError::ReadOnly { .. }))));
    let newest = repo.snapshots().unwrap().snapshots.pop().unwrap();
    assert!(read_all(&repo, &newest.snapshot.tree)["/machine/disk.img"] == image);
}

/// What the check finds in a snapshot of this directory.
fn findings_for(nodes: Vec<Node>) -> Vec<String> {
    let restic = Restic::new();
    let repo = init(&restic);
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(&repo, &lock).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    worker.save(BlobType::Data, None, b"abc", 1).unwrap();
    let tree = worker.save_tree(&Tree::new(nodes).unwrap()).unwrap();
    worker.finish().unwrap();
    pack_writer.finish().unwrap();
    let id = repo.save_snapshot(&lock, &snapshot(tree)).unwrap();
    let report = repo.check(true, 1, Control::silent()).unwrap();
    let broken = !report.findings.is_empty();
    assert_eq!(report.incomplete, if broken { vec![id] } else { vec![] });
    report.findings.into_iter().map(|finding| finding.text).collect()
}

#[test]
fn directories_that_make_no_sense_are_reported() {
    let time = OffsetDateTime::UNIX_EPOCH;
    let abc = Id::of(b"abc");
    assert!(findings_for(vec![Node::file("f", 6, vec![abc, abc], time)]).is_empty());
    let wrong_size = findings_for(vec![Node::file("f", 7, vec![abc, abc], time)]);
    assert!(wrong_size[0].contains("6 bytes together, but its size is 7"), "{wrong_size:?}");
    let missing = findings_for(vec![Node::file("f", 6, vec![abc, Id::of(b"x")], time)]);
    assert!(missing[0].contains("1 of its 2 blobs"), "{missing:?}");
    let lost = findings_for(vec![Node::dir("d", Id::of(b"no such tree"), time)]);
    assert!(lost[0].contains("in no index"), "{lost:?}");
    let mut empty = Node::dir("d", abc, time);
    empty.subtree = None;
    assert!(findings_for(vec![empty])[0].contains("without contents"));
    // Data is no directory, whatever its text.
    let wrong_type = findings_for(vec![Node::dir("d", abc, time)]);
    assert!(wrong_type[0].contains("in no index"), "{wrong_type:?}");
}
