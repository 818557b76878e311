//! Looking for images on the disks of a machine.

use std::fs;

use common::tool;

use crate::qemu::{BOOT, Firmware, Machine, REACTION, Running, key};
use crate::{empty_disk, iso};

/// A folder that looks like a repository, at the root of another.
fn content(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join(name);
    for part in ["data", "index", "keys", "snapshots"] {
        fs::create_dir_all(repository.join(part)).unwrap();
    }
    fs::write(repository.join("config"), "x").unwrap();
    folder
}

/// Nothing that our readers know is mounted before a repository is opened: the kernel does not even
/// load what it would mount with. (Of the medium's own ISO 9660 there is no reader.)
#[test]
fn looking_for_images_mounts_nothing() {
    let (ext4, fat) = (empty_disk(64), empty_disk(64));
    let folder = content("images-on-ext4");
    let (from, to) = (folder.path().to_str().unwrap(), ext4.path().to_str().unwrap());
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", from, to]);
    let folder = content("images-on-fat");
    let from = folder.path().join("images-on-fat");
    let (from, to) = (from.to_str().unwrap(), fat.path().to_str().unwrap());
    tool("mkfs.fat", &["-F", "32", "-s", "1", to]);
    tool("mcopy", &["-s", "-i", to, from, "::"]);
    let machine = Machine::new(Firmware::Bios)
        .cd(&iso())
        .disk(ext4.path(), "EXT4")
        .disk(fat.path(), "FAT")
        .start();
    machine.wait_for("Main menu", BOOT);
    machine.send("r");
    machine.wait_for("images-on-ext4", REACTION);
    machine.wait_for("images-on-fat", REACTION);
    machine.send(key::ESCAPE);
    machine.wait_for("Main menu", REACTION);
    machine.send("s");
    machine.wait_for("return to the menu", REACTION);
    let told = machine.shell("find /run/lifeboat; cut -d' ' -f1 /proc/modules; cat /proc/mounts");
    for name in ["ext4", "vfat", "vda", "vdb"] {
        assert!(!told.contains(name), "{name}: {told}");
    }
    a_partition_that_nobody_mounted(&machine);
    drop(machine);
    let made = tool("debugfs", &["-R", "stat \"/new images/config\"", to_str(&ext4)]);
    assert!(made.contains("Type: regular"), "{made}");
}

/// It is mounted for a command and no longer, and protected again afterwards.
fn a_partition_that_nobody_mounted(machine: &Running) {
    let repo = "--repo 'partition:/dev/vda:/new images'";
    let told =
        machine.shell(&format!("lifeboat init --no-passphrase {repo}; lifeboat images {repo}"));
    assert!(told.contains("no images in partition:/dev/vda:/new images"), "{told}");
    let told = machine.shell("cat /proc/mounts; echo protected: $(cat /sys/block/vda/ro)");
    assert!(!told.contains("/dev/vda") && told.contains("protected: 1"), "{told}");
    let told = machine.shell("lifeboat images --repo partition:/dev/vdc:/x; echo $?");
    assert!(told.contains("/dev/vdc") && told.contains("lifeboat disks"), "{told}");
}

fn to_str(disk: &tempfile::NamedTempFile) -> &str {
    disk.path().to_str().unwrap()
}
