//! XFS, judged by xfsprogs and the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Random, succeeds, tool};
use lifeboat::bytes::Extents;
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind, State};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::tools::{self, Judge, Mount, Volume};
use crate::xfs_log::is_clean;

const MIB: u64 = 1 << 20;

/// `mkfs.xfs` options that change where things lie, what they look like, or the log.
const VARIANTS: &[(&str, u64, &str)] = &[
    ("default", 64, ""),
    ("1k", 64, "-b size=1024"),
    ("2k-sector-1k", 64, "-b size=2048 -s size=1024"),
    ("64k", 160, "-b size=65536"),
    ("sector-4k", 64, "-s size=4096"),
    ("old", 64, "-m finobt=0,reflink=0,inobtcount=0,bigtime=0,rmapbt=0 -i sparse=0"),
    ("rmap", 96, "-m rmapbt=1 -i nrext64=1"),
    ("seven-groups", 128, "-d agcount=7"),
    ("one-group", 64, "-d agcount=1"),
    ("stripes", 96, "-d su=64k,sw=4 -l su=64k"),
    ("log-stripe-256k", 96, "-d agcount=2 -l su=256k"),
    ("log-in-group-0", 64, "-l agnum=0,version=2"),
    ("large-inodes", 64, "-n size=8192 -i size=1024"),
    ("new-uuid", 64, ""),
];

/// Version 4, which current kernels do not mount: filled by mkfs.
const OLD_VARIANTS: &[(&str, u64, &str)] = &[
    ("4", 32, "-m crc=0"),
    ("4-512", 32, "-m crc=0 -b size=512"),
    ("4-no-ftype", 32, "-m crc=0 -b size=1024 -n ftype=0 -i attr=1,projid32bit=0"),
    ("4-eager-count", 32, "-m crc=0 -l lazy-count=0,version=1"),
    ("4-sector-4k", 48, "-m crc=0 -s size=4096 -d agcount=3"),
    ("4-64k", 160, "-m crc=0 -b size=65536"),
];

pub fn format(image: &Path, options: &str) {
    let mut args: Vec<&str> = vec!["--unsupported", "-q", "-f", "-K", "-L", "lifeboat"];
    args.extend(options.split_whitespace());
    args.push(image.to_str().unwrap());
    tool("mkfs.xfs", &args);
}

/// Answers of `xfs_db` to these commands.
fn ask(image: &Path, commands: &[&str]) -> String {
    let mut args = vec!["-r"];
    commands.iter().for_each(|command| args.extend(["-c", command]));
    args.push(image.to_str().unwrap());
    tool("xfs_db", &args)
}

/// The numbers that `xfs_db` prints for a structure's fields.
fn fields(image: &Path, structure: &str, names: &str) -> Vec<u64> {
    let print = format!("print {names}");
    numbers(&ask(image, &[structure, &print])).collect()
}

fn numbers(answer: &str) -> impl Iterator<Item = u64> {
    answer.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Changes fields with `xfs_db`, checksums included.
fn change(image: &Path, structure: &str, writes: &[&str]) {
    let mut args = vec!["-x", "-c", structure];
    writes.iter().for_each(|write| args.extend(["-c", write]));
    args.push(image.to_str().unwrap());
    tool("xfs_db", &args);
}

/// Free bytes as `xfs_db` lists them, and how many of them are kept for the trees of free space.
fn free_by_xfs_db(image: &Path) -> (Extents, u64) {
    let [size, per_group, groups] =
        fields(image, "sb 0", "blocksize agblocks agcount")[..].try_into().unwrap();
    let answer = ask(image, &["freesp -d"]);
    let rows = answer.lines().skip(1).map_while(|line| {
        let words: Vec<u64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(((words[0] * per_group + words[1]) * size, words[2] * size))
    });
    let free = Extents::from(rows.collect::<Vec<(u64, u64)>>());
    let mut commands = Vec::new();
    for group in 0..groups {
        commands.extend([format!("agf {group}"), "print flcount".into()]);
    }
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let kept: u64 = numbers(&ask(image, &commands)).sum();
    (free, kept * size)
}

pub fn is_sound(image: &Path) -> bool {
    let arguments = ["-n", "-o", "force_geometry", image.to_str().unwrap()];
    succeeds("xfs_repair", &arguments)
}

fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let mount = Mount::new(image, "xfs", "ro,norecovery,nouuid");
    tools::hashes(mount.path())
}

