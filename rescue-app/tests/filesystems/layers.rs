//! Arrays, volume groups and encrypted volumes, in each other too, made by the kernel of the boot
//! medium with the tools of others; captured and restored by the program; then assembled, activated
//! and opened again by that kernel, with other bytes wherever the image held none.

use std::fs;
use std::path::{Path, PathBuf};

use common::{Guest, tool};
use lifeboat::bytes::Extents;
use lifeboat::image::manifest::{Manifest, Stored};

use crate::program::{Bench, same_sums};
use crate::tools;

const MIB: u64 = 1 << 20;

/// The partitions of the disk from the first on, in MiB.
const PARTITIONS: &[u64] = &[24, 24, 24, 24, 24, 24, 16, 16, 56, 56, 32];

/// The filesystems in them, by the names that the scripts give them.
const FILESYSTEMS: &[&str] = &[
    "mirror-1.2",
    "lvm-on-1.0",
    "luks-on-0.90",
    "striped-array",
    "linear",
    "striped",
    "snapshot",
    "luks-in-lvm",
    "lvm-in-luks",
];

/// Both machines' tools, in one device tree: udev is not there to make nodes.
const TOOLS: &str = r#"
export DM_DISABLE_UDEV=1 MDADM_NO_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1
modprobe -a dm-mod dm-crypt dm-snapshot raid0 raid1 ext4
settings='devices { use_devicesfile=0 obtain_device_list_from_udev=0 md_component_checks="full" }
    activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 }
    global { use_lvmpolld=0 event_activation=0 }'
volumes() { lvm "$@" --config "$settings" >/shared/lvm.log 2>&1 || { cat /shared/lvm.log; exit 1; }; }
disk=$(readlink -f /dev/disk/all)
sums() { (cd /mnt && find . -type f -print0 | sort -z | xargs -0 md5sum); }
crypt() { cryptsetup -q --key-file /shared/key "$@"; }
each() {
    $1 mirror-1.2 /dev/md12
    $1 striped-array /dev/md7
    $1 lvm-on-1.0 /dev/array/root
    $1 linear /dev/vg/root
    $1 striped /dev/vg/wide
    $1 luks-in-lvm /dev/mapper/in-lvm
    $1 lvm-in-luks /dev/sealed/root
    $1 luks-on-0.90 /dev/mapper/on-mirror
}
"#;

const MAKE: &str = r#"
tar -xf /shared/tree.tar -C /
mirror() { mdadm --create /dev/md$1 --metadata=$2 --level=1 --raid-devices=2 --assume-clean --run $3 \
    ${disk}$4 ${disk}$5 2>&1; }
mirror 12 1.2 --bitmap=internal 1 2
mirror 10 1.0 --bitmap=none 3 4
mirror 9 0.90 --bitmap=none 5 6
mdadm --create /dev/md7 --metadata=1.2 --level=0 --chunk=64 --raid-devices=2 --run ${disk}7 ${disk}8 2>&1

cheap='--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-metadata-size 16k --luks2-keyslots-size 1m'
sealed() { crypt luksFormat --type luks2 $cheap $1; crypt open $1 $2; }

volumes vgcreate -y -s 1M vg ${disk}9 ${disk}10
volumes vgcreate -y -s 1M array /dev/md10
volumes lvcreate -y -Wn -n root -L 16M array
volumes lvcreate -y -Wn -n root -L 24M vg
volumes lvcreate -y -Wn -n wide -L 24M -i 2 -I 64k vg
volumes lvcreate -y -Wn -n secret -L 24M vg
sealed ${disk}11 lvm
sealed /dev/vg/secret in-lvm
sealed /dev/md9 on-mirror
volumes vgcreate -y -s 1M sealed /dev/mapper/lvm
volumes lvcreate -y -Wn -n root -L 16M sealed

