//! `lifeboat prepare`: old content gone, what was made judged by the tools of others.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Loop, noise, tool};

use crate::support::{Bench, MIB, cut};

/// Size of the disks in bytes; a multiple of neither a mebibyte nor 64 KiB.
const SIZE: u64 = 96 * MIB + 4096 * 3;

/// The types of all signatures that libblkid finds.
fn signatures(path: &str) -> Vec<String> {
    let text = tool("wipefs", &["-n", "--parsable", "--output", "TYPE", path]);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// A disk that had a life before: noise, a Btrfs, a swap header in the place of a first partition,
/// and metadata of two firmware RAIDs at its end.
fn used_disk(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path(name);
    fs::write(&path, noise(5, usize::try_from(SIZE).unwrap())).unwrap();
    let disk = File::options().write(true).open(&path).unwrap();
    let blank = vec![0; usize::try_from(MIB).unwrap()];
    disk.write_all_at(&blank, 0).unwrap();
    // Magics as libblkid knows them: btrfs, swap, ISW, DDF.
    disk.write_all_at(b"_BHRfS_M", (64 << 10) + 64).unwrap();
    disk.write_all_at(b"SWAPSPACE2", MIB + 4086).unwrap();
    disk.write_all_at(b"Intel Raid ISM Cfg Sig. 1.1.00\0", SIZE - 1024).unwrap();
    disk.write_all_at(b"\xde\x11\xde\x11", SIZE - 512).unwrap();
    path
}

/// The partition of a prepared disk as a file.
fn partition(bench: &Bench, disk: &Path, report: &serde_json::Value) -> String {
    let number = |name: &str| report[name].as_u64().unwrap();
    let (start, size) = (number("start"), number("size"));
    assert_eq!((start, size), (MIB, SIZE / MIB * MIB - 2 * MIB), "{report}");
    let part = bench.path("part");
    cut(disk, start, size, &part);
    part.to_str().unwrap().to_owned()
}

fn prepare(bench: &Bench, disk: &str, more: &[&str]) -> serde_json::Value {
    let args = [&["prepare", disk, "--json"], more].concat();
    bench.run(&args).ended(0).result()
}

fn judge_table(disk: &str) {
    let verdict = tool("sgdisk", &["-v", disk]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let verdict = tool("sfdisk", &["-V", disk]);
    assert!(verdict.contains("No errors detected"), "{verdict}");
    assert_eq!(signatures(disk), ["gpt", "gpt", "PMBR"], "nothing of before is left");
}

fn label(part: &str) -> String {
    tool("blkid", &["-p", "-o", "value", "-s", "LABEL", part]).trim().to_owned()
}

#[test]
fn a_used_disk_becomes_an_empty_ext4_that_holds_images() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let arg = bench.arg("disk");
    let before = signatures(&arg);
    assert!(before.iter().any(|kind| kind == "isw_raid_member"), "{before:?}");
    let report = prepare(&bench, &arg, &["--erase", &arg]);
    judge_table(&arg);
    let part = partition(&bench, &disk, &report);
    tool("e2fsck", &["-fn", &part]);
    assert_eq!(label(&part), "LIFEBOAT-DATA");
    assert_eq!(signatures(&part), ["ext4"]);

    let folder = bench.path("mounted");
    fs::create_dir(&folder).unwrap();
    tool("mount", &["-o", "loop", &part, folder.to_str().unwrap()]);
    let made = bench.run(&["init", "--no-passphrase", "--repo", &bench.arg("mounted/lifeboat")]);
    tool("umount", &[folder]);
    made.ended(0);
}

#[test]
fn a_used_disk_becomes_an_empty_exfat() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let arg = bench.arg("disk");
    let more = ["--erase", &arg, "--filesystem", "exfat", "--label", "Büro"];
    let report = prepare(&bench, &arg, &more);
    judge_table(&arg);
    let part = partition(&bench, &disk, &report);
    tool("fsck.exfat", &["-n", &part]);
    let kind = tool("blkid", &["-p", "-o", "value", "-s", "TYPE", &part]);
    assert_eq!((kind.trim(), report["label"].as_str()), ("exfat", Some("Büro")));
    let left: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.extension().is_some_and(|e| e == "new")), "{left:?}");
}

#[test]
fn a_disk_with_sectors_of_4096_bytes_gets_a_table_in_them() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let large = Loop::with(&["--sector-size", "4096"], &disk);
    let name = bench.arg("disk");
    let report = prepare(&bench, large.name(), &["--erase", &name]);
    let verdict = tool("sgdisk", &["-v", large.name()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    tool("e2fsck", &["-fn", &partition(&bench, &disk, &report)]);
    // In a file its tool knows no other sectors than those of 512 bytes.
    let args = ["prepare", large.name(), "--erase", &name, "--filesystem", "exfat"];
    bench.run(&args).ended(4);
    drop(large);
    let args = ["prepare", &name, "--erase", &name, "--filesystem", "exfat"];
    bench.run(&[&args[..], &["--sector-size", "4096"]].concat()).ended(4);
}

#[test]
fn what_must_not_be_erased_is_left_as_it_is() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let before = fs::read(&disk).unwrap();
    let arg = bench.arg("disk");
    let refused = |more: &[&str], why: &str| {
        let run = bench.run(&[&["prepare", &arg], more].concat()).ended(4);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(fs::read(&disk).unwrap() == before, "{more:?}");
    };
    refused(&["--erase", "S5Y1NJ0R"], &format!("--erase {arg}"));
    refused(&["--erase", &arg, "--label", "seventeen letters"], "too long");
    refused(&["--erase", &arg, "--filesystem", "exfat", "--label", "twelve chars"], "too long");
    refused(&["--erase", &arg, "--label", "a\tb"], "label");
    let held = Loop::new(&disk);
    refused(&["--erase", &arg], held.name());
    drop(held);
    bench.run(&["prepare", &arg]).ended(2);
    let plan = bench.run(&["prepare", &arg, "--plan", "--json"]).ended(0).result();
    assert_eq!(plan["label"], "LIFEBOAT-DATA");
    assert!(fs::read(&disk).unwrap() == before, "a plan writes nothing");

    let small = bench.path("small");
    File::create(&small).unwrap().set_len(60 * MIB).unwrap();
    let small = bench.arg("small");
    bench.run(&["prepare", &small, "--erase", &small]).ended(4);
}

#[test]
fn a_tool_that_fails_is_told_and_the_disk_can_be_prepared_again() {
    let bench = Bench::empty();
    used_disk(&bench, "disk");
    let arg = bench.arg("disk");
    let folder = bench.path("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("mke2fs"), "#!/bin/sh\necho 'mke2fs: no inodes today' >&2\nexit 1\n")
        .unwrap();
    tool("chmod", &["+x", folder.join("mke2fs").to_str().unwrap()]);
    let mut failing = bench.command(&["prepare", &arg, "--erase", &arg]);
    let output = failing.env("PATH", &folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("running mke2fs: mke2fs: no inodes today"), "{said}");
    prepare(&bench, &arg, &["--erase", &arg]);
    judge_table(&arg);
}
