//! Machines with little memory: what the medium needs, and what it says where there is less.

use common::tool;

use super::end_to_end::{Disks, IMAGES, SOURCE, TARGET, capture, restore};
use super::iso;
use super::qemu::{BOOT, Firmware, Machine};

/// A disk of 4 GiB with an ext4 partition and some files, most of them incompressible.
fn four_gib(disk: &str) {
    let tree = tempfile::tempdir().unwrap();
    let fill = format!(
        "for n in 1 2 3 4 5 6 7 8; do head -c 8M /dev/urandom >{0}/$n; seq 100000 >{0}/$n.txt; done",
        tree.path().display()
    );
    tool("sh", &["-c", &fill]);
    std::fs::File::create(disk).unwrap().set_len(4 << 30).unwrap();
    tool("sgdisk", &["-n1:2048:0", "-t1:8300", disk]);
    let tree = tree.path().to_str().unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", tree, "-E", "offset=1048576", disk, "4094M"]);
}

#[test]
fn with_256_mib_the_menu_captures_and_restores_a_disk_of_4_gib() {
    let disks = Disks::make(four_gib);
    // Two processors: as many workers would not fit.
    let machine = Machine::new(Firmware::Bios)
        .memory(256)
        .processors(2)
        .cd(&iso())
        .disk(&disks.path(SOURCE), SOURCE)
        .disk(&disks.path(IMAGES), IMAGES)
        .disk(&disks.path(TARGET), TARGET)
        .start();
    capture(&machine);
    restore(&machine);
    drop(machine);
    let [source, target] = [SOURCE, TARGET].map(|serial| disks.path(serial));
    tool("cmp", &[source.to_str().unwrap(), target.to_str().unwrap()]);
}

#[test]
fn with_less_it_says_how_much_there_is_and_how_much_it_needs() {
    let machine = Machine::new(Firmware::Bios).memory(160).cd(&iso()).start();
    machine.wait_for("Lifeboat needs 256 MiB of memory; this machine has 160 MiB.", BOOT);
}
