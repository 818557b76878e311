//! The program killed (`kill -9`) at points chosen at random: `LIFEBOAT_TEST_SEED` repeats them,
//! `LIFEBOAT_TEST_POINTS` makes them more.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Random, noise, succeeds, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, MIB, cut, judge_gpt_disk, make_gpt_disk, same};

/// Bytes of the disk that is captured; they do not compress.
const CAPTURED: u64 = 192 * MIB;

/// Starts the program.
pub fn start(bench: &Bench, args: &[&str]) -> Child {
    let mut command = bench.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills the program once `is_time`; tells whether it had not ended by itself before.
pub fn kill_when(mut child: Child, mut is_time: impl FnMut() -> bool) -> bool {
    while !is_time() {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// Kills the program after a share of the time it usually takes, in thousandths.
pub fn kill_after(bench: &Bench, args: &[&str], usual: Duration, share: u64) -> bool {
    let begun = Instant::now();
    let limit = usual.mul_f64(f64::from(u32::try_from(share).unwrap()) / 1000.0);
    kill_when(start(bench, args), || begun.elapsed() >= limit)
}

/// All files in a folder of the repository, with their sizes.
fn files(bench: &Bench, folder: &str) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![bench.path("repo").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => found.push((path, meta.len())),
                // A file of the program at work, which has been renamed since.
                Err(_) => {}
            }
        }
    }
    found
}

/// Bytes of complete packs.
fn stored(bench: &Bench) -> u64 {
    let is_whole = |path: &Path| path.file_name().unwrap().len() == 64;
    files(bench, "data").iter().filter(|(path, _)| is_whole(path)).map(|(_, size)| size).sum()
}

/// Everything that holds after a kill: images are whole for us and for stock restic.
fn assert_unharmed(bench: &Bench) {
    bench.restic(&["check", "--read-data", "--no-lock"]);
    bench.run(&["verify"]).ended(0);
}

#[test]
fn a_killed_capture_harms_nothing_and_carries_on() {
    let bench = Bench::new();
    fs::write(bench.path("small"), noise(3, 5 << 20)).unwrap();
    bench.capture("small");
    let before = stored(&bench);
    fs::write(bench.path("disk"), noise(11, usize::try_from(CAPTURED).unwrap())).unwrap();
    let disk = bench.arg("disk");
    let mut random = Random::from_environment();
    let mut points = random.points(3, 1000);
    points.sort_unstable();
    for point in points {
        let limit = before + CAPTURED / 1000 * point;
        println!("killed at {limit} stored bytes");
        kill_when(start(&bench, &["capture", &disk]), || stored(&bench) >= limit);
        assert_unharmed(&bench);
    }
    let kept = stored(&bench) - before;
    bench.run(&["capture", &disk]).ended(0);
    // What does not compress takes its own size and a thousandth for headers and directories.
    let again = (stored(&bench) - before).saturating_sub(CAPTURED + CAPTURED / 1000);
    assert!(again <= kept / 20, "{again} bytes of {kept} were stored again");
    let unfinished = |(path, _): &(PathBuf, u64)| path.to_str().unwrap().contains("unfinished");
    assert!(!files(&bench, "").iter().any(unfinished));
    bench.restic(&["check", "--read-data"]);
    bench.restore("out", &[]);
    assert!(same(&bench.path("disk"), &bench.path("out")));
}

const PRUNE: [&str; 3] = ["prune", "--max-unused", "0"];

/// A repository with images, and what others have left in it; a copy of it, named `whole`.
fn prunable(random: &mut Random) -> Bench {
    let bench = Bench::new();
    // Images of 4 MiB chunks, of which each shares some with others.
    let chunk = 4 << 20;
    for name in ["a", "b", "c", "d"] {
        let chunks = (0..10).flat_map(|_| noise(2 * random.below(20), chunk));
        fs::write(bench.path(name), chunks.collect::<Vec<u8>>()).unwrap();
        bench.capture(name);
    }
    let ids: Vec<String> = bench.run(&["images"]).ended(0).stdout.lines().map(start_of).collect();
    bench.run(&["forget", &ids[1], &ids[3]]).ended(0);
    copy(&bench.arg("repo"), &bench.arg("whole"));
    bench
}

