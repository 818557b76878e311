//! The program as a whole, on image files, judged by the tools of others.

#![allow(clippy::unwrap_used, clippy::panic)]

mod above;
mod agreement;
mod anew;
mod boot;
mod boot_entries;
mod browse;
mod btrfs;
mod clone;
mod clonezilla;
mod diff;
mod everyday;
mod export;
mod failing;
mod faulty;
mod full;
mod hostile;
mod import;
mod keys;
mod kill;
mod locks;
mod lying_place;
mod manual;
mod mount;
mod network;
mod odd_disks;
mod own_place;
mod partition_types;
mod people;
mod prepare;
mod secrets;
mod secure_boot;
mod serve;
mod sizes;
mod smaller;
mod stale;
mod stick;
mod support;
mod swap_files;
mod tables;
mod targets;
mod terminal;
mod unattended;
mod unlock;
mod unlock_bitlocker;
mod upkeep;

use std::fs;

use common::{Loop, noise, tool};
use support::{Bench, DISK_SIZE, EXT4, MIB, NTFS, cut, judge_gpt_disk, make_gpt_disk, put, same};

#[test]
fn a_restored_disk_is_whole_and_restic_restores_the_same_bytes() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let before = fs::read(&disk).unwrap();
    let report = bench.capture("disk");
    assert!(report["skipped"].as_u64().unwrap() > DISK_SIZE / 3, "{report}");
    assert!(fs::read(&disk).unwrap() == before, "the source was changed");

    bench.restore("out", &[]);
    judge_gpt_disk(&bench, &bench.path("out"));

    let checked = bench.restic(&["check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    bench.restic(&["restore", "latest", "--target", &bench.arg("by-restic")]);
    assert!(same(&bench.path("by-restic/disk/disk.img"), &bench.path("out")));
}

#[test]
fn an_ntfs_that_was_not_closed_is_stored_whole_unless_its_tables_are_trusted() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let plan = |more: &[&str]| {
        let disk = bench.arg("disk");
        bench.run(&[&["capture", &disk, "--plan", "--json"], more].concat()).ended(0).result()
    };
    let read = |plan: &serde_json::Value| plan["read"].as_u64().unwrap();
    let clean = read(&plan(&[]));
    let part = bench.path("dirty");
    cut(&disk, NTFS.start, NTFS.size, &part);
    // It mends what there is, and marks the volume for Windows to look at.
    tool("ntfsfix", &[&part]);
    put(&disk, NTFS.start, &part);
    let (whole, trusted) = (plan(&[]), plan(&["--trust-unclosed"]));
    assert!(read(&whole) > clean + NTFS.size / 2, "{} of {clean}", read(&whole));
    assert!(read(&trusted) < clean + MIB, "{} of {clean}", read(&trusted));
    assert!(trusted["warnings"].to_string().contains("as was asked for"), "{trusted}");
    assert!(!whole["warnings"].to_string().contains("as was asked for"), "{whole}");

    bench.run(&["capture", &bench.arg("disk"), "--trust-unclosed"]).ended(0);
    bench.restore("out", &[]);
    let restored = bench.path("restored");
    cut(&bench.path("out"), NTFS.start, NTFS.size, &restored);
    let name = restored.to_str().unwrap();
    tool("ntfsfix", &["-d", name]);
    tool("ntfsresize", &["--check", "-f", name]);
    for at in 0..5 {
        let file = tool("ntfscat", &["-f", name, &format!("file-{at}")]);
        let before = tool("ntfscat", &["-f", part.to_str().unwrap(), &format!("file-{at}")]);
        assert!(file == before && !file.is_empty(), "file-{at} differs");
    }
}

#[test]
fn a_second_capture_adds_what_changed() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let first = bench.capture("disk")["added"].as_u64().unwrap();
    let again = bench.capture("disk")["added"].as_u64().unwrap();
    assert!(again < first / 100, "{again} of {first}");

    let part = bench.path("change");
    cut(&disk, EXT4.start, EXT4.size, &part);
    fs::write(bench.path("new"), noise(1, 500_000)).unwrap();
    let write = format!("write {} new", bench.arg("new"));
    tool("debugfs", &["-w", "-R", &write, part.to_str().unwrap()]);
    put(&disk, EXT4.start, &part);
    let changed = bench.capture("disk")["added"].as_u64().unwrap();
    assert!(changed > 500_000 && changed < 500_000 + 8 * MIB, "{changed}");
    assert_eq!(bench.run(&["images"]).ended(0).stdout.lines().count(), 3);
}

#[test]
fn a_larger_disk_gets_the_same_partitions_and_a_backup_table_at_its_end() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.restore("out", &["--size", "200M", "--layout", "keep"]);
    let out = bench.path("out");
    assert_eq!(fs::metadata(&out).unwrap().len(), 200 * MIB);
    judge_gpt_disk(&bench, &out);
    for number in ["-i1", "-i3", "-i4", "-i7"] {
        let entry = |disk: &str| tool("sgdisk", &[number, disk]);
        assert_eq!(entry(disk.to_str().unwrap()), entry(out.to_str().unwrap()));
    }
}

