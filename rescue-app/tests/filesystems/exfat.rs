//! exFAT without a kernel that writes it: layouts of `mkfs.exfat`, marks, size. Volumes that were
//! written to are in `guest.rs`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::tool;
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, State};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

fn format(image: &Path, options: &str) {
    let mut words: Vec<&str> = options.split_whitespace().collect();
    words.push(image.to_str().unwrap());
    tool("mkfs.exfat", &words);
}

/// Bytes of free clusters, by exfatprogs.
pub fn free_by_dump(image: &Path) -> u64 {
    let listing = tool("dump.exfat", &[image]);
    let field = |name: &str| -> u64 {
        let line = listing.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split(':').nth(1).unwrap().trim().parse().unwrap()
    };
    field("Free Clusters") * field("Cluster size")
}

#[test]
fn exfat_maps_count_as_exfatprogs_does() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for (mib, options) in [
        (5, ""),
        (20, "-c 512"),
        (100, "-c 128K"),
        (300, "-c 32M"),
        (700, "-b 4M"),
        (2 << 20, ""),
        (64 << 10, "-c 4K"),
    ] {
        let size = mib * MIB + 3 * 512;
        tools::sparse_medium(&image, size);
        format(&image, options);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{mib} {options}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{mib} {options}");
        assert_eq!(size - found.used.total(), free_by_dump(&image), "{mib} {options}");
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn exfat_volumes_in_doubt_are_told() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 8 * MIB);
    format(&image, "");
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let sound = inspect(&image);
    let byte = |at: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0]
    };
    // Flags: dirty, media failure. Every file can be listed, so the map holds.
    for flag in [2, 4] {
        file.write_all_at(&[flag], 106).unwrap();
        let found = inspect(&image);
        assert!(matches!(found.filesystem.unwrap().state, State::Dirty(_)), "{flag}");
        assert_eq!((found.coverage, found.used), (Coverage::Used, sound.used.clone()), "{flag}");
        assert!(!found.warnings.is_empty());
    }
    // The second FAT of one.
    file.write_all_at(&[1], 106).unwrap();
    assert_eq!(inspect(&image).coverage, Coverage::Whole);
    file.write_all_at(&[0], 106).unwrap();
    assert_eq!(inspect(&image), sound);
    // A checksum that is wrong in one of the boot regions, then in both.
    for (at, coverage) in [(300, Coverage::Used), (12 * 512 + 300, Coverage::Whole)] {
        file.write_all_at(&[byte(at) ^ 1], at).unwrap();
        let found = inspect(&image);
        assert_eq!(found.coverage, coverage);
        assert!(found.warnings[0].contains("checksum"), "{:?}", found.warnings);
    }
}
