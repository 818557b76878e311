//! A disk whose system firmware starts by an entry alone: the restored one starts on machines that have none.

use std::path::Path;

use common::tool;

use crate::built;
use crate::end_to_end::{Disks, IMAGES, SOURCE, TARGET, WORK, starts_to_login};
use crate::qemu::{Firmware, Machine, REACTION};

/// Where the ESP of the test's Debian begins, bytes.
const ESP_START: u64 = 2 << 20;

/// The Debian of the tests, with its boot loader where installers put it instead of where firmware looks.
fn installed(to: &str) {
    let debian = built("test-debian.img");
    tool("cp", &["--sparse=always", debian.to_str().unwrap(), to]);
    let esp = format!("{to}@@{ESP_START}");
    tool("mmd", &["-i", &esp, "::EFI/debian"]);
    tool("mmove", &["-i", &esp, "::EFI/BOOT/BOOTX64.EFI", "::EFI/debian/grubx64.efi"]);
}

#[test]
fn a_restored_disk_starts_with_and_without_a_boot_entry() {
    let disks = Disks::make(installed);
    let machine = Machine::new(Firmware::Uefi)
        .cd(&built("lifeboat.iso"))
        .disk(&disks.path(SOURCE), SOURCE)
        .disk(&disks.path(IMAGES), IMAGES)
        .disk(&disks.path(TARGET), TARGET)
        .start();
    machine.choose_shell();
    machine.shell_until("cat /run/lifeboat/ready && echo ready", |out| out.contains("ready\n"));
    let entry = "efibootmgr -q -c -d /dev/vda -p 2 -L Installed -l '\\EFI\\debian\\grubx64.efi'";
    machine.shell(entry);
    let entries = || machine.shell("efibootmgr");
    let number_of = |entries: &str| {
        let line = entries.lines().find(|line| line.contains("Installed")).unwrap().to_owned();
        line.get(4..8).unwrap().to_owned()
    };
    let before = entries();
    let number = number_of(&before);
    let repo = "--repo partition:/dev/vdb1:/lifeboat";
    machine.shell(&format!("lifeboat init --no-passphrase {repo}"));
    let work = |command: &str| {
        let kept = format!("{command} >/tmp/said 2>&1; s=$?; tail -n 40 /tmp/said; (exit $s)");
        let (status, said) = machine.try_shell(&kept, WORK);
        assert_eq!(status, 0, "{command}: {said}");
        said
    };
    work(&format!("lifeboat capture {repo} /dev/vda"));
    let told = machine.shell(&format!("lifeboat show {repo} latest"));
    assert!(told.contains("\"Installed\" (\\EFI\\debian\\grubx64.efi)"), "{told}");

    // As on another machine.
    machine.shell(&format!("efibootmgr -q -B -b {number}"));
    let without = entries();
    let said = work(&format!("lifeboat restore {repo} latest /dev/vdc --erase {TARGET}"));
    assert!(said.contains("got \\EFI\\BOOT\\BOOTX64.EFI"), "{said}");
    let now = machine.shell("efibootmgr -v");
    let partition = machine.shell("sfdisk --part-uuid /dev/vdc 2");
    let line =
        now.lines().find(|line| line.contains("Installed")).unwrap_or_else(|| panic!("{now}"));
    let node = format!("HD(2,GPT,{}", partition.trim().to_lowercase());
    assert!(line.contains(&node), "{line}");
    assert!(line.contains("\\EFI\\debian\\grubx64.efi"), "{line}");
    let order = |entries: &str| {
        let line = entries.lines().find(|line| line.starts_with("BootOrder")).unwrap().to_owned();
        line.split_once(": ").unwrap().1.trim().to_owned()
    };
    assert_eq!(order(&now), format!("{},{}", number_of(&now), order(&without)));
    let mounts = machine.shell("cat /proc/mounts; cat /sys/block/vdc/ro");
    assert!(!mounts.contains("vdc") && mounts.trim().ends_with('1'), "{mounts}");
    machine.send("poweroff\r");
    machine.wait_for_end(REACTION);

    judge(&disks.path(TARGET));
    // Firmware that knows nothing of the disk.
    starts_to_login(&disks.path(TARGET), Firmware::Uefi);
}

/// The partition is in order, and both programs are the same.
fn judge(disk: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let esp = folder.path().join("esp");
    let from = format!("if={}", disk.display());
    let to = format!("of={}", esp.display());
    tool("dd", &[from.as_str(), to.as_str(), "bs=1M", "skip=2", "count=40", "status=none"]);
    let esp = esp.to_str().unwrap();
    tool("fsck.fat", &["-n", esp]);
    let read = |name: &str| tool("sh", &["-c", &format!("mtype -i {esp} '::{name}' | sha256sum")]);
    assert_eq!(read("EFI/BOOT/BOOTX64.EFI"), read("EFI/debian/grubx64.efi"));
}
