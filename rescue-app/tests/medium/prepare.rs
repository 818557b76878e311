//! A blank disk becomes the place for images, by the commands that are shown.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::tool;
use tempfile::NamedTempFile;

use crate::qemu::{Firmware, Machine, REACTION, Running};
use crate::{empty_disk, iso};

const MIB: u64 = 1 << 20;

/// The line that tells how the prepared disk is used, run as it was printed.
fn prepare_and_use(machine: &Running, filesystem: &str) {
    let command = format!("lifeboat prepare /dev/vdb --erase BLANK042 --filesystem {filesystem}");
    let said = machine.shell(&command);
    let line = said.lines().find_map(|line| line.strip_prefix("use it: ")).expect("the next step");
    machine.shell(&format!("test $(blockdev --getro /dev/vdb) = 1 && {line} --no-passphrase"));
    machine.shell("lifeboat capture /dev/vda --repo /mnt/lifeboat && umount /mnt && sync");
    machine.shell("blockdev --setro /dev/vdb");
}

/// The one partition of a prepared disk as a file.
fn partition(disk: &Path) -> NamedTempFile {
    let disk = File::open(disk).unwrap();
    let size = disk.metadata().unwrap().len() - 2 * MIB;
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    disk.read_exact_at(&mut bytes, MIB).unwrap();
    let part = NamedTempFile::new().unwrap();
    fs::write(part.path(), bytes).unwrap();
    part
}

#[test]
fn a_blank_disk_is_prepared_and_takes_an_image_by_the_commands_shown() {
    let (source, blank) = (empty_disk(64), empty_disk(256));
    source.as_file().write_all_at(b"something to store", 5 * MIB).unwrap();
    let machine = Machine::new(Firmware::Bios)
        .cd(&iso())
        .disk(source.path(), "SOURCE")
        .disk(blank.path(), "BLANK042")
        .start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    let refused = machine.try_shell("lifeboat prepare /dev/vda --erase BLANK042", REACTION);
    assert_eq!(refused.0, 4, "{}", refused.1);
    prepare_and_use(&machine, "exfat");
    prepare_and_use(&machine, "ext4");
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);

    let disk = blank.path().to_str().unwrap();
    assert!(tool("sgdisk", &["-v", disk]).contains("No problems found"));
    let part = partition(blank.path());
    let part = part.path().to_str().unwrap();
    tool("e2fsck", &["-fn", part]);
    let types = tool("wipefs", &["-n", "--parsable", "--output", "TYPE", part]);
    let types: Vec<&str> = types.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(types, ["ext4"], "nothing of the exFAT before is left");
}
