//! Disks that are smaller or larger than the one that was captured.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{noise, tool};
use serde_json::Value;

use crate::support::{Bench, DISK_SIZE, ESP, EXT4, MIB, NTFS, cut, make_gpt_disk, put, same};

/// A partition as `sfdisk` lists it.
#[derive(Debug, PartialEq)]
struct Listed {
    number: u64,
    start: u64,
    size: u64,
    uuid: String,
    kind: String,
}

fn listed(disk: &Path) -> Vec<Listed> {
    let path = disk.to_str().unwrap();
    let table: Value = serde_json::from_str(&tool("sfdisk", &["-J", path])).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let each = partitions.iter().map(|it| Listed {
        number: text(&it["node"]).strip_prefix(path).unwrap().trim_matches('p').parse().unwrap(),
        start: it["start"].as_u64().unwrap() * 512,
        size: it["size"].as_u64().unwrap() * 512,
        uuid: text(&it["uuid"]),
        kind: text(&it["type"]),
    });
    each.collect()
}

fn place(disk: &Path, number: u64) -> (u64, u64) {
    let found = listed(disk).into_iter().find(|it| it.number == number).unwrap();
    (found.start, found.size)
}

/// What makes a partition that one, apart from its place.
fn identities(disk: &Path) -> Vec<(u64, String, String)> {
    listed(disk).into_iter().map(|it| (it.number, it.uuid, it.kind)).collect()
}

