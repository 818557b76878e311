//! The boot medium that `make iso` builds, started in virtual machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod boot_entries;
mod card;
mod end_to_end;
mod failing;
mod memory;
mod nbd;
mod places;
mod power_cut;
mod power_cut_places;
mod power_cut_work;
mod prepare;
mod qemu;
mod sources;
mod stick;
mod write_log;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use common::project;
use qemu::{BOOT, Firmware, Machine, REACTION, Running, key};
use tempfile::NamedTempFile;

/// The bar of the project, in bytes.
const LARGEST_ISO: u64 = 64 << 20;

fn iso() -> PathBuf {
    built("lifeboat.iso")
}

/// A file that `make test` has built.
fn built(name: &str) -> PathBuf {
    let path = project().join("build").join(name);
    assert!(path.exists(), "{} is missing: run `make test`", path.display());
    path
}

fn empty_disk(mebibytes: u64) -> NamedTempFile {
    let disk = NamedTempFile::new().unwrap();
    disk.as_file().set_len(mebibytes << 20).unwrap();
    disk
}

#[test]
fn the_iso_is_small() {
    let size = iso().metadata().unwrap().len();
    assert!(size <= LARGEST_ISO, "the ISO has {size} bytes, more than {LARGEST_ISO}");
}

#[test]
fn built_elsewhere_it_is_the_same_byte_for_byte() {
    iso();
    let output = Command::new(project().join("scripts/check-reproducible")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The last byte of a UEFI variable: its value when it is a yes or no.
fn efi_variable(machine: &Running, name: &str) -> String {
    let dump = format!("tail -c1 /sys/firmware/efi/efivars/{name}-* | od -An -tu1");
    machine.shell(&dump).trim().to_owned()
}

/// Every disk that is not made by software, and the kernel's flag of it.
fn read_only_flags(machine: &Running) -> String {
    machine.shell(
        "for d in /sys/block/*; do case $(readlink $d) in *virtual*) ;; \
         *) echo ${d##*/}=$(blockdev --getro /dev/${d##*/}) ;; esac; done",
    )
}

#[test]
fn bios_from_cd_protects_disks_and_switches_off() {
    let disk = empty_disk(64);
    let machine = Machine::new(Firmware::Bios).cd(&iso()).disk(disk.path(), "VIRTIO1").start();
    // The help before that: what to do about machines that trust Microsoft's own systems alone.
    machine.wait_for("Help", BOOT);
    machine.send(&key::DOWN.repeat(3));
    machine.send(key::ENTER);
    machine.wait_for("Esc leads back", REACTION);
    assert!(machine.screen().contains("Allow Microsoft 3rd Party UEFI CA"), "{}", machine.screen());
    // The printing of the page takes the key for itself until it is done.
    std::thread::sleep(Duration::from_secs(2));
    machine.send(key::ESCAPE);
    machine.wait_for("a shell instead", REACTION);
    machine.send(&key::UP.repeat(3));
    machine.choose_shell();
    assert_eq!(machine.try_shell("test -d /sys/firmware/efi", REACTION).0, 1);
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    let flags = read_only_flags(&machine);
    assert!(flags.contains("vda=1"), "{flags}");
    let (status, said) = machine.try_shell("dd if=/dev/zero of=/dev/vda bs=512 count=1", REACTION);
    assert_ne!(status, 0, "a protected disk took a write: {said}");
    // A framebuffer, not text mode: the menu's glyphs need it.
    assert!(machine.shell("cat /proc/fb").contains('0'));
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);
}

#[test]
fn bios_from_stick_finds_late_disks_and_protects_them() {
    let (usb, virtio) = (empty_disk(64), empty_disk(64));
    let mut machine = Machine::new(Firmware::Bios).usb_stick(&iso()).start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    assert_eq!(read_only_flags(&machine).trim(), "sda=1", "the stick and nothing else");
    let refused = machine.try_shell("echo x > /dev/sda1", REACTION);
    assert_ne!(refused.0, 0, "a partition of a protected disk took a write");

    machine.monitor.plug_usb_disk(usb.path(), "LATEUSB");
    machine.monitor.plug_virtio_disk(virtio.path(), "LATEVIRTIO");
    machine.shell_until("cat /sys/block/sdb/ro /sys/block/vda/ro", |out| out == "1\n1\n");

    // A flag that was lifted on purpose stays lifted when the disk announces a change.
    machine.shell("blockdev --setrw /dev/vda; echo change > /sys/block/vda/uevent; sleep 2");
    assert_eq!(machine.shell("blockdev --getro /dev/vda").trim(), "0");

    machine.monitor.unplug("LATEUSB");
    machine.shell_until("ls /sys/block", |out| !out.contains("sdb"));
}

#[test]
fn uefi_from_cd_with_little_memory() {
    let machine = Machine::new(Firmware::Uefi).memory(512).cd(&iso()).start();
    machine.choose_shell();
    assert_eq!(efi_variable(&machine, "SecureBoot"), "0");
    let free: u64 =
        machine.shell("awk '/MemAvailable/ { print $2 }' /proc/meminfo").trim().parse().unwrap();
    assert!(free > 200 << 10, "only {free} KiB of 512 MiB are left for the menu");
}

#[test]
fn secure_boot_from_stick_is_enforced() {
    let machine = Machine::new(Firmware::SecureBoot).usb_stick(&iso()).start();
    machine.choose_shell();
    assert_eq!(efi_variable(&machine, "SecureBoot"), "1");
    assert_eq!(efi_variable(&machine, "SetupMode"), "0");
    let lockdown = machine
        .shell("mount -t securityfs s /sys/kernel/security; cat /sys/kernel/security/lockdown");
    assert!(lockdown.contains("[integrity]"), "{lockdown}");
    // The modules' signatures are checked: the original loads, one with a changed byte does not.
    let module = machine.shell("find /lib/modules -name nls_cp850.ko").trim().to_owned();
    machine.shell(&format!(
        "cp {module} /tmp/m.ko; printf X | dd of=/tmp/m.ko bs=1 seek=600 conv=notrunc"
    ));
    assert_ne!(machine.try_shell("insmod /tmp/m.ko", REACTION).0, 0, "a changed module loaded");
    machine.shell(&format!("insmod {module}"));
}

#[test]
fn secure_boot_from_cd_starts() {
    let machine = Machine::new(Firmware::SecureBoot).cd(&iso()).start();
    machine.choose_shell();
    assert_eq!(efi_variable(&machine, "SecureBoot"), "1");
    let told = machine.shell("cat /etc/lifeboat-build");
    assert_eq!(told.replace('\r', ""), std::fs::read_to_string(built("lifeboat-build")).unwrap());
}

#[test]
fn every_program_of_the_medium_runs() {
    let machine = Machine::new(Firmware::Bios).cd(&iso()).start();
    machine.choose_shell();
    // A library that is missing shows as status 127 or as the loader's message.
    for program in [
        "e2fsck -V",
        "mke2fs -V",
        "ntfsresize --version",
        "mkntfs --version",
        "fsck.fat --help",
        "mkfs.exfat -V",
        "xfs_repair -V",
        "mkfs.xfs -V",
        "btrfs --version",
        "mkfs.f2fs -V",
        "sfdisk --version",
        "efibootmgr --version",
        "lifeboat --version",
    ] {
        let (status, output) = machine.try_shell(&format!("{program} 2>&1"), REACTION);
        assert!(status < 126 && !output.contains("error while loading"), "{program}: {output}");
    }
    assert_eq!(machine.shell("cat /proc/sys/kernel/panic").trim(), "60");
    machine.shell("lifeboat check-medium");
    let mounts = machine.shell("cat /proc/mounts");
    assert!(!mounts.contains("/dev/sr") && !mounts.contains("/dev/vd"), "{mounts}");
    // The kernel asks for filesystem modules by itself when something is mounted.
    machine.shell(
        "truncate -s 64M /tmp/i; losetup /dev/loop0 /tmp/i; /usr/sbin/mke2fs -q -F /tmp/i; \
         mount /dev/loop0 /mnt; umount /mnt; mkfs.exfat /tmp/i && mount -t exfat /dev/loop0 /mnt",
    );
}
