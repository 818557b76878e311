//! Maps of Btrfs, judged by btrfs-progs and by the kernel: its counters, its checker, its scrub.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use common::{Random, output_of, tool};
use lifeboat::bytes::Extents;
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind, State};
use tempfile::TempDir;

use crate::btrfs_tools::{
    Mount, OUTSIDE, accepts, copies_of_tree, fill, format, inspect, inspect_all, judge,
    superblock_field, used_by_kernel,
};
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

/// Maps of a filesystem that was made with these options and filled are exact, and complete.
fn check_variant(devices: usize, mib: u64, options: &str) {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), devices, mib, options);
    fill(&Mount::new(&images, "noatime"), 8 * MIB);
    let found = inspect_all(&images);
    for (found, image) in found.iter().zip(&images) {
        assert_eq!(found.coverage, Coverage::Used, "{options}: {:?}", found.warnings);
        assert_eq!(found.warnings.is_empty(), devices == 1, "{options}: {:?}", found.warnings);
        let filesystem = found.filesystem.as_ref().unwrap();
        assert_eq!((filesystem.kind, &filesystem.state), (Kind::Btrfs, &State::Clean));
        assert_eq!(filesystem.size, superblock_field(image, "dev_item.total_bytes"));
        let used = superblock_field(image, "bytes_used");
        assert_eq!(filesystem.used, (devices == 1).then_some(used), "{options}");
    }
    let tails = found.iter().zip(&images).map(|(found, image)| {
        fs::metadata(image).unwrap().len() - found.filesystem.as_ref().unwrap().size
    });
    let outside = OUTSIDE * images.len() as u64 + tails.sum::<u64>();
    let total: u64 = found.iter().map(|found| found.used.total()).sum();
    if !options.contains("raid5") && !options.contains("raid6") {
        assert_eq!(total - outside, used_by_kernel(&images), "{options}");
    }
    let maps: Vec<Extents> = found.into_iter().map(|found| found.used).collect();
    assert!(accepts(&images, &maps), "{options}");
}

#[test]
fn btrfs_maps_of_one_device_hold_everything_that_matters() {
    check_variant(1, 176, "");
    // Large nodes reserve so much for a change that a small filesystem may have no room for the next.
    check_variant(1, 352, "-d dup -m single -n 64k");
    check_variant(1, 176, "-n 4k -O ^extref,^no-holes -R ^free-space-tree");
}

#[test]
fn btrfs_maps_of_mixed_block_groups_and_old_formats_hold_everything() {
    for options in ["--mixed -d single -m single", "--mixed -d dup -m dup", "-O ^skinny-metadata"] {
        check_variant(1, 176, options);
    }
}

#[test]
fn btrfs_maps_do_not_depend_on_the_kind_of_checksums() {
    for options in ["--csum xxhash", "--csum sha256 -n 4k", "--csum blake2 --mixed"] {
        check_variant(1, 176, options);
    }
}

#[test]
fn btrfs_maps_of_copied_devices_hold_everything() {
    for (devices, options) in
        [(2, "-d raid1 -m raid1"), (3, "-d raid1c3 -m raid1c3"), (2, "-d single -m raid1")]
    {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_of_striped_devices_hold_everything() {
    for (devices, options) in
        [(2, "-d raid0 -m raid0"), (3, "-d raid0 -m raid1"), (4, "-d raid10 -m raid10")]
    {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_of_devices_with_parity_hold_everything() {
    for (devices, options) in [(3, "-d raid5 -m raid5"), (4, "-d raid6 -m raid1c4")] {
        check_variant(devices, 160, options);
    }
}

#[test]
fn btrfs_maps_after_and_during_changes_of_devices_hold_everything() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 3, 256, "-d single -m raid1");
    let mount = Mount::new(&images, "noatime");
    fill(&mount, 8 * MIB);
    // Profiles change, chunks move, and one device leaves.
    mount.btrfs("balance start -dconvert=raid0 -mconvert=dup -f");
    let (path, last) = (mount.path().to_str().unwrap(), mount.loops.0[2].name());
    tool("btrfs", &["device", "remove", last, path]);
    drop(mount);
    let (left, gone) = images.split_at(2);
    let maps: Vec<Extents> = inspect_all(left).into_iter().map(|found| found.used).collect();
    let total: u64 = maps.iter().map(Extents::total).sum();
    let tails = 2 * (3 * 512 + OUTSIDE);
    assert_eq!(total - tails, used_by_kernel(left));
    assert!(accepts(left, &maps));
    assert_eq!(inspect::recognise(&Volume::open(&gone[0])).unwrap(), None);

    // A balance that is paused, and what it looks like when power is cut.
    let mount = Mount::new(left, "noatime");
    let path = mount.path().to_str().unwrap();
    tools::make_tree(&mount.path().join("more"), 5, 60 * MIB);
    mount.btrfs("filesystem sync");
    tool("btrfs", &["balance", "start", "--bg", "--full-balance", path]);
    while output_of("btrfs", &["balance", "status", path]).contains("0 out of about") {
        std::thread::yield_now();
    }
    output_of("btrfs", &["balance", "pause", path]);
    let paused = output_of("btrfs", &["balance", "status", path]).contains("paused");
    drop(mount);
    let found = inspect_all(left);
    let told = found[0].warnings.iter().any(|warning| warning.contains("a balance"));
    assert_eq!(told, paused, "{:?}", found[0].warnings);
    let maps: Vec<Extents> = found.into_iter().map(|found| found.used).collect();
    assert!(accepts(left, &maps));
}

#[test]
fn a_btrfs_map_that_drops_one_copy_of_a_used_block_is_caught() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 128, "-d single -m dup");
    fill(&Mount::new(&images, "noatime"), 4 * MIB);
    let used = inspect(&images[0]).used;
    let size = fs::metadata(&images[0]).unwrap().len();
    assert!(accepts(&images, std::slice::from_ref(&used)));
    // The second copy of the tree of checksums, which nothing but scrub reads.
    let places = copies_of_tree(&images[0], "7");
    assert_eq!(places.len(), 2);
    for place in places {
        let hole = Extents::of(place, place + 16384);
        assert!(used.gaps_within(place, place + 16384).is_empty(), "{place}");
        let maps = [tools::without(&used, &hole, size)];
        assert!(!accepts(&images, &maps), "the copy at {place} is not missed");
    }
}