fn blank(bench: &Bench, name: &str, size: u64) -> PathBuf {
    let path = bench.path(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    path
}

/// The partition `number` of a disk as a file.
fn taken_out(bench: &Bench, disk: &Path, number: u64) -> String {
    let (start, size) = place(disk, number);
    let path = bench.path("taken-out");
    cut(disk, start, size, &path);
    path.to_str().unwrap().to_owned()
}

/// The filesystems of the GPT test disk, wherever they lie, by their own tools.
pub fn judge(bench: &Bench, disk: &Path) {
    let verdict = tool("sgdisk", &["-v", disk.to_str().unwrap()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let listing = common::command("sfdisk").arg("-V").arg(disk).output().unwrap();
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    tool("fsck.fat", &["-n", &taken_out(bench, disk, 1)]);
    let ext4 = taken_out(bench, disk, 3);
    tool("e2fsck", &["-fn", &ext4]);
    let dump = bench.path("dumped");
    let _ = fs::remove_dir_all(&dump);
    fs::create_dir_all(&dump).unwrap();
    tool("debugfs", &["-R", &format!("rdump / {}", dump.to_str().unwrap()), &ext4]);
    for at in 0..20u64 {
        let stored = fs::read(dump.join(format!("file-{at}"))).unwrap();
        assert!(stored == noise(at + 100, 200_000), "file-{at} differs");
    }
    let ntfs = taken_out(bench, disk, 4);
    tool("ntfsresize", &["--check", "-f", &ntfs]);
    tool("ntfsfix", &["-n", &ntfs]);
    let swap = tool("blkid", &["-p", "-o", "value", "-s", "LABEL", &taken_out(bench, disk, 7)]);
    assert_eq!(swap.trim(), "swap");
}

/// All partitions in a row, from the first mebibyte on, next to nothing of the swap space, and the backup of
/// the GPT.
const LEAST: u64 = MIB + ESP.size + EXT4.size + NTFS.size + MIB + 33 * 512;

#[test]
fn a_smaller_disk_gets_what_fits_on_it_and_others_are_refused_with_the_least_size() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    for (size, moves) in [(LEAST, 3), (LEAST + MIB, 3), (140 * MIB, 3), (DISK_SIZE - 512, 0)] {
        let out = blank(&bench, "out", size);
        bench.restore("out", &[]);
        judge(&bench, &out);
        assert_eq!(identities(&out), identities(&disk), "{size}");
        // What fits in its place is there.
        let both = listed(&out).into_iter().zip(listed(&disk));
        assert_eq!(both.filter(|(now, before)| now.start != before.start).count(), moves, "{size}");
        // The same once more, over what is there by now.
        fs::copy(&out, bench.path("first")).unwrap();
        let again = bench.restore("out", &["--only-changed"]);
        assert!(same(&out, &bench.path("first")), "{again}");
    }
    let small = blank(&bench, "small", 40 * MIB);
    fs::write(&small, noise(11, 40 << 20)).unwrap();
    let before = fs::read(&small).unwrap();
    let path = bench.arg("small");
    let refused = bench.run(&["restore", "latest", &path, "--erase", &path]).ended(4).stderr;
    assert!(refused.contains("choose a disk at least as large"), "{refused}");
    assert!(fs::read(&small).unwrap() == before, "the target was changed");
    // The size that it asks for can be made, also as a new file; there filesystems are made smaller.
    let (_, bytes) = refused.split_once(" (").unwrap().1.split_once('(').unwrap();
    let least: u64 = bytes.split(' ').next().unwrap().parse().unwrap();
    assert!(least < LEAST - 50 * MIB, "{refused}");
    bench.restore("new", &["--size", &least.to_string()]);
    judge(&bench, &bench.path("new"));
    let less = (least - 512).to_string();
    let new = bench.arg("newer");
    let args = ["restore", "latest", &new, "--erase", &new, "--size", &less];
    bench.run(&args).ended(4);
    assert!(!bench.path("newer").exists());
}

/// Writes the sector of its partition into an exFAT with sectors of 512 bytes, as Windows does; mkfs.exfat
/// leaves it 0.
fn tell_exfat_its_place(part: &Path, sector: u64) {
    let mut bytes = fs::read(part).unwrap();
    for region in [0, 12 * 512] {
        bytes[region + 64..region + 72].copy_from_slice(&sector.to_le_bytes());
        let mut sum = 0u32;
        for at in (0..11 * 512).filter(|at| ![106, 107, 112].contains(at)) {
            sum = sum.rotate_right(1).wrapping_add(bytes[region + at].into());
        }
        for at in (region + 11 * 512..region + 12 * 512).step_by(4) {
            bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        }
    }
    fs::write(part, bytes).unwrap();
}

#[test]
fn what_tells_the_place_of_a_partition_is_told_the_new_one() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 160 * MIB);
    let path = disk.to_str().unwrap();
    tool("sgdisk", &["-n1:2048:+20M", "-n2:80M:+40M", "-n3:125M:+20M", path]);
    let sector = |bytes: u64| (bytes / 512).to_string();
    let made: [(u64, &[&str]); 3] = [
        (1, &["mkntfs", "-q", "-F", "-f", "-s", "512"]),
        (2, &["mkfs.fat", "-F", "32"]),
        (3, &["mkfs.exfat"]),
    ];
    for (number, maker) in made {
        let (start, size) = place(&disk, number);
        let part = blank(&bench, "part", size);
        let mut args = maker[1..].to_vec();
        let hidden = sector(start);
        match number {
            1 => args.extend(["-p", &hidden, "-H", "255", "-S", "63"]),
            2 => args.extend(["-h", &hidden]),
            _ => {}
        }
        args.push(part.to_str().unwrap());
        tool(maker[0], &args);
        if number == 3 {
            tell_exfat_its_place(&part, start / 512);
        }
        put(&disk, start, &part);
    }
    bench.capture("disk");
    let out = blank(&bench, "out", 90 * MIB);
    let report = bench.restore("out", &[]);
    let told = |number: u64, at: u64, len: u64| {
        let field = bench.path("field");
        cut(&out, place(&out, number).0 + at, len, &field);
        fs::read(field).unwrap()
    };
    let start = |number: u64| u32::try_from(place(&out, number).0 / 512).unwrap().to_le_bytes();
    assert_eq!(told(1, 28, 4), start(1), "{report}");
    assert!(place(&out, 2).0 < 80 * MIB);
    assert_eq!(told(2, 28, 4), start(2));
    // The backup of FAT32 is in sector 6.
    assert_eq!(told(2, 6 * 512 + 28, 4), start(2));
    assert_eq!(told(3, 64, 4), start(3));
    assert_eq!(told(3, 12 * 512 + 64, 4), start(3));
    tool("fsck.fat", &["-n", &taken_out(&bench, &out, 2)]);
    tool("fsck.exfat", &["-n", &taken_out(&bench, &out, 3)]);
    tool("ntfsfix", &["-n", &taken_out(&bench, &out, 1)]);
}

