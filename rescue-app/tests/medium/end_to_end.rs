//! From power-on to a restored disk that boots, as a person goes: the medium starts in a virtual
//! machine, the menu is driven over the serial line, QEMU counts what was written, stock restic
//! has the last word on the content, and the restored disk starts in BIOS and UEFI.

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::tool;

use super::built;
use super::qemu::{BOOT, Firmware, Machine, REACTION, Running, key};
use tempfile::TempDir;

/// The longest that capturing or restoring a quarter of a GiB may take under emulation.
pub(super) const WORK: Duration = Duration::from_secs(900);

const PASSPHRASE: &str = "open sesame";

/// Serial numbers of the three disks.
pub(super) const SOURCE: &str = "SRC-DEBIAN";
pub(super) const IMAGES: &str = "IMG-STORE";
pub(super) const TARGET: &str = "TARGET-4711";

/// Where the filesystem of the disk for images begins, bytes.
const IMAGES_START: u64 = 1 << 20;

pub(super) struct Disks {
    folder: TempDir,
}

impl Disks {
    /// The source as it is made at that path, a disk with an empty filesystem, and a blank one.
    pub(super) fn make(source: impl FnOnce(&str)) -> Self {
        let disks = Self { folder: tempfile::tempdir().unwrap() };
        let images = disks.path(IMAGES);
        source(disks.path(SOURCE).to_str().unwrap());
        let source = disks.path(SOURCE);
        let size = std::fs::metadata(&source).unwrap().len();
        std::fs::File::create(disks.path(TARGET)).unwrap().set_len(size).unwrap();
        std::fs::File::create(&images).unwrap().set_len(1 << 30).unwrap();
        let images = images.to_str().unwrap();
        tool("sgdisk", &["-n1:2048:0", "-t1:8300", images]);
        let offset = format!("offset={IMAGES_START}");
        tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "images", "-E", &offset, images, "1000M"]);
        disks
    }

    pub(super) fn path(&self, serial: &str) -> PathBuf {
        self.folder.path().join(serial)
    }
}

