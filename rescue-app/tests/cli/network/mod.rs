//! Repositories on servers: the program against the servers of others, judged by stock restic on the
//! same address, and over a network that fails.

mod proxy;
mod rest;
mod s3;
mod server;
mod sftp;

use std::fs;
use std::process::{Command, Stdio};

use common::noise;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Bench, MIB, Run, same};

/// A bench whose repository is on a server.
struct Far {
    bench: Bench,
    address: String,
    /// Variables that the program and restic are given.
    env: Vec<(&'static str, String)>,
}

impl Far {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env("LIFEBOAT_REPO", &self.address).env("no_proxy", "*");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run::from(self.command(args).output().unwrap())
    }

    /// Writes a disk of noise of its own.
    fn disk(&self, name: &str, seed: u64, mib: u64) -> String {
        let len = usize::try_from(mib * MIB).unwrap();
        fs::write(self.bench.path(name), noise(seed, len)).unwrap();
        self.bench.arg(name)
    }

    fn capture(&self, disk: &str) -> serde_json::Value {
        self.run(&["capture", disk, "--json"]).ended(0).result()
    }

    /// Restores the newest image, which must be that of the disk called `disk`.
    fn restore(&self, disk: &str) {
        let out = self.bench.arg("out");
        self.run(&["restore", "latest", &out, "--erase", &out]).ended(0);
        assert!(same(&self.bench.path(disk), &self.bench.path("out")));
    }

    /// Stock restic on the same address; it must succeed.
    fn restic(&self, args: &[&str]) -> String {
        let mut command = common::command("restic");
        let far = ["-r", &self.address, "--no-cache", "--no-lock"];
        command.args(far).args(args).env("RESTIC_PASSWORD", "lifeboat").env("no_proxy", "*");
        command.env("HOME", self.bench.dir.path());
        common::stdout_of(command.envs(self.env.iter().map(|(name, value)| (name, value))))
    }

    /// Whether restic finds all that is stored whole.
    fn assert_whole(&self) {
        let checked = self.restic(&["check", "--read-data"]);
        assert!(checked.contains("no errors were found"), "{checked}");
    }

    /// All that a repository is used for, and the same by restic.
    fn assert_every_verb_works(&self) {
        self.run(&["init", "--no-passphrase"]).ended(0);
        let again = self.run(&["init", "--no-passphrase"]).ended(1);
        assert!(again.stderr.contains("already"), "{}", again.stderr);
        let (one, two) = (self.disk("one", 1, 24), self.disk("two", 2, 9));
        self.capture(&one);
        let known = self.capture(&one);
        assert!(known["added"].as_u64().unwrap() < MIB, "{known}");
        self.capture(&two);
        assert_eq!(self.run(&["images"]).ended(0).stdout.lines().count(), 3);
        self.restore("two");
        self.run(&["verify"]).ended(0);
        self.run(&["check", "--read-data"]).ended(0);
        self.assert_whole();
        self.restic(&["restore", "latest", "--target", &self.bench.arg("by-restic")]);
        assert!(same(&self.bench.path("by-restic/two/disk.img"), &self.bench.path("two")));

        let pruned = self.run(&["forget", "--keep-last", "1", "--prune"]).ended(0);
        assert!(
            pruned.stdout.contains("freed") || pruned.stdout.contains("removed"),
            "{}",
            pruned.stdout
        );
        self.run(&["unlock"]).ended(0);
        self.run(&["prune"]).ended(0);
        self.assert_whole();
        self.run(&["repair", "index"]).ended(0);
        assert!(self.restic(&["list", "locks"]).trim().is_empty());
    }
}

/// A program that runs.
struct Running(Option<std::process::Child>);

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn interrupt(&self) {
        let pid = self.0.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGINT).unwrap();
    }

    fn is_over(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    fn end(mut self) -> Run {
        Run::from(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
