//! Members of md arrays, with superblocks made here and judged by `mdadm --examine`, and the
//! content judged by its own checker.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Loop, output_of, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::image::manifest::Stored;
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Kind};
use tempfile::TempDir;

use crate::ext;
use crate::program::Bench;
use crate::tools::{self, Judge, Volume};

const MIB: u64 = 1 << 20;
/// Length of the devices; not a multiple of anything, as partitions are.
const SIZE: u64 = 48 * MIB + 37 * 512;
/// Length of the content.
pub const CONTENT: u64 = 40 * MIB;

pub fn put32(block: &mut [u8], word: usize, value: u32) {
    block[word * 4..][..4].copy_from_slice(&value.to_le_bytes());
}

pub fn put64(block: &mut [u8], at: usize, value: u64) {
    block[at..][..8].copy_from_slice(&value.to_le_bytes());
}

fn seal(block: &mut [u8], word: usize) {
    put32(block, word, 0);
    let words = block.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sum: u64 = words.map(u64::from).sum();
    put32(block, word, u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap());
}

/// What is changed in a superblock before it is sealed.
type Change<'a> = &'a dyn Fn(&mut [u8]);

/// A member of a two-way mirror in version 1, the superblock at byte `at`, the data at byte `data`.
pub fn version_1(image: &Path, at: u64, data: u64, change: Change<'_>) {
    // 128 roles.
    let mut block = vec![0; 512];
    put32(&mut block, 0, 0xa92b_4efc);
    put32(&mut block, 1, 1);
    block[16..32].copy_from_slice(&[0x5a; 16]);
    block[32..43].copy_from_slice(b"host:array0");
    put32(&mut block, 18, 1);
    put64(&mut block, 80, CONTENT / 512);
    put32(&mut block, 23, 2);
    put64(&mut block, 128, data / 512);
    put64(&mut block, 136, CONTENT / 512);
    put64(&mut block, 144, at / 512);
    block[168..184].copy_from_slice(&[0x33; 16]);
    put64(&mut block, 200, 17);
    put64(&mut block, 208, u64::MAX);
    put32(&mut block, 55, 128);
    block[256..].fill(0xff);
    block[256..260].copy_from_slice(&[0, 0, 1, 0]);
    change(&mut block);
    seal(&mut block, 54);
    write(image, at, &block);
}

/// The same in version 0.90, at its only place.
pub fn version_0(image: &Path, change: Change<'_>) {
    let mut block = vec![0; 4096];
    let words = [
        (0, 0xa92b_4efc),
        (2, 90),
        (5, 0x0123_4567),
        (6, 1_600_000_000),
        (7, 1),
        (8, u32::try_from(CONTENT / 1024).unwrap()),
        (9, 2),
        (10, 2),
        (13, 0x89ab_cdef),
        (32, 1_600_000_000),
        (33, 1),
        (34, 2),
        (35, 2),
        (39, 17),
        (129, 7),
        (132, 6),
        (160, 1),
        (161, 7),
        (162, 1),
        (163, 1),
        (164, 6),
        (993, 7),
        (996, 6),
    ];
    words.into_iter().for_each(|(word, value)| put32(&mut block, word, value));
    change(&mut block);
    seal(&mut block, 38);
    let size = fs::metadata(image).unwrap().len();
    write(image, (size & !0xffff) - 0x10000, &block);
}

/// The same as a big-endian machine would have written it: the count of events has its higher half
/// first (`mdp_super_t`).
fn swapped_version_0(image: &Path) {
    version_0(image, &|block| {
        put32(block, 39, 0);
        put32(block, 40, 17);
    });
    let at = (fs::metadata(image).unwrap().len() & !0xffff) - 0x10000;
    let mut block = Volume::open(image).read_vec(at, 4096).unwrap();
    block.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    write(image, at, &block);
}

