//! Disks that are not by the book: tables that are damaged, contradict themselves or each other,
//! with content everywhere. Whatever the table says, a disk restored to the same size is the same
//! disk, and a partition restored by itself changes nothing beside it.
//!
//! `LIFEBOAT_ODD_DISKS` is how many are made in all; what a failure prints repeats it.

mod damage;
mod disk;
mod layout;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use common::Random;
use disk::Disk;
use layout::{Content, Layout, Style, Templates, Volume};
use serde_json::Value;

use crate::support::{Bench, MIB};

/// Disks that share a repository.
const TOGETHER: u64 = 40;
/// Tests that run beside each other, each in a process of its own: a process that one of several
/// threads starts has what the others write open until it is the other program.
const SHARES: u64 = 4;

#[test]
fn every_byte_of_odd_disks_is_restored_1() {
    share(1);
}

#[test]
fn every_byte_of_odd_disks_is_restored_2() {
    share(2);
}

#[test]
fn every_byte_of_odd_disks_is_restored_3() {
    share(3);
}

#[test]
fn every_byte_of_odd_disks_is_restored_4() {
    share(4);
}

fn share(number: u64) {
    let count: u64 =
        std::env::var("LIFEBOAT_ODD_DISKS").map_or(2000, |count| count.parse().unwrap());
    let mut seeds = Random::from_environment();
    for _ in 0..number {
        seeds.next_u64();
    }
    let templates = Templates::make();
    let mut bench = Bench::new();
    for done in 0..count.div_ceil(SHARES) {
        if done % TOGETHER == TOGETHER - 1 {
            bench = Bench::new();
        }
        one(&bench, &templates, seeds.next_u64());
    }
}

/// One of some things.
fn pick<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[usize::try_from(random.below(all.len() as u64)).unwrap()]
}

/// Repeats one disk of a failed run: `LIFEBOAT_ODD_DISK=seed`.
#[test]
fn one_odd_disk_again() {
    let Ok(seed) = std::env::var("LIFEBOAT_ODD_DISK") else { return };
    one(&Bench::new(), &Templates::make(), seed.parse().unwrap());
}

/// fdisk takes a header with such bounds for no table, and Linux one with entries of another size
/// than 128 bytes (`is_gpt_valid` in block/partitions/efi.c), with right checksums too.
#[test]
fn a_gpt_that_others_refuse_is_in_doubt() {
    let bench = Bench::new();
    let (first_usable, last_usable, entries) = (40, 48, 80);
    let count = |count: u64, size: u64| size << 32 | count;
    let sectors = 24 * MIB / 512;
    for (field, value, fdisk_sees_it, in_doubt) in [
        (first_usable, 34, true, false),
        (first_usable, 0, false, true),
        (first_usable, sectors - 10, false, true),
        (first_usable, sectors, false, true),
        (last_usable, 20, false, true),
        (last_usable, sectors, false, true),
        (entries, count(128, 128), true, false),
        (entries, count(64, 256), true, true),
    ] {
        let path = gpt_with(&bench, field, value);
        let theirs = tables::fdisk_listing(&path, 512);
        let case = format!("{value} at {field}: {theirs}");
        assert_eq!(theirs.contains("Disklabel type: gpt"), fdisk_sees_it, "{case}");
        let disk = bench.arg("disk");
        let captured = bench.run(&["capture", &disk, "--sector-size", "512", "--json"]);
        assert_eq!(captured.code, Some(0), "{case}{}", captured.stderr);
        let id = captured.result()["image"]["id"].as_str().unwrap().to_owned();
        let restored =
            bench.run(&["restore", &id, &disk, "--erase", &disk, "--partitions", "1", "--json"]);
        assert_eq!(restored.code, Some(if in_doubt { 4 } else { 0 }), "{case}{}", restored.stderr);
    }
}

/// A disk with one partition and a GPT whose headers have `value` at `field`.
fn gpt_with(bench: &Bench, field: u64, value: u64) -> PathBuf {
    let path = bench.path("disk");
    let only = Volume { start: MIB, size: 4 * MIB, content: Content::Noise };
    let layout = Layout { size: 24 * MIB, sector: 512, style: Style::Gpt, volumes: vec![only] };
    let disk = Disk::create(&path, layout.size);
    tables::write_gpt(&disk, &layout, &mut Random::new(3));
    for header in [512, layout.size - 512] {
        disk.put(header + field, &value.to_le_bytes());
        tables::seal_gpt(&disk, header, 512);
    }
    path
}