pub const JUDGE: Judge = Judge { is_sound, contents };
const OLD_JUDGE: Judge = Judge { is_sound, contents: contents_by_xfs_db };

pub fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

/// Files and holes of all sizes.
pub fn fill(mount: &Mount, seed: u64) {
    let root = mount.path();
    tools::make_tree(&root.join("tree"), seed, 8 * MIB);
    let crumbs = root.join("crumbs");
    fs::create_dir(&crumbs).unwrap();
    // More free extents than one block of records holds.
    for index in 0..1500 {
        fs::write(crumbs.join(format!("{index}")), [1; 100]).unwrap();
    }
    for index in (0..1500).step_by(2) {
        fs::remove_file(crumbs.join(format!("{index}"))).unwrap();
    }
    tools::churn(&root.join("tree"), seed, 200 << 10);
    let path = root.join("holes");
    let file = fs::File::create(&path).unwrap();
    for index in 0..200 {
        file.write_all_at(&[7; 5000], index * 70_000).unwrap();
    }
    // Fails where the filesystem shares no blocks.
    let copy = root.join("shared");
    succeeds("cp", &[Path::new("--reflink=always"), &path, &copy]);
}

/// Map, state, label and counts are what `xfs_db` and `xfs_logprint` say.
pub fn check_against_xfs_db(image: &Path, found: &Inspection, name: &str) {
    assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
    assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
    // It is made anew for that, and mkfs.xfs makes none smaller.
    assert!(found.minimum_size >= Some(300 << 20), "{name}: {:?}", found.minimum_size);
    let size = fs::metadata(image).unwrap().len();
    let (free, kept) = free_by_xfs_db(image);
    let ours = found.used.gaps_within(0, size);
    assert_eq!(ours.intersection(&free), ours, "{name}");
    assert_eq!(free.total() - ours.total(), kept, "{name}");

    let filesystem = found.filesystem.as_ref().unwrap();
    assert_eq!((filesystem.kind, &filesystem.state), (Kind::Xfs, &State::Clean), "{name}");
    assert_eq!(filesystem.label.as_deref(), Some("lifeboat"));
    let [blocks, block_size, fdblocks] =
        fields(image, "sb 0", "dblocks blocksize fdblocks")[..].try_into().unwrap();
    assert_eq!(filesystem.used, Some((blocks - fdblocks) * block_size), "{name}");
    assert!(is_clean(image), "{name}");
}

#[test]
fn xfs_maps_hold_everything_that_matters() {
    check_maps(&VARIANTS[..7]);
}

#[test]
fn xfs_maps_of_further_layouts_hold_everything_that_matters() {
    check_maps(&VARIANTS[7..]);
}

fn check_maps(variants: &[(&str, u64, &str)]) {
    let scratch = TempDir::new().unwrap();
    for (name, mib, options) in variants {
        let image = scratch.path().join(name);
        // A tail that the filesystem does not cover belongs to the partition all the same.
        tools::old_medium(&image, mib * MIB + 512);
        format(&image, options);
        check_against_xfs_db(&image, &inspect(&image), name);
        if *name == "new-uuid" {
            tool("xfs_admin", &["-U", "generate", image.to_str().unwrap()]);
            check_against_xfs_db(&image, &inspect(&image), name);
        }
        fill(&Mount::new(&image, "xfs", "rw"), 3);

        let found = inspect(&image);
        check_against_xfs_db(&image, &found, name);
        assert!(JUDGE.accepts(&image, &found.used), "{name}");
        fs::remove_file(&image).unwrap();
    }
}