/// What holds after pruning that was stopped: nothing is harmed, and run again it completes.
fn assert_pruning_completes(bench: &Bench) {
    assert_unharmed(bench);
    bench.run(&PRUNE).ended(0);
    let rest = bench.run(&[&PRUNE[..], &["-n", "--json"]].concat()).ended(0).result();
    assert_eq!(rest["freed"], 0, "{rest}");
    bench.restic(&["check", "--read-data"]);
}

#[test]
fn killed_pruning_harms_no_image_and_is_completed_by_running_it_again() {
    let mut random = Random::from_environment();
    let bench = prunable(&mut random);
    let begun = Instant::now();
    bench.run(&PRUNE).ended(0);
    let usual = begun.elapsed();
    for share in random.points(4, 1000) {
        copy(&bench.arg("whole"), &bench.arg("repo"));
        let killed = kill_after(&bench, &PRUNE, usual, share);
        println!("killed after {share} thousandths of {usual:?}: {killed}");
        assert_pruning_completes(&bench);
    }
    bench.restore("out", &[]);
    assert!(same(&bench.path("d"), &bench.path("out")));
}

/// Presses Ctrl-C once the program says `when`; its exit status and what it said on standard error.
fn interrupt(bench: &Bench, args: &[&str], when: &str) -> (i32, String) {
    let mut command = bench.command(args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut is_sent = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if !is_sent && line.unwrap().contains(when) {
            kill(pid, Signal::SIGINT).unwrap();
            is_sent = true;
        }
    }
    assert!(is_sent, "it never said {when}");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap(), said)
}

#[test]
fn interrupted_pruning_says_so_harms_no_image_and_is_completed_by_running_it_again() {
    let bench = prunable(&mut Random::from_environment());
    let args = [&PRUNE[..], &["--json"]].concat();
    for when in [r#""phase":"examining""#, r#""phase":"pruning""#] {
        copy(&bench.arg("whole"), &bench.arg("repo"));
        let (status, said) = interrupt(&bench, &args, when);
        assert_eq!(status, 130, "at {when}: {said}");
        let expected = "lifeboat: stopped on request; running the same command again carries on\n";
        assert_eq!(said, expected);
        assert!(files(&bench, "locks").is_empty(), "a lock is left");
        assert_pruning_completes(&bench);
    }
}

fn start_of(line: &str) -> String {
    line.split_whitespace().next().unwrap().to_owned()
}

/// Makes one folder a copy of another.
fn copy(from: &str, to: &str) {
    let _ = fs::remove_dir_all(to);
    tool("cp", &["-a", from, to]);
}

#[test]
fn a_killed_restore_leaves_no_usable_disk_says_so_and_is_completed_by_running_it_again() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let begun = Instant::now();
    bench.restore("reference", &[]);
    let usual = begun.elapsed();
    let out = bench.arg("out");
    let args = ["restore", "latest", &out, "--erase", &out];
    let head = |name: &str| {
        cut(&bench.path(name), 0, MIB, &bench.path("head"));
        fs::read(bench.path("head")).unwrap()
    };
    let mut random = Random::from_environment();
    for (number, share) in (0..).zip(random.points(4, 1000)) {
        fs::copy(bench.path("disk"), bench.path("out")).unwrap();
        // One of them right after the start of writing, the others anywhere.
        let killed = match number {
            0 => kill_when(start(&bench, &args), || head("out").starts_with(b"LIFEBOAT RESTORE")),
            _ => kill_after(&bench, &args, usual, share),
        };
        println!("killed after {share} thousandths of {usual:?}: {killed}");
        let untouched = same(&bench.path("disk"), &bench.path("out"));
        if !same(&bench.path("reference"), &bench.path("out")) && !untouched {
            let head = head("out");
            assert!(head.starts_with(b"LIFEBOAT RESTORE") && head[510..512] == [0, 0]);
            let table = succeeds("sfdisk", &["-d", &out]);
            assert!(!table, "a half-restored disk has a partition table");
            let plan = bench.run(&["restore", "latest", &out, "--plan"]).ended(0);
            assert!(plan.stdout.contains("was not finished"), "{}", plan.stdout);
        }
        if number % 2 == 0 {
            bench.run(&args).ended(0);
        } else {
            bench.restore("out", &["--only-changed"]);
        }
        judge_gpt_disk(&bench, &bench.path("out"));
        bench.run(&["verify"]).ended(0);
    }
}
