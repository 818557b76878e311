//! Disks that fail and disks that are pulled out, on the booted medium.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Random, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::iso;
use super::nbd::{Lie, Served};
use super::qemu::{Firmware, Machine, REACTION, Running};

/// The longest that a small capture or restore may take under emulation.
const WORK: Duration = Duration::from_secs(300);

/// Sizes of the disks in bytes.
const SMALL: u64 = 24 << 20;
const PULLED: u64 = 32 << 20;

/// What the slow disk delivers, bytes a second.
const SLOW: u64 = 3 << 20;

/// An ext4 disk with a file; the sectors of one of the file's blocks.
fn ext4_disk(folder: &Path, disk: &Path) -> Vec<u64> {
    let content = folder.join("content");
    fs::create_dir_all(content.join("home")).unwrap();
    fs::write(content.join("home/letter"), Random::new(1).bytes(200_000)).unwrap();
    fs::File::create(disk).unwrap().set_len(SMALL).unwrap();
    let disk = disk.to_str().unwrap();
    tool("mke2fs", &["-q", "-F", "-b", "4096", "-d", content.to_str().unwrap(), disk]);
    let blocks = tool("debugfs", &["-R", "blocks /home/letter", disk]);
    let block: u64 = blocks.split_whitespace().nth(20).unwrap().parse().unwrap();
    (0..8).map(|sector| block * 8 + sector).collect()
}

/// Runs the program with `--json`; its exit status and last event.
fn lifeboat(machine: &Running, arguments: &str) -> (u32, Value) {
    let command = format!("lifeboat {arguments} --json >/tmp/out");
    let (status, said) = machine.try_shell(&command, WORK);
    let (_, last) = machine.try_shell("tail -n1 /tmp/out", REACTION);
    let event = serde_json::from_str(last.trim());
    (status, event.unwrap_or_else(|error| panic!("{error}: {said}{last}")))
}

fn pulled_out(machine: &mut Running, disk: &Path) {
    machine.monitor.plug_slow_usb_disk(disk, "PULLED", SLOW);
    machine.shell_until("lifeboat disks", |out| out.contains("PULLED"));
    machine.shell(
        "((lifeboat capture /dev/disk/by-id/PULLED --in-memory --json >/tmp/pulled 2>&1; \
         echo $? >/tmp/status) &)",
    );
    // Some of it is stored when the plug is pulled.
    machine.shell_until("grep -c '\"done\":[1-9]' /tmp/pulled", |out| out.trim() != "0");
    machine.monitor.unplug("PULLED");
    let status = machine.shell_until("cat /tmp/status 2>/dev/null", |out| !out.trim().is_empty());
    let said = machine.shell("tail -n1 /tmp/pulled");
    assert_eq!(status.trim(), "1", "{said}");
    assert!(said.contains("the disk disappeared"), "{said}");
    let images = machine.shell("lifeboat images --json");
    assert_eq!(images.matches("\"disk_name\"").count(), 1, "{images}");

    machine.monitor.plug_usb_disk(disk, "AGAIN");
    machine.shell_until("lifeboat disks", |out| out.contains("AGAIN"));
    let (status, report) = lifeboat(machine, "capture /dev/disk/by-id/AGAIN --in-memory");
    assert_eq!(status, 0, "{report}");
    assert!(report["result"]["reused"].as_u64().unwrap() > 0, "{report}");
}

/// Targets of a restore that do not do what they should, and one that does.
struct Targets {
    folder: PathBuf,
    /// A sector of the image that is in use.
    sector: u64,
}

impl Targets {
    /// What they held before, so that it can be seen what became of it.
    const OLD: u8 = 0xa5;
    /// A byte of ext4's group descriptors: it is written at the end, and nothing finds it wrong
    /// until then.
    const HEAD: u64 = 4096 + 9;

