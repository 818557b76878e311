//! ext2, ext3 and ext4, judged by e2fsprogs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Random, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::operation::survey_disk;
use lifeboat::volume::{Coverage, Inspection, Kind, State};
use tempfile::TempDir;

use crate::tools::{self, Judge, Mount, Volume};

const MIB: u64 = 1 << 20;

/// `mke2fs` options that change where things lie or what a bitmap means.
const VARIANTS: &[(&str, u64, &str)] = &[
    ("ext2-revision-0", 48, "-t ext2 -b 4096 -r 0"),
    ("ext2-1k", 48, "-t ext2 -b 1024"),
    ("ext2-dense-supers", 48, "-t ext2 -b 1024 -O ^sparse_super,^resize_inode"),
    ("ext3", 64, "-t ext3 -b 4096 -J size=4"),
    ("ext4", 96, "-t ext4 -b 4096"),
    ("ext4-no-lazy", 64, "-t ext4 -b 4096 -E lazy_itable_init=0,lazy_journal_init=0"),
    ("ext4-1k-meta-bg", 64, "-t ext4 -b 1024 -O meta_bg,^resize_inode"),
    ("ext4-2k", 64, "-t ext4 -b 2048"),
    ("ext4-64k", 192, "-t ext4 -b 65536"),
    ("ext4-32-bit-uninit", 64, "-t ext4 -b 4096 -O ^64bit,^metadata_csum,uninit_bg"),
    ("ext4-no-checksums", 64, "-t ext4 -b 4096 -O ^metadata_csum,^uninit_bg"),
    ("ext4-sparse-super2", 96, "-t ext4 -b 1024 -O sparse_super2"),
    ("ext4-no-flex", 64, "-t ext4 -b 1024 -O ^flex_bg"),
    ("ext4-small-groups", 64, "-t ext4 -b 4096 -g 1024 -G 4"),
    ("ext4-packed", 64, "-t ext4 -b 1024 -E packed_meta_blocks=1"),
    ("ext4-bigalloc", 96, "-t ext4 -b 4096 -O bigalloc -C 16384"),
    ("ext4-bigalloc-1k", 96, "-t ext4 -O bigalloc -b 1024 -C 16384"),
    ("ext4-orphan-file", 64, "-t ext4 -b 4096 -O orphan_file"),
    ("ext4-extras", 64, "-t ext4 -b 4096 -I 1024 -O inline_data,mmp,casefold,metadata_csum_seed"),
    ("ext4-quota", 64, "-t ext4 -b 4096 -O quota,project"),
    ("ext4-no-journal", 64, "-t ext4 -b 4096 -O ^has_journal,ea_inode,large_dir"),
    ("ext4-fast-commit", 64, "-t ext4 -b 4096 -O fast_commit"),
];

pub fn format(image: &Path, options: &str, content: Option<&Path>) {
    let mut args: Vec<&str> = vec!["-q", "-F", "-F", "-L", "lifeboat", "-U"];
    args.extend(["1b4e28ba-2fa1-11d2-883f-b9a761bde3fb", "-E", "nodiscard"]);
    // mke2fs takes the last -E only.
    let extended = options.contains("-E ");
    if extended {
        args.truncate(args.len() - 2);
    }
    let joined = options.replace("-E ", "-E nodiscard,");
    args.extend(joined.split_whitespace());
    if let Some(content) = content {
        args.extend(["-d", content.to_str().unwrap()]);
    }
    args.push(image.to_str().unwrap());
    tool("mke2fs", &args);
}

/// Deletes half of the files, writes new ones and rewrites some, all without mounting.
pub fn churn(image: &Path, scratch: &Path, files: &BTreeMap<PathBuf, String>) {
    let mut numbers = Random::new(7);
    let mut commands = String::new();
    let plain = |hash: &&String| hash.as_str() != "folder";
    for (index, (name, _)) in files.iter().filter(|(_, hash)| plain(hash)).enumerate() {
        if index % 2 == 0 {
            commands += &format!("rm \"/{}\"\n", name.display());
        }
        if index % 6 == 0 {
            let fresh = scratch.join(format!("fresh-{index}"));
            let len = tools::file_size(&mut numbers, 150 << 10);
            fs::write(&fresh, numbers.bytes(len)).unwrap();
            commands += &format!("write {} \"/{}\"\n", fresh.display(), name.display());
        }
    }
    let script = scratch.join("commands");
    fs::write(&script, commands).unwrap();
    tool("debugfs", &["-w", "-f", script.to_str().unwrap(), image.to_str().unwrap()]);
}

pub fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let folder = TempDir::new().unwrap();
    let command = format!("rdump / {}", folder.path().display());
    tool("debugfs", &["-R", &command, image.to_str().unwrap()]);
    tools::hashes(folder.path())
}

