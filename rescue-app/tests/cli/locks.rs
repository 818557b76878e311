//! Locks that are taken away from a running capture, and packs that vanish under it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use common::noise;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, Run};

/// Every file in a folder of the repository.
fn files(bench: &Bench, folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![bench.path("repo").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

fn packs(bench: &Bench) -> usize {
    let is_whole = |path: &&PathBuf| path.file_name().unwrap().len() == 64;
    files(bench, "data").iter().filter(is_whole).count()
}

/// A capture that sleeps, with some of its packs stored.
struct Asleep<'b> {
    bench: &'b Bench,
    child: Option<Child>,
}

impl<'b> Asleep<'b> {
    fn start(bench: &'b Bench, args: &[&str]) -> Self {
        let before = packs(bench);
        fs::write(bench.path("disk"), noise(11, 96 << 20)).unwrap();
        let disk = bench.arg("disk");
        let mut command = bench.command(&[&["capture", &disk], args].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let asleep = Self { bench, child: Some(child) };
        while packs(bench) < before + 2 {
            thread::sleep(Duration::from_millis(1));
        }
        asleep.signal(Signal::SIGSTOP);
        assert!(!files(bench, "locks").is_empty(), "it had ended before");
        asleep
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
    }

    /// What it makes of it.
    fn wake(mut self) -> Run {
        self.signal(Signal::SIGCONT);
        Run::from(self.child.take().unwrap().wait_with_output().unwrap())
    }

    fn assert_nothing_came_of_it(&self) {
        assert!(files(self.bench, "snapshots").is_empty());
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_capture_whose_lock_was_taken_away_ends_and_makes_no_image() {
    let bench = Bench::new();
    let asleep = Asleep::start(&bench, &[]);
    bench.run(&["prune"]).ended(11);
    bench.run(&["unlock", "--all"]).ended(0);
    bench.run(&["forget", "--all", "--yes", "--prune"]).ended(0);
    asleep.assert_nothing_came_of_it();
    let said = asleep.wake().ended(1).stderr;
    assert!(said.contains("lock") && said.contains("same command again"), "{said}");
    for folder in ["snapshots", "index", "locks"] {
        assert!(files(&bench, folder).is_empty(), "{folder}: {:?}", files(&bench, folder));
    }
    bench.restic(&["check", "--read-data"]);
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    bench.restic(&["check", "--read-data"]);
}

#[test]
fn no_index_names_packs_that_vanished_under_a_capture() {
    let bench = Bench::new();
    let asleep = Asleep::start(&bench, &[]);
    for pack in files(&bench, "data") {
        fs::remove_file(pack).unwrap();
    }
    let said = asleep.wake().ended(1).stderr;
    assert!(
        said.contains("missing") || said.contains("gone") || said.contains("No such"),
        "{said}"
    );
    assert!(files(&bench, "snapshots").is_empty() && files(&bench, "index").is_empty());
    bench.run(&["check"]).ended(0);
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    bench.restic(&["check", "--read-data"]);
}

/// What was removed is on the disk before what it referred to goes: the order of system calls.
#[test]
fn folders_are_synced_between_snapshots_index_and_packs() {
    let bench = Bench::new();
    for (disk, seed) in [("one", 2), ("two", 4)] {
        fs::write(bench.path(disk), noise(seed, 5 << 20)).unwrap();
        bench.capture(disk);
    }
    let mut command = bench.command(&["forget", "latest:one", "--prune"]);
    let program = command.get_program().to_owned();
    let calls = bench.path("calls");
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-y", "-s", "300", "-o"]).arg(&calls);
    traced.args(["-e", "trace=unlink,unlinkat,fsync,syncfs,rename,renameat,renameat2"]);
    traced.arg(program).args(command.get_args());
    traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::from(traced.output().expect("strace: run `make setup`")).ended(0);
    command.stdin(Stdio::null());
    let calls = fs::read_to_string(calls).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let positions = |call: &str, folder: &str| -> Vec<usize> {
        let folder = format!("/repo/{folder}");
        let fits = |line: &&str| line.contains(call) && line.contains(&folder);
        (0..calls.len()).filter(|at| fits(&calls[*at])).collect()
    };
    let first = |call, folder| *positions(call, folder).first().expect(folder);
    let is_synced = |folder: &str, from: usize, to: usize| {
        positions("fsync(", &format!("{folder}>")).iter().any(|at| (from..to).contains(at))
    };
    // What is removed loses its name, which is synced, and then its content.
    let loses_name = |folder: &str| -> Vec<usize> {
        let renamed = positions("rename", folder).into_iter();
        renamed.filter(|at| calls[*at].contains("-removal-")).collect()
    };
    let (snapshots, indexes) = (loses_name("snapshots/"), loses_name("index/"));
    let (snapshot, index) = (*snapshots.last().unwrap(), *indexes.first().unwrap());
    let (last_index, pack) = (*indexes.last().unwrap(), first("unlink", "data/"));
    assert!(snapshot < index && last_index < pack, "{calls:#?}");
    assert!(is_synced("snapshots", snapshot, first("unlink", "snapshots/")), "{calls:#?}");
    assert!(is_synced("snapshots", snapshot, index), "{calls:#?}");
    assert!(is_synced("index", first("rename", "index/"), index), "{calls:#?}");
    assert!(is_synced("index", last_index, first("unlink", "index/")), "{calls:#?}");
    assert!(is_synced("index", last_index, pack), "{calls:#?}");
    bench.restic(&["check", "--read-data"]);
}

/// It asks whether the owner of a lock exists by sending it SIGHUP.
#[test]
fn restic_unlock_ends_no_capture() {
    let bench = Bench::new();
    let asleep = Asleep::start(&bench, &[]);
    bench.restic(&["unlock"]);
    asleep.signal(Signal::SIGHUP);
    asleep.wake().ended(0);
    bench.restic(&["check"]);
}
