//! Captures that are given up or killed leave nothing in the way and are continued.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use lifeboat::repository::{BlobType, Saver};
use lifeboat::store::FileKind;

use crate::fixture::{CHUNK, disk, init, open, read_all, save, save_counted};
use crate::stock_restic::{Restic, files_below};

#[test]
fn what_an_abandoned_capture_stored_is_used_by_the_next() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(12, 30_000_000);
    let stored = {
        let saver = Saver::new(&repo).unwrap();
        let mut worker = saver.worker().unwrap();
        for chunk in image.chunks(CHUNK) {
            worker.save(BlobType::Data, None, chunk, 1).unwrap();
        }
        worker.finish().unwrap();
        saver.totals().new_bytes
    };
    restic.check();
    let repo = open(&restic);
    let (_, totals) = save_counted(&repo, &image);
    assert_eq!((totals.packs, totals.new_blobs), (1, 2), "only the two directories are new");
    assert!(totals.known_bytes >= stored);
    restic.check();
}

/// Not a test of its own: what [`a_killed_capture_is_continued`] starts and kills.
#[test]
#[ignore = "stores until it is killed"]
fn capture_until_killed() {
    let folder = std::env::var("LIFEBOAT_TEST_REPOSITORY").unwrap();
    let restic = Restic { folder: folder.into(), dir: tempfile::tempdir().unwrap() };
    let repo = open(&restic);
    let _lock = repo.lock_shared().unwrap();
    save(&repo, &disk(13, KILLED_LEN));
    panic!("it should have been killed before this");
}

const KILLED_LEN: usize = 400_000_000;

#[test]
fn a_killed_capture_is_continued() {
    let restic = Restic::new();
    let repo = init(&restic);
    let mut capture = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "interruption::capture_until_killed", "--quiet"])
        .env("LIFEBOAT_TEST_REPOSITORY", restic.repo())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while repo.store().list(FileKind::Pack).unwrap().len() < 4 {
        assert!(capture.try_wait().unwrap().is_none(), "the capture ended too early");
        sleep(Duration::from_millis(5));
    }
    capture.kill().unwrap();
    capture.wait().unwrap();
    restic.ok(&["check", "--read-data", "--no-lock"]);

    let packs = repo.store().list(FileKind::Pack).unwrap();
    let bytes: u64 = packs.iter().map(|pack| pack.size).sum();
    let repo = open(&restic);
    let lock = repo.lock_shared().unwrap();
    assert!(lock.is_alone(), "the killed capture's lock is nobody's");
    let adopted = repo.adopt_packs(&lock).unwrap();
    assert_eq!((adopted.packs, adopted.bytes), (packs.len() as u64, bytes));
    assert!(adopted.damaged.is_empty());
    let leftovers = files_below(&restic.repo());
    assert!(!leftovers.iter().any(|path| path.to_str().unwrap().contains("unfinished")));

    let image = disk(13, KILLED_LEN);
    let (_, totals) = save_counted(&repo, &image);
    assert!(totals.known_blobs >= adopted.blobs);
    drop(lock);
    restic.check();
    let list = open(&restic).snapshots().unwrap().snapshots;
    assert!(read_all(&repo, &list[0].snapshot.tree)["/machine/disk.img"] == image);
}
