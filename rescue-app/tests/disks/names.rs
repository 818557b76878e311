//! What was agreed to and is another disk by now, and who uses a disk under whichever name, by real
//! loop devices.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::tool;
use lifeboat::bytes::ReadAt;
use lifeboat::disk::{
    self, Agreement, Disk, DiskError, Source, Target, Use, create_image_file, mount,
};
use tempfile::TempDir;

use crate::devices::{Loop, MIB, agree, open_target};

#[test]
fn image_file_behind_a_loop_device_is_in_use() {
    let device = Loop::new(&[]);
    let disk = disk::open(&device.file(), None).unwrap();
    let real = device.file().canonicalize().unwrap();
    assert_eq!(disk.uses, [Use::Holder { device: real, holder: device.device.clone() }]);
    let refused = open_target(&disk).unwrap_err().to_string();
    assert!(refused.contains(device.name()), "{refused}");
}

/// What is attached as this loop device instead, to be told by nothing but the kernel's count: as long
/// and as empty as the file before.
fn swapped(device: &Loop) -> Disk {
    let other = device.dir.path().join("other.img");
    create_image_file(&other, 8 * MIB).unwrap();
    // The same name, so that not even that differs.
    tool("losetup", &["-d", device.name()]);
    fs::rename(&other, device.file()).unwrap();
    tool("losetup", &[device.name(), device.file().to_str().unwrap()]);
    device.disk()
}

#[test]
fn another_medium_in_the_same_device_is_not_what_was_agreed_to() {
    let device = Loop::numbered(9011);
    let disk = device.disk();
    let agreed = agree(&disk).unwrap();
    let now = swapped(&device);
    assert_eq!((&now.serial, now.size, &now.path), (&disk.serial, disk.size, &disk.path));
    let refused = Target::open(&disk, &agreed).unwrap_err();
    assert!(refused.is_refusal());
    let told = refused.to_string();
    assert_eq!(told.matches("medium number").count(), 2, "both are described: {told}");
    assert!(fs::read(device.file()).unwrap().iter().all(|byte| *byte == 0));
    open_target(&now).unwrap();
}

#[test]
fn other_bytes_than_at_the_agreement_are_refused() {
    for at in [0, 440, 8 * MIB - 512] {
        let device = Loop::new(&[]);
        let disk = device.disk();
        let agreed = agree(&disk).unwrap();
        open_target(&disk).unwrap().write_at(at, b"somebody's").unwrap();
        let told = Target::open(&disk, &agreed).unwrap_err().to_string();
        assert!(told.contains("checksum"), "{told}");
        Target::open(&disk, &agreed.after_writing()).unwrap();
    }
}

#[test]
fn another_file_under_the_same_path_is_refused() {
    let dir = TempDir::new().unwrap();
    let (path, other) = (dir.path().join("disk.img"), dir.path().join("other.img"));
    create_image_file(&path, MIB).unwrap();
    create_image_file(&other, MIB).unwrap();
    let disk = disk::open(&path, None).unwrap();
    let agreed = agree(&disk).unwrap();
    fs::rename(&other, &path).unwrap();
    let told = Target::open(&disk, &agreed).unwrap_err().to_string();
    assert!(told.contains("inode"), "{told}");
    // Nothing was there, and now something is; and the other way round.
    let new = Agreement::to_make(&path, MIB);
    let refused = Target::open(&disk, &new).unwrap_err();
    assert!(refused.is_refusal(), "{refused}");
    assert!(refused.to_string().contains("was a new file of 1048576 bytes"), "{refused}");
    let agreed = agree(&disk::open(&path, None).unwrap()).unwrap();
    fs::remove_file(&path).unwrap();
    let refused = Target::open(&disk, &agreed).unwrap_err();
    assert!(refused.is_refusal() && !path.exists(), "{refused}");
    assert!(refused.to_string().contains("is now a new file"), "{refused}");
    assert_eq!(Target::open(&disk, &new).unwrap().size(), MIB);
}