#[test]
fn logical_partitions_keep_their_numbers_on_a_smaller_disk() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 120 * MIB);
    let script = "label: dos\nlabel-id: 0xc0ffee11\n1: start=2048,size=20480,type=83,bootable\n\
        2: start=26624,size=215040,type=f\n6: start=28672,size=40960,type=83\n\
        5: start=102400,size=20480,type=83\n7: start=163840,size=20480,type=82\n";
    fs::write(bench.path("script"), script).unwrap();
    tool("sh", &["-c", &format!("sfdisk -q {} < {}", bench.arg("disk"), bench.arg("script"))]);
    let files = bench.path("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("file"), noise(3, 3_000_000)).unwrap();
    for number in [1, 5, 6, 7] {
        let (start, size) = place(&disk, number);
        let part = blank(&bench, "part", size);
        let path = part.to_str().unwrap();
        match number {
            7 => tool("mkswap", &["-L", "swap", path]),
            _ => tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", files.to_str().unwrap(), path]),
        };
        put(&disk, start, &part);
    }
    bench.capture("disk");
    let judge = |out: &Path| {
        assert_eq!(identities(out), identities(&disk));
        let verdict = common::command("sfdisk").arg("-V").arg(out).output().unwrap();
        assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
        for number in [1, 5, 6] {
            let part = taken_out(&bench, out, number);
            tool("e2fsck", &["-fn", &part]);
            tool("debugfs", &["-R", &format!("dump /file {}", bench.arg("dumped")), &part]);
            assert!(fs::read(bench.path("dumped")).unwrap() == noise(3, 3_000_000), "{number}");
        }
        let swap = taken_out(&bench, out, 7);
        assert_eq!(tool("blkid", &["-p", "-o", "value", "-s", "TYPE", &swap]).trim(), "swap");
    };
    let boot_code = |disk: &Path| fs::read(disk).unwrap()[..446].to_vec();
    for size in [58 * MIB, 70 * MIB, 100 * MIB, 119 * MIB] {
        let out = blank(&bench, "out", size);
        bench.restore("out", &[]);
        judge(&out);
        assert_eq!(boot_code(&out), boot_code(&disk));
    }
    // A clone goes by the same rules.
    blank(&bench, "cloned", 70 * MIB);
    let (from, to) = (bench.arg("disk"), bench.arg("cloned"));
    bench.run(&["clone", &from, &to, "--erase", &to]).ended(0);
    judge(&bench.path("cloned"));
    // Only what was chosen counts; 6 comes after 5, which keeps its number as an empty one.
    let out = blank(&bench, "chosen", 30 * MIB);
    bench.restore("chosen", &["--partitions", "6"]);
    let numbers: Vec<u64> = listed(&out).iter().map(|it| it.number).collect();
    assert_eq!(numbers, [2, 5, 6]);
    tool("e2fsck", &["-fn", &taken_out(&bench, &out, 6)]);
}

