//! What other users of the machine get to see: nothing of the passphrase, nothing of the images.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::noise;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::Bench;

/// `lifeboat init` that waits for its passphrase file, with another passphrase in the environment.
struct Waiting {
    child: Child,
    fifo: PathBuf,
}

impl Waiting {
    fn start(bench: &Bench, command: &mut Command) -> Self {
        let fifo = bench.path("fifo");
        mkfifo(&fifo, Mode::from_bits_truncate(0o666)).unwrap();
        command.env("LIFEBOAT_PASSPHRASE", "ebb and flow");
        Self { child: command.spawn().unwrap(), fifo }
    }

    fn proc(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    /// Waits until the program has come as far as `is_so` says.
    fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "it never comes so far");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_passphrase_in_the_environment_is_gone_once_it_was_read() {
    let bench = Bench::empty();
    let mut command = bench.command(&["init", "--passphrase-file", &bench.arg("fifo")]);
    let mut waiting = Waiting::start(&bench, &mut command);
    waiting.wait_until(|waiting| {
        let shown = fs::read(waiting.proc("environ")).unwrap();
        let shown = String::from_utf8_lossy(&shown);
        shown.contains("LIFEBOAT_REPO=") && !shown.contains("ebb and flow")
    });
    fs::write(&waiting.fifo, "slack water").unwrap();
    assert_eq!(waiting.child.wait().unwrap().code(), Some(0));
    bench.run(&["images"]).ended(12);
}

/// What is not dumpable belongs to root in /proc, and so its memory is closed to its own user.
#[test]
fn other_programs_of_the_same_user_cannot_read_its_memory() {
    const NOBODY: u32 = 65534;
    let bench = Bench::empty();
    let program = bench.path("lifeboat");
    fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &program).unwrap();
    fs::set_permissions(bench.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(program);
    command.args(["init", "--repo", &bench.arg("repo"), "--passphrase-file", &bench.arg("fifo")]);
    let waiting = Waiting::start(&bench, command.uid(NOBODY).gid(NOBODY));
    waiting.wait_until(|waiting| {
        let is_nobodys =
            |name: &str| fs::metadata(waiting.proc(name)).is_ok_and(|m| m.uid() == NOBODY);
        fs::read_link(waiting.proc("exe")).is_ok_and(|exe| exe.ends_with("lifeboat"))
            && !is_nobodys("mem")
            && !is_nobodys("environ")
    });
}

#[test]
fn images_logs_and_maps_are_for_their_owner_only() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 3 << 20)).unwrap();
    let (disk, map) = (bench.arg("disk"), bench.arg("map"));
    bench.run(&["capture", &disk, "--map", &map]).ended(0);
    bench.restore("out", &[]);
    for name in ["out", "log", "map"] {
        let mode = fs::metadata(bench.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
