//! Running the program and the tools that judge it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{noise, succeeds, tool};
use tempfile::TempDir;

/// 1 MiB.
pub const MIB: u64 = 1 << 20;

/// A scratch folder with a repository in it.
pub struct Bench {
    pub dir: TempDir,
}

/// What a run of the program left.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Of a command that has ended.
    pub fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The run, which must have ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "out: {}\nerr: {}", self.stdout, self.stderr);
        self
    }

    /// The `result` event of a run with `--json`.
    pub fn result(&self) -> serde_json::Value {
        let last = self.stdout.lines().last().unwrap();
        let event: serde_json::Value = serde_json::from_str(last).unwrap();
        assert_eq!(event["event"], "result", "{last}");
        event["result"].clone()
    }
}

impl Bench {
    /// A scratch folder without a repository.
    pub fn empty() -> Self {
        Self { dir: tempfile::Builder::new().prefix("lifeboat-test-").tempdir().unwrap() }
    }

    /// A scratch folder with an empty repository without a passphrase.
    pub fn new() -> Self {
        let bench = Self::empty();
        bench.run(&["init", "--no-passphrase"]).ended(0);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The program with this repository, nothing run yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(args)
            .env("LIFEBOAT_REPO", self.path("repo"))
            .env("LIFEBOAT_LOG", self.path("log"))
            // The firmware of the computer that runs the tests is none of theirs.
            .env("LIFEBOAT_EFIVARS", self.path("no-firmware"))
            .env_remove("LIFEBOAT_PASSPHRASE")
            .stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::from(self.command(args).output().unwrap())
    }

    /// Captures `disk` and returns the report.
    pub fn capture(&self, disk: &str) -> serde_json::Value {
        self.run(&["capture", &self.arg(disk), "--json"]).ended(0).result()
    }

    /// Restores the newest image to the file `disk` and returns the report.
    pub fn restore(&self, disk: &str, more: &[&str]) -> serde_json::Value {
        let path = self.arg(disk);
        let mut args = vec!["restore", "latest", &path, "--erase", &path, "--json"];
        args.extend(more);
        self.run(&args).ended(0).result()
    }

    /// Runs stock restic on the repository; it must succeed.
    pub fn restic(&self, args: &[&str]) -> String {
        common::restic(&self.path("repo"), "lifeboat", args)
    }
}

/// Whether two files hold the same bytes, by `cmp`.
pub fn same(a: &Path, b: &Path) -> bool {
    succeeds("cmp", &[Path::new("-s"), a, b])
}

/// Puts the bytes of a file into another at an offset, without holes.
pub fn put(disk: &Path, offset: u64, part: &Path) {
    let bytes = fs::read(part).unwrap();
    let disk = File::options().write(true).open(disk).unwrap();
    disk.write_all_at(&bytes, offset).unwrap();
}

/// Bytes `offset..offset + len` of a file as a file of their own.
pub fn cut(disk: &Path, offset: u64, len: u64, to: &Path) {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    File::open(disk).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    fs::write(to, bytes).unwrap();
}

/// A partition of the test disk.
pub struct Part {
    pub start: u64,
    pub size: u64,
}

/// ESP (1), ext4 (3), NTFS (4) and swap (7), with gaps in the numbering.
pub const ESP: Part = Part { start: MIB, size: 36 * MIB };
pub const EXT4: Part = Part { start: 40 * MIB, size: 64 * MIB };
pub const NTFS: Part = Part { start: 104 * MIB, size: 24 * MIB };
pub const SWAP: Part = Part { start: 128 * MIB, size: 16 * MIB };
/// Size of the test disk in bytes.
pub const DISK_SIZE: u64 = 150 * MIB;