#[test]
fn a_larger_disk_is_filled_unless_something_else_is_asked_for() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let out = blank(&bench, "out", 300 * MIB);
    let planned = |more: &[&str]| {
        let path = bench.arg("out");
        bench.run(&[&["restore", "latest", &path, "--plan"], more].concat()).ended(0).stdout
    };
    let plan = planned(&[]);
    assert!(plan.contains("its ext4 is grown by resize2fs"), "{plan}");
    assert_eq!(plan, planned(&["--layout", "fit"]));
    assert!(!planned(&["--layout", "keep"]).contains("is grown"));
    // One that is hardly larger is not.
    blank(&bench, "hardly", DISK_SIZE + 4 * MIB);
    bench.restore("hardly", &[]);
    assert_eq!(listed(&bench.path("hardly")), listed(&disk));
    bench.restore("out", &[]);
    judge(&bench, &out);
    assert_eq!(identities(&out), identities(&disk));
    // The ext4 is the largest; what is behind it lies at the end.
    let (start, size) = place(&out, 3);
    assert_eq!((start, start + size), (EXT4.start, place(&out, 4).0));
    let (last, len) = place(&out, 7);
    assert_eq!(last + len, 299 * MIB);
    let facts = tool("dumpe2fs", &["-h", &taken_out(&bench, &out, 3)]);
    let field = |name: &str| -> u64 {
        let line = facts.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(field("Block count:") * field("Block size:"), size);

    let out = blank(&bench, "ntfs", 200 * MIB);
    bench.restore("ntfs", &["--grow", "4"]);
    let ntfs = taken_out(&bench, &out, 4);
    let facts = tool("ntfsresize", &["--info", "--force", "--no-progress-bar", &ntfs]);
    let line = facts.lines().find(|line| line.starts_with("Current volume size")).unwrap();
    let bytes: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let size = place(&out, 4).1;
    assert!(size > NTFS.size + 40 * MIB && bytes + 8192 > size, "{bytes} of {size}");

    // Sizes one by one, also on a disk of the same size.
    let out = blank(&bench, "sized", DISK_SIZE);
    bench.restore("sized", &["--size-of", "7=4M", "--grow", "3"]);
    judge(&bench, &out);
    assert_eq!(place(&out, 7).1, 4 * MIB);
    assert!(place(&out, 3).1 > EXT4.size + 12 * MIB);
    let swap = taken_out(&bench, &out, 7);
    // Its last page (Linux, union swap_header).
    assert_eq!(fs::read(swap).unwrap()[1028..1032], (4 * 256 - 1_u32).to_le_bytes());
    let refused = |args: &[&str], why: &str| {
        let path = bench.arg("sized");
        let run = bench.run(&[&["restore", "latest", &path, "--erase", &path], args].concat());
        let run = run.ended(4);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    refused(&["--size-of", "3=2M"], "it needs at least");
    refused(&["--size-of", "9=20M"], "partition 9");
    refused(&["--size-of", "3=20G"], "smallest disk");
}

#[test]
fn what_lies_outside_of_partitions_stays_or_is_named() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 64 * MIB);
    tool("sgdisk", &["-n1:2048:+10M", "-n2:40M:+10M", disk.to_str().unwrap()]);
    fs::write(bench.path("junk"), noise(21, 1 << 20)).unwrap();
    for at in [20 * MIB, 38 * MIB, 55 * MIB] {
        put(&disk, at, &bench.path("junk"));
    }
    fs::write(bench.path("data"), noise(22, 10 << 20)).unwrap();
    put(&disk, MIB, &bench.path("data"));
    put(&disk, 40 * MIB, &bench.path("data"));
    bench.capture("disk");
    let out = blank(&bench, "out", 45 * MIB);
    let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan"]).ended(0).stdout;
    // The second partition lies from 34 MiB on now, over what was there, and the last is behind the end.
    assert!(plan.contains("2.0 MiB outside of partitions"), "{plan}");
    bench.restore("out", &[]);
    cut(&out, 20 * MIB, MIB, &bench.path("piece"));
    assert!(same(&bench.path("piece"), &bench.path("junk")));
    for number in [1, 2] {
        taken_out(&bench, &out, number);
        assert!(same(&bench.path("taken-out"), &bench.path("data")), "{number}");
    }
}

#[test]
fn a_filesystem_without_a_table_fits_a_disk_of_its_own_size() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 64 * MIB);
    tool("mke2fs", &["-q", "-F", "-t", "ext4", disk.to_str().unwrap(), "40M"]);
    bench.capture("disk");
    let out = blank(&bench, "out", 40 * MIB);
    bench.restore("out", &[]);
    tool("e2fsck", &["-fn", out.to_str().unwrap()]);
    blank(&bench, "small", 39 * MIB);
    let path = bench.arg("small");
    let keep = ["restore", "latest", &path, "--layout", "keep", "--erase", &path];
    let refused = bench.run(&keep).ended(4).stderr;
    assert!(refused.contains(&format!("({} bytes)", 40 * MIB)), "{refused}");
}

