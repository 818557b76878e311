//! Disks cloned to other disks: what a capture and a restore would have made of them, without an
//! image, and as safe.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use common::{Loop, Random, noise, output_of, tool};
use lifeboat::operation::{
    self, Cancel, CloneRequest, Control, Event, OperationError, Phase, SourceRequest, TargetRequest,
};

use crate::failing::{assert_not_usable, differing_sectors, ext4_block_size, ext4_blocks};
use crate::faulty::Faulty;
use crate::kill::{kill_after, kill_when, start};
use crate::support::{
    Bench, DISK_SIZE, EXT4, MIB, NTFS, Run, SWAP, cut, judge_gpt_disk, make_gpt_disk, put, same,
};

fn clone(bench: &Bench, from: &str, to: &str, more: &[&str]) -> Run {
    let (from, to) = (bench.arg(from), bench.arg(to));
    bench.run(&[&["clone", &from, &to, "--erase", &to, "--json"], more].concat())
}

fn write(disk: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(disk).unwrap().write_all_at(bytes, at).unwrap();
}

/// A file full of bytes that stand nowhere else.
fn filled(bench: &Bench, name: &str, size: u64) {
    fs::write(bench.path(name), noise(size, usize::try_from(size).unwrap())).unwrap();
}

#[test]
fn a_clone_is_what_a_restored_image_is() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let before = fs::read(&disk).unwrap();
    bench.capture("disk");
    for size in [DISK_SIZE, DISK_SIZE + 30 * MIB] {
        filled(&bench, "restored", size);
        filled(&bench, "cloned", size);
        bench.restore("restored", &["--layout", "keep"]);
        let report = clone(&bench, "disk", "cloned", &["--layout", "keep"]).ended(0).result();
        judge_gpt_disk(&bench, &bench.path("cloned"));
        assert!(same(&bench.path("restored"), &bench.path("cloned")), "{size}");
        assert!(report["read"].as_u64().unwrap() < DISK_SIZE / 2, "{report}");
        assert_eq!(report["read_back"], report["written"], "{report}");
    }
    assert!(fs::read(&disk).unwrap() == before, "the source was changed");
    filled(&bench, "cloned", DISK_SIZE);
    clone(&bench, "disk", "cloned", &["--whole"]).ended(0);
    assert!(same(&disk, &bench.path("cloned")));
}

#[test]
fn holes_and_zeros_of_the_source_are_zeros_on_the_target() {
    let bench = Bench::empty();
    File::create(bench.path("disk")).unwrap().set_len(64 * MIB).unwrap();
    write(&bench.path("disk"), 20 * MIB, &[noise(1, 3 << 20), vec![0; 9 << 20]].concat());
    filled(&bench, "target", 64 * MIB);
    let report = clone(&bench, "disk", "target", &[]).ended(0).result();
    assert!(same(&bench.path("disk"), &bench.path("target")));
    assert!(report["read"].as_u64().unwrap() < 20 * MIB, "the holes were read: {report}");
    // What is there already is not written again; one that lost a byte of its zeros gets that back.
    write(&bench.path("target"), 50 * MIB + 77, &[1]);
    let report = clone(&bench, "disk", "target", &["--only-changed"]).ended(0).result();
    assert!(same(&bench.path("disk"), &bench.path("target")));
    assert!(report["written"].as_u64().unwrap() < 3 * MIB, "{report}");
}

