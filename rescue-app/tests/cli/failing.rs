//! Disks that fail: what is lost is exactly what cannot be read, it is told, and a target that
//! does not keep what is written to it is never called restored.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Loop, Random, noise, succeeds, tool};
use lifeboat::operation::{
    self, Cancel, Control, Event, OperationError, Phase, RestoreReport, Timed,
};

use crate::agreement::request;
use crate::faulty::Faulty;
use crate::support::{Bench, DISK_SIZE, EXT4, MIB, NTFS, Run, SWAP, cut, make_gpt_disk};

/// Blocks of a file in the ext4 partition, by debugfs.
pub fn ext4_blocks(bench: &Bench, disk: &Path, file: &str) -> Vec<u64> {
    let part = bench.path("ext4-part");
    cut(disk, EXT4.start, EXT4.size, &part);
    let said = tool("debugfs", &["-R", &format!("blocks {file}"), part.to_str().unwrap()]);
    said.split_whitespace().map(|block| block.parse().unwrap()).collect()
}

/// Bytes of a block of the ext4 partition, which has blocks of 4 KiB or, being small, of 1 KiB.
pub fn ext4_block_size(bench: &Bench) -> u64 {
    let part = bench.arg("ext4-part");
    let said = tool("dumpe2fs", &["-h", &part]);
    let line = said.lines().find(|line| line.starts_with("Block size:")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// The disk's sectors that differ.
pub fn differing_sectors(a: &Path, b: &Path) -> BTreeSet<u64> {
    let (a, b) = (fs::read(a).unwrap(), fs::read(b).unwrap());
    assert_eq!(a.len(), b.len());
    let pairs = a.chunks(512).zip(b.chunks(512));
    (0..).zip(pairs).filter(|(_, (a, b))| a != b).map(|(sector, _)| sector).collect()
}

/// The disk as a healthy one would be restored.
fn reference(bench: &Bench, disk: &str) -> PathBuf {
    bench.run(&["init", "--no-passphrase", "--repo", &bench.arg("repo2")]).ended(0);
    let repo = bench.arg("repo2");
    bench.run(&["capture", &bench.arg(disk), "--repo", &repo]).ended(0);
    let out = bench.arg("reference");
    bench.run(&["restore", "latest", &out, "--erase", &out, "--repo", &repo]).ended(0);
    bench.path("reference")
}

#[test]
fn bad_sectors_cost_themselves_and_nothing_else() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let blocks = ext4_blocks(&bench, &disk, "/file-7");
    let sector_of = |block: u64| (EXT4.start + block * ext4_block_size(&bench)) / 512;
    // Two places in a file of the ext4 partition, and two free sectors that nobody misses.
    let bad = [sector_of(blocks[3]) + 1, sector_of(blocks[3]) + 2, sector_of(blocks[40])];
    let free = [(EXT4.start + EXT4.size) / 512 - 3000, (NTFS.start + NTFS.size) / 512 - 5000];
    let faulty = Faulty::reading(&disk, &[&bad[..], &free[..]].concat());

    let map = bench.arg("map");
    let args = ["capture", &faulty.arg(), "--json", "--map", &map, "--retries", "2"];
    let report = bench.run(&args).ended(3).result();
    assert_eq!(report["unreadable"], 3 * 512, "{report}");
    let out = bench.path("out");
    let restored = restore_lacking(&bench, 1536);
    let lost = differing_sectors(&reference(&bench, "disk"), &out);
    assert_eq!(lost, BTreeSet::from(bad));
    the_loss_is_told(&bench, &report, &restored);
    bench.restic(&["check", "--read-data"]);

    // GNU ddrescue reads the map and finds the same sectors in it.
    let listed = tool("ddrescuelog", &["--list-blocks=-", &map]);
    let listed: BTreeSet<u64> = listed.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(listed, BTreeSet::from(bad));
    let status = tool("ddrescuelog", &["--show-status", &map]);
    assert!(status.contains("finished"), "{status}");
    drop(faulty);

    // A partition that lacks nothing is restored whole, into the disk of before.
    bench
        .run(&[
            "restore",
            "latest",
            &bench.arg("out"),
            "--partitions",
            "4",
            "--erase",
            &bench.arg("out"),
        ])
        .ended(0);

    // With the disk recovered, the same command again gives a whole image.
    let report = bench.run(&["capture", &bench.arg("disk"), "--json", "--map", &map]).ended(0);
    assert_eq!(report.result()["unreadable"], 0);
}

/// Restores the newest image, which lacks so many bytes, to the file `out`.
fn restore_lacking(bench: &Bench, bytes: u64) -> serde_json::Value {
    let out = bench.arg("out");
    let args = ["restore", "latest", &out, "--erase", &out, "--json"];
    let report = bench.run(&args).ended(3).result();
    assert_eq!(report["unreadable"], bytes, "{report}");
    report
}

/// By capture, show, verify, and before and after a restore: bytes, places and files.
fn the_loss_is_told(bench: &Bench, captured: &serde_json::Value, restored: &serde_json::Value) {
    let damage = &captured["image"]["damage"];
    let file = serde_json::json!({ "partition": 3, "path": "/file-7", "bytes": 1536 });
    assert_eq!(damage["files"], serde_json::json!([file]));
    assert_eq!(damage["ranges"].as_array().unwrap().len(), 2);
    for range in damage["ranges"].as_array().unwrap() {
        assert_eq!((range["errno"].as_i64(), range["tries"].as_u64()), (Some(5), Some(3)));
    }
    let out = bench.arg("out");
    let told = [
        captured["warnings"].to_string(),
        restored["warnings"].to_string(),
        bench.run(&["show", "latest"]).ended(0).stdout,
        bench.run(&["verify", "latest"]).ended(3).stderr,
        bench.run(&["verify"]).ended(3).stderr,
        bench.run(&["restore", "latest", &out, "--plan"]).ended(0).stdout,
    ];
    for text in told {
        assert!(text.contains("1536 bytes of the disk could not be read"), "{text}");
        assert!(text.contains("in 2 places"), "{text}");
        assert!(text.contains("1 file is damaged: partition 3: /file-7 (1536 bytes)"), "{text}");
    }
}

#[test]
fn unreadable_metadata_only_make_the_image_larger() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    // The superblock of ext4, and $MFT of NTFS through its boot sector.
    let bad = [EXT4.start / 512 + 2, NTFS.start / 512];
    let faulty = Faulty::reading(&disk, &bad);
    let run = bench.run(&["capture", &faulty.arg(), "--json"]).ended(3);
    let report = run.result();
    assert_eq!(report["unreadable"], 2 * 512);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("partitions 3, 4: captured whole"), "{warnings}");
    let out = bench.path("out");
    restore_lacking(&bench, 1024);
    let lost = differing_sectors(&disk, &out);
    let in_parts = |sector: &u64| (EXT4.start..NTFS.start + NTFS.size).contains(&(sector * 512));
    let lost: BTreeSet<u64> = lost.into_iter().filter(in_parts).collect();
    assert_eq!(lost, BTreeSet::from(bad));
}