/// The bytes of an ext4 that it says itself, and its files; it is in order.
fn ext4_of(bench: &Bench, file: &Path) -> (u64, String) {
    let path = file.to_str().unwrap();
    tool("e2fsck", &["-fn", path]);
    let text = tool("dumpe2fs", &["-h", path]);
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    let out = bench.arg("dumped");
    tool("debugfs", &["-R", &format!("dump file {out}"), path]);
    (field("Block count:") * field("Block size:"), tool("sha256sum", &[&out]))
}

#[test]
fn a_filesystem_without_a_table_gets_smaller_and_larger_with_its_disk() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 64 * MIB);
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), noise(41, 9 << 20)).unwrap();
    let root = tree.to_str().unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", root, disk.to_str().unwrap()]);
    bench.capture("disk");
    let (_, file) = ext4_of(&bench, &disk);
    for size in [30 * MIB, 200 * MIB] {
        let out = blank(&bench, "out", size);
        let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan"]).ended(0).stdout;
        assert!(
            plan.contains("the ext4 of the disk is made smaller") == (size < 64 * MIB),
            "{plan}"
        );
        assert!(!plan.contains("no place on the target"), "{plan}");
        bench.restore("out", &[]);
        assert_eq!(ext4_of(&bench, &out), (size, file.clone()));
        let cloned = blank(&bench, "cloned", size);
        let [from, to] = ["disk", "cloned"].map(|name| bench.arg(name));
        bench.run(&["clone", &from, &to, "--erase", &to]).ended(0);
        assert_eq!(ext4_of(&bench, &cloned), (size, file.clone()));
    }
    let path = bench.arg("small");
    blank(&bench, "small", 10 * MIB);
    let refused = bench.run(&["restore", "latest", &path, "--erase", &path]).ended(4).stderr;
    assert!(refused.contains("made as small as can be"), "{refused}");
    let named = ["restore", "latest", &path, "--size-of", "1=9M", "--erase", &path];
    let refused = bench.run(&named).ended(4).stderr;
    assert!(refused.contains("has no partition table"), "{refused}");
}

#[test]
fn only_the_chosen_partitions_of_a_larger_disk_count() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let out = blank(&bench, "out", 70 * MIB);
    bench.restore("out", &["--partitions", "3"]);
    let wanted = |it: &(u64, String, String)| it.0 == 3;
    let expected: Vec<_> = identities(&disk).into_iter().filter(wanted).collect();
    assert_eq!(identities(&out), expected);
    tool("e2fsck", &["-fn", &taken_out(&bench, &out, 3)]);
    let verdict = tool("sgdisk", &["-v", out.to_str().unwrap()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
}

#[test]
fn what_is_found_by_its_place_keeps_it_or_the_disk_is_refused() {
    let bench = Bench::new();
    let disk = blank(&bench, "disk", 64 * MIB);
    let refused = |size: u64, why: &str| {
        blank(&bench, "small", size);
        let path = bench.arg("small");
        let run = bench.run(&["restore", "latest", &path, "--erase", &path]).ended(4);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    tool("sgdisk", &["-n1:2048:+10M", "-n2:40M:+1M", "-t2:ef02", disk.to_str().unwrap()]);
    bench.capture("disk");
    refused(40 * MIB, "partition 2 must not move: GRUB is found there");
    let out = blank(&bench, "out", 42 * MIB);
    bench.restore("out", &[]);
    assert_eq!(place(&out, 2), (40 * MIB, MIB));

    let bench = Bench::new();
    let disk = blank(&bench, "disk", 64 * MIB);
    fs::write(bench.path("script"), "label: dos\n2048,20M,42\n").unwrap();
    tool("sh", &["-c", &format!("sfdisk -q {} < {}", disk.display(), bench.arg("script"))]);
    bench.capture("disk");
    blank(&bench, "small", 50 * MIB);
    let path = bench.arg("small");
    let run = bench.run(&["restore", "latest", &path, "--erase", &path]).ended(4);
    assert!(run.stderr.contains("a Windows dynamic disk"), "{}", run.stderr);
}