pub fn is_sound(image: &Path) -> bool {
    succeeds("e2fsck", &["-fn", image.to_str().unwrap()])
}

/// A number in the listing of `dumpe2fs`.
pub fn field(listing: &str, name: &str) -> u64 {
    let line = listing.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Free bytes as `dumpe2fs` lists them.
pub fn free_by_dumpe2fs(image: &Path) -> Extents {
    let listing = tool("dumpe2fs", &[image]);
    let size = field(&listing, "Block size:");
    let mut free = Extents::new();
    for list in listing.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for range in list.split(", ").filter(|range| !range.is_empty()) {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
            free.push(from * size, (to + 1) * size);
        }
    }
    free
}

fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

const JUDGE: Judge = Judge { is_sound, contents };

#[test]
fn ext_maps_hold_everything_that_matters() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, 1, 14 * MIB);
    let files = tools::hashes(&tree);
    for (name, mib, options) in VARIANTS {
        let image = scratch.path().join(name);
        // A tail that the filesystem does not cover belongs to the partition all the same.
        tools::old_medium(&image, mib * MIB + 37 * 512);
        format(&image, options, Some(&tree));
        churn(&image, scratch.path(), &files);
        if name.contains("quota") {
            // Neither mke2fs -d nor debugfs keeps quota files up to date.
            assert!(!succeeds("e2fsck", &["-fy", image.to_str().unwrap()]));
        }
        let count = contents(&image).len();
        assert!(count > 40, "{name}: {count} files");

        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
        let free = free_by_dumpe2fs(&image);
        let size = fs::metadata(&image).unwrap().len();
        if !name.contains("bigalloc") {
            assert_eq!(found.used.gaps_within(0, size), free, "{name}");
        }
        // Not a map of everything: most of what the tool calls free is left out.
        assert!(size - found.used.total() >= free.total() / 10 * 9, "{name}");
        assert!(JUDGE.accepts(&image, &found.used), "{name}");

        let filesystem = found.filesystem.unwrap();
        let kind = match &name[..4] {
            "ext2" => Kind::Ext2,
            "ext3" => Kind::Ext3,
            _ => Kind::Ext4,
        };
        assert_eq!((filesystem.kind, filesystem.state), (kind, State::Clean), "{name}");
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn an_ext_map_that_drops_one_used_block_is_caught() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, 2, 6 * MIB);
    let image = scratch.path().join("image");
    tools::old_medium(&image, 48 * MIB);
    format(&image, "-t ext4 -b 4096 -O ^has_journal", Some(&tree));
    let used = inspect(&image).used;
    assert!(JUDGE.accepts(&image, &used));
    let command = "blocks \"/folder 1/sub1/file-0001.bin\"";
    let blocks = tool("debugfs", &["-R", command, image.to_str().unwrap()]);
    let block: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let hole = Extents::of(block * 4096, (block + 1) * 4096);
    assert!(!JUDGE.accepts(&image, &tools::without(&used, &hole, 48 * MIB)));
}

#[test]
fn ext_maps_of_large_filesystems_agree_with_dumpe2fs() {
    let scratch = TempDir::new().unwrap();
    for (gib, options) in [
        (48, "-t ext4"),
        (48, "-t ext4 -O meta_bg,^resize_inode"),
        (48, "-t ext4 -b 1024 -O ^resize_inode"),
        (48, "-t ext2 -O sparse_super2"),
        (48, "-t ext4 -O bigalloc -C 65536"),
        (2048, "-t ext4"),
        (2048, "-t ext4 -O ^64bit,^metadata_csum,uninit_bg,^has_journal"),
    ] {
        let image = scratch.path().join("image");
        tools::sparse_medium(&image, gib << 30);
        format(&image, options, None);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{options}: {:?}", found.warnings);
        let (free, ours) = (free_by_dumpe2fs(&image), found.used.gaps_within(0, gib << 30));
        if options.contains("bigalloc") {
            // dumpe2fs prints the first block of the last free cluster as a range's end, and calls
            // clusters used as a whole that hold one block of a backup superblock: each of its
            // ranges may lack up to two clusters; nothing else may differ.
            assert_eq!(free.intersection(&ours), free, "{gib} GiB {options}");
            let ranges = u64::try_from(free.count()).unwrap();
            assert!(ours.total() - free.total() < 2 * ranges * 65536, "{gib} GiB {options}");
        } else {
            assert_eq!(ours, free, "{gib} GiB {options}");
        }
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn ext_identity_is_what_the_tools_say() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 32 * MIB);
    format(&image, "-t ext4", None);
    let volume = Volume::open(&image);
    let found = inspect::recognise(&volume).unwrap().unwrap();
    assert_eq!(found.label.as_deref(), Some("lifeboat"));
    assert_eq!(found.uuid.as_deref(), Some("1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"));
    assert_eq!(found.size, volume.size());
    assert_eq!(found.used, Some(volume.size() - free_by_dumpe2fs(&image).total()));
}