#[test]
fn an_unreadable_table_is_no_reason_to_give_up() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let faulty = Faulty::reading(&disk, &[0]);
    let report = bench.run(&["capture", &faulty.arg(), "--json"]).ended(3).result();
    assert_eq!(report["unreadable"], 512);
    let out = bench.path("out");
    restore_lacking(&bench, 512);
    assert_eq!(differing_sectors(&disk, &out), BTreeSet::from([0]));
}

#[test]
fn a_map_of_another_disk_is_refused() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), vec![7; usize::try_from(MIB).unwrap()]).unwrap();
    fs::write(bench.path("map"), "0x0 ? 1\n0x0 0x40000000 +\n").unwrap();
    let refused = bench.run(&["capture", &bench.arg("disk"), "--map", &bench.arg("map")]).ended(4);
    assert!(refused.stderr.contains("is not a map of this disk"), "{}", refused.stderr);
}

/// A tmpfs of that many bytes; gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(bench: &Bench, name: &str, options: &str) -> Self {
        let root = bench.path(name);
        fs::create_dir(&root).unwrap();
        tool("mount", &["-t", "tmpfs", "-o", options, "none", root.to_str().unwrap()]);
        Self(root)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = succeeds("umount", &[Path::new("-l"), &self.0]);
    }
}

#[test]
fn a_map_that_cannot_be_written_does_not_end_the_capture_of_a_failing_disk() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(3, 8 << 20)).unwrap();
    let faulty = Faulty::reading(&bench.path("disk"), &[5000]);
    let full = Place::new(&bench, "full", "size=16k");
    fs::write(full.0.join("ballast"), [1; 16384]).unwrap();
    let protected = Place::new(&bench, "protected", "ro");
    for (place, why) in [(&full, "No space left"), (&protected, "Read-only file system")] {
        let map = place.0.join("map");
        let map = map.to_str().unwrap();
        let run = bench.run(&["capture", &faulty.arg(), "--json", "--map", map]).ended(3);
        let report = run.result();
        assert_eq!(report["unreadable"], 512);
        let told = format!("the map file {map} cannot be written: {why}");
        assert!(report["warnings"].to_string().contains(&told), "{report}");
        let image = bench.run(&["show", "latest"]).ended(0).stdout;
        assert!(!image.contains("map file"), "{image}");
        let left: Vec<_> =
            fs::read_dir(&place.0).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "ballast"), "{left:?}");
    }
    bench.run(&["verify"]).ended(3);
}

/// Restores the newest image onto a disk that fails; it must say so.
fn restore_fails(bench: &Bench, disk: &Faulty) -> Run {
    let target = disk.arg();
    bench.run(&["restore", "latest", &target, "--erase", &target]).ended(1)
}

