//! F2FS without a kernel that writes it: layouts of `mkfs.f2fs`, trees of `sload.f2fs`, damage.
//! Volumes that were written to are in `guest.rs`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Random, output_of, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect::{self, owners};
use lifeboat::volume::{Coverage, Inspection, State};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

fn format(image: &Path, options: &str) {
    let mut words = vec!["-q", "-f"];
    words.extend(options.split_whitespace());
    words.push(image.to_str().unwrap());
    tool("mkfs.f2fs", &words);
}

fn is_sound(image: &Path) -> bool {
    succeeds("fsck.f2fs", &["--dry-run", image.to_str().unwrap()])
}

/// A field of the checkpoint or the superblock, by f2fs-tools.
fn field(image: &Path, name: &str) -> u64 {
    let listing = output_of("dump.f2fs", &["-d", "1", image.to_str().unwrap()]);
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

/// What a block is by f2fs-tools ("Data", "Node", "Obsolete"), and the name of its file.
fn block_by_dump(image: &Path, block: u64) -> (String, Option<String>) {
    let said = output_of("dump.f2fs", &["-b", &block.to_string(), image.to_str().unwrap()]);
    let after = |mark: &str| said.lines().find_map(|line| line.split_once(mark)).map(|(_, s)| s);
    let kind = after("FS Userdata Area: ").unwrap().split(' ').next().unwrap().to_owned();
    (kind, after(" - File name         : ").map(str::to_owned))
}

/// The block with the journals of the newer one of two checkpoint packs.
fn journals(packs: &[u8]) -> usize {
    let number = |at: usize| u32::from_le_bytes(packs[at..at + 4].try_into().unwrap());
    let (first, second) = (0, 512 * 4096);
    let newer = if number(second) > number(first) { second } else { first };
    assert_ne!(number(newer + 132) & 0x4, 0, "the journals are not in one block");
    newer + number(newer + 140) as usize * 4096
}

/// The checkpoint's journals are those of the checkpoint packs of an earlier time, when as many
/// blocks were in use, but others.
pub fn assert_older_journals_are_noticed(image: &Path, before: &[u8]) {
    let mut bytes = fs::read(image).unwrap();
    let start = usize::try_from(field(image, "cp_blkaddr")).unwrap() * 4096;
    let (new, old) = (start + journals(&bytes[start..start + before.len()]), journals(before));
    bytes[new..new + 4096].copy_from_slice(&before[old..old + 4096]);
    let found = inspect::inspect(&bytes);
    assert_eq!(found.coverage, Coverage::Whole, "{}", image.display());
}

/// Holds the owners of some blocks against what f2fs-tools say of them.
pub fn check_owners(image: &Path, used: &Extents) {
    let volume = Volume::open(image);
    let main = field(image, "main_blkaddr") * 4096;
    let (mut data, mut nodes, mut free) = (0, 0, 0);
    for at in (main..volume.size() / 4096 * 4096).step_by(4096 * 7) {
        let is_used = !used.intersection(&Extents::of(at, at + 4096)).is_empty();
        // One block of four in use, a few of the others.
        if (at / 4096 / 7) % if is_used { 4 } else { 199 } != 0 {
            continue;
        }
        let found = owners(&volume, &Extents::of(at, at + 4096));
        assert_eq!(found.note, None, "{at:#x}");
        let paths: Vec<_> =
            found.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
        if !is_used {
            // Of some of these dump.f2fs tells what was there.
            assert!(paths.is_empty() && found.metadata == 0, "{at:#x}: {paths:?}");
            free += 1;
            continue;
        }
        let (kind, name) = block_by_dump(image, at / 4096);
        assert_ne!(kind, "Obsolete", "{at:#x}");
        match (kind.as_str(), name) {
            (kind, Some(name)) => {
                let [(path, 4096)] = paths[..] else { panic!("{at:#x}: {name}, {paths:?}") };
                assert_eq!(path.rsplit_once('/').unwrap().1, name, "{at:#x}");
                data += u32::from(kind == "Data");
                nodes += u32::from(kind == "Node");
            }
            // The root has no name, nor have files of the filesystem itself.
            (_, None) => assert!(paths.is_empty() || paths == [("/", 4096)], "{at:#x}: {paths:?}"),
        }
    }
    assert!(data > 20 && nodes > 2 && free > 5, "{data}, {nodes}, {free}");
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
            tool("sload.f2fs", &["-f", tree.to_str().unwrap(), image.to_str().unwrap()]);
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

/// Small files, a folder of many entries, and a file whose nodes are in a tree.
#[test]
fn owners_on_f2fs_agree_with_dump_f2fs() {
    let scratch = TempDir::new().unwrap();
    let (image, tree) = (scratch.path().join("image"), scratch.path().join("tree"));
    tools::make_tree(&tree, 74, 2 * MIB);
    fs::write(tree.join("large"), Random::new(75).bytes(14 << 20)).unwrap();
    fs::create_dir(tree.join("many")).unwrap();
    for number in 0..300 {
        fs::write(tree.join(format!("many/a rather long name of file {number}")), "x").unwrap();
    }
    tools::sparse_medium(&image, 100 * MIB);
    format(&image, "");
    tool("sload.f2fs", &["-f", tree.to_str().unwrap(), image.to_str().unwrap()]);
    check_owners(&image, &inspect(&image).used);
    let volume = Volume::open(&image);
    let start = owners(&volume, &Extents::of(0, 4096));
    assert_eq!((start.metadata, start.files.len()), (4096, 0));
    // Both checkpoints are lost: nothing can be told, and that is said.
    let mut bytes = fs::read(&image).unwrap();
    let cp = usize::try_from(field(&image, "cp_blkaddr") * 4096).unwrap();
    let main = field(&image, "main_blkaddr") * 4096;
    bytes[cp..cp + (1024 << 12)].fill(0x5a);
    let found = owners(&bytes, &Extents::of(main, bytes.size()));
    assert!(found.files.is_empty() && found.note.unwrap().contains("checkpoints"));
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

/// A small volume with a tree of files in it.
fn loaded(scratch: &Path, seed: u64) -> PathBuf {
    let (image, tree) = (scratch.join("image"), scratch.join("tree"));
    tools::make_tree(&tree, seed, 4 * MIB);
    tools::sparse_medium(&image, 100 * MIB);
    format(&image, "");
    tool("sload.f2fs", &["-f", tree.to_str().unwrap(), image.to_str().unwrap()]);
    image
}

/// Bytes at which a segment's bits may be: in both copies of the table, and in the journal among
/// the compacted summaries of both checkpoint packs.
fn places_of_bits(image: &Path, bytes: &[u8], segment: usize) -> Vec<usize> {
    let place = |name: &str| usize::try_from(field(image, name)).unwrap() * 4096;
    let inside = segment / 55 * 4096 + segment % 55 * 74 + 2;
    let table = place("sit_blkaddr");
    let half = place("segment_count_sit") / 2 * 512;
    let mut places = vec![table + inside, table + half + inside];
    for pack in [place("cp_blkaddr"), place("cp_blkaddr") + 512 * 4096] {
        let journal = pack + usize::from(bytes[pack + 140]) * 4096 + 507;
        for entry in 0..usize::from(bytes[journal]) {
            let at = journal + 2 + entry * 78;
            let number = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            places.extend((number as usize == segment).then_some(at + 4 + 2));
        }
    }
    places
}

#[test]
fn segments_of_f2fs_that_call_other_blocks_used_are_noticed() {
    let scratch = TempDir::new().unwrap();
    let image = loaded(scratch.path(), 74);
    let sound = inspect(&image);
    assert_eq!(sound.coverage, Coverage::Used, "{:?}", sound.warnings);
    let bytes = fs::read(&image).unwrap();
    let main = field(&image, "main_blkaddr") * 4096;
    let mut tried = 0;
    for log in ["node_segno[0]", "node_segno[1]", "data_segno[0]", "data_segno[1]"] {
        let segment = field(&image, &format!("cur_{log}"));
        let is_used = |block: u64| {
            let start = main + (segment * 512 + block) * 4096;
            !sound.used.intersection(&Extents::of(start, start + 4096)).is_empty()
        };
        // As many as before, and one of those is another one.
        let Some(used) = (0..512).rev().find(|block| is_used(*block)) else { continue };
        let free = (used..512).find(|block| !is_used(*block)).unwrap();
        let mut bytes = bytes.clone();
        for place in places_of_bits(&image, &bytes, usize::try_from(segment).unwrap()) {
            for block in [used, free] {
                bytes[place + usize::try_from(block / 8).unwrap()] ^= 0x80 >> (block % 8);
            }
        }
        let found = inspect::inspect(&bytes);
        assert_eq!(found.coverage, Coverage::Whole, "{log}");
        let reason = &found.warnings[0];
        assert!(reason.contains("its segment table calls blocks of node"), "{log}: {reason}");
        tried += 1;
    }
    assert!(tried > 1, "{tried} logs were written to");
}

#[test]
fn one_wrong_bit_of_f2fs_never_drops_a_used_block() {
    let scratch = TempDir::new().unwrap();
    let image = loaded(scratch.path(), 72);
    let sound = inspect(&image);
    assert_eq!(sound.coverage, Coverage::Used, "{:?}", sound.warnings);
    let mut bytes = fs::read(&image).unwrap();
    let main = usize::try_from((field(&image, "main_blkaddr")) * 4096).unwrap();
    let places: Vec<usize> = (0..main).filter(|&at| bytes[at] != 0).collect();
    let mut numbers = Random::new(73);
    let mut whole = 0;
    for _ in 0..1500 {
        let at = places[usize::try_from(numbers.below(places.len() as u64)).unwrap()];
        let bit = numbers.below(8);
        bytes[at] ^= 1 << bit;
        let found = inspect::inspect(&bytes);
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
