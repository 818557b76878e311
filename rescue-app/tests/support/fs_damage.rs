//! Every sector that a map is made from, damaged in turn: the map may grow to the whole volume, but
//! never leave out a block that is in use.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::filesystem::{self, Coverage};
use tempfile::TempDir;

use crate::fs_hostile::{Strict, check};
use crate::fs_tools::{self as tools, Mount, Numbers, OLD};
use crate::{fs_ext, fs_fat, fs_ntfs, fs_xfs};

const MIB: u64 = 1 << 20;
const SECTOR: usize = 512;

/// Sectors of zeros to damage, and sectors of a stretch (such as a log or a file table) that is
/// longer than [`LONG`]; of the others, all are.
const SAMPLED: usize = 40;
/// Sectors in a row.
const LONG: usize = 300;

/// Notes which sectors are read.
struct Noted<'a> {
    bytes: &'a [u8],
    sectors: Mutex<BTreeSet<usize>>,
}

impl ReadAt for Noted<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let sectors = start / SECTOR..(start + buf.len()).div_ceil(SECTOR);
        self.sectors.lock().unwrap().extend(sectors);
        self.bytes.read_at(offset, buf)
    }
}

/// The sectors that the map is made from.
fn sectors_of(bytes: &[u8], numbers: &mut Numbers) -> Vec<usize> {
    let volume = Noted { bytes, sectors: Mutex::default() };
    let found = filesystem::inspect(&volume);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let read = volume.sectors.into_inner().unwrap();
    let is_empty = |sector: &usize| {
        let content = &bytes[sector * SECTOR..(sector + 1) * SECTOR];
        content.iter().all(|&byte| byte == 0) || content.iter().all(|&byte| byte == OLD)
    };
    let (mut empty, written): (Vec<usize>, Vec<usize>) = read.into_iter().partition(is_empty);
    let mut sectors = sample(&mut empty, numbers);
    for stretch in written.chunk_by(|one, next| one + 1 == *next) {
        if stretch.len() > LONG {
            sectors.extend(sample(&mut stretch.to_vec(), numbers));
        } else {
            sectors.extend(stretch);
        }
    }
    sectors
}

fn sample(sectors: &mut Vec<usize>, numbers: &mut Numbers) -> Vec<usize> {
    (0..SAMPLED.min(sectors.len()))
        .map(|_| {
            let index = usize::try_from(numbers.below(sectors.len() as u64)).unwrap();
            sectors.swap_remove(index)
        })
        .collect()
}

