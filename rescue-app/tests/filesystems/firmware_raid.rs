//! Members of arrays as Intel's firmware and SNIA's format describe them, made by mdadm in a
//! machine with the kernel of the boot medium; captured and restored disk by disk; then put
//! together and checked by that kernel again, with other bytes wherever an image held none.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use common::Guest;
use lifeboat::image::manifest::{Manifest, Region, Stored};
use lifeboat::inspect;
use lifeboat::volume::Kind;

use crate::program::{Bench, same_sums};
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 128 * MIB;

/// The disks, two to an array: a mirror with a GPT by either format, one without a table, a striped
/// one, and a mirror that shares its disks with a striped one.
const DISKS: [&str; 10] = [
    "intel-a", "intel-b", "ddf-a", "ddf-b", "bare-a", "bare-b", "wide-a", "wide-b", "two-a",
    "two-b",
];

/// The filesystems, by the names that the scripts give them.
const FILESYSTEMS: [&str; 6] = ["intel", "ddf", "bare", "wide", "two", "second"];

const TOOLS: &str = r#"
export MDADM_NO_UDEV=1 MDADM_NO_SYSTEMCTL=1 IMSM_NO_PLATFORM=1 IMSM_DEVNAME_AS_SERIAL=1
modprobe -a raid0 raid1 ext4
mkdir -p /run/mdadm
sums() { (cd /mnt && find . -type f -print0 | sort -z | xargs -0 md5sum); }
each() {
    $1 intel $(node 10)p1
    $1 ddf $(node 20)p1
    $1 bare $(node 30)
    $1 wide $(node 40)p1
    $1 two $(node 50)p1
    $1 second $(node 51)
}
"#;

const MAKE: &str = r#"
tar -xf /shared/tree.tar -C /
container() {
    mdadm --create /dev/md$1 --metadata=$2 --raid-devices=2 --run /dev/disk/$3-a /dev/disk/$3-b 2>&1
}
array() {
    mdadm --create /dev/md$1 --level=$3 --raid-devices=2 --assume-clean --run ${4:-} /dev/md$2 2>&1
}
table() { sgdisk -n1:2048:+64M -n2:0:+8M /dev/md$1; blockdev --rereadpt /dev/md$1; }
container 1 imsm intel; array 10 1 1; table 10
container 2 ddf ddf; array 20 2 1; table 20
container 3 imsm bare; array 30 3 1
container 4 imsm wide; array 40 4 0 --chunk=64; table 40
container 5 imsm two; array 50 5 1 --size=80M; array 51 5 0 "--chunk=64 --size=16M"; table 50
node() { echo /dev/md$1; }
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
for array in 10 20 30 40 50 51; do mdadm --stop /dev/md$array 2>&1; done
for container in 1 2 3 4 5; do mdadm --stop /dev/md$container 2>&1; done
sync
"#;

const JUDGE: &str = r#"
assemble() {
    mdadm --assemble /dev/md$1 --metadata=$2 /dev/disk/$3-a /dev/disk/$3-b 2>&1
    mdadm --incremental /dev/md$1 2>&1
}
assemble 1 imsm intel
assemble 2 ddf ddf
assemble 3 imsm bare
assemble 4 imsm wide
assemble 5 imsm two
cat /proc/mdstat
# Arrays get their numbers anew; their names are those they were made with.
node() { readlink -f /dev/md/$1*; }
for array in 10 20 40 50; do blockdev --rereadpt $(node $array); done
judge() {
    e2fsck -fn $2 >/shared/e2fsck.log 2>&1 || { echo "$1:"; cat /shared/e2fsck.log; exit 1; }
    mount -t ext4 -o ro $2 /mnt
    sums >/shared/$1.again
    umount /mnt
}
each judge
"#;

fn run(script: &str, disks: &[(&str, PathBuf)], shared: &Path) -> String {
    let mut guest = Guest::new();
    disks.iter().for_each(|(name, disk)| guest.disk(disk, name, 512));
    guest.run(&format!("{TOOLS}{script}"), shared)
}

/// The disks with their arrays, and what the machines share.
fn make_disks(bench: &Bench) -> (Vec<(&'static str, PathBuf)>, PathBuf) {
    let disks: Vec<_> = DISKS.iter().map(|name| (*name, bench.path(name))).collect();
    disks.iter().for_each(|(_, disk)| tools::old_medium(disk, SIZE));
    let shared = bench.shared(71);
    println!("{}", run(MAKE, &disks, &shared));
    (disks, shared)
}

/// What an image says of one of the disks.
fn check(name: &str, manifest: &Manifest) {
    let firmware = |region: &Region| region.filesystem.as_ref().unwrap().kind == Kind::FirmwareRaid;
    if name.starts_with("wide") || name.starts_with("bare") {
        let region = &manifest.regions[0];
        let stored = if name.starts_with("wide") { Stored::Whole } else { Stored::Used };
        assert_eq!((region.size, region.stored), (SIZE, stored), "{name}: {:?}", manifest.warnings);
        assert!(firmware(region), "{name}");
        let inside: Vec<Kind> = region.inside.iter().map(|inside| inside.kind).collect();
        assert_eq!(inside.contains(&Kind::Ext4), stored == Stored::Used, "{name}");
    } else {
        let told = manifest.warnings.iter().any(|warning| warning.contains("in one piece"));
        assert!(told, "{name}: {:?}", manifest.warnings);
        let region = manifest.partition(1).unwrap();
        assert_eq!(region.stored, Stored::Used, "{name}: {:?}", manifest.warnings);
        assert!(region.size - region.used.total() > 32 * MIB, "{name}");
    }
}

#[test]
fn members_of_firmware_arrays_come_back_as_members() {
    let bench = Bench::new();
    let (disks, shared) = make_disks(&bench);
    let mut restored = Vec::new();
    for (name, _) in disks {
        bench.run(0, &["capture", name]);
        check(name, &bench.manifest(name));
        let copy = format!("{name}-again");
        bench.restore(&copy, &[]);
        bench.scribble(name, &copy);
        restored.push((name, bench.path(&copy)));
    }
    damaged_metadata_never_make_a_map_smaller(&bench.path("bare-a"));
    damaged_metadata_never_make_a_map_smaller(&bench.path("ddf-a"));
    println!("{}", run(JUDGE, &restored, &shared));
    for name in FILESYSTEMS {
        same_sums(&shared, name);
    }
}

/// Bytes of the metadata behind an array are changed, one at a time.
fn damaged_metadata_never_make_a_map_smaller(disk: &Path) {
    let intact = inspect::inspect(&Volume::open(disk));
    let file = File::options().read(true).write(true).open(disk).unwrap();
    let mut changed = 0;
    for sector in (SIZE - 40 * MIB) / 512..SIZE / 512 {
        let mut block = [0; 512];
        file.read_exact_at(&mut block, sector * 512).unwrap();
        let fill = [0, 0xff, block[511]];
        let told = (0..512).filter(|at| !fill.contains(&block[*at])).take(24);
        for at in told {
            let place = sector * 512 + u64::try_from(at).unwrap();
            file.write_all_at(&[block[at] ^ 0x41], place).unwrap();
            let found = inspect::inspect(&Volume::open(disk));
            let missing = intact.used.intersection(&found.used.gaps_within(0, SIZE));
            assert!(missing.is_empty(), "byte {place}: {missing:?}");
            file.write_all_at(&block[at..=at], place).unwrap();
            changed += 1;
        }
    }
    assert!(changed > 20, "{changed} bytes");
}
