//! Filesystems that this machine's kernel may not know, written and read back by the kernel of
//! the boot medium: all of them in one virtual machine, their scribbled copies in a second one.

use std::fs;
use std::path::{Path, PathBuf};

use common::{Guest, Random, hfsplus_maker, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind, State};
use tempfile::TempDir;

use crate::tools::{self, Volume};
use crate::xfs_log::check_state;
use crate::{contents, damage, exfat, f2fs, guest_owners, xfs};

const MIB: u64 = 1 << 20;

/// How the filesystem's own tools count what is free, where they do.
type FreeBytes = fn(&Path) -> u64;

struct Case {
    name: &'static str,
    kind: Kind,
    mib: u64,
    /// Bytes of a logical sector of its disk.
    sector: u32,
    /// What makes it, in the machine; nothing for HFS+, which is made before.
    mkfs: &'static str,
    /// The checker that has to find nothing.
    fsck: &'static [&'static str],
    free: Option<FreeBytes>,
    /// Switched off while mounted, files in it that are not older than a second.
    cut: bool,
}

impl Case {
    const fn new(name: &'static str, kind: Kind, mib: u64, mkfs: &'static str) -> Self {
        let (fsck, free): (&[&str], Option<FreeBytes>) = match kind {
            Kind::ExFat => (&["fsck.exfat", "-n"], Some(exfat::free_by_dump)),
            Kind::F2fs => (&["fsck.f2fs", "--dry-run"], Some(free_by_f2fs)),
            Kind::HfsPlus => (&["true"], None),
            Kind::Xfs => (&["xfs_repair", "-n", "-o", "force_geometry"], None),
            _ => (&["fsck.fat", "-n"], None),
        };
        Self { name, kind, mib, sector: 512, mkfs, fsck, free, cut: false }
    }

    const fn of_4k_sectors(self) -> Self {
        Self { sector: 4096, ..self }
    }

    const fn cut_off(self) -> Self {
        Self { cut: true, fsck: &["true"], free: None, ..self }
    }

    /// The name that `mount` knows it by.
    fn module(&self) -> &'static str {
        match self.kind {
            Kind::ExFat => "exfat",
            Kind::F2fs => "f2fs",
            Kind::HfsPlus => "hfsplus",
            Kind::Xfs => "xfs",
            _ => "vfat",
        }
    }

    fn is_sound(&self, image: &Path) -> bool {
        let mut words = self.fsck.to_vec();
        words.push(image.to_str().unwrap());
        succeeds(words[0], &words[1..])
    }
}

/// The file `room` is counted as used and has no place yet.
fn free_by_f2fs(image: &Path) -> u64 {
    fs::metadata(image).unwrap().len() - f2fs::used_by_dump(image) + MIB
}

const F2FS_ALL: &str = "mkfs.f2fs -q -f -i -C utf8 -O encrypt,extra_attr,project_quota,\
    inode_checksum,flexible_inline_xattr,quota,inode_crtime,lost_found,verity,sb_checksum,\
    compression";

/// Version 4, which newer kernels do not mount.
const XFS_4: &str = "mkfs.xfs --unsupported -q -f -L lifeboat -m crc=0";
const XFS_4_512: &str = "mkfs.xfs --unsupported -q -f -L lifeboat -m crc=0 -b size=512 \
    -d agcount=2 -n ftype=0 -l size=4m,version=2,su=16k";

