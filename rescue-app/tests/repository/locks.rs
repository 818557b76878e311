//! Stock restic's locks and ours exclude each other.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use lifeboat::repository::{Repository, RepositoryError, Result};
use lifeboat::store::FileKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{disk, init, save};
use crate::stock_restic::Restic;

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
fn pid_of_conflict<Lock>(attempt: Result<Lock>) -> u32 {
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
