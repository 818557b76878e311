//! A Btrfs that is spread over partitions of a disk, or over disks: the others are read where one
//! does not hold enough to tell what is used.

use std::fs;
use std::path::Path;

use common::{Loop, noise, tool};

use crate::support::{Bench, MIB};

/// Metadata go round in blocks as large as a stripe, so that no device has all of them.
const STRIPED: [&str; 9] = ["-q", "-f", "-K", "-d", "raid0", "-m", "raid0", "-n", "64k"];

/// Bytes of each device.
const DEVICE: u64 = 180 * MIB;

/// Block devices that stand on files, for as long as this lives.
struct Loops(Vec<Loop>);

impl Loops {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// The device of `len` bytes of a file.
    fn add(&mut self, file: &Path, offset: u64, len: u64) {
        let (offset, len) = (offset.to_string(), len.to_string());
        let part = ["--offset", &offset, "--sizelimit", &len];
        self.0.push(Loop::with(&part, file));
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(Loop::name).collect()
    }

    fn make(&self) {
        tool("mkfs.btrfs", &[&STRIPED[..], &self.names()].concat());
    }

    /// Runs `work` on the mounted filesystem.
    fn mounted<T>(&self, bench: &Bench, options: &str, work: impl FnOnce(&Path) -> T) -> T {
        let folder = bench.path("mounted");
        fs::create_dir_all(&folder).unwrap();
        let options = format!("{options},device={},device={}", self.names()[0], self.names()[1]);
        let place = folder.to_str().unwrap();
        tool("mount", &["-t", "btrfs", "-o", &options, self.names()[0], place]);
        let done = work(&folder);
        tool("umount", &[place]);
        done
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for device in self.names() {
            tool("btrfs", &["device", "scan", "--forget", device]);
        }
    }
}

fn fill(folder: &Path) {
    for index in 0..60 {
        let len = usize::try_from(index * 7919).unwrap();
        fs::write(folder.join(format!("file {index}")), noise(index, len)).unwrap();
    }
}

fn judge(bench: &Bench, loops: &Loops) {
    tool("btrfs", &["check", "--readonly", "--check-data-csum", loops.names()[0]]);
    loops.mounted(bench, "ro", |folder| {
        let scrub = tool("btrfs", &["scrub", "start", "-B", "-r", folder.to_str().unwrap()]);
        assert!(scrub.contains("no errors found"), "{scrub}");
        for index in 0..60 {
            let len = usize::try_from(index * 7919).unwrap();
            let content = fs::read(folder.join(format!("file {index}"))).unwrap();
            assert!(content == noise(index, len), "file {index}");
        }
    });
}

#[test]
fn a_btrfs_on_two_partitions_comes_back() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    fs::write(&disk, noise(9, usize::try_from(2 * DEVICE + 2 * MIB).unwrap())).unwrap();
    let second = MIB + DEVICE;
    let sectors = |at: u64| at / 512;
    let first = format!("-n1:{}:{}", sectors(MIB), sectors(second) - 1);
    let other = format!("-n2:{}:{}", sectors(second), sectors(second + DEVICE) - 1);
    tool("sgdisk", &["-Z", disk.to_str().unwrap()]);
    tool("sgdisk", &["-a1", &first, &other, disk.to_str().unwrap()]);
    let attach = |file: &Path| {
        let mut loops = Loops::new();
        loops.add(file, MIB, DEVICE);
        loops.add(file, second, DEVICE);
        loops
    };
    let loops = attach(&disk);
    loops.make();
    loops.mounted(&bench, "noatime", fill);
    drop(loops);

    let run = bench.run(&["capture", &bench.arg("disk"), "--json"]).ended(0);
    assert!(!run.stdout.contains("captured whole"), "{}", run.stdout);
    assert!(run.stdout.contains("one of the 2 devices"), "{}", run.stdout);
    let skipped = run.result()["skipped"].as_u64().unwrap();
    assert!(skipped > 2 * DEVICE - 40 * MIB, "{skipped}");
    // What is left out comes back as something else.
    fs::write(bench.path("out"), noise(10, usize::try_from(2 * DEVICE + 2 * MIB).unwrap()))
        .unwrap();
    bench.restore("out", &[]);
    judge(&bench, &attach(&bench.path("out")));
}

#[test]
fn a_btrfs_on_two_disks_is_read_from_both() {
    let bench = Bench::new();
    let mut loops = Loops::new();
    for name in ["one", "two"] {
        fs::write(bench.path(name), noise(11, usize::try_from(DEVICE).unwrap())).unwrap();
        loops.add(&bench.path(name), 0, DEVICE);
    }
    loops.make();
    // While it is mounted each of its disks is in use, though a mount names only one.
    loops.mounted(&bench, "noatime", |folder| {
        fill(folder);
        for device in loops.names() {
            let refused = bench.run(&["capture", device]).ended(4);
            assert!(refused.stderr.contains("is mounted at"), "{}", refused.stderr);
        }
    });
    for device in loops.names() {
        let run = bench.run(&["capture", device, "--json"]).ended(0);
        assert!(!run.stdout.contains("captured whole"), "{}", run.stdout);
        let skipped = run.result()["skipped"].as_u64().unwrap();
        assert!(skipped > DEVICE - 20 * MIB, "{skipped}");
    }
    drop(loops);
    // An image file may be of any time and place: it is left to itself. The tree of extents begins
    // on one device, so that the other cannot be told what is used.
    let whole = |name: &&&str| {
        let run = bench.run(&["capture", &bench.arg(name), "--json"]).ended(0);
        run.stdout.contains("captured whole") && run.stdout.contains("was not found")
    };
    assert!(["one", "two"].iter().filter(whole).count() > 0);
}