    fn new(folder: &Path, sector: u64) -> Self {
        fs::File::create(folder.join("TARGET")).unwrap().set_len(SMALL).unwrap();
        for name in ["BADSPOT", "DEAD", "FLIPS", "KEEPS", "HEAD"] {
            let old = vec![Self::OLD; usize::try_from(SMALL).unwrap()];
            fs::write(folder.join(name), old).unwrap();
        }
        Self { folder: folder.to_owned(), sector }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A byte of the sector.
    fn flipped(&self) -> u64 {
        self.sector * 512 + 77
    }

    fn add_to(&self, machine: Machine) -> Machine {
        let served = |machine: Machine, name: &str, lie| {
            let socket = self.path(&format!("{name}.socket"));
            Served::start(&self.path(name), socket.clone(), lie);
            machine.served_disk(&socket, name)
        };
        let machine = served(machine, "TARGET", None);
        let machine = served(machine, "FLIPS", Some(Lie::Flips(self.flipped())));
        let machine = served(machine, "KEEPS", Some(Lie::Keeps(self.sector)));
        let machine = served(machine, "HEAD", Some(Lie::Flips(Self::HEAD)));
        machine
            .unwritable_disk(&self.path("BADSPOT"), "BADSPOT", Some(self.sector))
            .unwritable_disk(&self.path("DEAD"), "DEAD", None)
    }

    /// What a restore to the disk is told, and the place in it.
    fn refused(machine: &Running, serial: &str, before_place: &str) -> (u64, String) {
        let command = format!("restore latest /dev/disk/by-id/{serial} --erase {serial}");
        let (status, error) = lifeboat(machine, &command);
        let text = error["message"].as_str().unwrap_or_else(|| panic!("{error}")).to_owned();
        assert_eq!(status, 1, "{text}");
        assert!(text.contains(serial), "the disk is not named: {text}");
        let (_, place) = text.split_once(before_place).unwrap_or_else(|| panic!("{text}"));
        let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
        (digits.parse().unwrap(), text)
    }

    /// The image is that of `disk`.
    fn are_found_out(&self, machine: &Running, disk: &[u8]) {
        let (place, text) = Self::refused(machine, "BADSPOT", "writing the target at byte ");
        // The place is that of the write, which is larger than the sector.
        assert!((place..place + (4 << 20)).contains(&(self.sector * 512)), "{text}");
        assert!(text.contains("I/O error"), "{text}");
        let (place, text) = Self::refused(machine, "DEAD", "writing the target at byte ");
        assert!(place == 0 && text.contains("I/O error"), "{text}");

        let mut lies =
            (self.sector * 512..).zip(&disk[usize::try_from(self.sector * 512).unwrap()..]);
        let kept = lies.find(|(_, byte)| **byte != Self::OLD).unwrap().0;
        for (name, at) in [("FLIPS", self.flipped()), ("KEEPS", kept), ("HEAD", Self::HEAD)] {
            let (place, text) = Self::refused(machine, name, "the first at byte ");
            assert_eq!(place, at, "{name}: {text}");
            assert!(text.contains("does not keep what is written to it: do not use it"), "{text}");
        }
        let listed = machine.shell("lifeboat disks");
        assert_eq!(listed.matches("was not finished").count(), 4, "{listed}");
    }

    /// Afterwards, with the machine off: what could be written looks like no disk, and the rest
    /// is as it was.
    fn look_blank(&self) {
        for name in ["BADSPOT", "FLIPS", "KEEPS", "HEAD"] {
            let start = fs::read(self.path(name)).unwrap()[..1 << 20].to_vec();
            assert!(!start.contains(&Self::OLD), "{name}: old bytes are left in front");
            assert_eq!(start[510..512], [0, 0], "{name} looks bootable");
            assert_eq!(start[1024 + 56..][..2], [0, 0], "{name} looks like ext4");
        }
        assert!(fs::read(self.path("DEAD")).unwrap().iter().all(|byte| *byte == Self::OLD));
    }
}

/// Captures the failing SCSI disk, which the kernel waits for shorter than usual meanwhile.
fn captured_with_little_patience(machine: &Running) -> Value {
    // It is the only SCSI disk so far.
    let timeout = machine.shell("echo /sys/block/sd*/device/timeout");
    let timeout = timeout.trim();
    let usual = machine.shell(&format!("cat {timeout}"));
    // Nothing but the shell itself runs in this loop, so that it sees short moments too.
    machine.shell(&format!(
        "((while [ ! -e /tmp/captured ]; do read now <{timeout}; \
         [ $now = \"$was\" ] || echo $now; was=$now; done >/tmp/patience) &)"
    ));
    let (status, report) =
        lifeboat(machine, "capture /dev/disk/by-id/FAILING --in-memory --retries 50");
    machine.shell("touch /tmp/captured");
    assert_eq!(status, 3, "{report}");
    let seen = machine.shell("cat /tmp/patience");
    assert!(seen.starts_with(&format!("{usual}10\n")), "{usual} and then {seen}");
    assert_eq!(machine.shell(&format!("cat {timeout}")), usual);
    assert_ne!(usual.trim(), "10");
    report
}

#[test]
fn a_failing_disk_is_captured_and_a_pulled_one_is_continued() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sectors = ext4_disk(folder.path(), &path("failing"));
    // Two of the eight sectors of a block: the others must survive.
    let bad = [sectors[2], sectors[5]];
    fs::write(path("pulled"), Random::new(2).bytes(usize::try_from(PULLED).unwrap())).unwrap();
    // A sector of the same block that can be read, for a target to fail in.
    let targets = Targets::new(folder.path(), sectors[0]);
    let machine = Machine::new(Firmware::Bios).cd(&iso()).failing_scsi_disk(
        &path("failing"),
        "FAILING",
        &bad,
    );
    let mut machine = targets.add_to(machine).start();
    machine.choose_shell();
    machine.shell("export LIFEBOAT_REPO=/tmp/images");
    // Images in memory are gone with the power: that has to be asked for.
    let (status, said) = machine.try_shell("lifeboat init --no-passphrase 2>&1", REACTION);
    assert!(status == 4 && said.contains("in this machine's memory"), "{status}: {said}");
    machine.shell("lifeboat init --no-passphrase --in-memory");
    // The kernel may still be finding disks.
    machine.shell_until("lifeboat disks", |out| {
        let names = ["FAILING", "TARGET", "BADSPOT", "DEAD", "FLIPS", "KEEPS", "HEAD"];
        names.iter().all(|name| out.contains(name))
    });

    let report = captured_with_little_patience(&machine);
    let report = &report["result"];
    assert_eq!(report["unreadable"], 1024, "{report}");
    let files = &report["image"]["damage"]["files"];
    assert_eq!(files[0]["path"], "/home/letter", "{report}");
    assert_eq!(files.as_array().unwrap().len(), 1);
    // A disk that is served without a lie takes it: what follows is not the server's fault.
    let (status, report) =
        lifeboat(&machine, "restore latest /dev/disk/by-id/TARGET --erase TARGET");
    assert_eq!((status, &report["result"]["unreadable"]), (3, &json!(1024)), "{report}");
    let disk = fs::read(path("failing")).unwrap();
    targets.are_found_out(&machine, &disk);

    pulled_out(&mut machine, &path("pulled"));
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);
    targets.look_blank();
    let target = fs::read(path("TARGET")).unwrap();
    let differ: BTreeSet<u64> = (0..)
        .zip(disk.chunks(512).zip(target.chunks(512)))
        .filter(|(_, (a, b))| a != b)
        .map(|(sector, _)| sector)
        .collect();
    assert_eq!(differ, BTreeSet::from(bad));
}
