//! `lifeboat make-stick`: an ISO, a data partition behind it, and older data partitions that stay. Judged by
//! the tools of others: `sfdisk`, `fsck.exfat`, `dump.exfat`, `wipefs`, `cmp`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{Loop, noise, tool};

use crate::support::{Bench, MIB, cut};

/// Size of the sticks, bytes; a multiple of neither a mebibyte nor 4 KiB.
const SIZE: u64 = 352 * MIB + 512 * 5;
const DATA: u64 = 256 * MIB;

/// Where the third entry of an MBR is, and one past it.
const THIRD: [u64; 2] = [446 + 32, 446 + 48];

/// An ISO built as that of the project is, with something else in it.
fn iso(bench: &Bench, name: &str, volume_id: &str, mebibytes: u64) -> String {
    let (tree, efi) = (bench.path("tree"), bench.path("efi"));
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("kernel"), noise(3, usize::try_from(mebibytes * MIB).unwrap())).unwrap();
    File::create(&efi).unwrap().set_len(MIB).unwrap();
    tool("mkfs.fat", &[&efi]);
    let (to, tree, efi) = (bench.arg(name), tree.to_str().unwrap(), efi.to_str().unwrap());
    let made = ["-as", "mkisofs", "-quiet", "-o", &to, "-r", "-V", volume_id];
    let table = ["-partition_offset", "16", "-append_partition", "2", "0xef", efi, tree];
    tool("xorriso", &[&made[..], &table].concat());
    to
}

/// A disk that had a life before: noise at its start, and a GPT.
fn used_disk(bench: &Bench, name: &str) -> String {
    let path = bench.path(name);
    let disk = File::create(&path).unwrap();
    disk.set_len(SIZE).unwrap();
    disk.write_all_at(&noise(5, 8 << 20), 0).unwrap();
    // A filesystem of before where the data partition begins.
    disk.write_all_at(b"_BHRfS_M", DATA + (64 << 10) + 64).unwrap();
    let path = path.to_str().unwrap().to_owned();
    tool("sgdisk", &["-Z", &path]);
    tool("sgdisk", &["-n1:2048:0", "-t1:8300", &path]);
    path
}

fn make(bench: &Bench, disk: &str, more: &[&str]) -> serde_json::Value {
    let args = [&["make-stick", disk, "--erase", disk, "--json"], more].concat();
    bench.run(&args).ended(0).result()
}

/// The stick is the ISO but for one entry, and what other programs take it for.
fn judge(bench: &Bench, disk: &str, iso: &str) {
    let verdict = tool("sfdisk", &["-V", disk]);
    assert!(verdict.contains("No errors detected"), "{verdict}");
    let table = tool("sfdisk", &["-d", disk]);
    let data = table.lines().find(|line| line.contains("3 : ")).unwrap();
    let size = (SIZE - DATA) / 512;
    assert!(data.contains(&format!("start=      524288, size=      {size}, type=7")), "{table}");
    let len = fs::metadata(iso).unwrap().len();
    let from = |at: u64| format!("{at}:{at}");
    tool("cmp", &["-n", &THIRD[0].to_string(), disk, iso]);
    tool("cmp", &["-n", &(len - THIRD[1]).to_string(), "-i", &from(THIRD[1]), disk, iso]);
    let types = tool("wipefs", &["-n", "--parsable", "--output", "TYPE", disk]);
    let types: Vec<&str> = types.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(types, ["iso9660", "dos"], "nothing of before is left");
    let part = data_partition(bench, disk);
    tool("fsck.exfat", &["-n", &part]);
    let dump = tool("dump.exfat", &[&part]);
    let label = dump.lines().find_map(|line| line.strip_prefix("Volume label:"));
    assert_eq!(label.map(str::trim), Some("LIFEBOAT"), "{dump}");
}

/// The data partition as a file.
fn data_partition(bench: &Bench, disk: &str) -> String {
    let part = bench.path("part");
    cut(disk.as_ref(), DATA, SIZE - DATA, &part);
    part.to_str().unwrap().to_owned()
}

/// Puts something behind all that the filesystem itself has written.
fn put_something_into(disk: &str) {
    let disk = File::options().write(true).open(disk).unwrap();
    disk.write_all_at(b"an image", DATA + 70 * MIB).unwrap();
}

#[test]
fn a_used_disk_becomes_a_stick_and_a_later_iso_keeps_its_data() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let small = iso(&bench, "small.iso", "LIFEBOAT_1", 2);
    let plan = bench.run(&["make-stick", &disk, "--iso", &small, "--plan"]).ended(0).stdout;
    assert!(plan.contains("lost: the partition table (GPT)"), "{plan}");
    assert!(plan.contains("an empty data partition") && plan.contains("--erase"), "{plan}");
    let report = make(&bench, &disk, &["--iso", &small]);
    assert_eq!((&report["volume_id"], &report["data"]), (&"LIFEBOAT_1".into(), &"new".into()));
    judge(&bench, &disk, &small);

    put_something_into(&disk);
    let before = fs::read(data_partition(&bench, &disk)).unwrap();
    let large = iso(&bench, "large.iso", "LIFEBOAT_2", 9);
    let plan = bench.run(&["make-stick", &disk, "--iso", &large, "--plan"]).ended(0).stdout;
    assert!(plan.contains("kept: the data partition LIFEBOAT"), "{plan}");
    assert!(!plan.contains("lost: partition 3"), "{plan}");
    assert_eq!(make(&bench, &disk, &["--iso", &large])["data"], "kept");
    judge(&bench, &disk, &large);
    assert!(fs::read(data_partition(&bench, &disk)).unwrap() == before, "the data was changed");
}

