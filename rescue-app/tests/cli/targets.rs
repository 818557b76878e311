//! What a restore plans, refuses and claims, by what is on its target.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Loop, noise, tool};

use crate::support::{Bench, MIB, Run, cut, put, same};

impl Bench {
    /// The plan of restoring the newest image to the file `disk`.
    pub fn plan(&self, disk: &str, more: &[&str]) -> Run {
        let path = self.arg(disk);
        let mut args = vec!["restore", "latest", &path, "--plan", "--json"];
        args.extend(more);
        self.run(&args)
    }

    /// A restore of the newest image to the file `disk`, whatever comes of it.
    fn try_restore(&self, disk: &str, more: &[&str]) -> Run {
        let path = self.arg(disk);
        let mut args = vec!["restore", "latest", &path, "--erase", &path, "--json"];
        args.extend(more);
        self.run(&args)
    }

    /// A file of zeros.
    fn blank(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }
}

fn sfdisk(disk: &Path, script: &str) {
    let command = format!("sfdisk -q {} <<'TABLE'\n{script}\nTABLE", disk.display());
    tool("sh", &["-c", &command]);
}

/// Partition 1, and an extended partition 2 with 5 and 6 in it.
const WITH_EXTENDED: &str = "label: dos\n1: start=2048, size=20M, type=83\n2: size=40M, type=f\n\
                             5: size=10M, type=83\n6: size=10M, type=83";

fn ext4(bench: &Bench, disk: &Path, at: u64, size: u64) {
    let part = bench.blank("part", size);
    tool("mke2fs", &["-q", "-F", "-t", "ext4", part.to_str().unwrap()]);
    put(disk, at, &part);
}

/// An MBR disk of 64 MiB with two ext4 of 20 MiB.
fn two_partitions(bench: &Bench, name: &str) -> PathBuf {
    let disk = bench.blank(name, 64 * MIB);
    sfdisk(&disk, "label: dos\n2048,20M,83\n,20M,83");
    ext4(bench, &disk, MIB, 20 * MIB);
    ext4(bench, &disk, 21 * MIB, 20 * MIB);
    disk
}

/// Restores nothing, for a reason in which `why` occurs, and leaves the target as it is.
#[track_caller]
fn refused(bench: &Bench, target: &str, more: &[&str], why: &str) {
    let before = bench.path("before-refusal");
    fs::copy(bench.path(target), &before).unwrap();
    let planned = bench.plan(target, more).ended(4);
    assert!(planned.stderr.contains(why), "{}", planned.stderr);
    let run = bench.try_restore(target, more).ended(4);
    assert!(run.stderr.contains(why), "{}", run.stderr);
    assert!(same(&before, &bench.path(target)), "the target was changed");
}

#[test]
fn extended_partitions_are_neither_restored_nor_overwritten() {
    let bench = Bench::new();
    let disk = bench.blank("disk", 64 * MIB);
    sfdisk(&disk, WITH_EXTENDED);
    bench.capture("disk");
    bench.blank("target", 64 * MIB);
    refused(&bench, "target", &["--partitions", "2"], "name the partitions in it (5,6)");

    let bench = Bench::new();
    let disk = two_partitions(&bench, "disk");
    bench.capture("disk");
    fs::copy(&disk, bench.path("target")).unwrap();
    sfdisk(&bench.path("target"), WITH_EXTENDED);
    refused(&bench, "target", &["--partitions", "2"], "the chain of its partitions (5,6)");
}

