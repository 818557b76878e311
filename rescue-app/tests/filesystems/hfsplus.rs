//! HFS+ without a kernel that writes it: what xorriso makes, wrappers, journals, damage. Volumes
//! that were written to are in `guest.rs`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::hfsplus_maker as maker;
use common::{Random, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind, State};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

fn put(image: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(bytes, at).unwrap();
}

/// The HFS+ half of a hybrid disc, cut out at the partition that its Apple partition map names.
pub fn xorriso_volume(folder: &Path) -> std::path::PathBuf {
    let (tree, disc, image) = (folder.join("tree"), folder.join("disc"), folder.join("hfsplus"));
    tools::make_tree(&tree, 81, 2 * MIB);
    // Where the number of blocks is a multiple of eight, libisofs forgets to mark the last ones.
    fs::write(tree.join("one more"), Random::new(82).bytes(6000)).unwrap();
    let (tree, name) = (tree.to_str().unwrap(), disc.to_str().unwrap());
    tool("xorriso", &["-as", "mkisofs", "-quiet", "-hfsplus", "-o", name, tree]);
    let disc = fs::read(&disc).unwrap();
    let word = |at: usize| u32::from_be_bytes(disc[at..at + 4].try_into().unwrap()) as usize * 512;
    let entry =
        (1..8).map(|index| index * 512).find(|at| disc[at + 48..].starts_with(b"Apple_HFS"));
    let (start, len) = (word(entry.unwrap() + 8), word(entry.unwrap() + 12));
    fs::write(&image, &disc[start..start + len]).unwrap();
    image
}

#[test]
fn hfsplus_by_xorriso_is_mapped() {
    let scratch = TempDir::new().unwrap();
    let image = xorriso_volume(scratch.path());
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let filesystem = found.filesystem.unwrap();
    assert_eq!((filesystem.kind, filesystem.state), (Kind::HfsPlus, State::Clean));
    // libisofs leaves nothing free.
    assert_eq!(found.used, Extents::of(0, fs::metadata(&image).unwrap().len()));
}

#[test]
fn hfsplus_in_a_wrapper_is_mapped_where_it_lies() {
    let scratch = TempDir::new().unwrap();
    let (inner, outer) = (scratch.path().join("inner"), scratch.path().join("outer"));
    tools::old_medium(&inner, 10 * MIB);
    maker::make(&inner, false);
    let plain = inspect(&inner);
    assert_eq!(plain.coverage, Coverage::Used, "{:?}", plain.warnings);
    tools::old_medium(&outer, 12 * MIB);
    // Allocation blocks of 8 KiB from sector 18; the embedded volume has 1,280 from the fifth.
    let mut master = [0u8; 162];
    master[..2].copy_from_slice(b"BD");
    master[20..24].copy_from_slice(&8192u32.to_be_bytes());
    master[28..30].copy_from_slice(&18u16.to_be_bytes());
    master[124..130].copy_from_slice(&[b'H', b'+', 0, 5, 0x05, 0]);
    let start = 18 * 512 + 5 * 8192;
    put(&outer, 1024, &master);
    put(&outer, start, &fs::read(&inner).unwrap());
    let wrapped = inspect(&outer);
    assert_eq!(wrapped.coverage, Coverage::Used, "{:?}", wrapped.warnings);
    assert_eq!(wrapped.used.gaps_within(start, start + 10 * MIB).total(), {
        plain.used.gaps_within(0, 10 * MIB).total()
    });
    assert!(wrapped.used.gaps_within(0, start).is_empty());
    assert!(wrapped.used.gaps_within(start + 10 * MIB, 12 * MIB).is_empty());
}

#[test]
fn hfsplus_with_a_journal_is_mapped_only_when_that_is_empty() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 10 * MIB);
    maker::make(&image, true);
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    maker::open_journal(&image);
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(matches!(found.filesystem.unwrap().state, State::Dirty(_)));
    assert_eq!(found.used, Extents::of(0, 10 * MIB));
}

#[test]
fn hfsplus_volumes_in_doubt_are_captured_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    // Byte of the volume header, what is written there, and a word of the reason.
    for (at, bytes, reason) in [
        (6, &[0u8][..], "closed"),
        (6, &[0x09], "closed"),
        (7, &[0x10], "unknown attributes"),
        (51, &[0], "counted"),
        (44, &[1], "the partition only"),
        (46, &[9], "no sense"),
        (118, &[0, 0], "different layouts"),
        (124, &[0, 0, 0, 9], "different layouts"),
        (208, &[0, 0, 8], "tables free"),
        (208, &[0, 8, 0], "no sense"),
    ] {
        tools::old_medium(&image, 10 * MIB);
        maker::make(&image, false);
        let at = 1024 + at;
        let mut old = vec![0; bytes.len()];
        Volume::open(&image).read_at(at, &mut old).unwrap();
        assert_ne!(old, bytes, "{reason}");
        put(&image, at, bytes);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Whole, "{reason}");
        assert!(found.warnings[0].contains(reason), "{reason}: {:?}", found.warnings);
    }
}
