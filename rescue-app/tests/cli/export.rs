//! Restoring to files in formats of virtual machines, judged by QEMU and 7-Zip.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{noise, succeeds, tool};
use lifeboat::disk::Source;
use lifeboat::virtual_disk::{self, Format};
use serde_json::Value;

use crate::sizes;
use crate::support::{Bench, DISK_SIZE, EXT4, MIB, Run, cut, make_gpt_disk, same};

/// What a format is asked for by, what QEMU and 7-Zip call it, and whether QEMU checks it.
struct Kind {
    name: &'static str,
    qemu: &'static str,
    seven_zip: &'static str,
    is_checked: bool,
}

const fn kind(
    name: &'static str,
    qemu: &'static str,
    seven_zip: &'static str,
    is_checked: bool,
) -> Kind {
    Kind { name, qemu, seven_zip, is_checked }
}

const KINDS: [Kind; 7] = [
    kind("qcow2", "qcow2", "QCOW", true),
    kind("vhd", "vpc", "VHD", false),
    kind("vhd-fixed", "vpc", "VHD", false),
    kind("vhdx", "vhdx", "VHDX", true),
    kind("vmdk", "vmdk", "VMDK", true),
    kind("vmdk-stream", "vmdk", "VMDK", true),
    kind("vdi", "vdi", "VDI", true),
];

/// What 7-Zip reads: no clusters packed with zstd.
fn is_read_by_seven_zip(kind: &Kind) -> bool {
    kind.name != "qcow2"
}

fn export(bench: &Bench, file: &str, more: &[&str]) -> Run {
    let path = bench.arg(file);
    let mut args = vec!["restore", "latest", &path, "--erase", &path, "--json"];
    args.extend(more);
    bench.run(&args)
}

fn info(kind: &Kind, file: &str) -> Value {
    let text = tool("qemu-img", &["info", "-f", kind.qemu, "--output=json", file]);
    serde_json::from_str(&text).unwrap()
}

/// Judges a file by its size and by what others read out of it, beside the plain disk.
fn judge(bench: &Bench, kind: &Kind, file: &str, plain: &Path) {
    let (path, name) = (bench.arg(file), kind.name);
    let raw = plain.to_str().unwrap();
    assert_eq!(info(kind, &path)["virtual-size"], fs::metadata(plain).unwrap().len(), "{name}");
    if kind.is_checked {
        tool("qemu-img", &["check", "-f", kind.qemu, &path]);
    }
    tool("qemu-img", &["compare", "-f", kind.qemu, "-F", "raw", &path, raw]);
    if is_read_by_seven_zip(kind) {
        let folder = bench.arg("unpacked");
        let out = format!("-o{folder}");
        let archive = format!("-t{}", kind.seven_zip);
        tool("7zz", &["x", "-y", &archive, &out, &path]);
        let mut files = fs::read_dir(&folder).unwrap();
        let unpacked = files.next().unwrap().unwrap().path();
        assert!(same(&unpacked, plain), "{name} by 7-Zip");
        fs::remove_dir_all(&folder).unwrap();
    }
}

fn names(bench: &Bench) -> Vec<String> {
    let files = fs::read_dir(bench.dir.path()).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_format_holds_the_same_as_a_plain_disk() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    bench.restore("plain", &[]);
    for kind in &KINDS {
        let report = export(&bench, "file", &["--format", kind.name]).ended(0).result();
        assert_eq!(report["judged"], kind.is_checked, "{report}");
        assert!(report["read_back"].as_u64().unwrap() > 20 * MIB, "{report}");
        let meta = fs::metadata(bench.path("file")).unwrap();
        assert_eq!(report["file_size"], meta.len());
        assert_eq!(meta.mode() & 0o777, 0o600);
        // What nothing uses takes no room.
        assert!(meta.blocks() * 512 < DISK_SIZE / 2, "{}: {meta:?}", kind.name);
        judge(&bench, kind, "file", &bench.path("plain"));
        fs::remove_file(bench.path("file")).unwrap();
    }
    let left = names(&bench);
    assert!(!left.iter().any(|name| name.contains("unfinished")), "{left:?}");
}

/// A disk without a table, with something at both ends and in the middle.
fn make_disk(bench: &Bench, name: &str, size: u64) -> PathBuf {
    let path = bench.path(name);
    let disk = File::create(&path).unwrap();
    disk.set_len(size).unwrap();
    let len = usize::try_from(size.min(5000)).unwrap();
    for (seed, at) in [(1, 0), (3, size / 2), (5, size - len as u64)] {
        let at = at.min(size - len as u64);
        disk.write_all_at(&noise(seed, len), at).unwrap();
    }
    path
}