/// Every way of not being blank, each for a target on which no table is trusted.
#[test]
fn single_partitions_get_a_new_table_only_where_nothing_is() {
    let bench = Bench::new();
    two_partitions(&bench, "disk");
    bench.capture("disk");
    let size = 64 * MIB;
    let ways: [(&str, u64, Vec<u8>); 8] = [
        ("a byte at the end", size - 1, vec![1]),
        ("a file in the middle", 30 * MIB, noise(5, 3 << 20)),
        ("ReiserFS", 65_588, b"ReIsEr2Fs".to_vec()),
        ("JFS", 32_768, b"JFS1".to_vec()),
        ("an Apple map", 0, [b"ER\x02\0".to_vec(), vec![0; 508], b"PM".to_vec()].concat()),
        ("a BSD label", 512, b"\x57\x45\x56\x82".to_vec()),
        ("a GPT without an MBR", 512, b"EFI PART".to_vec()),
        ("noise", 0, noise(6, 1 << 20)),
    ];
    for (what, at, bytes) in ways {
        let target = bench.blank("target", size);
        File::options().write(true).open(&target).unwrap().write_all_at(&bytes, at).unwrap();
        println!("{what}");
        refused(&bench, "target", &["--partitions", "1"], "no single partition is restored");
        // The whole disk can be restored, and what is lost is said.
        let plan = bench.plan("target", &[]).ended(0).result();
        assert_eq!(plan["lost"].as_array().unwrap().len(), 1, "{what}: {plan}");
        assert_eq!(plan["before"].as_array().unwrap().len(), 1, "{what}: {plan}");
    }
    bench.blank("target", size);
    let report = bench.try_restore("target", &["--partitions", "2"]).ended(0).result();
    assert_eq!(report["missing"], serde_json::Value::Null);
    let table = tool("sfdisk", &["-d", &bench.arg("target")]);
    assert_eq!(table.matches("type=83").count(), 2, "{table}");
}

#[test]
fn a_target_with_unknown_data_is_not_called_empty() {
    let bench = Bench::new();
    two_partitions(&bench, "disk");
    bench.capture("disk");
    let plan = |target: &str| {
        let path = bench.arg(target);
        bench.run(&["restore", "latest", &path, "--plan"]).ended(0).stdout
    };
    fs::write(bench.path("noise"), noise(4, 64 << 20)).unwrap();
    let told = plan("noise");
    assert!(told.contains("lost: the disk: data of unknown kind"), "{told}");
    let reiser = bench.blank("reiser", 64 * MIB);
    File::options().write(true).open(reiser).unwrap().write_all_at(b"ReIsEr2Fs", 65_588).unwrap();
    let told = plan("reiser").to_lowercase();
    assert!(told.contains("lost: the disk: reiserfs"), "{told}");
    bench.blank("blank", 64 * MIB);
    assert!(plan("blank").contains("before: nothing"), "{}", plan("blank"));
}

#[test]
fn a_target_whose_table_is_in_doubt_gets_no_single_partition() {
    let bench = Bench::new();
    let disk = bench.blank("disk", 64 * MIB);
    tool("sgdisk", &["-n1:2048:+20M", disk.to_str().unwrap()]);
    ext4(&bench, &disk, MIB, 20 * MIB);
    bench.capture("disk");
    fs::copy(&disk, bench.path("target")).unwrap();
    // Without the primary copy Linux shows no partitions, other programs do.
    let target = File::options().write(true).open(bench.path("target")).unwrap();
    target.write_all_at(&[0; 512], 512).unwrap();
    drop(target);
    refused(&bench, "target", &["--partitions", "1"], "is in doubt");
    let plan = bench.plan("target", &[]).ended(0).result();
    assert!(plan["lost"].to_string().contains("ext4"), "{plan}");
}

#[test]
fn what_cannot_be_done_is_refused_with_what_can() {
    let bench = Bench::new();
    two_partitions(&bench, "disk");
    bench.capture("disk");
    bench.blank("target", 80 * MIB);
    refused(&bench, "target", &["--size", "90M"], "--size 94371840 is for a new file");
    bench.plan("target", &["--size", "80M"]).ended(0);
    bench.blank("small", 2 * MIB);
    refused(&bench, "small", &["--partitions", "1"], "the smallest disk that this fits on has ");
    bench.blank("small", 20 * MIB);
    let keep = ["--partitions", "1", "--layout", "keep"];
    refused(&bench, "small", &keep, "this fits on has 21.0 MiB (22020096 bytes)");
    bench.blank("small", 40 * MIB);
    sfdisk(&bench.path("small"), "label: dos\n2048,20M,83");
    bench.try_restore("small", &["--partitions", "1"]).ended(0);
}

