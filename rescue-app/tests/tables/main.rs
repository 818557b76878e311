//! Partition tables, judged by `sgdisk` and `sfdisk`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod edit;
mod gpt;
mod hostile;
mod mbr;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Random, command, tool};
use lifeboat::bytes::{ReadAt, Window};
use lifeboat::disk::Source;
use lifeboat::table::{Patch, Scheme, Table, TableError, fit_to_disk, read};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn sgdisk(disk: &Path, args: &[&str]) -> String {
    let mut all = args.to_vec();
    all.push(disk.to_str().unwrap());
    tool("sgdisk", &all)
}

/// sgdisk's own opinion of a disk.
fn assert_sound(disk: &Path) {
    let opinion = sgdisk(disk, &["-v"]);
    assert!(opinion.contains("No problems found"), "{opinion}");
    assert!(!opinion.contains("Warning") && !opinion.contains("Caution"), "{opinion}");
    // The kernel's tools also want the protective MBR to cover the disk.
    let listing = command("sfdisk").arg("-l").arg(disk).output().unwrap();
    let complaints = String::from_utf8_lossy(&listing.stderr).into_owned();
    assert_eq!(complaints, "", "sfdisk -l complains");
}

struct Images {
    dir: TempDir,
}

impl Images {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn blank(&self, name: &str, size: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// What a restore makes: the captured disk, a larger size, the patches.
    fn restored(&self, image: &Path, size: u64, patches: &[Patch]) -> PathBuf {
        let path = self.dir.path().join(format!("restored-{size}.img"));
        fs::copy(image, &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        for patch in patches {
            file.write_all_at(&patch.bytes, patch.offset).unwrap();
        }
        path
    }

    /// Partitions 1, 3 and 5 with everything a GPT entry can say; 4 is for later.
    fn gpt(&self, size: u64) -> PathBuf {
        let path = self.blank("gpt.img", size);
        sgdisk(&path, &GPT_WITH_GAPS);
        path
    }
}

const GPT_WITH_GAPS: [&str; 18] = [
    "-n",
    "1:0:+1M",
    "-n",
    "3:0:+2M",
    "-n",
    "5:0:+1M",
    "-t",
    "1:ef00",
    "-t",
    "5:0700",
    "-c",
    "1:ESP",
    "-c",
    "3:rööt ✓",
    "-A",
    "3:set:63",
    "-A",
    "5:set:2",
];

fn open(path: &Path) -> Source {
    Source::open(path).unwrap()
}

fn table_of(path: &Path, sector_size: u32) -> Table {
    read(&open(path), sector_size).unwrap()
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// Our table and sfdisk's must say the same in every field that sfdisk knows.
fn assert_agrees_with_sfdisk(table: &Table, disk: &Path) {
    let json: Value =
        serde_json::from_str(&tool("sfdisk", &["-J", disk.to_str().unwrap()])).unwrap();
    let theirs = &json["partitiontable"];
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let sector = u64::from(table.sector_size);
    assert_eq!(theirs["sectorsize"], table.sector_size);
    assert_eq!(lower(&theirs["id"]).trim_start_matches("0x"), table.disk_id.clone().unwrap());
    let listed = theirs["partitions"].as_array().unwrap();
    assert_eq!(listed.len(), table.partitions.len());
    for (theirs, ours) in listed.iter().zip(&table.partitions) {
        let node = theirs["node"].as_str().unwrap();
        let number = node.strip_prefix(disk.to_str().unwrap()).unwrap().trim_start_matches('p');
        assert_eq!(number, ours.number.to_string());
        assert_eq!(theirs["start"].as_u64().unwrap() * sector, ours.start, "{node}");
        assert_eq!(theirs["size"].as_u64().unwrap() * sector, ours.size, "{node}");
        if table.scheme == Scheme::Gpt {
            assert_eq!(lower(&theirs["type"]), ours.type_id);
            assert_eq!(Some(lower(&theirs["uuid"])), ours.uuid);
            assert_eq!(theirs["name"].as_str(), ours.name.as_deref());
        } else {
            let kind = u8::from_str_radix(&lower(&theirs["type"]), 16).unwrap();
            assert_eq!(ours.type_id, format!("{kind:#04x}"));
            assert_eq!(theirs["bootable"].as_bool().unwrap_or(false), ours.bootable);
        }
    }
}

/// A random order of `0..count`.
fn order(random: &mut Random, count: u64) -> Vec<u64> {
    let mut order: Vec<u64> = (0..count).collect();
    for at in (1..order.len()).rev() {
        let other = random.below(at as u64 + 1);
        order.swap(at, usize::try_from(other).unwrap());
    }
    order
}

#[test]
fn filesystems_on_the_whole_disk_are_no_tables() {
    let images = Images::new();
    let disk = images.blank("fat.img", 16 * MIB);
    for maker in [vec!["mkfs.fat", "--mbr=no", "-I"], vec!["mkfs.ext4", "-q", "-F"]] {
        let mut args = maker[1..].to_vec();
        args.push(disk.to_str().unwrap());
        tool(maker[0], &args);
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.notices.len()), (Scheme::None, 0), "{maker:?}");
    }
    // dosfstools can add a table that has the filesystem itself, from sector 0, as partition 1.
    tool("mkfs.fat", &["--mbr=yes", "-I", disk.to_str().unwrap()]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partition(1).unwrap().start), (Scheme::Mbr, 0));
    assert!(table.doubts[0].contains("lies over"), "{table:?}");
}

#[test]
fn patches_can_be_laid_over_a_stream() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let patches = fit_to_disk(&open(&disk), &table_of(&disk, 512), 17 * MIB, false).unwrap();
    let restored = images.restored(&disk, 17 * MIB, &patches);
    let (image, expected) = (open(&disk), open(&restored));
    // Pieces of a size that cuts every patch somewhere.
    let mut at = 0;
    while at < 16 * MIB {
        let piece = Window::new(&image, at, 1000);
        let mut buf = piece.read_vec(0, usize::try_from(piece.size()).unwrap()).unwrap();
        for patch in &patches {
            patch.apply_to(at, &mut buf);
        }
        assert!(buf == expected.read_vec(at, buf.len()).unwrap(), "at {at}");
        at += 1000;
    }
}

#[test]
fn impossible_sector_sizes_are_refused() {
    for size in [0, 1, 256, 513, 8192, u32::MAX] {
        let result = read(&vec![0u8; 8192], size);
        assert!(matches!(result, Err(TableError::SectorSize(bad)) if bad == size));
    }
    assert_eq!(read(&Vec::new(), 512).unwrap().scheme, Scheme::None);
}
