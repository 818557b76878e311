//! Leftovers: a superblock that passes all its own checks while something else lives on the volume,
//! judged by libblkid where it knows of both; and remnants that say nothing.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{output_of, tool, tool_with_input};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 80 * MIB;

fn put(image: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

/// A fresh volume by a tool's command, in which `IMAGE` is filled in.
fn make(image: &Path, command: &str) {
    let _ = fs::remove_file(image);
    tools::sparse_medium(image, SIZE);
    let words: Vec<String> =
        command.split(' ').map(|word| word.replace("IMAGE", image.to_str().unwrap())).collect();
    tool(&words[0], &words[1..]);
}

fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

/// What libblkid takes a volume for: nothing when signatures contradict each other.
fn blkid(image: &Path) -> String {
    let args = ["-p", "-s", "TYPE", "-o", "value", image.to_str().unwrap()];
    output_of("blkid", &args).trim().into()
}

const EXT4: &str = "mke2fs -q -F -t ext4 -b 4096 IMAGE";
const SWAP: &str = "mkswap IMAGE";
const NTFS: &str = "mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63 IMAGE";
const FAT32: &str = "mkfs.fat -F 32 IMAGE";

/// A filesystem of BSD: its magic in the superblock at 64 KiB.
const UFS: (u64, &[u8]) = ((64 << 10) + 1372, b"\x19\x01\x54\x19");

#[test]
fn signatures_of_others_contradict_a_map() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let reiser: (u64, &[u8]) = ((64 << 10) + 52, b"ReIsEr2Fs");
    let jfs: (u64, &[u8]) = (32 << 10, b"JFS1\x01\0\0\0");
    let gfs2: (u64, &[u8]) = (64 << 10, b"\x01\x16\x19\x70\0\0\0\x01");
    for (command, (at, magic), name) in [
        (SWAP, UFS, "UFS"),
        (SWAP, reiser, "ReiserFS"),
        (SWAP, gfs2, "GFS2"),
        (EXT4, UFS, "UFS"),
        (NTFS, UFS, "UFS"),
        (NTFS, jfs, "JFS"),
        (FAT32, jfs, "JFS"),
        (FAT32, reiser, "ReiserFS"),
    ] {
        make(&image, command);
        let before = inspect(&image);
        assert_ne!(before.coverage, Coverage::Whole, "{command}: {:?}", before.warnings);
        put(&image, at, magic);
        let found = inspect(&image);
        assert_eq!(found.used, Extents::of(0, SIZE), "{command} {name}");
        assert!(found.warnings[0].contains(name), "{command} {name}: {:?}", found.warnings);
        assert_eq!(inspect::recognise(&Volume::open(&image)).unwrap(), None, "{command} {name}");
    }
    make(&image, SWAP);
    put(&image, UFS.0, UFS.1);
    assert_eq!(blkid(&image), "", "libblkid calls it ambivalent as well");
}

#[test]
fn what_owns_a_volume_wins_over_a_filesystem_on_it() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    // Magics as libblkid has them, the rest as it wants it (`libblkid/src/superblocks`).
    let drbd = [&[0; 60][..], b"\x83\x74\x02\x6b"].concat();
    let bcache = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
    let owners: [(u64, &[u8], Kind, &str); 4] = [
        (SIZE - 4096, &drbd, Kind::Drbd, "DRBD"),
        (4096 + 24, bcache, Kind::Bcache, "bcache"),
        (32, b"ORCLDISK", Kind::OracleAsm, "Oracle ASM"),
        (MIB, b"\x0d\xd0\x01\xc0", Kind::Vmfs, "VMFS"),
    ];
    for (at, magic, kind, name) in owners {
        make(&image, EXT4);
        put(&image, at, magic);
        let found = inspect(&image);
        let filesystem = found.filesystem.unwrap();
        assert_eq!((filesystem.kind, filesystem.size), (kind, SIZE), "{name}");
        assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, SIZE), "{name}");
        assert!(found.warnings[0].contains(name), "{:?}", found.warnings);
        let listed = inspect::recognise(&Volume::open(&image)).unwrap().unwrap();
        assert_eq!(listed.kind, kind);
    }
}

#[test]
fn what_no_reader_knows_is_named() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for (command, kind) in [
        ("mkfs.minix -3 IMAGE", Kind::Minix),
        ("mkfs.bfs IMAGE", Kind::Bfs),
        ("mke2fs -q -F -O journal_dev IMAGE", Kind::ExtJournal),
    ] {
        make(&image, command);
        assert_ne!(blkid(&image), "");
        let found = inspect(&image);
        assert_eq!(found.filesystem.unwrap().kind, kind, "{command}");
        assert_eq!(found.coverage, Coverage::Whole);
    }
    // SquashFS before version 4 (`squashfs_fs.h`): the version stands at byte 28.
    tools::sparse_medium(&image, SIZE);
    put(&image, 0, b"hsqs");
    put(&image, 28, &[3, 0]);
    assert_eq!(inspect(&image).filesystem.unwrap().kind, Kind::Squashfs);
}

#[test]
fn a_table_inside_a_volume_contradicts_a_map() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let path = image.to_str().unwrap();
    make(&image, EXT4);
    // Old tools leave the superblock alone, new ones only when they are told to.
    let script = b"label: dos\n2048,,83\n";
    tool_with_input("sfdisk", &["-q", "--wipe", "never", path], script);
    assert_eq!(inspect::recognise(&Volume::open(&image)).unwrap(), None);
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("partition table"), "{:?}", found.warnings);
    // The label of a BSD, whose own partitions begin where the slice does.
    make(&image, EXT4);
    put(&image, 512, b"\x57\x45\x56\x82");
    assert_eq!(inspect(&image).coverage, Coverage::Whole);
}

