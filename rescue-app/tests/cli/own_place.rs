//! A repository is not overwritten by a restore out of it, nor led elsewhere, by whatever name.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Loop, noise, succeeds, tool};

use crate::support::{Bench, MIB, same};

fn blank(path: &Path, size: u64) {
    File::create(path).unwrap().set_len(size).unwrap();
}

/// A restore of the newest image is refused, because of `why`.
#[track_caller]
fn refused(bench: &Bench, disk: &str, erase: &str, why: &str) {
    let run = bench.run(&["restore", "latest", disk, "--erase", erase]).ended(4);
    assert!(run.stderr.contains(why), "{disk}: {}", run.stderr);
    let run = bench.run(&["restore", "latest", disk, "--plan"]).ended(4);
    assert!(run.stderr.contains(why), "{disk}: {}", run.stderr);
}

/// A folder that another one is shown in.
struct Bind(String);

impl Bind {
    fn of(bench: &Bench, folder: &str, at: &str) -> Self {
        fs::create_dir(bench.path(at)).unwrap();
        tool("mount", &["--bind", &bench.arg(folder), &bench.arg(at)]);
        Self(bench.arg(at))
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = succeeds("umount", &[&self.0]);
    }
}

#[test]
fn nothing_is_restored_into_the_folder_of_the_images() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(3, 8 << 20)).unwrap();
    bench.capture("disk");
    symlink(bench.path("repo"), bench.path("link")).unwrap();
    let _whole = Bind::of(&bench, "repo", "bound");
    let _packs = Bind::of(&bench, "repo/data", "packs");
    let why = "is in the folder of the repository";
    for name in ["repo/new", "repo/data/00/new", "link/new", "bound/new", "packs/new", "packs/00/x"]
    {
        refused(&bench, &bench.arg(name), &bench.arg(name), why);
        assert!(!bench.path(name).exists());
    }
    let inside = bench.arg("repo/disk.img");
    blank(&bench.path("repo/disk.img"), 8 * MIB);
    refused(&bench, &inside, &inside, why);
    let device = Loop::new(&inside);
    refused(&bench, device.name(), &inside, why);
    drop(device);
    // A file of the repository under a name elsewhere.
    let folders = fs::read_dir(bench.path("repo/data")).unwrap();
    let mut packs = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let pack = packs.next().unwrap().unwrap().path();
    fs::hard_link(&pack, bench.path("pack.img")).unwrap();
    let sound = fs::read(&pack).unwrap();
    refused(&bench, &bench.arg("pack.img"), &bench.arg("pack.img"), why);
    assert!(fs::read(&pack).unwrap() == sound);
    bench.restore("beside", &[]);
}

#[test]
fn the_disk_below_the_repository_is_not_overwritten_by_any_of_its_names() {
    let bench = Bench::empty();
    fs::write(bench.path("disk"), noise(3, 8 << 20)).unwrap();
    blank(&bench.path("store"), 64 * MIB);
    let file = bench.arg("store");
    tool("mke2fs", &["-q", "-F", "-t", "ext4", &file]);
    let device = Loop::new(&file);
    let second = Loop::new(&file);
    let above = Loop::new(device.path());
    fs::create_dir(bench.path("mnt")).unwrap();
    tool("mount", &[device.name(), &bench.arg("mnt")]);
    let repo = bench.arg("mnt/deep/repo");
    fs::create_dir(bench.path("mnt/deep")).unwrap();
    bench.run(&["init", "--no-passphrase", "--repo", &repo]).ended(0);
    bench.run(&["capture", &bench.arg("disk"), "--repo", &repo]).ended(0);
    fs::hard_link(bench.path("store"), bench.path("same")).unwrap();
    let same_file = bench.arg("same");
    for (disk, erase) in [
        (device.name(), file.as_str()),
        (second.name(), &file),
        (above.name(), device.name()),
        (&file, &file),
        (&same_file, &same_file),
    ] {
        let args = ["restore", "latest", disk, "--erase", erase, "--repo", &repo];
        let run = bench.run(&args).ended(4);
        assert!(run.stderr.contains("holds the repository"), "{disk}: {}", run.stderr);
        let run = bench.run(&["capture", disk, "--repo", &repo]).ended(4);
        assert!(run.stderr.contains("the repository"), "{disk}: {}", run.stderr);
    }
    // Another disk beside it on the same filesystem is none of its layers.
    let beside = bench.arg("mnt/beside");
    bench.run(&["restore", "latest", &beside, "--erase", &beside, "--repo", &repo]).ended(0);
    assert!(same(&bench.path("disk"), &bench.path("mnt/beside")));
    drop(above);
}

#[test]
fn folders_of_the_repository_that_lead_elsewhere_are_refused() {
    for folder in ["data", "index", "snapshots", "keys", "locks", "data/5f"] {
        let bench = Bench::new();
        fs::write(bench.path("disk"), noise(3, 2 << 20)).unwrap();
        bench.capture("disk");
        let (inside, elsewhere) = (bench.path("repo").join(folder), bench.path("elsewhere"));
        fs::rename(&inside, &elsewhere).unwrap();
        symlink(&elsewhere, &inside).unwrap();
        let disk = bench.arg("disk");
        for args in [&["images"][..], &["prune"], &["capture", &disk], &["verify"], &["check"]] {
            let run = bench.run(args).ended(4);
            assert!(run.stderr.contains("is a link"), "{folder}: {}", run.stderr);
        }
        fs::remove_file(&inside).unwrap();
        fs::rename(&elsewhere, &inside).unwrap();
        // The repository itself may be reached through a link.
        symlink(bench.path("repo"), bench.path("link")).unwrap();
        bench.run(&["verify", "--repo", &bench.arg("link")]).ended(0);
    }
}

/// Something that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_disk_mounted_in_another_namespace_is_captured_on_request_only() {
    let bench = Bench::new();
    blank(&bench.path("disk"), 32 * MIB);
    tool("mke2fs", &["-q", "-F", "-t", "ext4", &bench.arg("disk")]);
    let device = Loop::new(bench.path("disk"));
    fs::create_dir(bench.path("mnt")).unwrap();
    let script =
        format!("mount {} {} && echo up && exec sleep 600", device.name(), bench.arg("mnt"));
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", &script]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
    let elsewhere = Running(child);
    let run = bench.run(&["capture", device.name()]).ended(4);
    assert!(run.stderr.contains("another mount namespace"), "{}", run.stderr);
    assert!(run.stderr.contains("--in-use"), "{}", run.stderr);
    let report = bench.run(&["capture", device.name(), "--in-use", "--json"]).ended(0).result();
    assert!(report["warnings"].to_string().contains("as after a power cut"), "{report}");
    let target = bench.arg("disk");
    refused(&bench, device.name(), &target, "another mount namespace");
    drop(elsewhere);
    bench.run(&["capture", device.name()]).ended(0);
}