/// Levels of the two trees of free space of a group, by `xfs_db`.
pub fn levels(image: &Path, group: u32) -> Vec<u64> {
    fields(image, &format!("agf {group}"), "bnolevel cntlevel")
}

#[test]
fn xfs_maps_with_trees_of_several_levels_hold_everything() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 96 * MIB);
    format(&image, "-b size=1024 -d agcount=1 -m reflink=0,rmapbt=0");
    let mount = Mount::new(&image, "xfs", "rw");
    // More than a hundred records fit into a block, and less than a hundred of these into the next.
    for index in 0..26_000 {
        fs::write(mount.path().join(index.to_string()), [1; 10]).unwrap();
    }
    tool("sync", &["-f", mount.path().to_str().unwrap()]);
    for index in (0..26_000).step_by(2) {
        fs::remove_file(mount.path().join(index.to_string())).unwrap();
    }
    drop(mount);
    assert!(levels(&image, 0).iter().all(|levels| *levels >= 3), "{:?}", levels(&image, 0));
    let found = inspect(&image);
    check_against_xfs_db(&image, &found, "levels");
    assert!(JUDGE.accepts(&image, &found.used));
}

/// A description for `mkfs.xfs -p` of 40 files in two folders.
pub fn prototype(scratch: &Path) -> PathBuf {
    let mut numbers = Random::new(31);
    let mut text = "/\n0 0\nd--755 0 0\n".to_owned();
    for folder in 0..2 {
        text += &format!("folder-{folder} d--755 0 0\n");
        for index in 0..20 {
            let path = scratch.join(format!("source-{folder}-{index}"));
            let len = tools::file_size(&mut numbers, 300 << 10);
            fs::write(&path, numbers.bytes(len)).unwrap();
            text += &format!("file-{index} ---644 0 0 {}\n", path.display());
        }
        text += "$\n";
    }
    text += "$\n";
    let path = scratch.join("prototype");
    fs::write(&path, text).unwrap();
    path
}

/// The files of [`prototype`], their blocks looked up by `xfs_db`.
fn contents_by_xfs_db(image: &Path) -> BTreeMap<PathBuf, String> {
    let [size, per_group] = fields(image, "sb 0", "blocksize agblocks")[..].try_into().unwrap();
    let bytes = fs::read(image).unwrap();
    let names: Vec<String> =
        (0..40).map(|index| format!("/folder-{}/file-{}", index / 20, index % 20)).collect();
    let paths: Vec<String> = names.iter().map(|name| format!("path {name}")).collect();
    let commands: Vec<&str> =
        paths.iter().flat_map(|path| [path, "print core.size", "bmap"]).collect();
    let answer = ask(image, &commands);
    let files: Vec<&str> = answer.split("core.size = ").skip(1).collect();
    assert_eq!(files.len(), names.len(), "{answer}");
    let content = |file: &str| -> Vec<u8> {
        let mut lines = file.lines();
        let len: usize = lines.next().unwrap().parse().unwrap();
        let mut content = Vec::new();
        for line in lines {
            // data offset 0 startblock 1400 (0/1400) count 12 flag 0
            let words: Vec<&str> = line.split_whitespace().collect();
            let place = words[5].trim_matches(['(', ')']).split_once('/').unwrap();
            let (group, block): (u64, u64) = (place.0.parse().unwrap(), place.1.parse().unwrap());
            let count: u64 = words[7].parse().unwrap();
            let start = usize::try_from((group * per_group + block) * size).unwrap();
            content.extend(&bytes[start..start + usize::try_from(count * size).unwrap()]);
        }
        content.truncate(len);
        assert_eq!(content.len(), len);
        content
    };
    let hash = |file: &&str| hex::encode(Sha256::digest(content(file)));
    names.iter().map(PathBuf::from).zip(files.iter().map(hash)).collect()
}