pub fn write(image: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

/// Where the content of a device is, by its name.
fn content_at(image: &Path) -> u64 {
    let name = image.file_name().unwrap().to_str().unwrap();
    if name.starts_with("1-1") || name.starts_with("1-2") { 4 * MIB } else { 0 }
}

fn content(image: &Path) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("content");
    let len = usize::try_from(CONTENT).unwrap();
    fs::write(&file, Volume::open(image).read_vec(content_at(image), len).unwrap()).unwrap();
    (folder, file)
}

/// What mdadm says, without the names of devices: those of other tests come and go.
pub fn examined(image: &Path) -> String {
    let device = Loop::new(image);
    let version: &[&str] = if is_swapped(image) { &["--metadata=0.swap"] } else { &[] };
    let said = output_of("mdadm", &[&["--examine", device.name()], version].concat());
    let nameless = |line: &str| line.split("/dev/loop").next().unwrap().trim_end().to_owned();
    said.lines().map(nameless).collect::<Vec<_>>().join("\n")
}

fn is_swapped(image: &Path) -> bool {
    image.file_name().unwrap().to_str().unwrap().contains("swapped")
}

fn is_sound(image: &Path) -> bool {
    let said = examined(image);
    said.contains("- correct") && said.contains("raid1") && ext::is_sound(&content(image).1)
}

fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = ext::contents(&content(image).1);
    found.insert("superblock".into(), examined(image));
    found
}

const JUDGE: Judge = Judge { is_sound, contents };

/// A device with a filesystem for content and a superblock of that version.
pub fn make(image: &Path, version: &str, filesystem: &[u8], change: Change<'_>) {
    tools::old_medium(image, SIZE);
    write(image, content_at(image), filesystem);
    match version {
        "0.90" => version_0(image, change),
        "0.90-swapped" => swapped_version_0(image),
        "1.0" => version_1(image, (SIZE - 8192) & !4095, 0, change),
        "1.1" => version_1(image, 0, 4 * MIB, change),
        _ => version_1(image, 4096, 4 * MIB, change),
    }
}

const VERSIONS: [&str; 5] = ["0.90", "0.90-swapped", "1.0", "1.1", "1.2"];

pub fn filesystem_bytes(scratch: &Path) -> Vec<u8> {
    let (tree, file) = (scratch.join("tree"), scratch.join("file"));
    tools::make_tree(&tree, 1, 12 * MIB);
    tools::old_medium(&file, CONTENT);
    ext::format(&file, "-t ext4 -b 4096", Some(&tree));
    fs::read(file).unwrap()
}