#[test]
fn chosen_partitions_are_cloned_and_nothing_beside_them_is_touched() {
    let bench = Bench::empty();
    let disk = make_gpt_disk(&bench, "disk");
    fs::copy(&disk, bench.path("target")).unwrap();
    for part in [EXT4, NTFS, SWAP] {
        filled(&bench, "junk", part.size);
        put(&bench.path("target"), part.start, &bench.path("junk"));
    }
    fs::copy(bench.path("target"), bench.path("before")).unwrap();
    clone(&bench, "disk", "target", &["--partitions", "3"]).ended(0);
    for (start, size) in [(0, EXT4.start), (NTFS.start, DISK_SIZE - NTFS.start)] {
        cut(&bench.path("before"), start, size, &bench.path("a"));
        cut(&bench.path("target"), start, size, &bench.path("b"));
        assert!(same(&bench.path("a"), &bench.path("b")), "changed outside the partition");
    }
    cut(&bench.path("target"), EXT4.start, EXT4.size, &bench.path("part"));
    tool("e2fsck", &["-fn", &bench.arg("part")]);
    // With the table, onto a disk that does not exist yet.
    let (from, new) = (bench.arg("disk"), bench.arg("new"));
    let run = bench.run(&["clone", &from, &new, "--erase", &new, "--partitions", "3"]).ended(0);
    assert!(run.stdout.contains("partition 4: not restored, will be empty"), "{}", run.stdout);
    assert!(tool("sgdisk", &["-v", &bench.arg("new")]).contains("No problems found"));
}

#[test]
fn bad_sectors_of_the_source_cost_themselves_and_are_told() {
    let bench = Bench::empty();
    let disk = make_gpt_disk(&bench, "disk");
    let blocks = ext4_blocks(&bench, &disk, "/file-7");
    let sector_of = |block: u64| (EXT4.start + block * ext4_block_size(&bench)) / 512;
    let bad = [sector_of(blocks[3]) + 1, sector_of(blocks[40])];
    let faulty = Faulty::reading(&disk, &bad);
    let (out, map) = (bench.arg("out"), bench.arg("map"));
    let args = ["clone", &faulty.arg(), &out, "--erase", &out, "--json", "--map", &map];
    let report = bench.run(&args).ended(3).result();
    assert_eq!(report["unreadable"], 2 * 512, "{report}");
    assert!(
        report["warnings"].to_string().contains("partition 3: /file-7 (1024 bytes)"),
        "{report}"
    );
    drop(faulty);
    clone(&bench, "disk", "healthy", &[]).ended(0);
    assert_eq!(differing_sectors(&bench.path("healthy"), &bench.path("out")), BTreeSet::from(bad));
    let listed = tool("ddrescuelog", &["--list-blocks=-", &map]);
    let listed: BTreeSet<u64> = listed.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(listed, BTreeSet::from(bad));
    // Once the disk gives them after all, the same command brings what was missing.
    let report = clone(&bench, "disk", "out", &["--only-changed"]).ended(0).result();
    assert!(same(&bench.path("healthy"), &bench.path("out")), "{report}");
}

/// Clones `disk` to a new file, of which the byte at `at` becomes another before it is read back.
fn clone_with_a_lie(bench: &Bench, disk: &str, at: u64) -> OperationError {
    let out = bench.path("out");
    let _ = fs::remove_file(&out);
    let request = CloneRequest {
        source: SourceRequest::all_of(bench.path(disk)),
        target: TargetRequest::all_of(&out, &bench.arg("out")),
    };
    let lie = |event| {
        if event == (Event::Phase { phase: Phase::ReadingBack }) {
            let disk = File::options().read(true).write(true).open(&out).unwrap();
            let mut byte = [0];
            disk.read_exact_at(&mut byte, at).unwrap();
            disk.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        }
    };
    let control = Control { sink: &lie, cancel: &Cancel::new(), resume: None };
    let plan = operation::plan_clone(&request, control).unwrap();
    plan.run(&request, control).unwrap_err()
}

#[test]
fn a_target_that_does_not_keep_what_is_written_is_found_out_to_the_byte() {
    let bench = Bench::empty();
    let disk = make_gpt_disk(&bench, "disk");
    let block = ext4_blocks(&bench, &disk, "/file-7")[9];
    let in_a_file = EXT4.start + block * ext4_block_size(&bench) + 33;
    File::create(bench.path("zeros")).unwrap().set_len(64 * MIB).unwrap();
    write(&bench.path("zeros"), 20 * MIB, &noise(1, 3 << 20));
    for (disk, at) in [("disk", in_a_file), ("zeros", 50 * MIB + 77)] {
        let told = clone_with_a_lie(&bench, disk, at).to_string();
        assert!(told.contains(&format!("the first at byte {at};")), "{told}");
        assert!(told.contains("do not use it"), "{told}");
        assert_not_usable(&bench, &bench.path("out"));
    }
}

