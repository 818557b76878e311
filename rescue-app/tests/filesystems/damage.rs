//! Every sector or block that a map is made from, damaged in turn: the map may grow to the whole
//! volume, but never leave out a block that is in use.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use common::Random;
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::Coverage;
use tempfile::TempDir;

use crate::hostile::{Strict, check};
use crate::tools::{self, Mount, OLD};
use crate::{ext, fat, ntfs, xfs};

const MIB: u64 = 1 << 20;
/// What a disk loses at once.
const SECTOR: usize = 512;
/// What most filesystems write at once.
const BLOCK: usize = 4096;

/// Pieces of zeros to damage, and pieces of a stretch (such as a log or a file table) that is
/// longer than [`LONG`]; of the others, all are.
const SAMPLED: usize = 40;
/// Pieces in a row.
const LONG: usize = 300;

/// Notes which pieces are read.
struct Noted<'a> {
    bytes: &'a [u8],
    /// Bytes of a piece.
    len: usize,
    pieces: Mutex<BTreeSet<usize>>,
}

impl ReadAt for Noted<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let pieces = start / self.len..(start + buf.len()).div_ceil(self.len);
        self.pieces.lock().unwrap().extend(pieces);
        self.bytes.read_at(offset, buf)
    }
}

/// The pieces of `len` bytes that the map is made from.
fn pieces_of(bytes: &[u8], len: usize, numbers: &mut Random) -> Vec<usize> {
    let volume = Noted { bytes, len, pieces: Mutex::default() };
    let found = inspect::inspect(&volume);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let read = volume.pieces.into_inner().unwrap();
    let is_empty = |piece: &usize| {
        let content = &bytes[piece * len..(piece + 1) * len];
        content.iter().all(|&byte| byte == 0) || content.iter().all(|&byte| byte == OLD)
    };
    let (mut empty, written): (Vec<usize>, Vec<usize>) = read.into_iter().partition(is_empty);
    let mut pieces = sample(&mut empty, numbers);
    for stretch in written.chunk_by(|one, next| one + 1 == *next) {
        if stretch.len() > LONG {
            pieces.extend(sample(&mut stretch.to_vec(), numbers));
        } else {
            pieces.extend(stretch);
        }
    }
    pieces
}

fn sample(pieces: &mut Vec<usize>, numbers: &mut Random) -> Vec<usize> {
    (0..SAMPLED.min(pieces.len()))
        .map(|_| {
            let index = usize::try_from(numbers.below(pieces.len() as u64)).unwrap();
            pieces.swap_remove(index)
        })
        .collect()
}

/// What may become of a piece.
fn damages(piece: &[u8], other: &[u8], numbers: &mut Random) -> Vec<(String, Vec<u8>)> {
    let len = piece.len();
    let mut damages = vec![
        ("zeros".into(), vec![0; len]),
        ("ones".into(), vec![0xff; len]),
        ("noise".into(), numbers.bytes(len)),
        ("another one".into(), other.to_vec()),
    ];
    let written: Vec<usize> = (0..len).filter(|&at| piece[at] != 0).collect();
    for round in 0..8 {
        let at = match round % 2 {
            0 if !written.is_empty() => {
                written[usize::try_from(numbers.below(written.len() as u64)).unwrap()]
            }
            _ => usize::try_from(numbers.below(len as u64)).unwrap(),
        };
        let bit = numbers.below(8);
        let mut flipped = piece.to_vec();
        flipped[at] ^= 1 << bit;
        damages.push((format!("bit {bit} of byte {at}"), flipped));
    }
    damages
}

/// Damages all pieces of `len` bytes in turn; the damages that cost a used block.
fn losses(name: &str, mut bytes: Vec<u8>, len: usize) -> Vec<String> {
    let mut numbers = Random::new(61);
    let sound = inspect::inspect(&Strict::new(&bytes)).used;
    let pieces = pieces_of(&bytes, len, &mut numbers);
    let (mut lost, mut whole, mut tried) = (Vec::new(), 0, 0);
    for (index, &piece) in pieces.iter().enumerate() {
        let place = piece * len..(piece + 1) * len;
        let before = bytes[place.clone()].to_vec();
        let other = pieces[(index + 7) % pieces.len()] * len;
        let other = bytes[other..other + len].to_vec();
        for (what, damage) in damages(&before, &other, &mut numbers) {
            bytes[place.clone()].copy_from_slice(&damage);
            let what = format!("{name}, {len} bytes, the {piece}th, {what}");
            let found = inspect::inspect(&Strict::new(&bytes));
            check(&found, bytes.len() as u64, &what);
            whole += usize::from(found.coverage == Coverage::Whole);
            lost.extend(Some(what).filter(|_| is_less(&found.used, &sound)));
            tried += 1;
        }
        bytes[place].copy_from_slice(&before);
    }
    println!(
        "{name}: {} pieces, {tried} damages, {whole} noticed, {} lost",
        pieces.len(),
        lost.len()
    );
    assert!(whole > 0, "{name}: no damage was noticed");
    lost
}

/// Flips every bit of the first sector, which has no copy on FAT12 and FAT16, in turn.
fn losses_by_boot_sector(name: &str, mut bytes: Vec<u8>) -> Vec<String> {
    let sound = inspect::inspect(&Strict::new(&bytes)).used;
    let mut lost = Vec::new();
    for at in 0..SECTOR * 8 {
        bytes[at / 8] ^= 1 << (at % 8);
        let found = inspect::inspect(&Strict::new(&bytes));
        bytes[at / 8] ^= 1 << (at % 8);
        if is_less(&found.used, &sound) {
            lost.push(format!("{name}, bit {} of byte {}", at % 8, at / 8));
        }
    }
    lost
}

/// Whether a map leaves out what the right one has.
pub fn is_less(used: &Extents, right: &Extents) -> bool {
    right.iter().any(|extent| !used.gaps_within(extent.start, extent.end).is_empty())
}

/// No damage to a sector or block that the map of an image is made from costs a used block.
pub fn assert_nothing_is_lost(name: &str, image: &Path) {
    let bytes = fs::read(image).unwrap();
    let mut lost = losses(name, bytes.clone(), SECTOR);
    lost.extend(losses(name, bytes.clone(), BLOCK));
    lost.extend(losses_by_boot_sector(name, bytes));
    assert!(lost.is_empty(), "{name}: {lost:#?}");
}

#[test]
fn damage_to_xfs_costs_no_used_block() {
    let scratch = TempDir::new().unwrap();
    let prototype = xfs::prototype(scratch.path());
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
            xfs::format(&image, &format!("{options} -p {}", prototype.display()));
        } else {
            xfs::format(&image, options);
            xfs::fill(&Mount::new(&image, "xfs", "rw"), 5);
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
        ext::format(&image, options, Some(&tree));
        ext::churn(&image, scratch.path(), &tools::hashes(&tree));
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
        ntfs::format(&image, options);
        let mount = ntfs::Mount::new(&image, "rw");
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
        fat::format(&image, options);
        fat::copy_in(&image, std::slice::from_ref(&tree), "::/");
        assert_nothing_is_lost(name, &image);
        fs::remove_file(image).unwrap();
    }
}
