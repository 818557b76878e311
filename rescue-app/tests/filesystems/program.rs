//! The program at work on disks in a scratch folder, for what the guest and tools of others made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{restic, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::image::manifest::Manifest;
use tempfile::TempDir;

use crate::tools::{self, Volume};

/// A scratch folder with a repository.
pub struct Bench(TempDir);

impl Bench {
    pub fn new() -> Self {
        let bench = Self(TempDir::new().unwrap());
        bench.run(0, &["init", "--no-passphrase"]);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program, which must end with `code`; what it printed.
    #[track_caller]
    pub fn run(&self, code: i32, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(args).current_dir(self.0.path());
        command.env("LIFEBOAT_REPO", self.path("repo")).env("LIFEBOAT_LOG", self.path("log"));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        text
    }

    /// Restores the newest image to a file.
    pub fn restore(&self, file: &str, more: &[&str]) -> String {
        let args = [&["restore", "latest", file, "--erase", file], more].concat();
        self.run(0, &args)
    }

    /// What the newest image says of its disk, the name of which is `disk`; by restic.
    pub fn manifest(&self, disk: &str) -> Manifest {
        let repo = self.path("repo");
        let file = format!("/{disk}/manifest.json");
        let json = restic(&repo, "lifeboat", &["dump", "latest", &file]);
        Manifest::parse(json.as_bytes()).unwrap()
    }

    /// Bytes of a disk as a file of their own.
    pub fn cut(&self, disk: &str, start: u64, len: u64) -> PathBuf {
        let part = self.path("part");
        let len = usize::try_from(len).unwrap();
        fs::write(&part, Volume::open(&self.path(disk)).read_vec(start, len).unwrap()).unwrap();
        part
    }

    /// Overwrites what the newest image of `disk` leaves out in the file `restored`.
    pub fn scribble(&self, disk: &str, restored: &str) -> Extents {
        let used = self.manifest(disk).used();
        tools::scribble(&self.path(restored), &used, 0x5a);
        used
    }

    /// A folder for guests to share; in it `tree.tar`, with files for their filesystems.
    pub fn shared(&self, seed: u64) -> PathBuf {
        let (shared, tree) = (self.path("shared"), self.path("tree"));
        fs::create_dir(&shared).unwrap();
        tools::make_tree(&tree, seed, 2 << 20);
        let (archive, above) = (shared.join("tree.tar"), tree.parent().unwrap());
        let args = ["-cf", archive.to_str().unwrap(), "-C", above.to_str().unwrap(), "tree"];
        tool("tar", &args);
        shared
    }
}

/// The sums that guests noted of a filesystem's files, before and again, are the same.
#[track_caller]
pub fn same_sums(shared: &Path, name: &str) {
    let [before, after] = ["sums", "again"]
        .map(|kind| fs::read_to_string(shared.join(format!("{name}.{kind}"))).unwrap());
    assert!(before.lines().count() > 5, "{name}: {before}");
    assert!(before == after, "{name}");
}