#[test]
fn a_killed_clone_leaves_no_usable_disk_says_so_and_is_completed_by_running_it_again() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let begun = Instant::now();
    clone(&bench, "disk", "reference", &[]).ended(0);
    let usual = begun.elapsed();
    let (from, out) = (bench.arg("disk"), bench.arg("out"));
    let args = ["clone", &from, &out, "--erase", &out];
    let head = || {
        cut(&bench.path("out"), 0, MIB, &bench.path("head"));
        fs::read(bench.path("head")).unwrap()
    };
    let mut random = Random::from_environment();
    for (number, share) in (0..).zip(random.points(3, 1000)) {
        filled(&bench, "out", DISK_SIZE);
        fs::copy(bench.path("out"), bench.path("before")).unwrap();
        // One of them right after the start of writing, the others anywhere.
        let killed = match number {
            0 => kill_when(start(&bench, &args), || head().starts_with(b"LIFEBOAT")),
            _ => kill_after(&bench, &args, usual, share),
        };
        println!("killed after {share} thousandths of {usual:?}: {killed}");
        let finished = output_of("sgdisk", &["-v", &out]).contains("No problems found");
        if !finished && !same(&bench.path("before"), &bench.path("out")) {
            assert_not_usable(&bench, &bench.path("out"));
            let plan = bench.run(&[&args[..3], &["--plan"]].concat()).ended(0).stdout;
            assert!(plan.contains("a clone of disk was not finished"), "{plan}");
            assert!(plan.contains("this was begun before"), "{plan}");
            let refused = bench.run(&["capture", &out]).ended(4).stderr;
            assert!(refused.contains("is not whole: a clone of disk"), "{refused}");
        }
        bench.run(&args).ended(0);
        judge_gpt_disk(&bench, &bench.path("out"));
    }
}

/// What a refused clone says; its target stays as it is.
#[track_caller]
fn refused(bench: &Bench, from: &str, to: &Path, erase: &str, more: &[&str]) -> String {
    let before = fs::read(to).ok();
    let (from, to_arg) = (bench.arg(from), to.to_str().unwrap());
    let args = [&["clone", &from, to_arg, "--erase", erase], more].concat();
    let told = bench.run(&args).ended(4).stderr;
    assert!(fs::read(to).ok() == before, "{told}");
    told
}

#[test]
fn what_would_destroy_something_else_is_refused() {
    let bench = Bench::empty();
    make_gpt_disk(&bench, "disk");
    filled(&bench, "small", 30 * MIB);
    filled(&bench, "other", DISK_SIZE);
    fs::hard_link(bench.path("disk"), bench.path("hard")).unwrap();
    std::os::unix::fs::symlink(bench.path("disk"), bench.path("soft")).unwrap();
    for name in ["disk", "hard", "soft"] {
        let told = refused(&bench, "disk", &bench.path(name), &bench.arg(name), &[]);
        assert!(told.contains("are not two disks"), "{told}");
    }
    let told = refused(&bench, "disk", &bench.path("small"), &bench.arg("small"), &[]);
    assert!(told.contains("the smallest disk that this fits on has "), "{told}");
    let told = refused(&bench, "disk", &bench.path("other"), &bench.arg("small"), &[]);
    assert!(told.contains("does not name"), "{told}");
    let none = ["--partitions", "9"];
    let told = refused(&bench, "disk", &bench.path("other"), &bench.arg("other"), &none);
    assert!(told.contains("no partition 9"), "{told}");
    let one = ["--partitions", "3"];
    let told = refused(&bench, "disk", &bench.path("other"), &bench.arg("other"), &one);
    assert!(told.contains("is not blank"), "{told}");
    let attached = Loop::new(bench.path("disk"));
    let told = refused(&bench, "disk", attached.path(), &bench.arg("disk"), &[]);
    assert!(told.contains("are not two disks") || told.contains("cannot be used"), "{told}");
}