/// Moves down until the line with that text is the chosen one.
pub(super) fn choose(machine: &Running, text: &str) {
    machine.wait_for(text, REACTION);
    for _ in 0..20 {
        let chosen =
            |screen: &str| screen.lines().any(|line| line.contains('►') && line.contains(text));
        if chosen(&machine.screen()) {
            return;
        }
        machine.send(key::DOWN);
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("{text:?} cannot be chosen:\n{}", machine.screen());
}

fn enter(machine: &Running) {
    machine.send(key::ENTER);
}

/// Types into a field and goes on to the next.
fn fill(machine: &Running, text: &str) {
    machine.send(text);
    enter(machine);
}

/// Stores the source in a new repository on the disk for images.
pub(super) fn capture(machine: &Running) {
    machine.wait_for("Main menu", BOOT);
    machine.send("c");
    choose(machine, SOURCE);
    enter(machine);
    machine.wait_for("choose partitions", REACTION);
    machine.wait_for("Space Tick", REACTION);
    enter(machine);
    machine.wait_for("images on vd", REACTION);
    choose(machine, "New repository here");
    enter(machine);
    machine.wait_for("Once more", REACTION);
    enter(machine);
    choose(machine, "With a passphrase");
    enter(machine);
    fill(machine, PASSPHRASE);
    fill(machine, PASSPHRASE);
    enter(machine);
    machine.wait_for("choose the compression", REACTION);
    machine.send("f");
    machine.wait_for("To be read", WORK);
    machine.wait_for("lifeboat capture", REACTION);
    machine.wait_for("Enter Start ", REACTION);
    enter(machine);
    machine.wait_for("what was stored has been checked", WORK);
    machine.send("k");
    machine.wait_for("Kept", REACTION);
    enter(machine);
    machine.wait_for("Main menu", REACTION);
}

/// From the main menu, by the letter of an entry, to the images in that repository.
fn open_repository(machine: &Running, entry: &str) {
    machine.send(entry);
    machine.wait_for("where the images are", REACTION);
    choose(machine, "lifeboat  ");
    enter(machine);
    machine.wait_for("protected by a passphrase", REACTION);
    fill(machine, PASSPHRASE);
}

/// Restores that image to the blank disk.
pub(super) fn restore(machine: &Running) {
    open_repository(machine, "r");
    machine.wait_for("choose the image", REACTION);
    machine.wait_for("D Details", REACTION);
    enter(machine);
    machine.wait_for("choose the disk to overwrite", REACTION);
    machine.wait_for(TARGET, REACTION);
    assert!(
        machine.screen().contains("Not possible: the images are on it"),
        "{}",
        machine.screen()
    );
    choose(machine, TARGET);
    enter(machine);
    machine.wait_for("Enter Continue", REACTION);
    enter(machine);
    machine.wait_for("Afterwards", REACTION);
    machine.wait_for("Enter Continue", REACTION);
    enter(machine);
    machine.wait_for("type the last 4 characters", REACTION);
    fill(machine, "0000");
    machine.wait_for("type the last 4 characters", REACTION);
    machine.send(&"\x7f".repeat(4));
    fill(machine, "4711");
    machine.wait_for("Every byte was read back and matches the image", WORK);
    enter(machine);
    machine.wait_for("Main menu", REACTION);
}

/// Copies one file out of the image, onto the disk that the image is on.
fn copy_a_file(machine: &Running) {
    open_repository(machine, "i");
    machine.wait_for("Free space", REACTION);
    enter(machine);
    machine.wait_for("B Browse", REACTION);
    machine.send("b");
    choose(machine, "3-debian");
    enter(machine);
    choose(machine, "etc/");
    enter(machine);
    machine.wait_for("[ ] debian_version", REACTION);
    machine.send("f");
    fill(machine, "debian_version");
    machine.wait_for("etc/debian_version", REACTION);
    machine.send(" c");
    choose(machine, "images on vd");
    enter(machine);
    machine.wait_for("The files are copied", WORK);
    enter(machine);
    machine.wait_for("Main menu", REACTION);
}

/// The copied file is as the kernel reads it on the restored disk.
fn judge_the_copy(mount: &str, target: &Path) {
    let table = tool("sfdisk", &["-J", target.to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let root = partitions.iter().max_by_key(|it| it["size"].as_u64()).unwrap();
    let offset = root["start"].as_u64().unwrap() * 512;
    let original = format!("{}?offset={offset}", target.display());
    let original = tool("debugfs", &["-R", "cat /etc/debian_version", &original]);
    let copy = tool("sh", &["-c", &format!("cat {mount}/files-of-*/debian_version")]);
    assert!(!copy.is_empty() && copy == original, "{copy} and not {original}");
}

/// Stock restic restores from the disk for images; what it gives must be the target's content.
fn judge_by_restic(disks: &Disks) {
    let mount = disks.path("mnt");
    std::fs::create_dir(&mount).unwrap();
    let (mount, images) = (mount.to_str().unwrap(), disks.path(IMAGES));
    let options = format!("loop,ro,noload,offset={IMAGES_START}");
    tool("mount", &["-o", &options, images.to_str().unwrap(), mount]);
    let judged = std::panic::catch_unwind(|| {
        let repo = format!("{mount}/lifeboat");
        let restic = |args: &[&str]| {
            common::restic(repo.as_ref(), PASSPHRASE, &[&["--no-lock"], args].concat())
        };
        assert!(restic(&["check", "--read-data"]).contains("no errors were found"));
        let logs = tool("sh", &["-c", &format!("cat {repo}/logs/*.log")]);
        assert!(logs.contains("capture of") && logs.ends_with("done\n"), "{logs}");
        let to = disks.path("restic");
        restic(&["restore", "latest", "--target", to.to_str().unwrap()]);
        let find = format!("find {} -name disk.img", to.display());
        let disk = tool("sh", &["-c", &find]);
        let target = disks.path(TARGET);
        tool("cmp", &[disk.trim(), target.to_str().unwrap()]);
        judge_the_copy(mount, &target);
    });
    tool("umount", &[mount]);
    judged.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

pub(super) fn starts_to_login(target: &Path, firmware: Firmware) {
    let machine = Machine::new(firmware).disk(target, "RESTORED").start();
    machine.wait_for("login:", BOOT);
}

#[test]
fn a_captured_and_restored_debian_boots() {
    // Debian and NTFS.
    let debian = built("test-debian.img");
    let copy = |to: &str| _ = tool("cp", &["--sparse=always", debian.to_str().unwrap(), to]);
    let disks = Disks::make(copy);
    let mut machine = Machine::new(Firmware::SecureBoot)
        .processors(2)
        .usb_stick(&built("lifeboat.iso"))
        .disk(&disks.path(SOURCE), SOURCE)
        .disk(&disks.path(IMAGES), IMAGES)
        .disk(&disks.path(TARGET), TARGET)
        .start();
    capture(&machine);
    assert_eq!(machine.monitor.written(TARGET).operations, 0);
    restore(&machine);
    copy_a_file(&machine);
    assert_eq!(machine.monitor.written(SOURCE).operations, 0, "the source was written");
    assert!(machine.monitor.written(TARGET).bytes > 100 << 20);
    machine.send("p");
    machine.wait_for("Y ", REACTION);
    machine.send("y");
    machine.wait_for_end(REACTION);

    judge_by_restic(&disks);
    starts_to_login(&disks.path(TARGET), Firmware::Bios);
    starts_to_login(&disks.path(TARGET), Firmware::Uefi);
}
