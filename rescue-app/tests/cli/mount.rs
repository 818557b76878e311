//! An image shown as files in a folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::thread;
use std::time::Duration;

use common::{Loop, succeeds, tool};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Whence, lseek};

use crate::support::{Bench, EXT4, NTFS, Part, cut, make_gpt_disk, same};

/// The newest image, mounted; it is unmounted when this is dropped.
struct Mounted {
    program: Child,
    said: BufReader<ChildStderr>,
    dir: PathBuf,
}

impl Mounted {
    fn new(bench: &Bench) -> Self {
        Self::with(bench, &[])
    }

    fn with(bench: &Bench, more: &[&str]) -> Self {
        let dir = bench.path("mounted");
        fs::create_dir_all(&dir).unwrap();
        let args = [&["mount", "latest", dir.to_str().unwrap()], more].concat();
        let mut program = bench.command(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(program.stderr.take().unwrap());
        // It says so once it is mounted.
        let mut line = String::new();
        while !line.contains("is shown in") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{:?}", program.wait());
        }
        Self { program, said, dir }
    }

    /// The file whose name starts so.
    fn starting(&self, start: &str) -> PathBuf {
        let names = self.names();
        self.dir.join(names.iter().find(|name| name.starts_with(start)).unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_mounted(&self) -> bool {
        succeeds("mountpoint", &[Path::new("-q"), &self.dir])
    }

    /// Asks the program to end, as Ctrl-C does.
    fn stop(&mut self) -> Option<i32> {
        kill(Pid::from_raw(self.program.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.program.wait().unwrap().code()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = succeeds("umount", &[Path::new("-l"), &self.dir]);
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The disk as an image gives it back: what nothing uses is zero.
fn restored(bench: &Bench) -> PathBuf {
    bench.restore("out", &[]);
    bench.path("out")
}

fn part(bench: &Bench, disk: &Path, part: &Part) -> PathBuf {
    let to = bench.path("part");
    cut(disk, part.start, part.size, &to);
    to
}

#[test]
fn disk_and_partitions_are_those_of_a_restore() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let disk = restored(&bench);
    let mounted = Mounted::new(&bench);
    let names = mounted.names();
    assert_eq!(names.iter().filter(|name| name.ends_with(".img")).count(), 5, "{names:?}");
    assert!(same(&mounted.dir.join("disk.img"), &disk));
    let named = |start: &str| mounted.starting(start);
    assert!(same(&named("3-"), &part(&bench, &disk, &EXT4)));
    assert!(same(&named("4-"), &part(&bench, &disk, &NTFS)));
    tool("e2fsck", &["-f", "-n", named("3-").to_str().unwrap()]);
    let manifest = fs::read_to_string(mounted.dir.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["table"]["partitions"].as_array().unwrap().len(), 4);
    // The kernel's own driver, through a loop device.
    let (device, seen) = (Loop::with(&["-r"], named("3-")), bench.path("seen"));
    fs::create_dir(&seen).unwrap();
    tool("mount", &["-o", "ro,noload", device.path().to_str().unwrap(), seen.to_str().unwrap()]);
    let listed = tool("find", &[seen.to_str().unwrap(), "-type", "f"]);
    tool("umount", &[&seen]);
    assert!(listed.lines().count() > 2, "{listed}");
}

#[test]
fn what_nothing_uses_is_a_hole_and_nothing_can_be_written() {
    let bench = Bench::new();
    File::create(bench.path("disk")).unwrap().set_len(64 << 20).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", bench.path("disk").to_str().unwrap()]);
    bench.capture("disk");
    let mounted = Mounted::new(&bench);
    let path = mounted.dir.join("disk.img");
    let file = File::open(&path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 64 << 20);
    assert!(file.metadata().unwrap().blocks() * 512 < 32 << 20, "most of it is free");
    let hole = lseek(&file, 0, Whence::SeekHole).unwrap();
    let data = lseek(&file, hole, Whence::SeekData).unwrap();
    assert!(hole > 0 && data > hole && data < 64 << 20, "{hole} {data}");
    let mut bytes = vec![1; usize::try_from(data - hole).unwrap()];
    file.read_exact_at(&mut bytes, hole.try_into().unwrap()).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
    assert!(File::options().write(true).open(&path).is_err());
    assert!(File::create(mounted.dir.join("new")).is_err());
}

/// Writes with the filesystem's own tools on a mounted partition.
fn work_on(part: &Path) {
    let name = part.to_str().unwrap();
    tool("tune2fs", &["-L", "changed", name]);
    assert_eq!(tool("e2label", &[name]).trim(), "changed");
    assert!(succeeds("e2fsck", &["-fy", name]));
    // With punched holes, and with zeros where those are refused.
    for discard in ["discard", "nodiscard"] {
        tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "fresh", "-E", discard, name]);
        tool("e2fsck", &["-fn", name]);
    }
    tool("debugfs", &["-w", "-R", "mkdir here", name]);
    tool("e2fsck", &["-fn", name]);
    assert!(tool("debugfs", &["-R", "ls -p /", name]).contains("/here/"));
}

#[test]
fn what_is_written_is_there_until_the_end_and_the_image_stays() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let disk = restored(&bench);
    fs::create_dir(bench.path("changes")).unwrap();
    let mut mounted = Mounted::with(&bench, &["--writable", "--changes", &bench.arg("changes")]);
    let (whole, ext4) = (mounted.dir.join("disk.img"), mounted.starting("3-"));
    work_on(&ext4);
    // The disk shows in its place what was written to the partition.
    assert!(same(&part(&bench, &whole, &EXT4), &ext4));
    let table = tool("sgdisk", &["-p", whole.to_str().unwrap()]);
    assert!(table.contains("GPT") || table.contains("Number"), "{table}");
    // A file may be made shorter, and as long again as it was; what is noted of the image is not written.
    let file = File::options().write(true).read(true).open(&ext4).unwrap();
    assert!(file.set_len(EXT4.size + 1).is_err());
    let mut before = [0; 4096];
    file.read_exact_at(&mut before, 0).unwrap();
    file.set_len(EXT4.size - 1).unwrap();
    assert_eq!(file.metadata().unwrap().len(), EXT4.size - 1);
    file.set_len(EXT4.size).unwrap();
    let mut after = [0; 4096];
    file.read_exact_at(&mut after, 0).unwrap();
    assert_eq!((file.metadata().unwrap().len(), after), (EXT4.size, before));
    drop(file);
    assert!(File::options().write(true).open(mounted.dir.join("manifest.json")).is_err());
    assert!(File::create(mounted.dir.join("new")).is_err());
    // The kernel's own driver writes, through a loop device.
    let (device, seen) = (Loop::with(&[], ext4.clone()), bench.path("seen"));
    fs::create_dir(&seen).unwrap();
    tool("mount", &[device.path(), seen.as_path()]);
    fs::write(seen.join("letter"), "by the kernel").unwrap();
    tool("umount", &[&seen]);
    drop(device);
    assert!(tool("debugfs", &["-R", "cat letter", ext4.to_str().unwrap()]).contains("kernel"));
    assert_eq!(mounted.stop(), Some(0));
    let mut said = String::new();
    mounted.said.read_to_string(&mut said).unwrap();
    assert!(said.contains("are gone"), "{said}");
    assert_eq!(fs::read_dir(bench.path("changes")).unwrap().count(), 0);
    let mounted = Mounted::new(&bench);
    assert!(same(&mounted.dir.join("disk.img"), &disk));
}

#[test]
fn many_read_at_once() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let disk = restored(&bench);
    let mounted = Mounted::new(&bench);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(same(&mounted.dir.join("disk.img"), &disk)));
        }
    });
}