/// What QEMU writes is read as the disk that it was made of.
#[test]
fn files_of_others_are_read() {
    let bench = Bench::empty();
    let disk = make_disk(&bench, "disk", 9 * MIB + 512);
    let bytes = fs::read(&disk).unwrap();
    let files = [
        (Format::Qcow2, "qcow2", "compat=0.10", ""),
        (Format::Qcow2, "qcow2", "cluster_size=512", ""),
        (Format::Qcow2, "qcow2", "cluster_size=2M", "-c"),
        (Format::Qcow2, "qcow2", "compression_type=zstd,cluster_size=4k", "-c"),
        (Format::Qcow2, "qcow2", "preallocation=metadata", ""),
        (Format::Vhd, "vpc", "force_size=on", ""),
        (Format::Vhd, "vpc", "force_size=on,subformat=fixed", ""),
        (Format::Vhdx, "vhdx", "block_size=1M", ""),
        (Format::Vhdx, "vhdx", "block_size=8M,subformat=fixed", ""),
        (Format::Vmdk, "vmdk", "subformat=monolithicSparse", ""),
        (Format::Vmdk, "vmdk", "subformat=streamOptimized", ""),
        (Format::Vdi, "vdi", "static=off", ""),
        (Format::Vdi, "vdi", "static=on", ""),
    ];
    for (format, name, options, packed) in files {
        let path = bench.arg("file");
        let mut args = vec!["convert", "-f", "raw", "-O", name, "-o", options];
        args.extend(Some(packed).filter(|flag| !flag.is_empty()));
        args.extend([disk.to_str().unwrap(), &path]);
        tool("qemu-img", &args);
        let file = Source::open(Path::new(&path)).unwrap();
        let reader = virtual_disk::open(format, Arc::new(file)).unwrap();
        assert_eq!(reader.size(), bytes.len() as u64, "{name} {options}");
        assert!(reader.read_vec(0, bytes.len()).unwrap() == bytes, "{name} {options}");
    }
    // What differs from another file only is no disk by itself.
    let (base, path) = (bench.arg("base"), bench.arg("file"));
    tool("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", disk.to_str().unwrap(), &base]);
    tool("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &base, &path]);
    let file = Source::open(Path::new(&path)).unwrap();
    let error = virtual_disk::open(Format::Qcow2, Arc::new(file)).err().unwrap();
    assert!(error.to_string().contains("another file"), "{error}");
}

#[test]
fn sizes_stay_exact() {
    // QEMU makes 1,073,995,776 of the first and 1,000,194,048 of the second, by their cylinders.
    for size in [1 << 30, 1_000_000_000, 512, 3 * MIB + 512, 65_536 * 8193 + 1024] {
        let bench = Bench::new();
        let disk = make_disk(&bench, "disk", size);
        bench.capture("disk");
        for kind in &KINDS {
            export(&bench, "file", &["--format", kind.name]).ended(0);
            assert_eq!(info(kind, &bench.arg("file"))["virtual-size"], size, "{}", kind.name);
            let (file, raw) = (bench.arg("file"), disk.to_str().unwrap());
            tool("qemu-img", &["compare", "-f", kind.qemu, "-F", "raw", &file, raw]);
        }
    }
}

#[test]
fn an_empty_disk_and_a_full_one_are_disks_too() {
    for full in [false, true] {
        let bench = Bench::new();
        let size = 40 * MIB;
        let disk = bench.path("disk");
        if full {
            fs::write(&disk, noise(7, usize::try_from(size).unwrap())).unwrap();
        } else {
            File::create(&disk).unwrap().set_len(size).unwrap();
        }
        bench.capture("disk");
        for kind in &KINDS {
            let report = export(&bench, "file", &["--format", kind.name]).ended(0).result();
            judge(&bench, kind, "file", &disk);
            let allowed = if full { size + 4 * MIB } else { 5 * MIB };
            let is_full_size = kind.name == "vhd-fixed";
            let bytes = report["file_size"].as_u64().unwrap();
            assert!(is_full_size || bytes <= allowed, "{}: {bytes}", kind.name);
        }
    }
}