const CASES: &[Case] = &[
    Case::new("exfat", Kind::ExFat, 48, "mkfs.exfat"),
    Case::new("exfat-small", Kind::ExFat, 24, "mkfs.exfat -c 512"),
    Case::new("exfat-large", Kind::ExFat, 96, "mkfs.exfat -c 64K"),
    Case::new("exfat-4k", Kind::ExFat, 48, "mkfs.exfat").of_4k_sectors(),
    Case::new("exfat-cut", Kind::ExFat, 48, "mkfs.exfat").cut_off(),
    Case::new("f2fs", Kind::F2fs, 112, "mkfs.f2fs -q -f"),
    Case::new("f2fs-all", Kind::F2fs, 128, F2FS_ALL),
    Case::new("f2fs-4k", Kind::F2fs, 112, "mkfs.f2fs -q -f -w 4096").of_4k_sectors(),
    Case::new("f2fs-journal", Kind::F2fs, 112, "f2fs_without_nat_bits"),
    Case::new("f2fs-cut", Kind::F2fs, 112, "mkfs.f2fs -q -f").cut_off(),
    Case::new("fat12", Kind::Fat12, 24, "mkfs.fat -F 12 -s 16"),
    Case::new("fat16", Kind::Fat16, 32, "mkfs.fat -F 16"),
    Case::new("fat16-4k", Kind::Fat16, 64, "mkfs.fat -F 16 -s 1").of_4k_sectors(),
    Case::new("fat32", Kind::Fat32, 48, "mkfs.fat -F 32 -s 1"),
    Case::new("hfsplus", Kind::HfsPlus, 48, ""),
    Case::new("xfs-4", Kind::Xfs, 48, XFS_4),
    Case::new("xfs-4-512", Kind::Xfs, 48, XFS_4_512),
    Case::new("xfs-4-cut", Kind::Xfs, 48, XFS_4).cut_off(),
    Case::new("hfsplus-cut", Kind::HfsPlus, 48, "").cut_off(),
];