fn one(bench: &Bench, templates: &Templates, seed: u64) {
    let mut random = Random::new(seed);
    let layout = Layout::random(&mut random, templates);
    let source = bench.path("source");
    let story = layout.write(&source, &mut random, templates);
    let story = format!("LIFEBOAT_ODD_DISK={seed}: {story}");
    let sector = layout.sector.to_string();
    let captured = bench.run(&[
        "capture",
        &bench.arg("source"),
        "--sector-size",
        &sector,
        "--level",
        "fast",
        "--json",
    ]);
    assert!(
        matches!(captured.code, Some(0 | 3)),
        "{story}\n{}{}",
        captured.stdout,
        captured.stderr
    );
    let id = captured.result()["image"]["id"].as_str().unwrap().to_owned();
    whole(bench, &id, &source, &story);
    if random.below(4) == 0 {
        cloned(bench, layout.sector, &source, &story);
    }
    if random.below(2) == 0 {
        single(bench, &captured.result(), layout.sector, &mut random, &story);
    }
    fs::remove_file(&source).unwrap();
}

/// Restored to a new file of the same size, every byte is the source's.
fn whole(bench: &Bench, id: &str, source: &Path, story: &str) {
    let (out, path) = (bench.arg("out"), bench.path("out"));
    let run = bench.run(&["restore", id, &out, "--erase", &out, "--json"]);
    assert!(matches!(run.code, Some(0 | 3)), "{story}\n{}{}", run.stdout, run.stderr);
    let differs = disk::first_difference(source, &path);
    assert!(differs.is_none(), "{story}\nbyte {} differs", differs.unwrap());
    fs::remove_file(path).unwrap();
}

/// Cloned to a new file, every byte is the source's.
fn cloned(bench: &Bench, sector: u64, source: &Path, story: &str) {
    let (from, out, path) = (bench.arg("source"), bench.arg("out"), bench.path("out"));
    let sector = sector.to_string();
    let run = bench.run(&["clone", &from, &out, "--erase", &out, "--sector-size", &sector]);
    assert!(matches!(run.code, Some(0 | 3)), "{story}\n{}{}", run.stdout, run.stderr);
    let differs = disk::first_difference(source, &path);
    assert!(differs.is_none(), "{story}\nbyte {} of the clone differs", differs.unwrap());
    fs::remove_file(path).unwrap();
}

/// One partition of the image goes onto a disk of the same layout and other content: what is not
/// in that partition stays. A target whose table is in doubt is refused and stays as it is.
fn single(bench: &Bench, report: &Value, sector: u64, random: &mut Random, story: &str) {
    let id = report["image"]["id"].as_str().unwrap();
    let partitions = report["image"]["partitions"].as_array().unwrap();
    let numbers: Vec<u64> = partitions.iter().filter_map(|p| p["number"].as_u64()).collect();
    if numbers.is_empty() {
        return;
    }
    let number = pick(random, &numbers);
    let (target, path) = (bench.arg("target"), bench.path("target"));
    fs::copy(bench.path("source"), &path).unwrap();
    let start = partitions.iter().find(|p| p["number"].as_u64() == Some(number)).unwrap();
    let start = start["start"].as_u64().unwrap();
    Disk::open(&path).mark(start + random.below(4) * 4096, random);
    fs::copy(&path, bench.path("before")).unwrap();
    let chosen = number.to_string();
    let run =
        bench.run(&["restore", id, &target, "--erase", &target, "--partitions", &chosen, "--json"]);
    let told = format!("{story}\npartition {number}: {}{}", run.stdout, run.stderr);
    let inside = match run.code {
        Some(0 | 3) => tables::as_fdisk_sees(&path, number, sector, story),
        Some(4) => 0..0,
        _ => panic!("{told}"),
    };
    let differs = disk::first_difference_outside(&bench.path("before"), &path, &inside);
    assert!(differs.is_none(), "{told}\nbyte {} beside it was changed", differs.unwrap());
    fs::remove_file(path).unwrap();
}
