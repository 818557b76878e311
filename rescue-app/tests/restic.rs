//! The repository engine and stock restic working on the same repositories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/repo_fixture.rs"]
mod repo_fixture;
#[path = "support/repo_restic.rs"]
mod repo_restic;

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use lifeboat::repository::{BlobType, Repository, RepositoryError, Saver};
use lifeboat::store::FileKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use repo_fixture::{disk, init, open, read_all, save, save_counted};
use repo_restic::{Restic, files_below};

#[test]
fn restic_checks_lists_and_restores_what_we_store() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (disk(1, 5_000_001), disk(2, 3_000_000));
    let first_id = save(&repo, &first);
    let second_id = save(&repo, &second);
    restic.check();
    let listed = restic.ok(&["snapshots"]);
    assert!(listed.contains(&first_id.short()) && listed.contains("/machine/disk.img"), "{listed}");
    for (id, bytes) in [(first_id, &first), (second_id, &second)] {
        let target = restic.path(&id.short());
        restic.ok(&["restore", &id.to_string(), "--target", target.to_str().unwrap()]);
        assert!(fs::read(target.join("machine/disk.img")).unwrap() == *bytes);
    }
}

#[test]
fn we_read_what_restic_made_and_pruned() {
    let restic = Restic::new();
    restic.ok(&["init"]);
    let source = restic.path("source");
    for (name, seed) in [("a/b/first", 3), ("a/second", 4), ("third", 5)] {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, disk(seed, 4_000_000)).unwrap();
    }
    fs::write(source.join("empty"), "").unwrap();
    restic.ok(&["backup", "source"]);
    fs::write(source.join("a/second"), disk(6, 3_500_000)).unwrap();
    restic.ok(&["backup", "source"]);
    restic.ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);

    let repo = open(&restic);
    let list = repo.snapshots().unwrap();
    assert_eq!((list.snapshots.len(), list.damaged.len()), (1, 0));
    let read = read_all(&repo, &list.snapshots[0].snapshot.tree);
    let prefix = source.to_str().unwrap().to_owned() + "/";
    let files = files_below(&source);
    assert_eq!(read.len(), files.len());
    for path in files {
        let name = path.to_str().unwrap().strip_prefix(&prefix).unwrap();
        let found = read.iter().find(|(path, _)| path.ends_with(&format!("source/{name}")));
        assert!(*found.expect("the file is in the snapshot").1 == fs::read(&path).unwrap());
    }
}

#[test]
fn restic_works_on_in_our_repository() {
    let restic = Restic::new();
    let repo = init(&restic);
    let old = save(&repo, &disk(7, 6_000_000));
    let kept = disk(8, 6_000_000);
    save(&repo, &kept);
    fs::write(restic.path("file"), disk(9, 2_000_000)).unwrap();
    restic.ok(&["backup", "file"]);
    restic.ok(&["forget", &old.to_string()]);
    restic.ok(&["prune", "--max-unused", "0"]);
    restic.check();
    let repo = open(&restic);
    let list = repo.snapshots().unwrap().snapshots;
    assert_eq!(list.len(), 2);
    let ours = list.iter().find(|file| file.snapshot.hostname == "host").unwrap();
    assert!(read_all(&repo, &ours.snapshot.tree)["/machine/disk.img"] == kept);
}

/// Waits until the repository has a lock that was not there before.
fn wait_for_lock(repo: &Repository, before: usize) {
    for _ in 0..1000 {
        if repo.store().list(FileKind::Lock).unwrap().len() > before {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("no lock appeared within 10 s");
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// The process id in the conflict that the attempt to lock must end with.
fn pid_of_conflict(attempt: lifeboat::repository::Result<lifeboat::repository::Lock>) -> u32 {
    match attempt.err().expect("the lock must be refused") {
        RepositoryError::Locked { pid, .. } => pid,
        other => panic!("{other}"),
    }
}

/// What restic says when it must fail.
fn complaint_of(restic: &Restic, args: &[&str]) -> String {
    let output = restic.run(args);
    assert!(!output.status.success(), "restic {args:?} should have failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn restic_respects_our_locks() {
    let restic = Restic::new();
    let repo = init(&restic);
    save(&repo, &disk(10, 300_000));
    fs::write(restic.path("file"), "x").unwrap();
    {
        let shared = repo.lock_shared().unwrap();
        assert!(shared.is_alone());
        assert!(!repo.lock_shared().unwrap().is_alone());
        restic.ok(&["backup", "file"]);
        assert!(complaint_of(&restic, &["prune"]).contains("already locked"));
        assert!(complaint_of(&restic, &["check"]).contains("already locked"));
        assert_eq!(pid_of_conflict(repo.lock_exclusive()), std::process::id());
    }
    {
        let _exclusive = repo.lock_exclusive().unwrap();
        assert!(complaint_of(&restic, &["backup", "file"]).contains("already locked exclusively"));
        assert_eq!(pid_of_conflict(repo.lock_shared()), std::process::id());
    }
    assert!(repo.store().list(FileKind::Lock).unwrap().is_empty());
    restic.ok(&["prune"]);
}

#[test]
fn we_respect_restics_locks() {
    let restic = Restic::new();
    let repo = init(&restic);
    save(&repo, &disk(11, 300_000));

    // A backup of a pipe that never ends holds a shared lock.
    let mut command = restic.command(&["backup", "--stdin"]);
    let mut backup = command.stdin(Stdio::piped()).spawn().unwrap();
    backup.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    wait_for_lock(&repo, 0);
    assert!(!repo.lock_shared().unwrap().is_alone());
    assert_eq!(pid_of_conflict(repo.lock_exclusive()), backup.id());
    // Killed, it leaves its lock behind, which is nobody's then.
    backup.kill().unwrap();
    backup.wait().unwrap();
    assert_eq!(repo.store().list(FileKind::Lock).unwrap().len(), 1);
    drop(repo.lock_exclusive().unwrap());
    assert!(repo.store().list(FileKind::Lock).unwrap().is_empty());

    // A check stopped in its tracks holds an exclusive one.
    let mut check = restic.command(&["check"]).spawn().unwrap();
    wait_for_lock(&repo, 0);
    signal(&check, Signal::SIGSTOP);
    assert_eq!(pid_of_conflict(repo.lock_shared()), check.id());
    signal(&check, Signal::SIGCONT);
    assert!(check.wait().unwrap().success());
    drop(repo.lock_shared().unwrap());
}

#[test]
fn what_an_abandoned_capture_stored_is_used_by_the_next() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(12, 30_000_000);
    let stored = {
        let saver = Saver::new(&repo).unwrap();
        let mut worker = saver.worker().unwrap();
        for chunk in image.chunks(repo_fixture::CHUNK) {
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
        .args(["--ignored", "--exact", "capture_until_killed", "--quiet"])
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