#[test]
fn members_of_mirrors_are_mapped_by_what_is_in_them() {
    let scratch = TempDir::new().unwrap();
    let inside = filesystem_bytes(scratch.path());
    let free = CONTENT - inspect::inspect(&inside).used.total();
    for version in VERSIONS {
        let image = scratch.path().join(version.replace('.', "-"));
        make(&image, version, &inside, &|_| ());
        let said = examined(&image);
        let state = said.contains("State : clean") && said.contains("Raid Level : raid1");
        let number = version.trim_end_matches("-swapped");
        let count = said.contains("Events : 17") || said.contains("Events : 0.17");
        assert!(state && count && said.contains(&format!("Version : {number}")), "{said}");
        let found = inspect::inspect(&Volume::open(&image));
        assert_eq!(found.filesystem.unwrap().kind, Kind::MdRaid, "{version}");
        assert_eq!(found.coverage, Coverage::Used, "{version}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{version}");
        assert_eq!(SIZE - found.used.total(), free, "{version}");
        assert!(JUDGE.accepts(&image, &found.used), "{version}");
        if version == "1.2" {
            let hole = Extents::of(4 * MIB, 4 * MIB + 4096);
            assert!(!JUDGE.accepts(&image, &tools::without(&found.used, &hole, SIZE)));
        }
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_disk_in_a_mirror_is_captured_by_the_mirrors_table() {
    let bench = Bench::new();
    let array = bench.path("array");
    tools::old_medium(&array, CONTENT);
    tool("sgdisk", &["-Z", "-a1", "-n1:2048:61440", array.to_str().unwrap()]);
    let (tree, file) = (bench.path("tree"), bench.path("file"));
    tools::make_tree(&tree, 1, 4 * MIB);
    tools::old_medium(&file, 29 * MIB);
    ext::format(&file, "-t ext4 -b 4096", Some(&tree));
    write(&array, MIB, &fs::read(&file).unwrap());
    make(&bench.path("1-0"), "1.0", &fs::read(&array).unwrap(), &|_| ());
    bench.run(0, &["capture", "1-0"]);
    let manifest = bench.manifest("1-0");
    assert_eq!(manifest.partition(1).unwrap().stored, Stored::Used, "{:?}", manifest.warnings);
    bench.restore("1-0-again", &[]);
    bench.scribble("1-0", "1-0-again");
    let [before, after] = ["1-0", "1-0-again"].map(|name| examined(&bench.path(name)));
    assert!(before.contains("- correct") && before == after, "{before}\n{after}");
    let [before, after] = ["1-0", "1-0-again"].map(|disk| {
        let part = bench.cut(disk, MIB, 29 * MIB);
        assert!(ext::is_sound(&part), "{disk}");
        ext::contents(&part)
    });
    assert!(before.len() > 5 && before == after);
}

#[test]
fn members_in_doubt_are_captured_whole() {
    let scratch = TempDir::new().unwrap();
    let inside = filesystem_bytes(scratch.path());
    let version_1: &[(&str, Change<'_>)] = &[
        ("RAID 5 arrays", &|block| put32(block, 18, 5)),
        ("bad blocks", &|block| put32(block, 2, 8)),
        ("a rebuild", &|block| put32(block, 2, 2)),
        ("not stopped in sync", &|block| put64(block, 208, 0)),
        ("no active member", &|block| block[256..258].fill(0xff)),
        ("no active member", &|block| block[256] = 2),
        ("geometry", &|block| put64(block, 80, SIZE / 512)),
        ("geometry", &|block| put64(block, 128, u64::MAX / 512)),
        ("cut short", &|block| put32(block, 55, u32::MAX)),
    ];
    let version_0: &[(&str, Change<'_>)] = &[
        ("RAID 0 arrays", &|block| put32(block, 7, 0)),
        ("reshaped", &|block| put32(block, 2, 91)),
        ("not stopped in sync", &|block| put32(block, 33, 0)),
        ("no active member", &|block| put32(block, 996, 2)),
        ("no active member", &|block| put32(block, 995, 2)),
        ("geometry", &|block| put32(block, 8, u32::MAX)),
    ];
    for (version, changes) in [("1.2", version_1), ("1.0", version_1), ("0.90", version_0)] {
        let image = scratch.path().join(version.replace('.', "-"));
        let whole = |why: &str| {
            let found = inspect::inspect(&Volume::open(&image));
            assert_eq!(found.filesystem.unwrap().kind, Kind::MdRaid, "{version} {why}");
            assert_eq!(found.coverage, Coverage::Whole, "{version} {why}");
            assert!(found.warnings[0].contains(why), "{version} {why}: {:?}", found.warnings);
        };
        for (why, change) in changes {
            make(&image, version, &inside, *change);
            whole(why);
        }
        make(&image, version, &inside, &|_| ());
        let at = if version == "1.2" { 4096 } else { superblock_at_the_end(version) };
        let mut byte = Volume::open(&image).read_vec(at + 200, 1).unwrap();
        byte[0] ^= 1;
        write(&image, at + 200, &byte);
        whole("checksum");
    }
    let image = scratch.path().join("1-1");
    make(&image, "1.1", &inside, &|_| ());
    self::version_0(&image, &|_| ());
    let found = inspect::inspect(&Volume::open(&image));
    assert!(found.warnings[0].contains("two arrays"), "{:?}", found.warnings);
}

/// Where the superblocks at the end are.
fn superblock_at_the_end(version: &str) -> u64 {
    if version == "1.0" { (SIZE - 8192) & !4095 } else { (SIZE & !0xffff) - 0x10000 }
}