/// Makes the GPT test disk with real filesystems and files; what is free in it is scribbled over.
pub fn make_gpt_disk(bench: &Bench, name: &str) -> PathBuf {
    let disk = bench.path(name);
    fs::write(&disk, noise(7, usize::try_from(DISK_SIZE).unwrap())).unwrap();
    let sector = |bytes: u64| bytes / 512;
    // What it finds there is no table, which it complains of.
    let _ = succeeds("sgdisk", &[Path::new("-Z"), &disk]);
    let mut args = vec!["-a".to_owned(), "1".to_owned()];
    for (number, part, kind) in
        [(1, ESP, "ef00"), (3, EXT4, "8300"), (4, NTFS, "0700"), (7, SWAP, "8200")]
    {
        let (first, last) = (sector(part.start), sector(part.start + part.size) - 1);
        args.push(format!("-n{number}:{first}:{last}"));
        args.push(format!("-t{number}:{kind}"));
    }
    args.push(disk.to_str().unwrap().to_owned());
    tool("sgdisk", &args);
    fill(bench, &disk);
    disk
}

fn fill(bench: &Bench, disk: &Path) {
    let files = bench.path("files");
    fs::create_dir_all(&files).unwrap();
    for at in 0..20u64 {
        fs::write(files.join(format!("file-{at}")), noise(at + 100, 200_000)).unwrap();
    }
    let file = |size: u64, name: &str| {
        let path = bench.path(name);
        fs::write(&path, noise(9, usize::try_from(size).unwrap())).unwrap();
        path
    };
    let esp = file(ESP.size, "esp");
    tool("mkfs.fat", &["-F", "32", "-n", "EFI", esp.to_str().unwrap()]);
    let loader = files.join("file-0");
    tool("mcopy", &["-i", esp.to_str().unwrap(), loader.to_str().unwrap(), "::LOADER"]);
    put(disk, ESP.start, &esp);
    let ext4 = file(EXT4.size, "ext4");
    let args = ["-q", "-F", "-t", "ext4", "-L", "root", "-E", "nodiscard", "-d"];
    let mut args = args.to_vec();
    args.extend([files.to_str().unwrap(), ext4.to_str().unwrap()]);
    tool("mke2fs", &args);
    put(disk, EXT4.start, &ext4);
    let ntfs = file(NTFS.size, "ntfs");
    tool("mkntfs", &["-q", "-F", "-f", "-L", "Windows", ntfs.to_str().unwrap()]);
    for at in 0..5 {
        let (from, to) = (files.join(format!("file-{at}")), format!("file-{at}"));
        tool("ntfscp", &[ntfs.to_str().unwrap(), from.to_str().unwrap(), &to]);
    }
    put(disk, NTFS.start, &ntfs);
    let swap = file(SWAP.size, "swap");
    tool("mkswap", &["-L", "swap", swap.to_str().unwrap()]);
    put(disk, SWAP.start, &swap);
}

/// Judges the filesystems of a restored test disk by their own tools.
pub fn judge_gpt_disk(bench: &Bench, disk: &Path) {
    let verdict = tool("sgdisk", &["-v", disk.to_str().unwrap()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let part = bench.path("part");
    let name = part.to_str().unwrap();
    cut(disk, ESP.start, ESP.size, &part);
    tool("fsck.fat", &["-n", name]);
    cut(disk, EXT4.start, EXT4.size, &part);
    tool("e2fsck", &["-fn", name]);
    let dump = bench.path("dump");
    let _ = fs::remove_dir_all(&dump);
    fs::create_dir_all(&dump).unwrap();
    tool("debugfs", &["-R", &format!("rdump / {}", dump.to_str().unwrap()), name]);
    for at in 0..20u64 {
        let stored = fs::read(dump.join(format!("file-{at}"))).unwrap();
        assert!(stored == noise(at + 100, 200_000), "file-{at} differs");
    }
    cut(disk, NTFS.start, NTFS.size, &part);
    tool("ntfsresize", &["--check", "-f", name]);
    tool("ntfsfix", &["-n", name]);
    cut(disk, SWAP.start, SWAP.size, &part);
    let swap = tool("blkid", &["-p", "-o", "value", "-s", "LABEL", name]);
    assert_eq!(swap.trim(), "swap");
}
