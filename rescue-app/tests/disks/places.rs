//! Looking for repositories on disks of which this machine's kernel knows only some.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::tool;
use lifeboat::operation::{
    Cancel, Control, FoundRepository, OperationError, Place, find_places, survey_disk,
};
use tempfile::TempDir;

use crate::devices::{Loop, MIB};

/// Repositories and what is none, as the rescue medium has to tell them apart.
fn fill(root: &Path) {
    for folder in ["images", "by date/2026", "too/deep/for/it"] {
        let folder = root.join(folder);
        for name in ["data", "index", "keys", "snapshots"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("config"), "x").unwrap();
        fs::write(folder.join("snapshots/1111"), "x").unwrap();
        fs::write(folder.join("snapshots/2222"), "x").unwrap();
    }
    // A folder instead of the file, and a folder that is missing.
    for name in ["config", "data", "index", "keys", "snapshots"] {
        fs::create_dir_all(root.join("folders").join(name)).unwrap();
    }
    fs::create_dir_all(root.join("half/data")).unwrap();
    fs::write(root.join("half/config"), "x").unwrap();
    fs::write(root.join("lifeboat.txt"), "x").unwrap();
}

fn expected() -> Vec<FoundRepository> {
    let found = |folder: &str| FoundRepository { folder: folder.into(), snapshots: Some(2) };
    vec![found("by date/2026"), found("images")]
}

struct Bench {
    disk: Loop,
}

impl Bench {
    /// A disk without a table, made by a shell script of the image `$I` and the folder `$C`.
    fn new(mebibytes: u64, script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (image, content) = (dir.path().join("disk.img"), dir.path().join("content"));
        File::create(&image).unwrap().set_len(mebibytes * MIB).unwrap();
        fill(&content);
        let prologue = format!("set -e; I='{}'; C='{}'; ", image.display(), content.display());
        tool("sh", &["-c", &format!("{prologue}{script}")]);
        let attached = common::Loop::new(&image);
        let bench = Self { disk: Loop { device: attached.path().into(), attached, dir } };
        // What an earlier test has left, whose loop device it was.
        let _ = fs::remove_dir(bench.mountpoint());
        bench
    }

    /// Where it is mounted when the kernel has to be asked; made for the first mount.
    fn mountpoint(&self) -> PathBuf {
        let name = self.disk.device.file_name().unwrap();
        Path::new("/run/lifeboat/places").join(std::process::id().to_string()).join(name)
    }

    fn places(&self, cancel: &Cancel) -> Result<Vec<Place>, OperationError> {
        let survey = survey_disk(&self.disk.device, None).unwrap();
        find_places(&[survey], Control { sink: &|_| {}, cancel, resume: None })
    }

    /// The place that it is, and whether it was mounted.
    fn place(&self) -> (Place, bool) {
        let mut places = self.places(&Cancel::new()).unwrap();
        (places.pop().unwrap(), self.mountpoint().exists())
    }
}

/// `mkntfs` makes nothing but an empty volume: the rest comes through FUSE.
const NTFS: &str = "mkntfs -q -F -f $I >/dev/null 2>&1; mkdir $I.mounted; ntfs-3g $I $I.mounted; \
    cp -r $C/. $I.mounted; umount $I.mounted";

/// Names are the same whatever their case.
const FAT_IN_CAPITALS: &str = "mkfs.fat -F 16 $I; cd $C; mcopy -s -Q -i $I * ::; \
    mmove -i $I ::/images/config ::/other; mmove -i $I ::/other ::/images/CONFIG; \
    mmove -i $I ::/images/keys ::/other; mmove -i $I ::/other ::/images/KEYS";

#[test]
fn repositories_are_found_without_a_mount() {
    for (mebibytes, script) in [
        (64, "mke2fs -q -F -t ext4 -d $C $I"),
        (32, "mke2fs -q -F -t ext2 -b 1024 -O ^filetype -d $C $I"),
        (64, "mkfs.fat -F 32 -s 1 $I; cd $C; mcopy -s -Q -i $I * ::"),
        (16, FAT_IN_CAPITALS),
        (64, NTFS),
        (128, "mkfs.btrfs -q --rootdir $C $I"),
        (128, "mkfs.f2fs -q $I; sload.f2fs -f $C $I"),
    ] {
        let bench = Bench::new(mebibytes, script);
        let (place, was_mounted) = bench.place();
        assert_eq!(place.problem, None, "{script}");
        assert_eq!(place.repositories, expected(), "{script}");
        let free = place.free.unwrap();
        assert!((4 * MIB..mebibytes * MIB).contains(&free), "{script}: {free}");
        assert!(!was_mounted && place.writable, "{script}");
    }
}

