//! FAT12, FAT16 and FAT32, judged by dosfstools and mtools.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{output_of, succeeds, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Kind, State};
use tempfile::TempDir;

use crate::tools::{self, Judge, Volume};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

pub fn format(image: &Path, options: &str) {
    let mut args: Vec<&str> = vec!["-n", "STICK", "-i", "1a2b3c4d"];
    args.extend(options.split_whitespace());
    args.push(image.to_str().unwrap());
    tool("mkfs.fat", &args);
}

pub fn copy_in(image: &Path, files: &[PathBuf], target: &str) {
    let mut args = vec!["-s".into(), "-o".into(), "-i".into(), image.to_path_buf()];
    args.extend_from_slice(files);
    args.push(target.into());
    tool("mcopy", &args);
}

/// Deletes, rewrites and adds files: the clusters of the new lie where the old ones were.
fn churn(image: &Path, tree: &Path, scratch: &Path) {
    for folder in ["folder 2", "folder 4"] {
        tool("mdeltree", &["-i", image.to_str().unwrap(), &format!("::/{folder}")]);
    }
    let again = scratch.join("again");
    tools::make_tree(&again, 11, fs::metadata(image).unwrap().len() / 16);
    copy_in(image, std::slice::from_ref(&again), "::/");
    copy_in(image, &[tree.join("folder 4")], "::/again");
    fs::remove_dir_all(again).unwrap();
}

pub fn is_sound(image: &Path) -> bool {
    succeeds("fsck.fat", &["-n", image.to_str().unwrap()])
}

pub fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let folder = TempDir::new().unwrap();
    let (image, target) = (image.to_str().unwrap(), folder.path().to_str().unwrap());
    tool("mcopy", &["-s", "-n", "-i", image, "::/*", target]);
    tools::hashes(folder.path())
}

pub const JUDGE: Judge = Judge { is_sound, contents };

/// Clusters in use and in all, from the last line of `fsck.fat`.
fn clusters_by_fsck(image: &Path) -> (u64, u64) {
    let listing = tool("fsck.fat", &["-n", image.to_str().unwrap()]);
    let counts = listing.lines().last().unwrap().rsplit(' ').nth(1);
    let (used, all) = counts.unwrap().split_once('/').unwrap();
    (used.parse().unwrap(), all.parse().unwrap())
}

#[test]
fn fat_maps_hold_everything_that_matters() {
    let scratch = TempDir::new().unwrap();
    for (name, kib, options, kind) in [
        ("12-floppy", 1440, "-F 12", Kind::Fat12),
        ("12-large", 15 * KIB, "-F 12 -s 8", Kind::Fat12),
        ("12-one-copy", 8 * KIB, "-F 12 -f 1 -r 1024", Kind::Fat12),
        ("16", 64 * KIB, "-F 16", Kind::Fat16),
        ("16-small-clusters", 24 * KIB, "-F 16 -s 1 -R 8", Kind::Fat16),
        ("16-2k-sectors", 64 * KIB, "-F 16 -S 2048 -s 1", Kind::Fat16),
        ("32", 96 * KIB, "-F 32", Kind::Fat32),
        ("32-small-clusters", 64 * KIB, "-F 32 -s 1", Kind::Fat32),
        ("32-4k-sectors", 300 * KIB, "-F 32 -S 4096", Kind::Fat32),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, kib * KIB);
        format(&image, options);
        // A tail that the filesystem does not cover belongs to the partition all the same.
        let tail = vec![0x77; 8192];
        let file = OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(&tail, kib * KIB).unwrap();
        let tree = scratch.path().join("tree");
        tools::make_tree(&tree, 10, (kib * KIB / 3).min(20 * MIB));
        let mut folders: Vec<PathBuf> =
            fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        copy_in(&image, &folders, "::/");
        if folders.len() >= 5 {
            churn(&image, &tree, scratch.path());
        }
        fs::remove_dir_all(&tree).unwrap();

        let volume = Volume::open(&image);
        let found = inspect::inspect(&volume);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
        let filesystem = found.filesystem.unwrap();
        let (used, all) = clusters_by_fsck(&image);
        let cluster = u64::from(filesystem.block_size);
        assert_eq!(filesystem.used, Some(used * cluster), "{name}");
        let free = found.used.gaps_within(0, volume.size()).total();
        assert_eq!(free, (all - used) * cluster, "{name}");
        assert!(JUDGE.accepts(&image, &found.used), "{name}");

        assert_eq!((filesystem.kind, filesystem.state), (kind, State::Clean), "{name}");
        assert_eq!(filesystem.label.as_deref(), Some("STICK"), "{name}");
        assert_eq!(filesystem.uuid.as_deref(), Some("1A2B-3C4D"), "{name}");
        assert_eq!(filesystem.size, kib * KIB, "{name}");
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_fat_map_that_drops_one_cluster_is_caught() {
    let scratch = TempDir::new().unwrap();
    let (image, tree) = (scratch.path().join("image"), scratch.path().join("tree"));
    tools::old_medium(&image, 48 * MIB);
    format(&image, "-F 32 -s 1");
    tools::make_tree(&tree, 12, 4 * MIB);
    copy_in(&image, &[tree], "::/");
    let used = inspect::inspect(&Volume::open(&image)).used;
    assert!(JUDGE.accepts(&image, &used));
    let last = Extents::of(used.end() - 512, used.end());
    assert!(!JUDGE.accepts(&image, &tools::without(&used, &last, 48 * MIB)));
}

#[test]
fn fat_volumes_in_doubt_are_told() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for (options, mark, at) in [("-F 16", 0x7f, 3), ("-F 32 -s 1", 0x07, 7)] {
        tools::old_medium(&image, 48 * MIB);
        format(&image, options);
        let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
        let mut boot = [0; 512];
        file.read_exact_at(&mut boot, 0).unwrap();
        let reserved = u64::from(u16::from_le_bytes([boot[14], boot[15]])) * 512;
        let wide = u64::from(u32::from_le_bytes([boot[36], boot[37], boot[38], boot[39]]));
        let narrow = u64::from(u16::from_le_bytes([boot[22], boot[23]]));
        let second = reserved + if narrow == 0 { wide } else { narrow } * 512;
        let inspect = || inspect::inspect(&Volume::open(&image));
        let state = || inspect().filesystem.unwrap().state;
        assert_eq!(state(), State::Clean);

        // In use when the power went: both copies say so; the map still holds.
        file.write_all_at(&[mark], reserved + at).unwrap();
        file.write_all_at(&[mark], second + at).unwrap();
        assert!(matches!(state(), State::Dirty(_)), "{options}");
        assert_eq!(inspect().coverage, Coverage::Used);
        assert!(!inspect().warnings.is_empty());
        assert!(
            output_of("fsck.fat", &["-n", image.to_str().unwrap()]).contains("Dirty bit is set")
        );

        // Copies that differ: which one is right is not for us to say.
        file.write_all_at(&[3], reserved + 40).unwrap();
        assert_eq!(inspect().coverage, Coverage::Whole, "{options}");
        assert_eq!(inspect().used.total(), 48 * MIB);
        // A chain that leads outside.
        file.write_all_at(&[0xf0, 0xff, 0xff, 0x0f], reserved + 40).unwrap();
        file.write_all_at(&[0xf0, 0xff, 0xff, 0x0f], second + 40).unwrap();
        let found = inspect();
        assert_eq!(found.coverage, Coverage::Whole, "{options}");
        assert!(found.warnings[0].contains("does not exist"), "{:?}", found.warnings);
    }
}
