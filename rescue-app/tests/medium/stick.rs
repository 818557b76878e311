//! A stick that `make-stick` has made starts, and holds an image that was captured to it in the menu.

use std::fs;
use std::os::unix::fs::FileExt;

use common::tool;
use tempfile::NamedTempFile;

use crate::end_to_end::{WORK, choose};
use crate::qemu::{BOOT, Firmware, Machine, REACTION, Running, key};
use crate::{empty_disk, iso};

/// Size of the sticks, and where their data begins, MiB.
const SIZE: u64 = 384;
const DATA: u64 = 256;

/// The data partition as a file.
fn data_partition(stick: &NamedTempFile) -> NamedTempFile {
    let mut bytes = vec![0; usize::try_from((SIZE - DATA) << 20).unwrap()];
    stick.as_file().read_exact_at(&mut bytes, DATA << 20).unwrap();
    let part = NamedTempFile::new().unwrap();
    fs::write(part.path(), bytes).unwrap();
    part
}

fn judge(stick: &NamedTempFile) {
    let verdict = tool("sfdisk", &["-V", stick.path().to_str().unwrap()]);
    assert!(verdict.contains("No errors detected"), "{verdict}");
    tool("fsck.exfat", &["-n", data_partition(stick).path().to_str().unwrap()]);
}

/// From the main menu to an image of the disk on the rest of the stick, which is made a partition on the way.
fn capture_onto_the_rest(machine: &Running) {
    machine.wait_for("Main menu", BOOT);
    machine.send("c");
    choose(machine, "SOURCE");
    machine.send(key::ENTER);
    machine.wait_for("choose where the image goes", REACTION);
    choose(machine, "Use the rest of this stick");
    machine.send(key::ENTER);
    machine.wait_for("Enter Continue", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("type the last 4 characters", REACTION);
    machine.send("TICK");
    machine.send(key::ENTER);
    machine.wait_for("LIFEBOAT on sda3", REACTION);
    choose(machine, "No passphrase");
    machine.send(key::ENTER);
    choose(machine, "Create the repository");
    machine.send(key::ENTER);
    machine.wait_for("choose the compression", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("Enter Start ", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("what was stored has been checked", WORK);
    machine.send(key::ENTER);
    machine.wait_for("Main menu", REACTION);
}

/// Another stick, made by the one that runs.
fn copy_the_stick(machine: &Running) {
    machine.send("s");
    machine.wait_for("return to the menu", REACTION);
    let told = machine.shell("lifeboat verify --repo partition:/dev/sda3:/lifeboat");
    assert!(told.contains("1 image"), "{told}");
    let told = machine.shell("lifeboat check-medium");
    assert!(told.contains("as they were built"), "{told}");
    let refused = machine.try_shell("lifeboat make-stick /dev/sda --erase STICK", REACTION);
    assert_eq!(refused.0, 4, "{}", refused.1);
    let told = machine.shell("lifeboat make-stick /dev/vdb --erase SECOND042");
    assert!(told.contains("a new data partition"), "{told}");
    let flags = machine.shell("cat /sys/block/sda/ro /sys/block/vda/ro /sys/block/vdb/ro");
    assert_eq!(flags.replace('\r', ""), "1\n1\n1\n", "what was lifted is back");
}

#[test]
fn a_plain_stick_gets_room_for_images_and_makes_another() {
    let (source, stick, second) = (empty_disk(64), empty_disk(SIZE), empty_disk(SIZE));
    source.as_file().write_all_at(b"something to store", 5 << 20).unwrap();
    stick.as_file().write_all_at(&fs::read(iso()).unwrap(), 0).unwrap();
    let machine = Machine::new(Firmware::Bios)
        .written_usb_stick(stick.path())
        .disk(source.path(), "SOURCE")
        .disk(second.path(), "SECOND042")
        .start();
    capture_onto_the_rest(&machine);
    copy_the_stick(&machine);
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);
    judge(&stick);
    judge(&second);

    let machine = Machine::new(Firmware::Uefi).written_usb_stick(second.path()).start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    machine.shell("lifeboat init --no-passphrase");
    let told = machine.shell("lifeboat images --repo partition:/dev/sda3:/lifeboat");
    assert!(told.contains("no images"), "{told}");
}
