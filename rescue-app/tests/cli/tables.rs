//! Disks whose tables are not by the book, and what lies outside of all partitions.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use common::{noise, tool};

use crate::faulty::Faulty;
use crate::support::{Bench, MIB, put, same};

/// An image file with a table by sfdisk.
fn disk(bench: &Bench, name: &str, size: u64, table: &str) -> PathBuf {
    let path = bench.path(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    let command = format!("sfdisk -q {} <<'TABLE'\n{table}\nTABLE", path.display());
    tool("sh", &["-c", &command]);
    path
}

fn write(disk: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(disk).unwrap().write_all_at(bytes, at).unwrap();
}

fn read(disk: &Path, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    File::open(disk).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

/// Three logical partitions with an ext4 each; the second one's record is at 113 MiB.
fn with_logical_partitions(bench: &Bench) -> PathBuf {
    let table = "label: dos\n1: start=11M, size=560M, type=f\n5: start=12M, size=100M, type=83\n\
                 6: start=114M, size=100M, type=83\n7: start=215M, size=200M, type=83";
    let path = disk(bench, "disk", 600 * MIB, table);
    let files = bench.path("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("noise"), noise(5, 3_000_000)).unwrap();
    for (start, size) in [(12, 100), (114, 100), (215, 200)] {
        let part = bench.path("part");
        File::create(&part).unwrap().set_len(size * MIB).unwrap();
        let from = files.to_str().unwrap();
        tool("mkfs.ext4", &["-q", "-F", "-d", from, part.to_str().unwrap()]);
        put(&path, start * MIB, &part);
    }
    path
}

/// Sector of the record of the second logical partition.
fn second_record(disk: &Path) -> u64 {
    let link = read(disk, 11 * MIB + 446 + 16 + 8, 4);
    11 * MIB / 512 + u64::from(u32::from_le_bytes(link.try_into().unwrap()))
}

#[test]
fn what_lies_outside_of_partitions_is_stored_unless_it_is_left_out() {
    let bench = Bench::new();
    let table = "label: dos\n1: start=300M, size=20M, type=83\n2: start=480M, size=8M, type=83";
    let path = disk(&bench, "disk", 500 * MIB, table);
    for (seed, at) in [(1, 4), (2, 100), (3, 250), (4, 400)] {
        write(&path, at * MIB, &noise(seed, 1 << 20));
    }
    // Zeros that are no hole.
    write(&path, 120 * MIB, &vec![0; 24 << 20]);
    let name = bench.arg("disk");
    let plan = bench.run(&["capture", &name, "--plan"]).ended(0).stdout;
    assert!(plan.contains("outside of partitions are read as well, which takes about"), "{plan}");
    let report = bench.capture("disk");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
    bench.restore("out", &[]);
    assert!(same(&path, &bench.path("out")));
    bench.restic(&["restore", "latest", "--target", &bench.arg("by-restic")]);
    let folder = fs::read_dir(bench.path("by-restic")).unwrap().next().unwrap().unwrap().path();
    assert!(same(&path, &folder.join("disk.img")));

    let plan = bench.run(&["capture", &name, "--plan", "--skip-unpartitioned"]).ended(0).stdout;
    assert!(plan.contains("outside of partitions are left out"), "{plan}");
    let left = bench.run(&["capture", &name, "--skip-unpartitioned", "--json"]).ended(0).result();
    let warnings = left["warnings"].to_string();
    assert!(warnings.contains("unpartitioned space from byte 67108864 are left out"), "{warnings}");
    bench.restore("part", &[]);
    let kept =
        |at: u64| read(&bench.path("part"), at * MIB, 1 << 20) == read(&path, at * MIB, 1 << 20);
    assert_eq!([4, 100, 250, 400].map(kept), [true, false, false, false]);
}

#[test]
fn holes_of_an_image_file_are_not_read() {
    let bench = Bench::new();
    let table = "label: gpt\n1: start=1M, size=30G\n2: start=40G, size=30G";
    let path = disk(&bench, "disk", 200 << 30, table);
    write(&path, 20 << 30, &noise(1, 1 << 20));
    write(&path, (150 << 30) + 512, &noise(2, 1 << 20));
    let name = bench.arg("disk");
    let plan = bench.run(&["capture", &name, "--plan", "--json"]).ended(0).result();
    assert!(plan["read"].as_u64().unwrap() < 4 * MIB, "{}", plan["read"]);
    assert!(plan["space"]["at_most"].as_u64().unwrap() < 8 * MIB, "{}", plan["space"]);
    let report = bench.capture("disk");
    assert!(report["read"].as_u64().unwrap() < 4 * MIB, "{report}");
    let size = bench.restic(&["ls", "-l", "latest"]);
    assert!(size.contains(&(200u64 << 30).to_string()), "{size}");
}

/// What is zero in a file that is made for a restore stays a hole.
#[test]
fn a_new_file_gets_holes_for_zeros() {
    let bench = Bench::new();
    let path = disk(&bench, "disk", 300 * MIB, "label: gpt\n1: start=1M, size=290M");
    write(&path, 200 * MIB, &noise(1, 1 << 20));
    bench.capture("disk");
    bench.restore("out", &[]);
    assert!(same(&path, &bench.path("out")));
    let blocks = fs::metadata(bench.path("out")).unwrap().blocks();
    assert!(blocks * 512 < 16 * MIB, "{blocks} blocks are taken");
}

#[test]
fn a_chain_with_a_bad_sector_is_cut_and_what_follows_is_stored() {
    let bench = Bench::new();
    let path = with_logical_partitions(&bench);
    let bad = second_record(&path);
    let faulty = Faulty::reading(&path, &[bad]);
    let args = ["capture", &faulty.arg(), "--json", "--retries", "0"];
    let report = bench.run(&args).ended(3).result();
    assert!(report["warnings"].to_string().contains("it was cut there"), "{report}");
    assert_eq!(report["table_unreadable"], true);
    let out = bench.arg("out");
    bench.run(&["restore", "latest", &out, "--erase", &out]).ended(3);
    write(&path, bad * 512, &[0; 512]);
    assert!(same(&path, &bench.path("out")));
}

#[test]
fn an_extended_partition_is_not_chosen_but_those_in_it() {
    let bench = Bench::new();
    with_logical_partitions(&bench);
    let name = bench.arg("disk");
    let refused = bench.run(&["capture", &name, "--partitions", "1"]).ended(4).stderr;
    assert!(refused.contains("--partitions 5,6,7"), "{refused}");
    bench.run(&["capture", &name, "--partitions", "6"]).ended(0);
}

#[test]
fn an_mbr_that_counts_larger_sectors_is_told_and_costs_nothing() {
    let bench = Bench::new();
    let path = bench.path("disk");
    File::create(&path).unwrap().set_len(200 * MIB).unwrap();
    let script = format!("printf 'o\\nn\\np\\n1\\n\\n\\nw\\n' | fdisk -b 4096 {}", path.display());
    tool("sh", &["-c", &script]);
    let part = bench.path("part");
    File::create(&part).unwrap().set_len(199 * MIB).unwrap();
    fs::create_dir(bench.path("files")).unwrap();
    fs::write(bench.path("files/noise"), noise(8, 20 << 20)).unwrap();
    let from = bench.arg("files");
    tool("mkfs.ext4", &["-q", "-F", "-b", "4096", "-d", &from, part.to_str().unwrap()]);
    put(&path, MIB, &part);
    let report = bench.capture("disk");
    assert!(report["warnings"].to_string().contains("--sector-size 4096"), "{report}");
    bench.restore("out", &[]);
    assert!(same(&path, &bench.path("out")));
    let right = bench.run(&["capture", &bench.arg("disk"), "--sector-size", "4096", "--json"]);
    let right = right.ended(0).result();
    assert_eq!(right["image"]["partitions"][0]["kind"], "ext4", "{right}");
}

/// A hybrid MBR gives a part of a filesystem, by its own map free, to another partition.
#[test]
fn what_another_table_claims_inside_a_filesystem_is_stored() {
    let bench = Bench::new();
    let path = disk(&bench, "disk", 80 * MIB, "label: gpt\n1: start=1M, size=60M");
    let part = bench.path("part");
    File::create(&part).unwrap().set_len(60 * MIB).unwrap();
    tool("mkfs.vfat", &[part.to_str().unwrap()]);
    put(&path, MIB, &part);
    write(&path, 40 * MIB, &noise(3, 2 << 20));
    let shown = |more: &[&str]| {
        let name = bench.arg("disk");
        let run = bench.run(&[&["capture", &name, "--json"], more].concat()).ended(0).result();
        bench
            .run(&[
                "restore",
                run["image"]["id"].as_str().unwrap(),
                &bench.arg("out"),
                "--erase",
                &bench.arg("out"),
            ])
            .ended(0);
        let kept = read(&bench.path("out"), 40 * MIB, 2 << 20) == read(&path, 40 * MIB, 2 << 20);
        fs::remove_file(bench.path("out")).unwrap();
        kept
    };
    assert!(!shown(&[]), "the filesystem's map calls it unused");
    let mut entry = [0, 0, 0, 0, 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0];
    entry[8..12].copy_from_slice(&u32::try_from(40 * MIB / 512).unwrap().to_le_bytes());
    write(&path, 446 + 16, &entry);
    assert!(shown(&[]), "a hybrid MBR claims it");
    tool("sfdisk", &[Path::new("--json"), &path]);
}