#[test]
fn the_least_size_of_an_ext_is_one_it_can_be_shrunk_to() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, 4, 30 * MIB);
    // Sizes in MiB: of the medium, and of a file more than usual.
    for (mib, options, more) in [
        (400, "-t ext4", 0),
        (400, "-t ext4 -b 1024", 0),
        (400, "-t ext4 -O bigalloc -C 16384", 0),
        (400, "-t ext3 -J size=16", 0),
        (400, "-t ext2", 0),
        (400, "-t ext4 -N 400000", 0),
        (400, "-t ext4 -O ^resize_inode,meta_bg", 0),
        (8 << 10, "-t ext4", 3 << 10),
        (8 << 10, "-t ext4 -O ^flex_bg", 3 << 10),
        (20 << 10, "-t ext4", 0),
        (400 << 10, "-t ext4", 0),
        (400, "-t ext4 -O stable_inodes", 0),
    ] {
        let image = scratch.path().join("image");
        let path = image.to_str().unwrap();
        tools::sparse_medium(&image, mib * MIB);
        format(&image, options, Some(&tree));
        if more > 0 {
            let mount = Mount::new(&image, "ext4", "rw");
            let file = mount.path().join("more");
            tool("fallocate", &["-l", &format!("{more}M"), file.to_str().unwrap()]);
            drop(mount);
            // Without a check after the last mount it is not resized.
            tool("e2fsck", &["-fp", path]);
        }
        let found = inspect(&image);
        // The list of disks says the same, without reading the bitmaps.
        let listed = survey_disk(&image, None).unwrap().volumes[0].minimum_size;
        assert_eq!(listed, found.minimum_size, "{options}");
        let Some(ours) = found.minimum_size else {
            assert!(options.contains("bigalloc") || options.contains("stable_inodes"), "{options}");
            continue;
        };
        // Of what is used, tables of groups that go are not needed; the inodes' may be.
        let used = found.filesystem.and_then(|filesystem| filesystem.used).unwrap();
        assert!(ours < used + used / 33, "{options}: {ours}, and {used} are used");
        tool("e2fsck", &["-fy", path]);
        tool("resize2fs", &["-f", path, &format!("{}K", ours >> 10)]);
        assert!(is_sound(&image), "{options}");
        fs::remove_file(&image).unwrap();
    }
}

/// When and where it was last used as `dumpe2fs` prints it: mounted at, mounted, written.
fn last_use_by_dumpe2fs(image: &Path) -> [Option<String>; 3] {
    let listing = tool("dumpe2fs", &["-h", image.to_str().unwrap()]);
    ["Last mounted on:", "Last mount time:", "Last write time:"].map(|name| {
        let value = listing.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        (!["<not available>", "n/a"].contains(&value)).then(|| value.to_owned())
    })
}

#[test]
fn ext_last_use_is_what_dumpe2fs_says() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 16 * MIB);
    format(&image, "-t ext4", None);
    let as_printed = |time: time::OffsetDateTime| {
        let form = time::macros::format_description!(
            "[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"
        );
        time.format(form).unwrap()
    };
    let ours = || {
        let found = inspect::recognise(&Volume::open(&image)).unwrap().unwrap().last_use;
        let found = found.unwrap_or_default();
        [found.path, found.mounted.map(as_printed), found.written.map(as_printed)]
    };
    assert_eq!(ours(), last_use_by_dumpe2fs(&image));
    assert_eq!(ours()[..2], [None, None], "it was never mounted");
    let mount = Mount::new(&image, "ext4", "rw");
    mount.write("file", b"x");
    let path = mount.path().to_str().unwrap().to_owned();
    drop(mount);
    assert_eq!(ours(), last_use_by_dumpe2fs(&image));
    assert_eq!(ours()[0].as_deref(), Some(path.as_str()));
    assert!(ours()[1].is_some());
}

/// What the kernel finds after replaying the journal, and whether all is in order then.
fn replayed(image: &Path) -> (BTreeMap<PathBuf, String>, bool) {
    let mount = Mount::new(image, "ext4", "rw");
    let found = tools::hashes(mount.path());
    drop(mount);
    (found, is_sound(image))
}