/// What may become of a sector.
fn damages(sector: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<(String, Vec<u8>)> {
    let mut damages = vec![
        ("zeros".into(), vec![0; SECTOR]),
        ("ones".into(), vec![0xff; SECTOR]),
        ("noise".into(), numbers.bytes(SECTOR)),
        ("another sector".into(), other.to_vec()),
    ];
    let written: Vec<usize> = (0..SECTOR).filter(|&at| sector[at] != 0).collect();
    for round in 0..8 {
        let at = match round % 2 {
            0 if !written.is_empty() => {
                written[usize::try_from(numbers.below(written.len() as u64)).unwrap()]
            }
            _ => usize::try_from(numbers.below(SECTOR as u64)).unwrap(),
        };
        let bit = numbers.below(8);
        let mut flipped = sector.to_vec();
        flipped[at] ^= 1 << bit;
        damages.push((format!("bit {bit} of byte {at}"), flipped));
    }
    damages
}

/// Damages all sectors in turn; the damages that cost a used block.
fn losses(name: &str, mut bytes: Vec<u8>) -> Vec<String> {
    let mut numbers = Numbers::new(61);
    let sound = filesystem::inspect(&Strict::new(&bytes)).used;
    let sectors = sectors_of(&bytes, &mut numbers);
    let (mut lost, mut whole, mut tried) = (Vec::new(), 0, 0);
    for (index, &sector) in sectors.iter().enumerate() {
        let place = sector * SECTOR..(sector + 1) * SECTOR;
        let before = bytes[place.clone()].to_vec();
        let other = sectors[(index + 7) % sectors.len()] * SECTOR;
        let other = bytes[other..other + SECTOR].to_vec();
        for (what, damage) in damages(&before, &other, &mut numbers) {
            bytes[place.clone()].copy_from_slice(&damage);
            let found = filesystem::inspect(&Strict::new(&bytes));
            let what = format!("{name}, sector {sector}, {what}");
            check(&found, bytes.len() as u64, &what);
            let missing =
                |used: &Extents| sound.iter().any(|e| !used.gaps_within(e.start, e.end).is_empty());
            if missing(&found.used) {
                lost.push(what);
            }
            whole += usize::from(found.coverage == Coverage::Whole);
            tried += 1;
        }
        bytes[place].copy_from_slice(&before);
    }
    println!(
        "{name}: {} sectors, {tried} damages, {whole} noticed, {} lost",
        sectors.len(),
        lost.len()
    );
    assert!(whole > 0, "{name}: no damage was noticed");
    lost
}

/// No damage to a sector that the map of an image is made from costs a used block.
pub fn assert_nothing_is_lost(name: &str, image: &Path) {
    let mut lost = losses(name, fs::read(image).unwrap());
    if name.ends_with("one-table") {
        // A sector from elsewhere in the table looks as good as the right one.
        lost.retain(|what| !what.ends_with("another sector"));
    }
    if name == "f2fs" {
        // The journals in the second block of a checkpoint pack have no checksum: without them the
        // tables tell of the filesystem as it was before, which adds up too.
        let journals =
            |what: &String| [4104, 8200].map(|at| what.contains(&format!("sector {at},")));
        lost.retain(|what| !journals(what).contains(&true));
    }
    assert!(lost.is_empty(), "{name}: {lost:#?}");
}

#[test]
fn damage_to_xfs_costs_no_used_block() {
    let scratch = TempDir::new().unwrap();
    let prototype = fs_xfs::prototype(scratch.path());
    for (name, options) in [
        ("xfs", "-b size=1024"),
        ("xfs-rmap", "-m rmapbt=1"),
        ("xfs-4", "-m crc=0 -d agcount=2"),
        ("xfs-4-512", "-m crc=0 -b size=512 -d agcount=1"),
        ("xfs-4-sector-4k", "-m crc=0 -s size=4096 -d agcount=2"),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, 64 * MIB);
        if name.starts_with("xfs-4") {
            fs_xfs::format(&image, &format!("{options} -p {}", prototype.display()));
        } else {
            fs_xfs::format(&image, options);
            fs_xfs::fill(&Mount::new(&image, "xfs", "rw"), 5);
        }
        assert_nothing_is_lost(name, &image);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn damage_to_ext_costs_no_used_block() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, 6, 4 * MIB);
    for (name, mib, options) in [
        ("ext4", 16, "-t ext4 -b 1024 -J size=1"),
        ("ext4-meta-bg", 16, "-t ext4 -b 1024 -g 2048 -O meta_bg,^resize_inode,^has_journal"),
        ("ext4-bigalloc", 16, "-t ext4 -b 1024 -O bigalloc -C 4096 -J size=1"),
        ("ext4-uninit", 16, "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg -J size=1"),
        ("ext4-no-checksums", 16, "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg -J size=1"),
        ("ext3", 16, "-t ext3 -b 1024 -J size=1"),
        ("ext2", 16, "-t ext2 -b 4096"),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, mib * MIB);
        fs_ext::format(&image, options, Some(&tree));
        fs_ext::churn(&image, scratch.path(), &tools::hashes(&tree));
        assert_nothing_is_lost(name, &image);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn damage_to_ntfs_costs_no_used_block() {
    let scratch = TempDir::new().unwrap();
    for (name, options) in [("ntfs", "-c 4096"), ("ntfs-512", "-c 512")] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, 24 * MIB);
        fs_ntfs::format(&image, options);
        let mount = fs_ntfs::Mount::new(&image, "rw");
        tools::make_tree(&mount.path().join("tree"), 7, 6 * MIB);
        tools::churn(&mount.path().join("tree"), 7, 100 << 10);
        drop(mount);
        assert_nothing_is_lost(name, &image);
        fs::remove_file(image).unwrap();
    }
}

#[test]
fn damage_to_fat_costs_no_used_block() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, 8, MIB);
    for (name, mib, options) in [
        ("fat12", 4, "-F 12 -s 4"),
        ("fat16", 16, "-F 16 -s 2"),
        ("fat32", 36, "-F 32 -s 1"),
        ("fat16-one-table", 16, "-F 16 -s 2 -f 1"),
        ("fat32-one-table", 36, "-F 32 -s 1 -f 1"),
    ] {
        let image = scratch.path().join(name);
        tools::old_medium(&image, mib * MIB);
        fs_fat::format(&image, options);
        fs_fat::copy_in(&image, std::slice::from_ref(&tree), "::/");
        assert_nothing_is_lost(name, &image);
        fs::remove_file(image).unwrap();
    }
}