#[test]
fn what_dd_has_written_gets_its_data_partition_or_gets_it_back() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    tool("wipefs", &["-q", "-a", &disk]);
    let iso = iso(&bench, "lifeboat.iso", "LIFEBOAT_1", 2);
    let dd = || tool("dd", &[format!("if={iso}"), format!("of={disk}"), "conv=notrunc".into()]);
    dd();
    let plan = bench.run(&["make-stick", &disk, "--data-only", "--plan"]).ended(0).stdout;
    assert!(plan.contains("leaves LIFEBOAT_1 on") && !plan.contains("lost: the part"), "{plan}");
    assert_eq!(make(&bench, &disk, &["--data-only"])["data"], "new");
    judge(&bench, &disk, &iso);
    put_something_into(&disk);
    let before = fs::read(data_partition(&bench, &disk)).unwrap();
    dd();
    let plan = bench.run(&["make-stick", &disk, "--data-only", "--plan"]).ended(0).stdout;
    assert!(plan.contains("kept:") && !plan.contains("lost:"), "{plan}");
    assert!(!tool("sfdisk", &["-d", &disk]).contains("3 : "), "dd takes the entry away");
    assert_eq!(make(&bench, &disk, &["--data-only"])["data"], "kept");
    judge(&bench, &disk, &iso);
    assert!(fs::read(data_partition(&bench, &disk)).unwrap() == before, "the data was changed");
}

#[test]
fn what_is_no_stick_or_no_iso_is_left_as_it_is() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let iso = iso(&bench, "lifeboat.iso", "LIFEBOAT_1", 2);
    let before = fs::read(&disk).unwrap();
    let refused = |disk: &str, more: &[&str], why: &str| {
        let run = bench.run(&[&["make-stick", disk], more].concat()).ended(4);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    let good = ["--erase", &disk, "--iso", &iso];
    refused(&disk, &["--erase", "S5Y1NJ0R", "--iso", &iso], &format!("--erase {disk}"));
    refused(&disk, &["--erase", &disk, "--iso", &disk], "is no ISO of Lifeboat");
    refused(&disk, &["--erase", &disk, "--data-only"], "is no ISO of Lifeboat");
    refused(&disk, &["--erase", &disk], "--iso lifeboat.iso");
    let cut_off = bench.path("cut.iso");
    cut(iso.as_ref(), 0, MIB, &cut_off);
    refused(&disk, &["--erase", &disk, "--iso", cut_off.to_str().unwrap()], "is cut off");
    refused(&iso, &["--erase", &iso, "--iso", &iso], "too small");
    let held = Loop::new(Path::new(&disk));
    refused(&disk, &good, held.name());
    drop(held);
    let large = Loop::with(&["--sector-size", "4096"], Path::new(&disk));
    refused(large.name(), &good, "sectors of 4096 bytes");
    drop(large);
    bench.run(&["make-stick", &disk, "--iso", &iso]).ended(2);
    assert!(fs::read(&disk).unwrap() == before, "the disk was changed");
}

#[test]
fn a_damaged_data_partition_is_given_up_only_when_that_is_said() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    let iso = iso(&bench, "lifeboat.iso", "LIFEBOAT_1", 2);
    make(&bench, &disk, &["--iso", &iso]);
    // Both boot regions, but for what names the filesystem.
    let file = File::options().write(true).open(&disk).unwrap();
    file.write_all_at(&[0x5a; 24 * 512 - 64], DATA + 64).unwrap();
    drop(file);
    let args = ["make-stick", &disk, "--erase", &disk, "--iso", &iso];
    let run = bench.run(&args).ended(4);
    assert!(run.stderr.contains("damaged") && run.stderr.contains("--new-data"), "{}", run.stderr);
    assert_eq!(make(&bench, &disk, &["--iso", &iso, "--new-data"])["data"], "new");
    judge(&bench, &disk, &iso);
}

#[test]
fn a_sealed_iso_tells_which_part_of_it_is_damaged_and_is_not_written_then() {
    let bench = Bench::empty();
    let disk = used_disk(&bench, "disk");
    fs::create_dir(bench.path("tree")).unwrap();
    fs::write(bench.path("tree/lifeboat.sums"), [b'\n'; 4096]).unwrap();
    let iso = iso(&bench, "lifeboat.iso", "LIFEBOAT_1", 2);
    let check = |what: &str, code| bench.run(&["check-medium", what]).ended(code);
    assert!(check(&iso, 4).stderr.contains("no list of sums"));
    tool(common::project().join("scripts/seal-iso").to_str().unwrap(), &[&iso]);
    assert!(check(&iso, 0).stdout.contains("as they were built"));
    make(&bench, &disk, &["--iso", &iso]);
    check(&disk, 0);

    // Each in turn: boot code, the descriptor, a folder, the kernel, the EFI partition, the list itself.
    let bytes = fs::read(&iso).unwrap();
    let find = |what: &[u8]| bytes.windows(what.len()).position(|part| part == what).unwrap();
    let kernel = find(&noise(3, 64));
    let places = [
        (10, "first boot code"),
        (16 * 2048 + 318, "folders"),
        (find(b"LIFEBOAT.SUM"), "folders"),
        (kernel + 5000, "/kernel"),
        (find(b"mkfs.fat"), "UEFI"),
        (find(b" 0 478 ") - 3, "first boot code"),
    ];
    for (at, name) in places {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&iso, &damaged).unwrap();
        let told = check(&iso, 1).stdout;
        assert!(told.contains("DAMAGED") && told.contains(name), "{at}: {told}");
    }
    let before = fs::read(&disk).unwrap();
    let run = bench.run(&["make-stick", &disk, "--erase", &disk, "--iso", &iso]).ended(4);
    assert!(run.stderr.contains("not as it was built"), "{}", run.stderr);
    assert!(fs::read(&disk).unwrap() == before, "the disk was changed");
}
