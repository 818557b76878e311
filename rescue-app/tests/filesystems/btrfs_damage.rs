//! Btrfs that is damaged, or not all there, judged by btrfs-progs and by the kernel.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{Random, tool};
use lifeboat::bytes::Extents;
use lifeboat::inspect;
use lifeboat::volume::{Alone, Coverage};
use tempfile::TempDir;

use crate::btrfs_tools::{
    Loops, Mount, Others, copies_of_tree, fill, format, inspect, inspect_all, metadata,
};
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

#[test]
fn a_device_whose_companions_are_missing_is_mapped_when_metadata_can_be_read() {
    let scratch = TempDir::new().unwrap();
    // With blocks of 64 KiB each lies on another device than the one before.
    for (options, mapped) in [("-d raid0 -m raid1", true), ("-d raid0 -m raid0 -n 64k", false)] {
        let images = format(scratch.path(), 2, 176, options);
        fill(&Mount::new(&images, "noatime"), 4 * MIB);
        for (image, complete) in images.iter().zip(inspect_all(&images)) {
            let volume = Volume::open(image);
            let found = inspect::inspect_among(&volume, &Alone);
            if mapped {
                assert_eq!(found, complete, "{options}");
            } else {
                assert_eq!(found.coverage, Coverage::Whole, "{options}");
                let why = &found.warnings[0];
                assert!(why.contains("was not found"), "{why}");
            }
        }
        // A companion from another time has to be left alone, and a newer one tells that this
        // device is out of date.
        let old = images[1].with_extension("old");
        fs::copy(&images[1], &old).unwrap();
        fs::write(Mount::new(&images, "noatime").path().join("later"), "x").unwrap();
        let pair = |a: &Path, b: &Path| {
            let volume = Volume::open(a);
            inspect::inspect_among(&volume, &Others(vec![Volume::open(b)]))
        };
        let found = pair(&images[0], &old);
        assert_eq!(found.coverage == Coverage::Used, mapped, "{:?}", found.warnings);
        let found = pair(&old, &images[0]);
        assert_eq!(found.coverage, Coverage::Whole);
        assert!(found.warnings[0].contains("out of date"), "{:?}", found.warnings);
    }
}

#[test]
fn damage_to_btrfs_metadata_never_makes_a_map_smaller() {
    let scratch = TempDir::new().unwrap();
    for (options, mended) in [("-m dup -n 4k", true), ("-m single -n 4k", false)] {
        let images = format(scratch.path(), 1, 128, options);
        fill(&Mount::new(&images, "noatime"), 12 * MIB);
        let sound = inspect(&images[0]);
        let mut image = fs::read(&images[0]).unwrap();
        let mut numbers = Random::new(29);
        let (mut whole, mut other_copy, mut blocks) = (0, 0, 0);
        for at in metadata(&image, &sound.used) {
            let byte = at + usize::try_from(numbers.below(4096)).unwrap();
            let bit = 1 << numbers.below(8);
            image[byte] ^= bit;
            let found = inspect::inspect(&image);
            image[byte] ^= bit;
            blocks += 1;
            if found.coverage == Coverage::Whole {
                assert!(!found.warnings.is_empty());
                whole += 1;
            } else {
                assert_eq!(found.used, sound.used, "{options}: byte {byte}");
                other_copy += u32::from(found.warnings.iter().any(|w| w.contains("other copy")));
            }
        }
        assert!(blocks > 60, "{blocks} blocks");
        assert_eq!((whole == 0, other_copy > 0), (mended, mended), "{options}: {whole}");
    }
}

#[test]
fn btrfs_that_cannot_be_mapped_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let seed = format(scratch.path(), 1, 128, "");
    tool("btrfstune", &["-S", "1", seed[0].to_str().unwrap()]);
    let found = inspect(&seed[0]);
    assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, 128 * MIB + 3 * 512));
    assert!(found.warnings[0].contains("seed device"), "{:?}", found.warnings);

    // A filesystem that builds upon the seed keeps its chunks.
    let sprout = scratch.path().join("sprout");
    tools::old_medium(&sprout, 128 * MIB);
    {
        let mount = Mount::new(&seed, "ro");
        let loops = Loops::new(std::slice::from_ref(&sprout));
        tool(
            "btrfs",
            &["device", "add", "-f", "-K", loops.first(), mount.path().to_str().unwrap()],
        );
        tools::unmount(mount.path());
    }
    let all = Others(vec![Volume::open(&seed[0]), Volume::open(&sprout)]);
    let found = inspect::inspect_among(&all.0[1], &all);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("seed device"), "{:?}", found.warnings);
}

/// Files that the kernel refuses to read because their checksums are wrong.
fn unreadable(image: &Path) -> BTreeSet<PathBuf> {
    let mount = Mount::new(&[image.to_path_buf()], "ro");
    let mut found = BTreeSet::new();
    let mut folders = vec![mount.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).is_err() {
                found.insert(Path::new("/").join(path.strip_prefix(mount.path()).unwrap()));
            }
        }
    }
    found
}

#[test]
fn btrfs_files_in_lost_bytes_are_those_that_cannot_be_read() {
    let scratch = TempDir::new().unwrap();
    let images = format(scratch.path(), 1, 176, "-d single -m dup -n 4k");
    {
        let mount = Mount::new(&images, "noatime");
        fill(&mount, 8 * MIB);
        // A subvolume in a subvolume's folder, and links in folders of their own.
        let inner = mount.path().join("home/folder 2/inner");
        tool("btrfs", &["-q", "subvolume", "create", inner.to_str().unwrap()]);
        tools::make_tree(&inner, 9, 2 * MIB);
    }
    // Data, and one copy of one tree block.
    let used = inspect(&images[0]).used;
    let image = fs::read(&images[0]).unwrap();
    let blocks: BTreeSet<usize> = metadata(&image, &used).into_iter().collect();
    let sectors = used.within(MIB, 1 << 40);
    let sectors: Vec<u64> = sectors
        .flat_map(|extent| (extent.start..extent.end).step_by(4096))
        .filter(|at| !blocks.contains(&usize::try_from(*at).unwrap()))
        .collect();
    let mut numbers = Random::new(31);
    let block = copies_of_tree(&images[0], "7")[0];
    let mut lost = Extents::of(block, block + 4096);
    for _ in 0..60 {
        let at = sectors[usize::try_from(numbers.below(sectors.len() as u64)).unwrap()];
        lost = lost.union(&Extents::of(at, at + 4096));
    }
    let file = File::options().write(true).open(&images[0]).unwrap();
    for extent in lost.iter() {
        let bytes = numbers.bytes(usize::try_from(extent.len()).unwrap());
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, extent.start).unwrap();
    }
    let found = inspect::owners(&Volume::open(&images[0]), &lost);
    assert_eq!(found.note, None);
    let named: BTreeSet<PathBuf> =
        found.files.iter().map(|owner| PathBuf::from(&owner.path)).collect();
    assert!(!named.is_empty());
    assert_eq!(named, unreadable(&images[0]));
    // The block has another copy; it has to be mended from that.
    assert_eq!(found.metadata, 4096, "{found:?}");
}
