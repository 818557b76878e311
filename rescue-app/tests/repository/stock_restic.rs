//! Stock restic as the judge of our repositories.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{stdout_of, tool};
use lifeboat::repository::PUBLIC_PASSPHRASE;
use tempfile::TempDir;

/// A repository's folder and restic's way to it.
pub struct Restic {
    /// The repository.
    pub folder: PathBuf,
    /// Where everything lies; removed at the end.
    pub dir: TempDir,
}

impl Restic {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { folder: dir.path().join("images"), dir }
    }

    pub fn repo(&self) -> PathBuf {
        self.folder.clone()
    }

    /// A path beside the repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of the repository in a scratch folder of its own.
    pub fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("repo");
        tool("cp", &[Path::new("-a"), &self.repo(), &folder]);
        Self { folder, dir }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = common::command("restic");
        command
            .arg("--repo")
            .arg(self.repo())
            .args(["--no-cache", "--quiet"])
            .args(args)
            .env("RESTIC_PASSWORD", PUBLIC_PASSPHRASE)
            .env("GOMAXPROCS", "2")
            .current_dir(self.dir.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("restic must be installed")
    }

    /// Runs restic, which must succeed, and returns what it prints.
    pub fn ok(&self, args: &[&str]) -> String {
        stdout_of(&mut self.command(args))
    }

    /// `check --read-data` without any complaint, not even a harmless one.
    pub fn check(&self) {
        let output = self.command(&["check", "--read-data"]).output().unwrap();
        let complaints = text(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "restic check:\n{complaints}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All files below a folder, by path.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