/// Fills and churns a filesystem: pieces of two files by turns, half of a tree deleted, others
/// truncated, holes, room without content, many names in one folder.
const CHURN: &str = r#"
fill() {
    cp -r /first "$1/a"
    find "$1/a" -name '*[13579].bin' -delete
    cp -r /second "$1/b"
    find "$1/b" -name '*[0-4].bin' -exec truncate -s 3000 {} +
    piece=$(cat /piece)
    for turn in $(seq 50); do
        printf %s "$piece" >>"$1/one"
        printf %s "$piece" >>"$1/two"
    done
    rm "$1/one"
    cp /piece "$1/three"
    truncate -s 2M "$1/hole"
    dd if=/piece of="$1/hole" bs=1000 seek=1500 conv=notrunc status=none
    fallocate -l 1M "$1/room" 2>/dev/null || true
    mkdir "$1/many"
    if [ "$2" = xfs ]; then
        mkdir "$1/crumbs"
        for turn in $(seq 1500); do echo x >"$1/crumbs/$turn"; done
        sync -f "$1"
        rm "$1"/crumbs/*[13579]
    fi
    for turn in $(seq 200); do : >"$1/many/a rather long name of file $turn"; done
}
# Without these bits, which are at the end of the first checkpoint pack's segment, Linux leaves
# entries of the node address table in the journal.
f2fs_without_nat_bits() {
    mkfs.f2fs -q -f "$1"
    dd if=/dev/zero of="$1" bs=4096 seek=1023 count=1 conv=notrunc,fsync status=none
}
# The power fails; then what was synced is there, and nothing else.
recover() {
    dd if=/piece of="$1/late" bs=3000 conv=fsync status=none
    cp -r /first "$1/lost"
    f2fs_io shutdown 2 "$1" >/dev/null
    umount "$1"
    mount -t f2fs "$2" "$1"
    [ -e "$1/late" ] && [ ! -e "$1/lost" ] || { echo "nothing to recover on $2"; exit 1; }
    cp -r /second "$1/again"
    sync -f "$1"
    rm -r "$1/again"
}
tar -xf /shared/tree.tar -C /
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum); }
churn() {
    [ -z "$3" ] || $3 /dev/disk/$1 >/dev/null 2>&1 || { echo "$3 failed for $1"; exit 1; }
    mkdir -p /mnt/$1
    mount -t $2 /dev/disk/$1 /mnt/$1
    fill /mnt/$1 $2
    sync -f /mnt/$1
    if [ "$4" = cut ]; then
        dd if=/piece of=/mnt/$1/late bs=3000 conv=fsync status=none
        sums /mnt/$1 >/shared/$1.sums
    else
        [ $2 != f2fs ] || recover /mnt/$1 /dev/disk/$1
        sums /mnt/$1 >/shared/$1.sums
        sync -f /mnt/$1
        [ $2 != f2fs ] || dd if=/dev/disk/$1 of=/shared/$1.before bs=2M skip=1 count=2 status=none
        # The same in other blocks.
        dd if=/piece of=/mnt/$1/three conv=notrunc status=none
        umount /mnt/$1
    fi
}
"#;

/// The machine's disk images and what it said of them.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (tree, shared) = (folder.path().join("tree"), folder.path().join("shared"));
        tools::make_tree(&tree.join("first"), 91, 4 * MIB);
        tools::make_tree(&tree.join("second"), 92, 3 * MIB);
        let piece: String =
            Random::new(93).bytes(2500).iter().map(|b| format!("{b:02x}")).collect();
        fs::write(tree.join("piece"), piece).unwrap();
        fs::create_dir(&shared).unwrap();
        let (tree, archive) = (tree.to_str().unwrap(), shared.join("tree.tar"));
        let names = ["first", "second", "piece"];
        tool("tar", &[&["-cf", archive.to_str().unwrap(), "-C", tree], &names[..]].concat());
        Self { folder }
    }

    fn shared(&self) -> PathBuf {
        self.folder.path().join("shared")
    }

    /// What the files are made from.
    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn image(&self, case: &Case) -> PathBuf {
        self.folder.path().join(case.name)
    }

    fn sums(&self, name: &str) -> String {
        fs::read_to_string(self.shared().join(format!("{name}.sums"))).unwrap()
    }

    /// Makes and churns every filesystem.
    fn write(&self) {
        let mut guest = Guest::new();
        let mut script = CHURN.to_owned();
        for case in CASES {
            let image = self.image(case);
            tools::old_medium(&image, case.mib * MIB);
            if case.kind == Kind::HfsPlus {
                hfsplus_maker::make(&image, false);
            }
            guest.disk(&image, case.name, case.sector);
            let cut = if case.cut { "cut" } else { "" };
            let (name, module, mkfs) = (case.name, case.module(), case.mkfs);
            script += &format!("churn {name} {module} '{mkfs}' '{cut}'\n");
        }
        guest.run(&script, &self.shared());
    }

    /// Mounts images and hashes their files.
    fn read(&self, images: &[(String, PathBuf, &Case)]) {
        let mut guest = Guest::new();
        let mut script = CHURN.to_owned();
        for (name, image, case) in images {
            guest.disk(image, name, case.sector);
            let module = case.module();
            script += &format!("mount -t {module} -o ro /dev/disk/{name} /mnt\n");
            script += &format!("sums /mnt >/shared/{name}.sums\numount /mnt\n");
        }
        guest.run(&script, &self.shared());
    }
}

fn check(case: &Case, image: &Path, found: &Inspection) {
    let name = case.name;
    let size = fs::metadata(image).unwrap().len();
    let filesystem = found.filesystem.as_ref().unwrap();
    assert_eq!(filesystem.kind, case.kind, "{name}");
    if case.kind == Kind::Xfs {
        assert_eq!(check_state(image, name), !case.cut, "{name}");
    }
    if case.cut {
        assert!(matches!(filesystem.state, State::Dirty(_)), "{name}: {filesystem:?}");
        let expected = if case.kind == Kind::ExFat { Coverage::Used } else { Coverage::Whole };
        assert_eq!(found.coverage, expected, "{name}: {:?}", found.warnings);
        return;
    }
    assert_eq!(filesystem.state, State::Clean, "{name}");
    if case.kind == Kind::HfsPlus {
        let last_use = filesystem.last_use.as_ref().unwrap();
        assert_eq!(last_use.by.as_deref(), Some("Linux"));
        let age = time::OffsetDateTime::now_utc() - last_use.written.unwrap();
        assert!(age.abs() < time::Duration::DAY, "{age}");
    }
    if case.kind == Kind::Xfs {
        xfs::check_against_xfs_db(image, found, name);
        let levels = |group| xfs::levels(image, group)[0];
        assert!(name != "xfs-4-512" || levels(0).max(levels(1)) > 1, "{name}");
    }
    assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
    assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
    assert!(found.used.total() < size - 2 * MIB, "{name}: hardly anything is free");
    if let Some(free) = case.free {
        assert_eq!(size - found.used.total(), free(image), "{name}");
    }
}

/// One wrong bit in what is used gives the same map, a larger one, or the whole volume.
fn no_wrong_bit_drops_a_used_block(case: &Case, image: &Path, sound: &Extents) {
    let mut bytes = fs::read(image).unwrap();
    let used: Vec<_> = sound.iter().collect();
    let mut numbers = Random::new(94);
    for round in 0..150 {
        // Half of them at the start, where the tables are.
        let extent = used[usize::try_from(numbers.below(used.len() as u64)).unwrap()];
        let extent = if round % 2 == 0 { used[0] } else { extent };
        let at = extent.start + numbers.below(extent.len());
        let (at, bit) = (usize::try_from(at).unwrap(), numbers.below(8));
        bytes[at] ^= 1 << bit;
        let found = inspect::inspect(&bytes);
        bytes[at] ^= 1 << bit;
        let lost = damage::is_less(&found.used, sound);
        assert!(!lost, "{}: bit {bit} of byte {at}", case.name);
    }
}

#[test]
fn volumes_written_in_a_guest_survive_the_loss_of_unused_blocks() {
    let bench = Bench::new();
    bench.write();
    let mut copies = Vec::new();
    for case in CASES {
        let image = bench.image(case);
        let found = inspect::inspect(&Volume::open(&image));
        check(case, &image, &found);
        assert!(case.is_sound(&image), "{}: not sound to begin with", case.name);
        assert!(bench.sums(case.name).lines().count() > 20, "{}: empty", case.name);
        if found.coverage == Coverage::Whole {
            continue;
        }
        if matches!(case.kind, Kind::ExFat | Kind::F2fs | Kind::HfsPlus | Kind::Xfs) {
            no_wrong_bit_drops_a_used_block(case, &image, &found.used);
        }
        if ["exfat-small", "f2fs", "hfsplus"].contains(&case.name) {
            damage::assert_nothing_is_lost(case.name, &image);
        }
        guest_owners::check(&image, &found.used, &bench.tree(), case.name);
        contents::check(&image, &bench.sums(case.name), case.name);
        if case.kind == Kind::F2fs {
            let before = bench.shared().join(format!("{}.before", case.name));
            f2fs::assert_older_journals_are_noticed(&image, &fs::read(before).unwrap());
            f2fs::check_owners(&image, &found.used);
        }
        for byte in [0x00, 0x5a] {
            let copy = tools::scribbled_copy(&image, &found.used, byte);
            assert!(case.is_sound(&copy), "{}: damaged by {byte:#x}", case.name);
            copies.push((format!("{}-{byte:02x}", case.name), copy, case));
        }
        if case.name == "exfat" {
            // What this test would see if a map left out one cluster.
            let size = Volume::open(&image).size();
            let last = found.used.iter().rev().find(|extent| extent.end < size).unwrap();
            let hole = Extents::of(last.end - 4096, last.end);
            let robbed = tools::without(&found.used, &hole, size);
            let copy = image.with_extension("robbed");
            fs::copy(&image, &copy).unwrap();
            tools::scribble(&copy, &robbed, 0x5a);
            copies.push(("exfat-robbed".to_owned(), copy, case));
        }
    }
    bench.read(&copies);
    for (name, _, case) in &copies {
        let same = bench.sums(name) == bench.sums(case.name);
        assert_eq!(same, !name.ends_with("robbed"), "{name}");
    }
}