#[test]
fn one_partition_leaves_the_others_alone() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    fs::copy(bench.path("disk"), bench.path("out")).unwrap();
    fs::write(bench.path("junk"), noise(3, 30 << 20)).unwrap();
    put(&bench.path("out"), EXT4.start, &bench.path("junk"));
    let plan = ["restore", "latest", &bench.arg("out"), "--plan", "--partitions", "3"];
    let plan = bench.run(&plan).ended(0).stdout;
    let lost: Vec<&str> = plan.lines().filter(|line| line.starts_with("lost: ")).collect();
    assert!(lost.len() == 1 && lost[0].starts_with("lost: partition 3"), "{plan}");
    bench.restore("out", &["--partitions", "3"]);
    judge_gpt_disk(&bench, &bench.path("out"));
    for (start, size) in
        [(0, EXT4.start), (EXT4.start + EXT4.size, DISK_SIZE - EXT4.start - EXT4.size)]
    {
        cut(&bench.path("disk"), start, size, &bench.path("a"));
        cut(&bench.path("out"), start, size, &bench.path("b"));
        assert!(same(&bench.path("a"), &bench.path("b")), "changed outside the partition");
    }
}

#[test]
fn an_image_of_chosen_partitions_keeps_what_is_in_the_place_of_the_others() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    let disk = bench.arg("disk");
    bench.run(&["capture", &disk, "--partitions", "1,3"]).ended(0);
    let shown = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(shown.contains("not in the image"), "{shown}");
    fs::write(bench.path("out"), noise(5, usize::try_from(DISK_SIZE).unwrap())).unwrap();
    cut(&bench.path("out"), NTFS.start, NTFS.size, &bench.path("a"));
    let out = bench.arg("out");
    let run = bench.run(&["restore", "latest", &out, "--erase", &out]).ended(3);
    assert!(run.stderr.contains("partition 4: not in the image"), "{}", run.stderr);
    cut(&bench.path("out"), NTFS.start, NTFS.size, &bench.path("b"));
    assert!(same(&bench.path("a"), &bench.path("b")));
    let no_such = bench.run(&["capture", &disk, "--partitions", "2"]).ended(4);
    assert!(no_such.stderr.contains("no partition 2"), "{}", no_such.stderr);
}

#[test]
fn only_changed_writes_little_and_makes_it_equal() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.restore("out", &[]);
    fs::copy(bench.path("out"), bench.path("whole")).unwrap();
    fs::write(bench.path("junk"), noise(4, 64 << 10)).unwrap();
    put(&bench.path("out"), EXT4.start, &bench.path("junk"));
    let report = bench.restore("out", &["--only-changed"]);
    assert!(same(&bench.path("out"), &bench.path("whole")));
    let written = report["written"].as_u64().unwrap();
    assert!((64 << 10..4 * MIB).contains(&written), "{written}");
}

#[test]
fn logical_partitions_and_4096_byte_sectors() {
    let bench = Bench::new();
    let disk = bench.path("mbr");
    fs::File::create(&disk).unwrap().set_len(72 * MIB).unwrap();
    let script = "label: dos\n,20M,83,*\n,40M,05\n,1M,83\n,1M,83\n,10M,83\n,12M,83\n";
    fs::write(bench.path("script"), script).unwrap();
    let sfdisk = format!("sfdisk -q {} < {}", disk.display(), bench.arg("script"));
    tool("sh", &["-c", &sfdisk]);
    fs::write(bench.path("junk"), noise(8, 9 << 20)).unwrap();
    put(&disk, 24 * MIB, &bench.path("junk"));
    bench.capture("mbr");
    bench.restore("mbr-out", &["--size", "80M"]);
    let dump = |disk: &str| tool("sfdisk", &["-d", disk]).replace(disk, "");
    assert_eq!(dump(&bench.arg("mbr")), dump(&bench.arg("mbr-out")));

    let report =
        bench.run(&["capture", &bench.arg("mbr"), "--sector-size", "4096", "--json"]).ended(0);
    let report = report.result();
    assert_eq!(report["image"]["size"], 72 * MIB);
    let image = report["image"]["id"].as_str().unwrap();
    let path = bench.arg("small");
    fs::File::create(bench.path("small")).unwrap().set_len(72 * MIB).unwrap();
    let other = ["restore", image, &path, "--erase", &path, "--sector-size", "512"];
    let refused = bench.run(&other).ended(4);
    assert!(refused.stderr.contains("4096-byte sectors"), "{}", refused.stderr);
}

#[test]
fn refusals_come_before_the_first_write() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let (disk, out) = (bench.arg("disk"), bench.arg("out"));
    fs::write(bench.path("out"), noise(6, 1 << 20)).unwrap();
    let before = fs::read(bench.path("out")).unwrap();
    let refused = |args: &[&str], why: &str| {
        let run = bench.run(args).ended(4);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(fs::read(bench.path("out")).unwrap() == before);
    };
    refused(&["restore", "latest", &out, "--erase", &out], "at least as large");
    refused(&["restore", "latest", &out, "--erase", &disk], "does not name");
    refused(&["restore", "latest", &out, "--erase", "/dev/sda"], "does not name");
    bench.run(&["restore", "latest", &out]).ended(4);
    assert!(fs::read(bench.path("out")).unwrap() == before);
    bench.run(&["restore", "latest", &out, "--erase", &out, "--size", "much"]).ended(2);
    let plan = bench.run(&["restore", "latest", &bench.arg("new"), "--plan"]).ended(0);
    assert!(plan.stdout.contains("ext4 root"), "{}", plan.stdout);
    assert!(!bench.path("new").exists());
}