#[test]
fn partitions_that_the_image_lacks_are_empty_or_stay_and_are_called_so() {
    let bench = Bench::new();
    let disk = two_partitions(&bench, "disk");
    bench.run(&["capture", disk.to_str().unwrap(), "--partitions", "1"]).ended(0);
    let entry = |plan: &serde_json::Value| plan["after"][1].clone();

    let plan = bench.plan("new", &[]).ended(0).result();
    assert_eq!(entry(&plan)["text"], "not in the image, will be empty");
    assert_eq!(entry(&plan)["kept"], false);
    let report = bench.try_restore("new", &[]).ended(3).result();
    assert_eq!(report["missing"], serde_json::json!([2]));

    // The disk itself: its second partition stays.
    let plan = bench.plan("disk", &[]).ended(0).result();
    assert_eq!(entry(&plan)["kept"], true, "{plan}");
    let before = bench.path("before");
    cut(&disk, 21 * MIB, 20 * MIB, &before);
    bench.try_restore("disk", &[]).ended(0);
    cut(&disk, 21 * MIB, 20 * MIB, &bench.path("after"));
    assert!(same(&before, &bench.path("after")));

    // Other bytes, which were no such partition.
    fs::write(bench.path("noise"), noise(4, 64 << 20)).unwrap();
    let plan = bench.plan("noise", &[]).ended(0).result();
    assert!(entry(&plan)["text"].to_string().contains("no partition of its own"), "{plan}");
    bench.try_restore("noise", &[]).ended(3);
}

#[test]
fn a_damaged_table_is_mended_on_request_only() {
    let bench = Bench::new();
    let disk = bench.blank("disk", 64 * MIB);
    tool("sgdisk", &["-n1:2048:+20M", disk.to_str().unwrap()]);
    File::options()
        .write(true)
        .open(&disk)
        .unwrap()
        .write_all_at(&[0; 512], 64 * MIB - 512)
        .unwrap();
    bench.capture("disk");
    bench.restore("same", &[]);
    assert!(same(&disk, &bench.path("same")));
    let plan = bench.plan("mended", &["--mend-table"]).ended(0).result();
    assert!(plan["notices"].to_string().contains("written anew: backup GPT header"), "{plan}");
    bench.restore("mended", &["--mend-table"]);
    let verdict = tool("sgdisk", &["-v", &bench.arg("mended")]);
    assert!(verdict.contains("No problems found"), "{verdict}");

    // A RAID's metadata lies where the backup was.
    let other = b"Intel Raid ISM Cfg Sig. 1.1.00";
    File::options().write(true).open(&disk).unwrap().write_all_at(other, 64 * MIB - 512).unwrap();
    bench.capture("disk");
    bench.blank("target", 64 * MIB);
    refused(&bench, "target", &["--mend-table"], "something else lies where it belongs");
    bench.restore("target", &[]);
    assert!(same(&disk, &bench.path("target")));
}

#[test]
fn a_gpt_without_room_is_restored_to_its_size_and_refused_where_it_does_not_fit() {
    let bench = Bench::new();
    let disk = bench.blank("disk", 64 * MIB);
    tool("sgdisk", &["-n1:2048:+8M", "-n2:0:0", disk.to_str().unwrap()]);
    let size = 64 * MIB - 33 * 512;
    File::options().write(true).open(&disk).unwrap().set_len(size).unwrap();
    bench.capture("disk");
    bench.restore("same", &[]);
    assert!(same(&disk, &bench.path("same")));
    bench.blank("little", size + 4096);
    refused(&bench, "little", &[], "or of 67108864 bytes or more");
    bench.restore("larger", &["--size", "64M"]);
    let verdict = tool("sgdisk", &["-v", &bench.arg("larger")]);
    assert!(verdict.contains("No problems found"), "{verdict}");
}

/// What is written and what was there add up to what was planned, whichever way.
#[test]
fn the_counts_of_a_restore_add_up() {
    let bench = Bench::new();
    let disk = two_partitions(&bench, "disk");
    bench.capture("disk");
    fs::copy(&disk, bench.path("target")).unwrap();
    for (target, mode) in [
        ("new", &[][..]),
        ("target", &["--only-changed"]),
        ("target", &["--partitions", "2"]),
        ("target", &["--partitions", "1,2", "--only-changed"]),
    ] {
        let count = |value: &serde_json::Value, name: &str| value[name].as_u64().unwrap();
        let planned = count(&bench.plan(target, mode).ended(0).result(), "writes");
        let report = bench.try_restore(target, mode).ended(0).result();
        let sum = count(&report, "written") + count(&report, "unchanged");
        assert_eq!(sum, planned, "{mode:?}: {report}");
        assert_eq!(count(&report, "read_back"), planned, "{mode:?}: {report}");
    }
}