/// Power is cut while the filesystem is in use: the newest bitmaps are in the journal alone.
fn cut_power_while_in_use(image: &Path, options: &str) -> PathBuf {
    let mount = Mount::new(image, "ext4", &format!("commit=600,{options}"));
    let mut numbers = Random::new(21);
    for round in 0..6 {
        let folder = mount.path().join(format!("round {round}"));
        fs::create_dir(&folder).unwrap();
        for index in 0..150 {
            fs::write(folder.join(format!("a rather long name {index}")), [index; 100]).unwrap();
        }
        // What looks like a journal block has to be escaped where data is journalled.
        let mut bytes = numbers.bytes(300_000);
        bytes[..4].copy_from_slice(&[0xc0, 0x3b, 0x39, 0x98]);
        mount.write(&format!("kept {round}"), &bytes);
        if round >= 2 {
            // Freed directory blocks are revoked; what is written next may lie in them.
            fs::remove_dir_all(mount.path().join(format!("round {}", round - 2))).unwrap();
            mount.write(&format!("after {round}"), &numbers.bytes(700_000));
        }
    }
    fs::write(mount.path().join("never synced"), numbers.bytes(50_000)).unwrap();
    let copy = image.with_extension("cut");
    fs::copy(image, &copy).unwrap();
    copy
}

#[test]
fn ext_with_a_waiting_journal_loses_nothing() {
    let scratch = TempDir::new().unwrap();
    for (name, options, mount) in [
        ("ext4", "-t ext4 -b 4096", "rw"),
        ("ext4-1k-32-bit", "-t ext4 -b 1024 -O ^64bit", "rw"),
        ("ext4-no-checksums", "-t ext4 -b 4096 -O ^metadata_csum", "rw"),
        ("ext4-data", "-t ext4 -b 4096 -J size=32", "data=journal"),
        ("ext4-data-2k", "-t ext4 -b 2048 -O ^metadata_csum -J size=32", "data=journal"),
        ("ext3", "-t ext3 -b 1024", "rw"),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, 96 * MIB);
        format(&image, options, None);
        let cut = cut_power_while_in_use(&image, mount);
        let found = inspect(&cut);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        let state = found.filesystem.unwrap().state;
        assert!(matches!(state, State::Dirty(_)), "{name}: {state:?}");
        assert!(!found.warnings.is_empty());

        let stale = free_by_dumpe2fs(&cut).intersection(&found.used);
        assert!(stale.total() > MIB, "{name}: the journal was not needed");
        let plain = scratch.path().join("plain");
        fs::copy(&cut, &plain).unwrap();
        let expected = replayed(&plain);
        assert!(expected.1 && expected.0.contains_key(Path::new("kept 5")), "{name}");
        for byte in [0x00, 0x5a] {
            let copy = tools::scribbled_copy(&cut, &found.used, byte);
            assert!(replayed(&copy) == expected, "{name}, {byte:#x}");
            fs::remove_file(copy).unwrap();
        }
        fs::remove_file(cut).unwrap();

        // The same filesystem as the kernel left it, unmounted.
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.filesystem.unwrap().state, State::Clean, "{name}");
        assert_eq!(found.used.gaps_within(0, 96 * MIB), free_by_dumpe2fs(&image), "{name}");
        assert!(JUDGE.accepts(&image, &found.used), "{name}");
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn ext_with_fast_commits_in_its_journal_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 96 * MIB);
    format(&image, "-t ext4 -b 4096 -O fast_commit", None);
    let found = inspect(&cut_power_while_in_use(&image, "rw"));
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("features"), "{:?}", found.warnings);
    assert!(matches!(found.filesystem.unwrap().state, State::Dirty(_)));
}

#[test]
fn ext_that_cannot_be_mapped_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let cases: &[(&str, &str, &[&str], &str)] = &[
        ("an unknown feature", "-t ext4", &["feature FEATURE_I30"], "unknown incompatible"),
        ("errors", "-t ext4", &["ssv state 3"], "check"),
        ("not unmounted", "-t ext2", &["ssv state 0"], "check"),
        ("group count", "-t ext2", &["set_bg 0 free_blocks_count 5"], "block group 0"),
        ("sum", "-t ext2", &["ssv free_blocks_count 5"], "superblock says 5"),
        ("bitmap", "-t ext2", &["setb 4000 1"], "block group"),
        (
            "external journal",
            "-t ext4",
            &["feature needs_recovery", "ssv journal_inum 0"],
            "another device",
        ),
    ];
    for (name, options, commands, words) in cases {
        tools::old_medium(&image, 24 * MIB);
        format(&image, options, None);
        assert_eq!(inspect(&image).coverage, Coverage::Used);
        for command in *commands {
            tool("debugfs", &["-w", "-R", command, image.to_str().unwrap()]);
        }
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole, "{name}");
        assert_eq!(found.used, Extents::of(0, 24 * MIB), "{name}");
        assert!(found.warnings[0].contains(words), "{name}: {:?}", found.warnings);
    }
}