/// A disk that firmware and systems take for blank.
pub fn assert_not_usable(bench: &Bench, disk: &Path) {
    let disk = disk.to_str().unwrap();
    assert!(!succeeds("sfdisk", &["-d", disk]), "a half-restored disk has a partition table");
    cut(Path::new(disk), 0, 512, &bench.path("head"));
    assert!(fs::read(bench.path("head")).unwrap()[510..] == [0, 0], "looks bootable");
}

#[test]
fn a_target_that_cannot_be_written_is_told_with_the_place() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let block = ext4_blocks(&bench, &disk, "/file-7")[3];
    let at = EXT4.start + block * ext4_block_size(&bench);
    fs::copy(&disk, bench.path("target")).unwrap();
    let target = Faulty::writing(&bench.path("target"), &[at / 512]);
    let run = restore_fails(&bench, &target);
    drop(target);
    // The place is that of the write, which is larger than the sector.
    let (_, place) = run.stderr.split_once("writing the target at byte ").unwrap();
    let place: u64 = place.split(':').next().unwrap().parse().unwrap();
    assert!((at - 4 * MIB..=at).contains(&place), "{place} for {at}");
    assert!(run.stderr.contains("Input/output error"), "{}", run.stderr);
    assert_not_usable(&bench, &bench.path("target"));
    let target = bench.arg("target");
    let plan = bench.run(&["restore", "latest", &target, "--plan"]).ended(0);
    assert!(plan.stdout.contains("was not finished"), "{}", plan.stdout);
}

#[test]
fn a_write_error_that_only_the_flush_shows_is_told_with_the_place() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    // The header of the swap partition: so little goes through the page cache of the device.
    fs::write(bench.path("target"), vec![0; usize::try_from(DISK_SIZE).unwrap()]).unwrap();
    let faulty = Faulty::writing(&bench.path("target"), &[SWAP.start / 512]);
    let disk = Loop::new(faulty.path());
    let erase = faulty.arg();
    let run = bench.run(&["restore", "latest", disk.name(), "--erase", &erase]).ended(1);
    let (before, place) = run.stderr.split_once("writing the target at byte ").unwrap();
    assert!(before.contains(&erase), "{}", run.stderr);
    // The cache may be written in larger pieces: the last block of the partition before is lost
    // along with it.
    let place: u64 = place.split(':').next().unwrap().parse().unwrap();
    assert!((SWAP.start - 4096..=SWAP.start).contains(&place), "{}", run.stderr);
    drop(disk);
    drop(faulty);
    assert_not_usable(&bench, &bench.path("target"));
}

#[test]
fn a_target_that_forgets_is_found_out() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let target = Faulty::forgetful(DISK_SIZE);
    let run = restore_fails(&bench, &target);
    assert!(run.stderr.contains("reading back found"), "{}", run.stderr);
    assert!(run.stderr.contains("do not use it"), "{}", run.stderr);
    let (_, place) = run.stderr.split_once("the first at byte ").unwrap();
    assert!(place.split(';').next().unwrap().parse::<u64>().is_ok(), "{}", run.stderr);
    assert_not_usable(&bench, &target.path());
}

/// Restores the newest image to a new file; before it is read back, the byte at `at` is made
/// another.
fn restore_with_a_lie(
    bench: &Bench,
    target: &Path,
    at: u64,
) -> Result<Timed<RestoreReport>, OperationError> {
    let _ = fs::remove_file(target);
    let target_arg = target.to_str().unwrap();
    let request = request(bench, target_arg, target_arg);
    let lie = |event| {
        if event == (Event::Phase { phase: Phase::ReadingBack }) {
            let disk = fs::File::options().read(true).write(true).open(target).unwrap();
            let mut byte = [0];
            disk.read_exact_at(&mut byte, at).unwrap();
            disk.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        }
    };
    let cancel = Cancel::new();
    let control = Control { sink: &lie, cancel: &cancel, resume: None };
    operation::plan_restore(&request)?.run(&request, control)
}

#[test]
fn a_target_that_lies_in_one_byte_is_found_out() {
    let bench = Bench::new();
    let size = 22 * MIB;
    fs::write(bench.path("disk"), noise(5, usize::try_from(size).unwrap())).unwrap();
    bench.capture("disk");
    let target = bench.path("target");
    let mut random = Random::from_environment();
    // The first and the last mebibyte are written after that, and looked at again by themselves.
    for at in random.points(6, size - 2 * MIB) {
        let at = MIB + at;
        let error = restore_with_a_lie(&bench, &target, at).err();
        let text = error.unwrap_or_else(|| panic!("byte {at} differs unnoticed")).to_string();
        let (_, place) = text.split_once("the first at byte ").unwrap();
        let place: u64 = place.split(';').next().unwrap().parse().unwrap();
        assert_eq!(place, at, "{text}");
        assert!(text.contains(target.to_str().unwrap()), "{text}");
        assert_not_usable(&bench, &target);
    }
}