#[test]
fn xfs_maps_of_version_4_hold_everything_that_matters() {
    let scratch = TempDir::new().unwrap();
    let prototype = prototype(scratch.path());
    for (name, mib, options) in OLD_VARIANTS {
        let image = scratch.path().join(name);
        tools::old_medium(&image, mib * MIB);
        format(&image, &format!("{options} -p {}", prototype.display()));
        let source = fs::read(scratch.path().join("source-1-3")).unwrap();
        let found = contents_by_xfs_db(&image).remove(Path::new("/folder-1/file-3"));
        assert_eq!(found, Some(hex::encode(Sha256::digest(source))), "{name}");

        let found = inspect(&image);
        check_against_xfs_db(&image, &found, name);
        assert!(OLD_JUDGE.accepts(&image, &found.used), "{name}");
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn xfs_maps_that_drop_one_used_block_are_caught() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 64 * MIB);
    format(&image, "");
    let mount = Mount::new(&image, "xfs", "rw");
    fs::write(mount.path().join("file"), [7; 9000]).unwrap();
    drop(mount);
    let used = inspect(&image).used;
    assert!(JUDGE.accepts(&image, &used));
    let answer = ask(&image, &["path /file", "bmap"]);
    let block: u64 = answer.split_whitespace().nth(4).unwrap().parse().unwrap();
    let hole = Extents::of(block * 4096, (block + 1) * 4096);
    assert!(!JUDGE.accepts(&image, &tools::without(&used, &hole, 64 * MIB)));
}

#[test]
fn xfs_maps_of_large_filesystems_agree_with_xfs_db() {
    let scratch = TempDir::new().unwrap();
    for (gib, options) in [(48, "-m rmapbt=1"), (2048, "-l size=64m"), (300, "-d agcount=120")] {
        let image = scratch.path().join("image");
        tools::sparse_medium(&image, gib << 30);
        format(&image, options);
        check_against_xfs_db(&image, &inspect(&image), options);
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn xfs_that_cannot_be_mapped_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let cases: &[(&str, &str, &str, &[&str], &str)] = &[
        (
            "incompatible",
            "",
            "sb 0",
            &["write -d features_incompat 0x10b"],
            "incompatible features 0x100",
        ),
        ("read-only", "", "sb 0", &["write -d features_ro_compat 0x1d"], "features 0x10"),
        ("compatible", "", "sb 0", &["write -d features_compat 1"], "compatible features 0x1"),
        ("log feature", "", "sb 0", &["write -d features_log_incompat 2"], "log features 0x2"),
        (
            "needs repair",
            "",
            "sb 0",
            &["write -d features_incompat 0x1b"],
            "free space may be wrong",
        ),
        ("in progress", "", "sb 0", &["write -d inprogress 1"], "not made to the end"),
        ("realtime", "", "sb 0", &["write -d rblocks 100"], "realtime section"),
        ("another log", "", "sb 0", &["write -d logstart 0"], "another device"),
        ("version 3", "-m crc=0", "sb 0", &["write -d versionnum 0xb4a3"], "version 3 of XFS"),
        ("sum", "", "sb 0", &["write -d fdblocks 77"], "the superblock says 77"),
        ("count", "", "agf 1", &["write -d freeblks 77"], "group 1: its free extents"),
        (
            "kept",
            "",
            "agfl 1",
            &["write -d bno[2] 100"],
            "group 1: it calls blocks free that are in use",
        ),
        ("list", "-m crc=0", "agf 1", &["write -d flcount 3"], "group 1: its list of kept"),
        ("copy", "-m crc=0", "sb 1", &["write -d agblocks 4000"], "group 1: its copy"),
        ("length", "", "agf 1", &["addr cntroot", "write -d recs[1].blockcount 77"], "two lists"),
    ];
    for (name, options, structure, writes, words) in cases {
        tools::sparse_medium(&image, 64 * MIB);
        format(&image, options);
        assert_eq!(inspect(&image).coverage, Coverage::Used);
        change(&image, structure, writes);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole, "{name}");
        assert_eq!(found.used, Extents::of(0, 64 * MIB), "{name}");
        assert!(found.warnings[0].contains(words), "{name}: {:?}", found.warnings);
    }
}