#[test]
fn the_plan_says_what_the_target_is_meanwhile() {
    let bench = Bench::new();
    let disk = two_partitions(&bench, "disk");
    bench.capture("disk");
    fs::copy(&disk, bench.path("target")).unwrap();
    let notices = |target, mode| bench.plan(target, mode).ended(0).result()["notices"].to_string();
    for mode in [&[][..], &["--only-changed"]] {
        let said = notices("target", mode);
        assert!(said.contains("until it has finished the target does not start"), "{said}");
    }
    let said = notices("target", &["--partitions", "2"]);
    assert!(said.contains("until it has finished the partitions to be restored"), "{said}");
    let said = notices("new", &[]);
    assert!(!said.contains("until it has finished"), "{said}");
}

/// Stopped by a damaged pack, and run again with that mended: what is there is not written again.
#[test]
fn the_same_restore_again_carries_on() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    fs::write(&disk, noise(9, 200 << 20)).unwrap();
    tool("sgdisk", &["-Z", disk.to_str().unwrap()]);
    tool("sgdisk", &["-o", "-n1:2048:+190M", disk.to_str().unwrap()]);
    bench.capture("disk");
    let pack = packs(&bench).remove(0);
    let sound = fs::read(&pack).unwrap();
    for (target, mode) in [("whole", &[][..]), ("part", &["--partitions", "1"])] {
        if target == "part" {
            bench.blank("part", 200 * MIB);
            tool("sgdisk", &["-n1:2048:+190M", &bench.arg("part")]);
        }
        let mut damaged = sound.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&pack, damaged).unwrap();
        bench.try_restore(target, mode).ended(1);
        let shown = bench.plan(target, mode).ended(0).result();
        assert!(shown["notices"].to_string().contains("was begun before"), "{target}: {shown}");
        assert_eq!(shown["only_changed"], true);
        fs::write(&pack, &sound).unwrap();
        let report = bench.try_restore(target, mode).ended(0).result();
        assert!(report["unchanged"].as_u64().unwrap() > 4 * MIB, "{target}: {report}");
        cut(&bench.path(target), MIB, 190 * MIB, &bench.path("a"));
        cut(&disk, MIB, 190 * MIB, &bench.path("b"));
        assert!(same(&bench.path("a"), &bench.path("b")), "{target}");
    }
}

#[test]
fn a_disk_beside_its_source_is_said_to_carry_the_same_identity() {
    let bench = Bench::new();
    two_partitions(&bench, "disk");
    let source = Loop::new(bench.path("disk"));
    bench.run(&["capture", source.name()]).ended(0);
    bench.blank("target", 64 * MIB);
    let target = Loop::new(bench.path("target"));
    let plan = ["restore", "latest", target.name(), "--plan"];
    let told = bench.run(&plan).ended(0).stdout;
    assert!(told.contains("carries the same identities"), "{told}");
    drop(source);
    let alone = bench.run(&plan).ended(0).stdout;
    assert!(!alone.contains("carries the same identities"), "{alone}");
}

#[test]
fn what_counts_on_the_start_of_a_partition_is_told_when_it_moves() {
    let bench = Bench::new();
    let disk = bench.blank("disk", 64 * MIB);
    sfdisk(&disk, "label: dos\n2048,40M,c");
    let part = bench.blank("part", 40 * MIB);
    tool("mkfs.fat", &["-F", "32", "-h", "2048", part.to_str().unwrap()]);
    put(&disk, MIB, &part);
    bench.capture("disk");
    sfdisk(&bench.blank("target", 64 * MIB), "label: dos\n8192,50M,c");
    let plan = bench.plan("target", &["--partitions", "1"]).ended(0).result();
    assert!(plan["notices"].to_string().contains("hidden sectors"), "{plan}");
    sfdisk(&bench.blank("target", 64 * MIB), "label: dos\n2048,50M,c");
    let plan = bench.plan("target", &["--partitions", "1"]).ended(0).result();
    assert!(!plan["notices"].to_string().contains("hidden sectors"), "{plan}");
}

/// A machine that runs until it is dropped.
struct Machine(Child);