#[test]
fn more_than_two_tebibytes_go_where_there_is_room_for_them() {
    let bench = Bench::new();
    let size = (3 << 40) + 512 * 77;
    make_disk(&bench, "disk", size);
    bench.capture("disk");
    for kind in &KINDS {
        let ran = export(&bench, "file", &["--format", kind.name]);
        if kind.name.starts_with("vhd") && kind.name != "vhdx" || kind.name.starts_with("vmdk") {
            let refused = ran.ended(4).stderr;
            assert!(refused.contains("at most") && refused.contains("qcow2"), "{refused}");
            assert!(!bench.path("file").exists());
            continue;
        }
        ran.ended(0);
        let file = bench.arg("file");
        assert_eq!(info(kind, &file)["virtual-size"], size, "{}", kind.name);
        assert!(fs::metadata(&file).unwrap().blocks() * 512 < 64 * MIB, "{}", kind.name);
        // Both ends, as QEMU reads them; all of it would take long.
        for at in [0, size - 4096] {
            let (skip, out) = (format!("skip={}", at / 512), format!("of={}", bench.arg("part")));
            let from = format!("if={file}");
            let args =
                ["dd", "-f", kind.qemu, "-O", "raw", "bs=512", &skip, "count=8", &from, &out];
            let count = format!("count={}", at / 512 + 8);
            let args = args.map(|arg| if arg == "count=8" { &*count } else { arg });
            tool("qemu-img", &args);
            let mut expected = vec![0; 4096];
            File::open(bench.path("disk")).unwrap().read_exact_at(&mut expected, at).unwrap();
            assert!(fs::read(bench.path("part")).unwrap() == expected, "{} at {at}", kind.name);
        }
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn large_sectors_are_told_by_a_vhdx_and_warned_of_elsewhere() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk", 20 * MIB);
    let path = disk.to_str().unwrap();
    bench.run(&["capture", path, "--sector-size", "4096"]).ended(0);
    let out = bench.arg("a.vhdx");
    let plan = bench.run(&["restore", "latest", &out, "--plan"]).ended(0).stdout;
    assert!(plan.contains("a new VHDX file") && !plan.contains("sectors of"), "{plan}");
    export(&bench, "a.vhdx", &[]).ended(0);
    let listed = tool("7zz", &["l", "-slt", "-tVHDX", &out]);
    assert!(listed.lines().any(|line| line.ends_with("4096")), "{listed}");
    let unpacked = format!("-o{}", bench.arg("unpacked"));
    tool("7zz", &["x", "-tVHDX", &unpacked, &out]);
    let file = fs::read_dir(bench.path("unpacked")).unwrap().next().unwrap().unwrap().path();
    assert!(same(&file, &disk));
    let plan = bench.run(&["restore", "latest", &bench.arg("a.vdi"), "--plan"]).ended(0).stdout;
    assert!(plan.contains("note: the disk has sectors of 4096 bytes"), "{plan}");
}

#[test]
fn the_name_says_the_format_unless_it_is_said() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk", 5 * MIB);
    bench.capture("disk");
    for (name, format) in [("a.QCOW2", "qcow2"), ("a.vhd", "vpc"), ("a.vmdk", "vmdk")] {
        export(&bench, name, &[]).ended(0);
        let told = tool("qemu-img", &["info", "--output=json", &bench.arg(name)]);
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["format"], format);
    }
    export(&bench, "b.vmdk", &["--format", "raw"]).ended(0);
    assert!(same(&bench.path("b.vmdk"), &disk));
    export(&bench, "c", &[]).ended(0);
    assert!(same(&bench.path("c"), &disk));
    // A clone is no file of a virtual machine, and does not call itself one.
    let out = bench.arg("d.vhdx");
    let args = ["clone", disk.to_str().unwrap(), &out, "--erase", &out];
    let refused = bench.run(&args).ended(4).stderr;
    assert!(refused.contains(".img"), "{refused}");
    assert!(!bench.path("d.vhdx").exists());
}

