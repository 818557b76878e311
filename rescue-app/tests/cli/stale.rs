//! Signatures of before: after a restore `wipefs`, `blkid` and `mdadm` say of the target what they
//! say of the disk that was captured.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use common::{noise, output_of, tool};

use crate::support::{Bench, MIB, cut, put};

/// An md superblock, metadata 1.0, of a partition of 60 MiB, as mdadm 4.2 wrote it.
const MD_1_0: &str = "/E4rqQEAAAAAAAAAAAAAAGComPPKwOf3nxW/sxnGJMMobm9uZSk6MAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOg8DGsAAAAAAQAAAAAAAACA3wEAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAODfAQAAAAAA8N8BAAAAAAAAAAAAAAAAAAAAAAAAAAAAKxQaCImc0bs4MDA+idhOjQAACAD4////6zwMawAAAAAHAAAAAAAAAP//////////j/7ID4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA//////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////8=";

const PART: u64 = 60 * MIB;
const SECOND: u64 = 70 * MIB;
const DISK: u64 = 120 * MIB;

/// A GPT disk with an ext4 of 60 MiB and one of 30 MiB.
fn source(bench: &Bench, name: &str) -> PathBuf {
    let disk = bench.path(name);
    empty_table(&disk, DISK);
    for (at, size) in [(MIB, PART), (SECOND, 30 * MIB)] {
        let part = bench.path("part");
        File::create(&part).unwrap().set_len(size).unwrap();
        tool("mke2fs", &["-q", "-F", "-t", "ext4", part.to_str().unwrap()]);
        put(&disk, at, &part);
    }
    disk
}

fn empty_table(disk: &Path, size: u64) {
    File::create(disk).unwrap().set_len(size).unwrap();
    let second = format!("-n2:{}:+30M", SECOND / 512);
    tool("sgdisk", &["-n1:2048:+60M", &second, disk.to_str().unwrap()]);
}

fn write(disk: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(disk).unwrap().write_all_at(bytes, at).unwrap();
}

/// What the tools say of a volume.
fn told(volume: &Path) -> Vec<String> {
    let path = volume.to_str().unwrap();
    let said = |program: &str, args: &[&str]| {
        output_of(program, &[args, &[path]].concat()).replace(path, "")
    };
    let signatures = said("wipefs", &["--no-act", "--parsable"]);
    let of_md = said("mdadm", &["--examine"]).lines().filter(|l| l.contains("Magic")).count();
    vec![signatures, said("blkid", &["-p", "-s", "TYPE", "-s", "PTTYPE"]), of_md.to_string()]
}

/// The same of the disk and of its two partitions.
fn all_told(bench: &Bench, disk: &Path) -> Vec<Vec<String>> {
    let volume = bench.path("volume");
    let parts = [(MIB, PART), (SECOND, 30 * MIB)].map(|(at, size)| {
        cut(disk, at, size, &volume);
        told(&volume)
    });
    let mut all = parts.to_vec();
    all.push(told(disk));
    all
}

/// A target that was other things before: a mirror's side, a VMware volume, members of firmware
/// arrays, by partition and as a whole.
fn used_before(bench: &Bench, name: &str) -> PathBuf {
    let disk = bench.path(name);
    fs::write(&disk, noise(3, usize::try_from(DISK).unwrap())).unwrap();
    tool("sgdisk", &["-Z", disk.to_str().unwrap()]);
    let second = format!("-n2:{}:+30M", SECOND / 512);
    tool("sgdisk", &["-o", "-n1:2048:+60M", &second, disk.to_str().unwrap()]);
    let md = base64::engine::general_purpose::STANDARD.decode(MD_1_0).unwrap();
    write(&disk, MIB + 0x3bf_e000, &md);
    for volume in [MIB, SECOND] {
        write(&disk, volume + 2 * MIB, b"\x5e\xf1\xab\x2f");
    }
    write(&disk, SECOND + 30 * MIB - 4096 + 60, b"\x83\x74\x02\x6b");
    write(&disk, SECOND + 30 * MIB - 1024, b"Intel Raid ISM Cfg Sig. 1.1.00");
    write(&disk, 2 * MIB, b"\x5e\xf1\xab\x2f");
    write(&disk, DISK - 3087 * 512, b"Promise Technology, Inc.");
    disk
}

#[test]
fn after_a_restore_the_tools_say_what_they_say_of_the_source() {
    let bench = Bench::new();
    let disk = source(&bench, "disk");
    bench.capture("disk");
    let expected = all_told(&bench, &disk);
    for mode in [&[][..], &["--only-changed"]] {
        let target = used_before(&bench, "target");
        assert_ne!(all_told(&bench, &target), expected, "the case itself is wrong");
        bench.restore("target", mode);
        assert_eq!(all_told(&bench, &target), expected, "{mode:?}");
    }
}

#[test]
fn a_single_partition_loses_what_it_was_and_the_rest_keeps_it() {
    let bench = Bench::new();
    let disk = source(&bench, "disk");
    bench.capture("disk");
    let expected = all_told(&bench, &disk);
    for mode in [&["--partitions", "1"][..], &["--partitions", "1", "--only-changed"]] {
        let target = used_before(&bench, "target");
        let before = all_told(&bench, &target);
        bench.restore("target", mode);
        let after = all_told(&bench, &target);
        assert_eq!(after[0], expected[0], "{mode:?}: the partition restored");
        assert_eq!(after[1], before[1], "{mode:?}: the other one");
    }
}

/// A partition on the target that is larger than the one in the image: what ends the larger one
/// counts there.
#[test]
fn the_end_of_a_larger_partition_is_looked_at() {
    let bench = Bench::new();
    source(&bench, "disk");
    bench.capture("disk");
    let target = bench.path("target");
    File::create(&target).unwrap().set_len(200 * MIB).unwrap();
    tool("sgdisk", &["-n1:2048:+100M", target.to_str().unwrap()]);
    let end = MIB + 100 * MIB;
    write(&target, end - 4096 + 60, b"\x83\x74\x02\x6b");
    bench.restore("target", &["--partitions", "1"]);
    let volume = bench.path("volume");
    cut(&target, MIB, 100 * MIB, &volume);
    assert!(!told(&volume)[0].contains("drbd"), "{:?}", told(&volume));
}

/// The old backup of a GPT that was made when the target was smaller, and one at its end.
#[test]
fn old_backups_of_a_gpt_are_gone_from_a_larger_target() {
    let bench = Bench::new();
    source(&bench, "disk");
    bench.capture("disk");
    let target = bench.path("target");
    File::create(&target).unwrap().set_len(170 * MIB).unwrap();
    tool("sgdisk", &["-n1:2048:+100M", target.to_str().unwrap()]);
    File::options().write(true).open(&target).unwrap().set_len(200 * MIB).unwrap();
    let kept = ["--only-changed", "--layout", "keep"];
    let plan = bench.plan("target", &kept).ended(0).result();
    assert!(plan["stale"].to_string().contains("gpt"), "{plan}");
    bench.restore("target", &kept);
    let bytes = fs::read(&target).unwrap();
    let headers: Vec<usize> =
        (0..bytes.len()).step_by(512).filter(|at| bytes[*at..].starts_with(b"EFI PART")).collect();
    assert_eq!(headers, [512, usize::try_from(200 * MIB).unwrap() - 512]);
}
