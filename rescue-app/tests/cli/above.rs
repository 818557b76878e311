//! What lies above a disk keeps it: device mapper, LVM, software RAID, encryption, filesystems that are
//! mounted by a part of them. In a guest, whose kernel has all of these.

use std::fs::File;

use common::Guest;
use tempfile::TempDir;

/// Each disk is refused as a source and as a target while something lies above it, and taken when that
/// is gone. The first argument is the disk, the second what is above it.
const SCRIPT: &str = r#"
for module in dm-mod dm-crypt raid1 btrfs; do modprobe $module; done
export LIFEBOAT_REPO=/tmp/repo DM_DISABLE_UDEV=1
lifeboat=PROGRAM
$lifeboat init --no-passphrase
$lifeboat capture /dev/disk/free --level fast >/dev/null

said() { grep -q 'in use\|is mounted\|holds it' /tmp/said && echo "$1 $2 $status"; }
held() {
    disk=$(readlink -f /dev/disk/$1)
    $lifeboat capture $disk >/tmp/said 2>&1 && status=0 || status=$?
    said ${2-$1} source || cat /tmp/said
    $lifeboat restore latest $disk --disk free --erase $1 >/tmp/said 2>&1 && status=0 || status=$?
    said ${2-$1} target || cat /tmp/said
}
free() {
    $lifeboat capture $(readlink -f /dev/disk/$1) --level fast >/tmp/said 2>&1 && status=0 || status=$?
    echo "$1 free $status"
}

echo 0 2048 linear /dev/disk/linear 64 | dmsetup create above
held linear
dmsetup remove above
free linear

mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 /dev/disk/mirror missing
held mirror
mdadm --stop /dev/md0
free mirror

echo secret >/tmp/key
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/disk/luks /tmp/key
cryptsetup open --key-file /tmp/key /dev/disk/luks opened
held luks
cryptsetup close opened
free luks

config='devices{use_devicesfile=0} activation{udev_sync=0 udev_rules=0}'
vgcreate -q --config "$config" vg /dev/disk/lvm
lvcreate -q --config "$config" -Zn -l 1 -n lv vg
held lvm
vgchange -q --config "$config" -an vg
free lvm

mkfs.btrfs -q /dev/disk/subvolume
mount /dev/disk/subvolume /mnt
btrfs -q subvolume create /mnt/inner
mkdir /tmp/lower /tmp/merged
mount -o subvol=inner /dev/disk/subvolume /tmp/lower
umount /mnt
held subvolume
# An overlay goes on after what it is made of was unmounted.
mount -t overlay -o lowerdir=/tmp/lower:/etc overlay /tmp/merged
umount -l /tmp/lower
held subvolume overlay
umount /tmp/merged
free subvolume
"#;

#[test]
fn what_lies_above_a_disk_keeps_it() {
    let folder = TempDir::new().unwrap();
    let mut guest = Guest::new();
    for name in ["free", "linear", "mirror", "luks", "lvm", "subvolume"] {
        let disk = folder.path().join(name);
        File::create(&disk).unwrap().set_len(128 << 20).unwrap();
        guest.disk(&disk, name, 512);
    }
    let script = SCRIPT.replace("PROGRAM", env!("CARGO_BIN_EXE_lifeboat"));
    let said = guest.run(&script, folder.path());
    let has = |line: String| assert!(said.lines().any(|it| it == line), "{line}: {said}");
    for name in ["linear", "mirror", "luks", "lvm", "subvolume", "overlay"] {
        has(format!("{name} source 4"));
        has(format!("{name} target 4"));
    }
    for name in ["linear", "mirror", "luks", "lvm", "subvolume"] {
        has(format!("{name} free 0"));
    }
}
