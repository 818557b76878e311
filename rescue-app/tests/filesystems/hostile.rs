//! Damaged filesystems: no panic, no large allocation, no used block left out where a checksum or
//! a copy could have told.

use std::fs;
use std::io;

use common::{Random, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection};
use tempfile::TempDir;

use crate::damage;
use crate::tools::{self, OLD};

const MIB: u64 = 1 << 20;

/// Most bytes that a reader may ask for at once, whatever the superblock says.
const LARGEST_READ: usize = 1 << 20;

/// A volume in memory that minds how it is read, with one stretch that cannot be read.
pub struct Strict<'a> {
    bytes: &'a [u8],
    bad: std::ops::Range<u64>,
}

impl<'a> Strict<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bad: 0..0 }
    }
}

impl ReadAt for Strict<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        assert!(buf.len() <= LARGEST_READ, "{} bytes at once", buf.len());
        let end = offset.saturating_add(buf.len() as u64);
        if offset < self.bad.end && self.bad.start < end {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_at(offset, buf)
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        assert!(len <= LARGEST_READ, "{len} bytes at once");
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes).map(|()| bytes)
    }
}

/// Small filesystems with hardly any content, so that nearly every byte is metadata.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let scratch = TempDir::new().unwrap();
    [
        ("ext4", 4, "mke2fs -q -F -t ext4 -b 1024 -E nodiscard -N 64 -J size=1"),
        ("ext4-dirty", 4, "mke2fs -q -F -t ext4 -b 1024 -E nodiscard -N 64 -J size=1"),
        ("ext4-meta-bg", 4, "mke2fs -q -F -t ext4 -b 1024 -g 512 -O ^has_journal,meta_bg,^resize_inode -E nodiscard"),
        ("ext2", 4, "mke2fs -q -F -t ext2 -b 1024 -E nodiscard"),
        ("ntfs", 4, "mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63"),
        ("fat12", 2, "mkfs.fat -F 12"),
        ("fat16", 8, "mkfs.fat -F 16 -s 1"),
        ("fat32", 8, "mkfs.fat -F 32 -s 1"),
        ("exfat", 4, "mkfs.exfat"),
        ("xfs", 32, "mkfs.xfs --unsupported -q -f -K -b size=1024 -d agcount=2"),
        ("xfs-4", 16, "mkfs.xfs --unsupported -q -f -K -m crc=0 -d agcount=1"),
        ("swap", 1, "mkswap"),
        ("btrfs", 16, "mkfs.btrfs -q -f -K --mixed -d single -m single"),
    ]
    .map(|(name, mib, command)| {
        let image = scratch.path().join(name);
        tools::old_medium(&image, mib * MIB);
        let mut words: Vec<&str> = command.split(' ').collect();
        words.push(image.to_str().unwrap());
        tool(words[0], &words[1..]);
        if name == "ext4-dirty" {
            let script = scratch.path().join("script");
            fs::write(scratch.path().join("blocks"), Random::new(40).bytes(4096)).unwrap();
            let new = scratch.path().join("blocks").display().to_string();
            let commands = format!("jo -c\njw -b 3000,3001,3002,3003 {new}\njw -r 3001\njc\n");
            fs::write(&script, commands).unwrap();
            let (script, image) = (script.to_str().unwrap(), image.to_str().unwrap());
            tool("debugfs", &["-w", "-f", script, image]);
        }
        (name, fs::read(&image).unwrap())
    })
    .into()
}

/// Bytes that a tool wrote.
fn written(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|&at| bytes[at] != 0 && bytes[at] != OLD).collect()
}

pub fn check(found: &Inspection, size: u64, what: &str) {
    assert!(found.used.end() <= size, "{what}");
    if found.coverage == Coverage::Whole {
        assert_eq!(found.used, Extents::of(0, size), "{what}");
        assert!(!found.warnings.is_empty(), "{what}");
    }
}

#[test]
fn damaged_filesystems_do_no_harm() {
    for (name, mut image) in samples() {
        let sound = inspect::inspect(&Strict::new(&image));
        assert_ne!(sound.coverage, Coverage::Whole, "{name}: {:?}", sound.warnings);
        let places = written(&image);
        let mut numbers = Random::new(41);
        let mut pick = |limit: usize| usize::try_from(numbers.below(limit as u64)).unwrap();
        for round in 0..400 {
            let mut undo = Vec::new();
            for _ in 0..=pick(4) {
                // At or shortly after something that was written.
                let at = (places[pick(places.len())] + pick(9)).min(image.len() - 1);
                undo.push((at, image[at]));
                image[at] = match pick(3) {
                    0 => 0xff,
                    1 => image[at] ^ (1 << pick(8)),
                    _ => u8::try_from(pick(256)).unwrap(),
                };
            }
            let found = inspect::inspect(&Strict::new(&image));
            check(&found, image.len() as u64, &format!("{name}, round {round}"));
            undo.into_iter().rev().for_each(|(at, byte)| image[at] = byte);
        }
        for round in 0..100 {
            let len = pick(image.len());
            let found = inspect::inspect(&Strict::new(&image[..len]));
            check(&found, len as u64, &format!("{name} cut to {len}, round {round}"));
        }
    }
}

/// Where checksums (metadata_csum, Btrfs), copies (FAT32) or directories to compare with (exFAT)
/// exist, one wrong bit never costs a used byte.
#[test]
fn one_wrong_bit_never_drops_a_used_block() {
    for (name, mut image) in samples() {
        if !["ext4", "ext4-meta-bg", "fat32", "btrfs", "exfat"].contains(&name) {
            continue;
        }
        let sound = inspect::inspect(&Strict::new(&image)).used;
        let places = written(&image);
        let mut numbers = Random::new(43);
        let mut whole = 0;
        for _ in 0..500 {
            let at = places[usize::try_from(numbers.below(places.len() as u64)).unwrap()];
            let bit = numbers.below(8);
            image[at] ^= 1 << bit;
            let found = inspect::inspect(&Strict::new(&image));
            image[at] ^= 1 << bit;
            let lost = damage::is_less(&found.used, &sound);
            assert!(!lost, "{name}: bit {bit} of byte {at}");
            whole += u32::from(found.coverage == Coverage::Whole);
        }
        assert!(whole > 0, "{name}: no damage was noticed");
    }
}

#[test]
fn a_bad_sector_under_metadata_gives_the_whole_volume() {
    for (name, image) in samples() {
        let sound = inspect::inspect(&Strict::new(&image));
        let mut numbers = Random::new(47);
        let mut whole = 0;
        for _ in 0..100 {
            let start = numbers.below(image.len() as u64 / 512) * 512;
            let volume = Strict { bytes: &image, bad: start..start + 512 };
            let found = inspect::inspect(&volume);
            check(&found, image.len() as u64, name);
            if found.coverage == Coverage::Whole {
                whole += 1;
                assert!(found.warnings[0].contains("bad sector"), "{:?}", found.warnings);
            } else {
                assert_eq!(found.used, sound.used, "{name}, bad sector at {start}");
            }
        }
        assert!(whole > 0, "{name}: no bad sector was noticed");
    }
}