/// Power is cut while files that were synced are in the log tree alone.
fn cut_power_after_sync(mount: &Mount, images: &[PathBuf]) -> Vec<PathBuf> {
    mount.btrfs("filesystem sync");
    let mut numbers = Random::new(23);
    for index in 0..20 {
        let mut file = File::create(mount.path().join(format!("synced {index}"))).unwrap();
        file.write_all(&numbers.bytes(200_000)).unwrap();
        file.sync_all().unwrap();
    }
    let cut = |image: &PathBuf| {
        let copy = image.with_extension("cut");
        fs::copy(image, &copy).unwrap();
        copy
    };
    images.iter().map(cut).collect()
}

/// What is there once the log has been replayed.
fn replayed(images: &[PathBuf]) -> Option<BTreeMap<PathBuf, String>> {
    drop(Mount::try_new(images, "noatime")?);
    judge(images)
}

#[test]
fn btrfs_with_a_log_tree_loses_nothing() {
    for (devices, options) in [(1, ""), (1, "--mixed -n 4k"), (2, "-d raid0 -m raid0")] {
        let scratch = TempDir::new().unwrap();
        let images = format(scratch.path(), devices, 160, options);
        let mount = Mount::new(&images, "noatime,commit=900");
        fill(&mount, 4 * MIB);
        let cut = cut_power_after_sync(&mount, &images);
        drop(mount);
        assert_ne!(superblock_field(&cut[0], "log_root"), 0, "{options}: nothing is in the log");
        let found = inspect_all(&cut);
        for found in &found {
            assert_eq!(found.coverage, Coverage::Used, "{options}: {:?}", found.warnings);
            let state = &found.filesystem.as_ref().unwrap().state;
            assert!(matches!(state, State::Dirty(why) if why.contains("replays it")), "{state:?}");
        }
        // What the log adds to the extents of the last transaction.
        let total: u64 = found.iter().map(|found| found.used.total()).sum();
        let committed = superblock_field(&cut[0], "bytes_used");
        assert!(total > committed + 20 * 200_000, "{options}: {total} of {committed}");
        let copies = |byte| -> Vec<PathBuf> {
            let copy = |(image, found): (&PathBuf, &Inspection)| {
                tools::scribbled_copy(image, &found.used, byte)
            };
            cut.iter().zip(&found).map(copy).collect()
        };
        let scribbled = [copies(0x00), copies(0x5a)];
        let expected = replayed(&cut).expect("the log cannot be replayed");
        assert!(expected.contains_key(Path::new("synced 19")), "{options}");
        for copies in scribbled {
            assert!(replayed(&copies).as_ref() == Some(&expected), "{options}: {copies:?}");
        }
    }
}

#[test]
fn the_least_size_of_a_btrfs_is_one_it_can_be_shrunk_to() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 1024, "");
    let mount = Mount::new(&images, "noatime");
    fill(&mount, 8 * MIB);
    drop(mount);
    let minimum = inspect(&images[0]).minimum_size.unwrap();
    let mount = Mount::new(&images, "noatime");
    let theirs = mount.btrfs("inspect-internal min-dev-size");
    let theirs: u64 = theirs.split(' ').next().unwrap().parse().unwrap();
    assert!((theirs..1000 * MIB).contains(&minimum), "{minimum}, and {theirs} by btrfs");
    mount.btrfs(&format!("filesystem resize {minimum}"));
    drop(mount);
    let found = inspect(&images[0]);
    assert_eq!(found.filesystem.unwrap().size, minimum / 4096 * 4096);
}