/// Runs `script` where mounts are nobody else's, and keeps it waiting there until it is dropped.
struct Elsewhere(Child);

impl Elsewhere {
    fn new(script: &str) -> Self {
        let script = format!("{script} && echo ready && exec sleep 600");
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        Self(child)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_disk_mounted_out_of_sight_is_in_use() {
    let device = Loop::new(&[]);
    tool("mkfs.ext4", &["-q", device.name()]);
    let dir = device.dir.path().join("m");
    fs::create_dir(&dir).unwrap();
    let elsewhere = Elsewhere::new(&format!("mount {} {}", device.name(), dir.display()));
    let disk = device.disk();
    assert!(matches!(&disk.uses[..], [Use::Claimed { .. }]), "{:?}", disk.uses);
    let told = disk.uses[0].to_string();
    assert!(told.contains("another mount namespace") && told.contains("(process "), "{told}");
    assert!(open_target(&disk).unwrap_err().is_refusal());
    // Even where nothing is seen of it: the kernel knows.
    let claimed = Source::claim(&device.device);
    assert!(matches!(claimed, Err(DiskError::Claimed { .. })), "{claimed:?}");
    drop(elsewhere);
    assert_eq!(device.disk().uses, []);
    Source::claim(&device.device).unwrap();
}

#[test]
fn a_file_is_in_use_under_all_of_its_names() {
    let device = Loop::new(&[]);
    let (link, shown) = (device.dir.path().join("link.img"), device.dir.path().join("shown"));
    fs::hard_link(device.file(), &link).unwrap();
    fs::create_dir(&shown).unwrap();
    let folder = device.dir.path().to_str().unwrap();
    tool("mount", &["--bind", folder, shown.to_str().unwrap()]);
    let through_bind = shown.join("disk.img");
    let uses = |path: &Path| disk::open(path, None).unwrap().uses;
    let (linked, bound) = (uses(&link), uses(&through_bind));
    tool("umount", &[shown.to_str().unwrap()]);
    let held = |path: &Path| {
        vec![Use::Holder { device: path.canonicalize().unwrap(), holder: device.device.clone() }]
    };
    assert_eq!(linked, held(&link));
    assert!(matches!(&bound[..], [Use::Holder { holder, .. }] if *holder == device.device));
    // Renamed and removed: the kernel's path is of no use any more.
    fs::remove_file(device.file()).unwrap();
    assert_eq!(uses(&link), held(&link));
}

#[test]
fn blanks_at_the_end_of_a_name_belong_to_it() {
    let dir = TempDir::new().unwrap();
    for name in ["disk.img ", "disk (deleted)", " disk"] {
        let file = dir.path().join(name);
        create_image_file(&file, MIB).unwrap();
        let device = common::Loop::new(&file);
        let uses = disk::open(&file, None).unwrap().uses;
        assert!(matches!(&uses[..], [Use::Holder { holder, .. }] if *holder == device.path()));
    }
}

#[test]
fn loop_devices_over_the_same_file_and_over_each_other_use_each_other() {
    let first = Loop::new(&[]);
    let attach = |file: &Path| {
        let device = common::Loop::new(file);
        (device.path().to_owned(), device)
    };
    let uses = |path: &Path| disk::open(path, None).unwrap().uses;
    let holders = |path: &Path| -> Vec<PathBuf> {
        let holder = |found| match found {
            Use::Holder { holder, .. } => holder,
            other => panic!("{other}"),
        };
        uses(path).into_iter().map(holder).collect()
    };
    assert_eq!(uses(&first.device), [], "its own file is no use of it");
    let (second, attached) = attach(&first.file());
    let beside = (holders(&first.device), holders(&second));
    drop(attached);
    assert_eq!(beside, (vec![second.clone()], vec![first.device.clone()]));
    let (above, _attached) = attach(&first.device);
    let (below, top) = (holders(&first.device), uses(&above));
    // What is written to the upper one is written to the lower one's file.
    let (third, _also_attached) = attach(&first.file());
    let through = holders(&above);
    assert_eq!((below, top), (vec![above], vec![]));
    assert_eq!(through, [third]);
}

#[test]
fn what_a_filesystem_stands_on_is_found_through_all_layers() {
    let outer = Loop::new(&[]);
    fs::File::options().write(true).open(outer.file()).unwrap().set_len(64 * MIB).unwrap();
    tool("losetup", &["-c", outer.name()]);
    tool("mkfs.ext4", &["-q", outer.name()]);
    let (mounted, merged) = (outer.dir.path().join("m"), outer.dir.path().join("merged"));
    fs::create_dir(&merged).unwrap();
    let guard = mount::mount_read_write(&outer.device, &outer.device, "ext4", &mounted).unwrap();
    for folder in ["lower", "up:per", "work", "sub"] {
        fs::create_dir(mounted.join(folder)).unwrap();
    }
    let at = |name: &str| mounted.join(name).display().to_string();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("up:per"), at("work"));
    let merged_name = merged.to_str().unwrap();
    tool("mount", &["-t", "overlay", "overlay", "-o", &options, merged_name]);
    let disk = outer.disk();
    let file = disk::open(&outer.file(), None).unwrap();
    let stands = [&mounted.join("sub"), &merged].map(|path| (disk.holds(path), file.holds(path)));
    tool("umount", &[merged_name]);
    let beside = (disk.holds(outer.dir.path()), file.holds(outer.dir.path()));
    // A file in it, as a disk of its own.
    let inner_file = mounted.join("inner.img");
    create_image_file(&inner_file, 32 * MIB).unwrap();
    let inner = common::Loop::new(&inner_file);
    tool("mkfs.ext4", &["-q", inner.name()]);
    let inside = outer.dir.path().join("inside");
    let inner_guard = mount::mount_read_write(inner.path(), inner.path(), "ext4", &inside).unwrap();
    let inner_disk = disk::open(inner.path(), None).unwrap();
    let through = (disk.holds(&inside), inner_disk.holds(&inside), inner_disk.holds(&mounted));
    inner_guard.unmount().unwrap();
    drop(inner);
    guard.unmount().unwrap();
    for (disk, file) in stands {
        assert!(disk.unwrap() && file.unwrap(), "the filesystem, and an overlay on it");
    }
    assert!(!beside.0.unwrap() && !beside.1.unwrap(), "the folder of its file is elsewhere");
    assert!(through.0.unwrap() && through.1.unwrap() && !through.2.unwrap());
}

#[test]
fn all_devices_and_subvolumes_of_a_btrfs_are_in_use() {
    let dir = TempDir::new().unwrap();
    let devices = ["a", "b"].map(|name| {
        let file = dir.path().join(name);
        create_image_file(&file, 256 * MIB).unwrap();
        common::Loop::new(&file)
    });
    let mounted = dir.path().join("m");
    fs::create_dir(&mounted).unwrap();
    let folder = mounted.to_str().unwrap();
    tool("mkfs.btrfs", &["-q", "-f", devices[0].name(), devices[1].name()]);
    tool("btrfs", &["device", "scan", devices[0].name(), devices[1].name()]);
    tool("mount", &["-t", "btrfs", devices[0].name(), folder]);
    let sub = mounted.join("sub");
    tool("btrfs", &["-q", "subvolume", "create", sub.to_str().unwrap()]);
    let found: Vec<_> = devices
        .iter()
        .map(|device| {
            let disk = disk::open(device.path(), None).unwrap();
            let open = open_target(&disk).map(drop);
            (disk.uses.clone(), disk.holds(&sub), open)
        })
        .collect();
    tool("umount", &[folder]);
    tool("btrfs", &["device", "scan", "--forget"]);
    for (uses, holds, open) in found {
        assert!(uses.iter().any(|found| found.to_string().contains("is mounted at")), "{uses:?}");
        assert!(holds.unwrap() && open.unwrap_err().is_refusal());
    }
}