#[test]
fn free_space_is_what_the_kernel_says_or_a_little_more() {
    let bench = Bench::new(256, "mke2fs -q -F -t ext4 -m 10 -d $C $I");
    let free = bench.place().0.free.unwrap();
    let folder = TempDir::new().unwrap();
    let folder = folder.path().to_str().unwrap();
    tool("mount", &["-o", "ro,noload", bench.disk.name(), folder]);
    let words = tool("stat", &["-f", "-c", "%a %S %f", folder]);
    tool("umount", &[folder]);
    let numbers: Vec<u64> = words.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let (available, unused) = (numbers[0] * numbers[1], numbers[2] * numbers[1]);
    // The kernel keeps a fiftieth back to write out what it has promised room for.
    assert!((available..available + 6 * MIB).contains(&free), "{free} {words}");
    assert!(free < unused - 20 * MIB, "{free} {words}");
}

#[test]
fn free_space_of_fat_is_what_mtools_count() {
    let bench = Bench::new(64, "mkfs.fat -F 32 -s 1 $I; cd $C; mcopy -s -Q -i $I * ::");
    let said = tool("mdir", &["-i", bench.disk.file().to_str().unwrap(), "::"]);
    let free = said.lines().find_map(|line| line.trim().strip_suffix("bytes free")).unwrap();
    let free: String = free.split_whitespace().collect();
    assert_eq!(bench.place().0.free.unwrap().to_string(), free);
}

#[test]
fn a_place_that_is_a_repository_itself_is_found() {
    let bench = Bench::new(32, "mke2fs -q -F -t ext4 -d $C/images $I");
    let root = FoundRepository { folder: PathBuf::new(), snapshots: Some(2) };
    assert_eq!(bench.place().0.repositories, [root]);
}

#[test]
fn a_doubtful_place_is_mounted() {
    for script in [
        "mke2fs -q -F -t ext4 -O ^metadata_csum -d $C $I; debugfs -w -R 'feature needs_recovery' $I",
        // The kernel finds out where the link leads.
        "mke2fs -q -F -t ext4 -d $C $I; debugfs -w -R 'rmdir images/data' $I; \
         debugfs -w -R 'symlink images/data /keys' $I; debugfs -w -R 'mkdir images/data2' $I",
    ] {
        let bench = Bench::new(32, script);
        let (place, was_mounted) = bench.place();
        assert_eq!(place.problem, None, "{script}");
        assert!(was_mounted && !place.repositories.is_empty(), "{script}: {place:?}");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(bench.disk.name()), "it stays mounted");
    }
}

#[test]
fn what_is_mounted_is_looked_at_there() {
    let bench = Bench::new(32, "mke2fs -q -F -t ext4 -d $C $I");
    let folder = TempDir::new().unwrap();
    tool("mount", &[bench.disk.name(), folder.path().to_str().unwrap()]);
    // Not on the disk yet.
    fs::rename(folder.path().join("images"), folder.path().join("renamed")).unwrap();
    symlink("renamed", folder.path().join("images")).unwrap();
    let (place, was_mounted) = bench.place();
    tool("umount", &[folder.path().to_str().unwrap()]);
    let folders: Vec<_> = place.repositories.iter().map(|found| found.folder.clone()).collect();
    assert_eq!(folders, [PathBuf::from("by date/2026"), PathBuf::from("renamed")]);
    assert_eq!(place.mounted_at.as_deref(), Some(folder.path()));
    assert!(!was_mounted);
}

#[test]
fn the_search_stops_when_it_is_asked_to() {
    let bench = Bench::new(32, "mke2fs -q -F -t ext4 -d $C $I");
    let cancel = Cancel::new();
    cancel.request();
    let stopped = bench.places(&cancel);
    assert!(matches!(stopped, Err(OperationError::Cancelled)), "{stopped:?}");
    assert!(!bench.mountpoint().exists());
}