fill() {
    mkfs.ext4 -q -F -E nodiscard $2
    mount -t ext4 $2 /mnt
    cp -r /tree /mnt/first
    rm -r "/mnt/first/folder 1"
    cp -r /tree /mnt/second
    sums >/shared/$1.sums
    umount /mnt
}
each fill
volumes lvcreate -y -s -n snap -L 6M vg/root
mount -t ext4 /dev/vg/snap /mnt
rm -r /mnt/second
sums >/shared/snapshot.sums
umount /mnt
mount -t ext4 /dev/vg/root /mnt
cp -r "/tree/folder 2" /mnt/third
sums >/shared/linear.sums
umount /mnt

volumes vgchange -an sealed
for name in in-lvm lvm on-mirror; do crypt close $name; done
volumes vgchange -an vg array
for array in 12 10 9 7; do mdadm --stop /dev/md$array 2>&1; done
sync
"#;

const JUDGE: &str = r#"
assemble() {
    mdadm --assemble /dev/md$1 ${disk}$2 ${disk}$3 2>&1
    mdadm --detail --test /dev/md$1
}
assemble 12 1 2
assemble 10 3 4
assemble 9 5 6
assemble 7 7 8
crypt open ${disk}11 lvm
crypt open /dev/md9 on-mirror
volumes vgck vg array sealed
volumes vgchange -ay vg array sealed
crypt open /dev/vg/secret in-lvm
judge() {
    e2fsck -fn $2 >/shared/e2fsck.log 2>&1 || { echo "$1:"; cat /shared/e2fsck.log; exit 1; }
    mount -t ext4 -o ro $2 /mnt
    sums >/shared/$1.again
    umount /mnt
}
each judge
judge snapshot /dev/vg/snap
judge alone /dev/disk/alone
"#;

/// Where a partition begins and ends.
fn place(number: usize) -> Extents {
    let start = MIB * (1 + PARTITIONS[..number - 1].iter().sum::<u64>());
    Extents::of(start, start + PARTITIONS[number - 1] * MIB)
}

/// A blank disk with its partitions, and what the machines share.
fn make_disk(bench: &Bench) -> (PathBuf, PathBuf) {
    let (disk, shared) = (bench.path("disk"), bench.shared(61));
    tools::old_medium(&disk, (PARTITIONS.iter().sum::<u64>() + 2) * MIB);
    let mut args = vec!["-Z".to_owned(), "-a1".to_owned()];
    for number in 1..=PARTITIONS.len() {
        let place = place(number).iter().next().unwrap();
        args.push(format!("-n{number}:{}:{}", place.start / 512, place.end / 512 - 1));
    }
    args.push(disk.to_str().unwrap().to_owned());
    tool("sgdisk", &args);
    fs::write(shared.join("key"), "correct horse").unwrap();
    (disk, shared)
}

fn run(script: &str, disks: &[(&str, &Path)], shared: &Path) {
    let mut guest = Guest::new();
    disks.iter().for_each(|(name, disk)| guest.disk(disk, name, 512));
    guest.run(&format!("{TOOLS}{script}"), shared);
}

fn check(manifest: &Manifest) {
    for number in 1..=PARTITIONS.len() {
        let region = manifest.partition(u32::try_from(number).unwrap()).unwrap();
        assert_eq!(region.stored, Stored::Used, "partition {number}: {:?}", manifest.warnings);
        let left_out = region.size - region.used.total();
        assert!(left_out > 4 * MIB, "partition {number}: {left_out}");
    }
}

#[test]
fn layers_made_by_the_kernel_come_back_without_what_nothing_uses() {
    let bench = Bench::new();
    let (disk, shared) = make_disk(&bench);
    run(MAKE, &[("all", &disk)], &shared);
    bench.run(0, &["capture", "disk", "--unlock", "--unlock-file", "shared/key"]);
    check(&bench.manifest("disk"));
    bench.restore("restored", &[]);
    bench.scribble("disk", "restored");
    // A volume over two partitions, as a disk of its own.
    bench.restore("alone", &["--volume", "vg/wide"]);
    let [restored, alone] = ["restored", "alone"].map(|name| bench.path(name));
    run(JUDGE, &[("all", &restored), ("alone", &alone)], &shared);
    fs::copy(shared.join("striped.sums"), shared.join("alone.sums")).unwrap();
    for name in FILESYSTEMS.iter().chain(&["alone"]) {
        same_sums(&shared, name);
    }
}