#[test]
fn a_mounted_disk_and_the_disk_of_the_repository_are_refused() {
    let bench = Bench::new();
    let file = bench.arg("disk");
    fs::File::create(bench.path("disk")).unwrap().set_len(64 * MIB).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", &file]);
    let device = Loop::new(&file);
    fs::create_dir(bench.path("mnt")).unwrap();
    bench.run(&["capture", device.name()]).ended(0);
    tool("mount", &[device.name(), &bench.arg("mnt")]);
    let run = bench.run(&["capture", device.name()]).ended(4);
    assert!(run.stderr.contains("is mounted at"), "{}", run.stderr);
    let run = bench.run(&["restore", "latest", device.name(), "--erase", "x"]).ended(4);
    assert!(run.stderr.contains("is mounted at"), "{}", run.stderr);
    let inside = bench.arg("mnt/repo");
    bench.run(&["init", "--no-passphrase", "--repo", &inside]).ended(0);
    let run = bench.run(&["capture", device.name(), "--repo", &inside]).ended(4);
    assert!(run.stderr.contains("the repository"), "{}", run.stderr);
}

#[test]
fn passphrases_come_from_a_file_or_the_environment() {
    let bench = Bench::empty();
    fs::write(bench.path("word"), "correct horse\n").unwrap();
    let word = bench.arg("word");
    bench.run(&["init", "--passphrase-file", &word]).ended(0);
    let missing = bench.run(&["images"]).ended(12);
    assert!(missing.stderr.contains("--passphrase-file"), "{}", missing.stderr);
    bench.run(&["images", "--passphrase-file", &word]).ended(0);
    let with = |word: &str| {
        bench.command(&["images"]).env("LIFEBOAT_PASSPHRASE", word).output().unwrap().status
    };
    assert!(with("correct horse").success());
    assert_eq!(with("wrong").code(), Some(12));
    let again = bench.run(&["init", "--passphrase-file", &word]).ended(1);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
}

#[test]
fn damage_is_found_by_verify_and_stops_a_restore() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.run(&["verify"]).ended(0);
    let data = fs::read_dir(bench.path("repo/data")).unwrap();
    let packs = data.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let largest =
        packs.map(|file| file.unwrap().path()).max_by_key(|p| fs::metadata(p).unwrap().len());
    let pack = largest.unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let found = bench.run(&["verify"]).ended(1);
    assert!(found.stderr.contains("lifeboat:"), "{}", found.stderr);
    let out = bench.arg("out");
    bench.run(&["restore", "latest", &out, "--erase", &out]).ended(1);
    cut(&bench.path("out"), 0, 512, &bench.path("head"));
    assert!(fs::read(bench.path("head")).unwrap()[510..] == [0, 0], "looks bootable");
}

#[test]
fn json_events_carry_their_schema() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(2, 5 << 20)).unwrap();
    let run = bench.run(&["capture", &bench.arg("disk"), "--json"]).ended(0);
    for line in run.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["schema"], "1.0", "{line}");
    }
    assert!(run.stdout.contains("\"event\":\"progress\""));
    let disks = bench.run(&["disks", "--json"]).ended(0).stdout;
    assert!(serde_json::from_str::<serde_json::Value>(&disks).unwrap().is_array());
}

#[test]
fn forgotten_images_are_gone_and_the_others_stay() {
    let bench = Bench::new();
    for (name, seed) in [("one", 1), ("two", 2)] {
        fs::write(bench.path(name), noise(seed, 3 << 20)).unwrap();
    }
    let first = bench.capture("one")["image"]["id"].as_str().unwrap().to_owned();
    bench.capture("two");
    bench.run(&["forget", &first[..8]]).ended(0);
    bench.run(&["show", &first]).ended(1);
    bench.restic(&["prune"]);
    bench.run(&["verify"]).ended(0);
    bench.restore("out", &[]);
    assert!(same(&bench.path("two"), &bench.path("out")));
}

#[test]
fn an_image_tells_which_system_is_on_a_partition() {
    let bench = Bench::new();
    let lib = bench.path("tree/usr/lib");
    fs::create_dir_all(&lib).unwrap();
    fs::write(lib.join("os-release"), "PRETTY_NAME=\"Mariner 7 (spring tide)\"\n").unwrap();
    fs::write(bench.path("disk"), noise(31, 8 << 20)).unwrap();
    let (tree, disk) = (bench.arg("tree"), bench.arg("disk"));
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-E", "nodiscard", "-d", &tree, &disk]);
    bench.capture("disk");
    let shown = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(shown.contains("Mariner 7 (spring tide)"), "{shown}");
}