impl Machine {
    /// QEMU with a raw disk, started far enough to hold its locks.
    fn with_disk(disk: &Path) -> Self {
        let drive = format!("file={},format=raw,if=virtio", disk.display());
        let args = ["-accel", "tcg", "-display", "none", "-nodefaults", "-S", "-drive", &drive];
        let mut command = Command::new("qemu-system-x86_64");
        command.args(args).args(["-monitor", "stdio"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // It greets when its disks are open.
        let mut greeting = [0; 4];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut greeting).unwrap();
        Self(child)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn the_disk_of_a_running_machine_is_left_alone() {
    let bench = Bench::new();
    let disk = two_partitions(&bench, "disk");
    bench.capture("disk");
    let machine = Machine::with_disk(&disk);
    refused(&bench, "disk", &[], "is in use by");
    let path = bench.arg("disk");
    let run = bench.run(&["capture", &path]).ended(4);
    assert!(run.stderr.contains("--in-use"), "{}", run.stderr);
    let report = bench.run(&["capture", &path, "--in-use", "--json"]).ended(0).result();
    assert!(report["warnings"].to_string().contains("as after a power cut"), "{report}");
    drop(machine);
    bench.restore("disk", &[]);
}

fn packs(bench: &Bench) -> Vec<PathBuf> {
    let data = fs::read_dir(bench.path("repo/data")).unwrap();
    let files = data.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut packs: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    packs.sort_by_key(|pack| std::cmp::Reverse(fs::metadata(pack).unwrap().len()));
    packs
}

#[test]
fn nothing_is_wiped_for_an_image_that_cannot_be_restored() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    fs::write(&disk, noise(9, 60 << 20)).unwrap();
    let id = bench.capture("disk")["image"]["id"].as_str().unwrap().to_owned();
    let (target, path) = (bench.path("target"), bench.arg("target"));
    fs::write(&target, noise(11, 60 << 20)).unwrap();
    fs::copy(&target, bench.path("before")).unwrap();
    let refused = |more: &[&str]| {
        let restore = ["restore", &id, &path, "--erase", &path];
        let run = bench.run(&[&restore, more].concat()).ended(4);
        assert!(run.stderr.contains("is not complete"), "{}", run.stderr);
        assert!(same(&target, &bench.path("before")), "the target was changed");
    };
    let pack = packs(&bench).remove(0);
    let sound = fs::read(&pack).unwrap();
    fs::write(&pack, &sound[..sound.len() - 100]).unwrap();
    refused(&[]);
    fs::remove_file(&pack).unwrap();
    refused(&[]);
    refused(&["--only-changed"]);
    refused(&["--plan"]);
    // What lengths and headers do not show is found by reading, before the first write or after.
    let mut altered = sound.clone();
    altered[sound.len() / 2] ^= 1;
    fs::write(&pack, altered).unwrap();
    refused(&["--verify-first"]);
    refused(&["--verify-first", "--only-changed"]);
    let run = bench.try_restore("target", &[]).ended(1);
    assert!(
        run.stderr.contains("is unfinished: what it held is to be taken for lost"),
        "{}",
        run.stderr
    );
    fs::write(&pack, sound).unwrap();
    bench.restore("target", &["--verify-first"]);
    assert!(same(&target, &disk));
}

/// Chunks that were stored again after their pack was lost or damaged: any copy will do.
#[test]
fn a_good_copy_anywhere_is_enough() {
    for damage in ["lost", "cut", "altered"] {
        let bench = Bench::new();
        let disk = bench.path("disk");
        fs::write(&disk, noise(9, 60 << 20)).unwrap();
        bench.capture("disk");
        // A few packs, so that chance does not decide which copy comes first.
        let kept: Vec<(PathBuf, Vec<u8>)> =
            packs(&bench).into_iter().take(3).map(|p| (p.clone(), fs::read(p).unwrap())).collect();
        kept.iter().for_each(|(pack, _)| fs::remove_file(pack).unwrap());
        bench.capture("disk");
        for (pack, bytes) in &kept {
            let mut bytes = bytes.clone();
            let middle = bytes.len() / 2;
            match damage {
                "lost" => continue,
                "cut" => bytes.truncate(middle),
                _ => bytes[middle] ^= 1,
            }
            fs::write(pack, bytes).unwrap();
        }
        bench.restore("target", &[]);
        assert!(same(&disk, &bench.path("target")), "{damage}");
        fs::remove_file(bench.path("target")).unwrap();
    }
}
