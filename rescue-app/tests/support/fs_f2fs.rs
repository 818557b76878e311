//! F2FS without a kernel that writes it: layouts of `mkfs.f2fs`, trees of `sload.f2fs`, damage.
//! Volumes that were written to are in `fs_guest.rs`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::filesystem::{self, Coverage, Inspection, State};
use tempfile::TempDir;

use crate::fs_tools::{self as tools, Numbers, Volume};

const MIB: u64 = 1 << 20;

fn inspect(image: &Path) -> Inspection {
    filesystem::inspect(&Volume::open(image))
}

fn format(image: &Path, options: &str) {
    let mut words = vec!["-q", "-f"];
    words.extend(options.split_whitespace());
    words.push(image.to_str().unwrap());
    tools::run("mkfs.f2fs", &words);
}

fn is_sound(image: &Path) -> bool {
    tools::succeeds("fsck.f2fs", &["--dry-run", image.to_str().unwrap()])
}

/// A field of the checkpoint or the superblock, by f2fs-tools.
fn field(image: &Path, name: &str) -> u64 {
    let listing = tools::output_of("dump.f2fs", &["-d", "1", image.to_str().unwrap()]);
    let line = listing.lines().find(|line| line.starts_with(name)).unwrap();
    let (_, value) = line.rsplit_once(" : ").unwrap();
    value.trim_end_matches(']').trim().parse().unwrap()
}

/// Bytes that are in use: the main area's by the checkpoint, and everything else.
pub fn used_by_dump(image: &Path) -> u64 {
    let main = field(image, "segment_count_main") * 512;
    let size = fs::metadata(image).unwrap().len();
    size - (main - field(image, "valid_block_count")) * 4096
}

const ALL_FEATURES: &str = "-C utf8 -O encrypt,extra_attr,project_quota,inode_checksum,\
    flexible_inline_xattr,quota,inode_crtime,lost_found,verity,sb_checksum,compression";

#[test]
fn f2fs_maps_count_as_f2fs_tools_do() {
    let scratch = TempDir::new().unwrap();
    let (image, tree) = (scratch.path().join("image"), scratch.path().join("tree"));
    tools::make_tree(&tree, 71, 12 * MIB);
    for (mib, options) in [
        (100, ""),
        (100, "-i"),
        (200, "-s 4"),
        (100, "-a 1 -o 20"),
        (120, ALL_FEATURES),
        (70 << 10, ""),
    ] {
        let size = mib * MIB + 4096 * 5;
        tools::sparse_medium(&image, size);
        format(&image, options);
        // Of all features at once sload.f2fs makes what fsck.f2fs does not accept.
        if options != ALL_FEATURES {
            tools::run("sload.f2fs", &["-f", tree.to_str().unwrap(), image.to_str().unwrap()]);
        }
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{mib} {options}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{mib} {options}");
        assert_eq!(found.used.total(), used_by_dump(&image), "{mib} {options}");
        assert_eq!(found.filesystem.unwrap().state, State::Clean);
        if mib < 1000 {
            assert!(is_sound(&image), "{options}");
            for byte in [0, 0x5a] {
                assert!(is_sound(&tools::scribbled_copy(&image, &found.used, byte)), "{options}");
            }
        }
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn f2fs_of_unknown_features_is_captured_whole() {
    let scratch = TempDir::new().unwrap();
    let (image, other) = (scratch.path().join("image"), scratch.path().join("other"));
    let second = format!("-c {}", other.display());
    for (options, feature, reason) in [
        ("", 0x2u8, "unknown features 0x2"),
        ("-O ro", 0, "unknown features 0x4000"),
        (&second, 0, "several devices"),
    ] {
        tools::sparse_medium(&image, 200 * MIB);
        tools::sparse_medium(&other, 200 * MIB);
        format(&image, options);
        if feature != 0 {
            // Zoned, which only a zoned device can be formatted as; in both superblocks.
            let file = OpenOptions::new().write(true).open(&image).unwrap();
            file.write_all_at(&[feature], 1024 + 2180).unwrap();
            file.write_all_at(&[feature], 4096 + 1024 + 2180).unwrap();
        }
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole, "{options}");
        assert!(found.warnings[0].contains(reason), "{options}: {:?}", found.warnings);
    }
}

#[test]
fn one_wrong_bit_of_f2fs_never_drops_a_used_block() {
    let scratch = TempDir::new().unwrap();
    let (image, tree) = (scratch.path().join("image"), scratch.path().join("tree"));
    tools::make_tree(&tree, 72, 4 * MIB);
    tools::sparse_medium(&image, 100 * MIB);
    format(&image, "");
    tools::run("sload.f2fs", &["-f", tree.to_str().unwrap(), image.to_str().unwrap()]);
    let sound = inspect(&image);
    assert_eq!(sound.coverage, Coverage::Used, "{:?}", sound.warnings);
    let mut bytes = fs::read(&image).unwrap();
    let main = usize::try_from((field(&image, "main_blkaddr")) * 4096).unwrap();
    let places: Vec<usize> = (0..main).filter(|&at| bytes[at] != 0).collect();
    let mut numbers = Numbers::new(73);
    let mut whole = 0;
    for _ in 0..1500 {
        let at = places[usize::try_from(numbers.below(places.len() as u64)).unwrap()];
        let bit = numbers.below(8);
        bytes[at] ^= 1 << bit;
        let found = filesystem::inspect(&bytes);
        bytes[at] ^= 1 << bit;
        if found.coverage == Coverage::Whole {
            assert_eq!(found.used, Extents::of(0, bytes.size()));
            whole += 1;
        } else {
            assert_eq!(found.used, sound.used, "bit {bit} of byte {at}");
        }
    }
    assert!(whole > 100, "only {whole} noticed");
}