#[test]
fn it_ends_with_a_signal_and_with_umount() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), vec![7; 5 << 20]).unwrap();
    bench.capture("disk");
    let mut mounted = Mounted::new(&bench);
    assert!(mounted.is_mounted());
    assert_eq!(mounted.stop(), Some(0));
    assert!(!mounted.is_mounted());
    let mut mounted = Mounted::new(&bench);
    tool("umount", &[&mounted.dir]);
    assert_eq!(mounted.program.wait().unwrap().code(), Some(0));
    // A file that is open does not keep it.
    let mut mounted = Mounted::new(&bench);
    let open = File::open(mounted.dir.join("disk.img")).unwrap();
    let mut byte = [0];
    open.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!((byte, mounted.stop()), ([7], Some(0)));
    thread::sleep(Duration::from_millis(50));
    assert!(!mounted.is_mounted());
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), vec![7; 1 << 20]).unwrap();
    bench.capture("disk");
    let refused = bench.run(&["mount", "latest", &bench.arg("repo")]).ended(4);
    assert!(refused.stderr.contains("is not empty"), "{}", refused.stderr);
    let refused = bench.run(&["mount", "latest", &bench.arg("nowhere")]).ended(4);
    assert!(refused.stderr.contains("nowhere"), "{}", refused.stderr);
}