#[test]
fn remnants_that_say_nothing_are_no_contradiction() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let maps = |what: &str| {
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{what}: {:?}", found.warnings);
        assert_eq!(found.filesystem.unwrap().kind, Kind::Ext4, "{what}");
    };
    make(&image, EXT4);
    let disk = scratch.path().join("disk");
    tools::sparse_medium(&disk, SIZE);
    tool("sgdisk", &["-o", disk.to_str().unwrap()]);
    let end = Volume::open(&disk).read_vec(SIZE - 512, 512).unwrap();
    put(&image, SIZE - 512, &end);
    maps("a backup GPT at the end");
    make(&image, EXT4);
    let mut boot = vec![0x90; 446];
    boot.extend([0; 64]);
    boot.extend([0x55, 0xaa]);
    put(&image, 0, &boot);
    maps("a boot loader");
    tools::sparse_medium(&disk, 128 * MIB);
    tool("mkfs.btrfs", &["-q", "-f", disk.to_str().unwrap()]);
    let copy = Volume::open(&disk).read_vec(64 * MIB, 4096).unwrap();
    make(&image, EXT4);
    put(&image, 64 * MIB, &copy);
    maps("a copy of the superblock of a Btrfs");
    make(&image, EXT4);
    put(&image, 128 << 10, &0x00ba_b10c_u64.to_le_bytes());
    maps("fewer uberblocks than libblkid believes");
}

#[test]
fn a_swap_space_is_more_than_ten_letters() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let last = u32::try_from(SIZE / 4096 - 1).unwrap();
    let word = |value: u32| value.to_le_bytes().to_vec();
    for (at, bytes, reason) in [
        (1024, word(2), "version"),
        (1028, word(last + 1), "partition only"),
        (1028, word(3), "smaller"),
        (1032, word(638), "what is not"),
        (1032, word(1), "what is not"),
        (1536, word(7), "what is not"),
        (1100, vec![1], "what is not"),
    ] {
        make(&image, SWAP);
        put(&image, at, &bytes);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole, "{reason}");
        assert!(found.warnings[0].contains(reason), "{reason}: {:?}", found.warnings);
    }
    // The other byte order, in which PowerPC and others write it.
    make(&image, SWAP);
    for at in [1024, 1028] {
        let mut number = Volume::open(&image).read_vec(at, 4).unwrap();
        number.reverse();
        put(&image, at, &number);
    }
    assert_eq!(inspect(&image).used, Extents::of(0, 4096));
    // A bad page that is noted as one.
    make(&image, SWAP);
    put(&image, 1032, &word(1));
    put(&image, 1536, &word(7));
    assert_eq!(inspect(&image).used, Extents::of(0, 4096));
    // Smaller than the partition: what lies behind it is kept.
    put(&image, 1028, &word(last - 1000));
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::HeaderOnly);
    let mut kept = Extents::of(0, 4096);
    kept.push(SIZE - 1000 * 4096, SIZE);
    assert_eq!(found.used, kept);
}

#[test]
fn a_map_of_ext_wants_the_copies_of_its_superblock_and_a_root() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let command = "mke2fs -q -F -t ext4 -b 1024 -O ^metadata_csum IMAGE";
    make(&image, command);
    assert_eq!(inspect(&image).coverage, Coverage::Used, "{:?}", inspect(&image).warnings);
    // With blocks of 1 KiB the copies lie in blocks 8193, 24577 and so on.
    put(&image, 24577 << 10, &[0xa5; 1024]);
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("group 3"), "{:?}", found.warnings);
    make(&image, command);
    tool("debugfs", &["-w", "-R", "sif <2> mode 0100644", image.to_str().unwrap()]);
    assert!(inspect(&image).warnings[0].contains("root directory"));
}

#[test]
fn a_map_of_fat_wants_a_root_directory() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for command in [FAT32, "mkfs.fat -F 16 -n LABEL IMAGE", "mkfs.fat -F 12 -s 64 IMAGE"] {
        make(&image, command);
        for name in ["a plain file with a long name", "SHORT.TXT", "\u{e9}t\u{e9} 2026"] {
            fs::write(scratch.path().join("file"), name).unwrap();
            let (file, to) = (scratch.path().join("file"), format!("::{name}"));
            tool("mcopy", &["-i", image.to_str().unwrap(), file.to_str().unwrap(), &to]);
        }
        tool("mmd", &["-i", image.to_str().unwrap(), "::folder"]);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{command}: {:?}", found.warnings);
    }
    make(&image, FAT32);
    let boot = Volume::open(&image).read_vec(0, 512).unwrap();
    let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let root = (word(14) + 2 * word(36)) * 512;
    put(&image, root, &[0x5a; 512]);
    assert!(
        inspect(&image).warnings[0].contains("root directory"),
        "{:?}",
        inspect(&image).warnings
    );
}

#[test]
fn fat_with_more_than_two_tables_is_mapped_by_all_of_them() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for tables in 3..=4u64 {
        make(&image, &format!("mkfs.fat -F 32 -f {tables} -n LABEL IMAGE"));
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
        let filesystem = found.filesystem.unwrap();
        assert_eq!((filesystem.kind, filesystem.label.as_deref()), (Kind::Fat32, Some("LABEL")));
        // The last table says something else.
        let boot = Volume::open(&image).read_vec(0, 512).unwrap();
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        put(&image, (word(14) + (tables - 1) * word(36)) * 512 + 12, &[0xff, 0xff, 0xff, 0x0f]);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole);
        assert!(found.warnings[0].contains("copies"), "{:?}", found.warnings);
    }
}