#[test]
fn a_file_that_is_there_is_replaced_as_a_whole_or_stays() {
    let bench = Bench::new();
    make_disk(&bench, "disk", 5 * MIB);
    bench.capture("disk");
    export(&bench, "a.qcow2", &[]).ended(0);
    let first = fs::read(bench.path("a.qcow2")).unwrap();
    let path = bench.arg("a.qcow2");
    // Its name alone does not say that it is to be made anew.
    let refused = export(&bench, "a.qcow2", &[]).ended(4).stderr;
    assert!(refused.contains("a qcow2 file") && refused.contains("--format qcow2"), "{refused}");
    assert!(fs::read(bench.path("a.qcow2")).unwrap() == first);
    let said = ["--format", "qcow2"];
    let plan = [&["restore", "latest", &path, "--plan"], &said[..]].concat();
    let plan = bench.run(&plan).ended(0).stdout;
    assert!(plan.contains("lost: ") && plan.contains("a qcow2 file, which is replaced"), "{plan}");
    // Without the consent, and with that for another file.
    for erase in [&[][..], &["--erase", "/x"]] {
        let args = [&["restore", "latest", &path], &said[..], erase].concat();
        assert_ne!(bench.run(&args).code, Some(0));
        assert!(fs::read(bench.path("a.qcow2")).unwrap() == first);
    }
    // What is in use.
    let used = common::Loop::new(bench.path("a.qcow2"));
    export(&bench, "a.qcow2", &said).ended(4);
    drop(used);
    export(&bench, "a.qcow2", &[&said[..], &["--size", "9M"]].concat()).ended(0);
    assert_eq!(info(&KINDS[0], &path)["virtual-size"], 9 * MIB);
    for (target, more) in [("a.qcow2", "--only-changed"), ("folder", "--format=vdi")] {
        fs::create_dir_all(bench.path("folder")).unwrap();
        let ran = export(&bench, target, &[more]);
        assert!(matches!(ran.code, Some(2 | 4)), "{}", ran.stderr);
    }
    let device = ["restore", "latest", "/dev/lifeboat-none", "--format", "vhd", "--plan"];
    let refused = bench.run(&device).ended(4).stderr;
    assert!(refused.contains("no place for files"), "{refused}");
}

#[test]
fn what_an_earlier_run_left_is_begun_anew_and_a_full_place_leaves_nothing() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk", 40 * MIB);
    fs::write(&disk, noise(3, 40 << 20)).unwrap();
    bench.capture("disk");
    fs::write(bench.path("a.vdi.lifeboat-unfinished"), noise(1, 90 << 20)).unwrap();
    export(&bench, "a.vdi", &[]).ended(0);
    judge(&bench, &KINDS[6], "a.vdi", &disk);
    assert!(!bench.path("a.vdi.lifeboat-unfinished").exists());
    let small = bench.path("small");
    fs::create_dir(&small).unwrap();
    tool("mount", &["-t", "tmpfs", "-o", "size=10m", "none", small.to_str().unwrap()]);
    let ran: Vec<Run> =
        KINDS.iter().map(|kind| export(&bench, "small/file", &["--format", kind.name])).collect();
    let left = fs::read_dir(&small).unwrap().count();
    tool("umount", &[&small]);
    for run in ran {
        let said = run.ended(1).stderr;
        assert!(said.contains("No space left") && said.contains("nothing is left"), "{said}");
    }
    assert_eq!(left, 0);
}

#[test]
fn other_sizes_fit_and_grow_what_is_on_the_disk() {
    let bench = Bench::new();
    make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    for (size, kind) in [(100 * MIB, &KINDS[0]), (300 * MIB, &KINDS[3]), (300 * MIB, &KINDS[5])] {
        let bytes = size.to_string();
        let report =
            export(&bench, "file", &["--size", &bytes, "--format", kind.name]).ended(0).result();
        assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{report}");
        let plain = bench.path("plain");
        let args = ["convert", "-f", kind.qemu, "-O", "raw", &bench.arg("file")];
        tool("qemu-img", &[&args[..], &[plain.to_str().unwrap()]].concat());
        assert_eq!(fs::metadata(&plain).unwrap().len(), size);
        sizes::judge(&bench, &plain);
    }
    // The largest one has what there is more.
    let grown = tool("sfdisk", &["-l", "-o", "size", "--bytes", &bench.arg("plain")]);
    let largest = grown.lines().filter_map(|line| line.trim().parse::<u64>().ok()).max();
    assert!(largest.unwrap() > 150 * MIB, "{grown}");
}

#[test]
fn one_partition_gets_its_table_along() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    export(&bench, "a.vhdx", &["--partitions", "3"]).ended(0);
    bench.restore("plain", &["--partitions", "3"]);
    judge(&bench, &KINDS[3], "a.vhdx", &bench.path("plain"));
    // The files in it are there, whatever our plain restore does.
    tool("qemu-img", &["convert", "-O", "raw", &bench.arg("a.vhdx"), &bench.arg("converted")]);
    cut(&bench.path("converted"), EXT4.start, EXT4.size, &bench.path("part"));
    tool("e2fsck", &["-fn", &bench.arg("part")]);
    assert!(!same(&bench.path("converted"), &disk));
    assert!(succeeds(
        "cmp",
        &["-n", "1024", "-i", "446:446", &bench.arg("converted"), &bench.arg("disk")]
    ));
}
