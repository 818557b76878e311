//! What a partition's type says that the filesystem at its start does not; tables beside leftovers of
//! arrays and pools; and files that are no disks.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use common::{tool, tool_with_input};
use serde_json::Value;

use crate::support::{Bench, MIB, cut, put};

/// Writes a table with `sfdisk`.
fn partition(disk: &Path, script: &str) {
    tool_with_input("sfdisk", &[Path::new("-q"), disk], script);
}

fn sparse(bench: &Bench, name: &str, size: u64) -> std::path::PathBuf {
    let path = bench.path(name);
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    path
}

/// A FAT32 of `mib` MiB, nearly all of it free.
fn fat32(bench: &Bench, mib: u64) -> std::path::PathBuf {
    let path = sparse(bench, "fat32", mib * MIB);
    tool("mkfs.fat", &["-F", "32", "-s", "1", path.to_str().unwrap()]);
    path
}

fn plan(bench: &Bench, disk: &str) -> Value {
    bench.run(&["capture", &bench.arg(disk), "--plan", "--json"]).ended(0).result()
}

/// The region of a partition.
fn region(plan: &Value, number: u64) -> &Value {
    let regions = plan["regions"].as_array().unwrap();
    regions.iter().find(|region| region["partition"] == number).unwrap()
}

const TYPES: [(&str, &str, &str); 12] = [
    ("dos", "42", "Windows dynamic disk"),
    ("dos", "86", "Windows NT volume set"),
    ("dos", "a5", "FreeBSD"),
    ("dos", "a9", "NetBSD"),
    ("dos", "bf", "Solaris"),
    ("dos", "fb", "VMware VMFS"),
    ("gpt", "AF9B60A0-1431-4F62-BC68-3311714A69AD", "Windows LDM data"),
    ("gpt", "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D", "Windows storage spaces"),
    ("gpt", "53746F72-6167-11AA-AA11-00306543ECAC", "Apple CoreStorage"),
    ("gpt", "AA31E02A-400F-11DB-9590-000C2911D1B8", "VMware VMFS"),
    ("gpt", "516E7CB4-6ECF-11D6-8FF8-00022D09712B", "FreeBSD data"),
    ("gpt", "3CB8E202-3B7E-47DD-8A3C-7FF2A13CFCEC", "ChromeOS root fs"),
];

#[test]
fn a_partition_that_is_divided_further_is_stored_whole_whatever_begins_it() {
    let bench = Bench::new();
    let filesystem = fat32(&bench, 40);
    for (label, kind, name) in TYPES {
        let disk = sparse(&bench, "disk", 50 * MIB);
        partition(&disk, &format!("label: {label}\n2048,45M,{kind}\n"));
        put(&disk, MIB, &filesystem);
        let plan = plan(&bench, "disk");
        let region = region(&plan, 1);
        assert_eq!(region["stored"], "whole", "{name}");
        assert!(region["filesystem"].is_null(), "{name}: {region}");
        assert!(plan["warnings"].to_string().contains(name), "{name}: {}", plan["warnings"]);
    }
    // The same bytes as an ordinary partition.
    let disk = sparse(&bench, "disk", 50 * MIB);
    partition(&disk, "label: dos\n2048,45M,c\n");
    put(&disk, MIB, &filesystem);
    assert_eq!(region(&plan(&bench, "disk"), 1)["stored"], "used");
}

/// A spanned volume of a dynamic disk begins and ends around another one, of which its FAT knows
/// nothing.
#[test]
fn a_volume_in_the_middle_of_a_dynamic_disk_survives() {
    let bench = Bench::new();
    let disk = sparse(&bench, "disk", 110 * MIB);
    partition(&disk, "label: dos\n2048,105M,42\n");
    put(&disk, MIB, &fat32(&bench, 100));
    let inner = sparse(&bench, "inner", 20 * MIB);
    tool("mke2fs", &["-q", "-F", "-L", "inner", inner.to_str().unwrap()]);
    put(&disk, 40 * MIB, &inner);
    bench.capture("disk");
    bench.restore("out", &[]);
    cut(&bench.path("out"), 40 * MIB, 20 * MIB, &bench.path("back"));
    assert!(fs::read(bench.path("back")).unwrap() == fs::read(inner).unwrap());
}

#[test]
fn partitions_without_filesystem_by_design_are_named_and_no_warning() {
    let bench = Bench::new();
    let disk = sparse(&bench, "disk", 90 * MIB);
    partition(
        &disk,
        "label: gpt\n\
         size=1M,type=21686148-6449-6E6F-744E-656564454649\n\
         size=16M,type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n\
         size=1M,type=5808C8AA-7E8F-42E0-85D2-E1E90434CFB3\n\
         size=8M,type=9E1A2D38-C612-4316-AA26-8B49521E5A8B\n\
         size=4M\nsize=4M\n\
         type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n",
    );
    put(&disk, 35 * MIB, &fat32(&bench, 40));
    let report = bench.capture("disk");
    // Two that could hold anything and hold nothing, in one line.
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let words = warnings[0].as_str().unwrap();
    assert!(words.starts_with("partitions 5, 6: captured whole"), "{words}");
    let shown = bench.run(&["show", "latest"]).ended(0).stdout;
    for name in [
        "BIOS boot",
        "Microsoft reserved",
        "Windows LDM metadata",
        "PowerPC PReP boot",
        "unknown (Linux filesystem)",
        "FAT32",
    ] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
}

/// An ext4 of 20 MiB that is nearly empty.
fn ext4(bench: &Bench) -> std::path::PathBuf {
    let path = sparse(bench, "ext4", 20 * MIB);
    tool("mke2fs", &["-q", "-F", "-t", "ext4", path.to_str().unwrap()]);
    path
}

fn write(disk: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    fs::OpenOptions::new().write(true).open(disk).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_table_outlasts_the_labels_of_a_pool_that_the_disk_was_in() {
    let bench = Bench::new();
    let filesystem = ext4(&bench);
    // Labels of a ZFS member ("ZFS On-Disk Specification", §1.2): list, seal, uberblocks.
    let mut label = vec![0; 256 << 10];
    label[16 << 10] = 1;
    label[(128 << 10) - 40..][..8].copy_from_slice(&0x0210_da7a_b10c_7a11_u64.to_le_bytes());
    for at in (128 << 10..256 << 10).step_by(1024) {
        label[at..at + 8].copy_from_slice(&0x00ba_b10c_u64.to_le_bytes());
    }
    for (after, scheme, count) in [("label: gpt\n2048,20M\n", "gpt", 1), ("", "none", 0)] {
        let disk = sparse(&bench, "disk", 80 * MIB);
        for at in [0, 256 << 10, 80 * MIB - (512 << 10), 80 * MIB - (256 << 10)] {
            write(&disk, at, &label);
        }
        if !after.is_empty() {
            tool("sgdisk", &["-n", "1:2048:+20M", disk.to_str().unwrap()]);
            put(&disk, MIB, &filesystem);
        }
        let plan = plan(&bench, "disk");
        assert_eq!(plan["table"]["scheme"], scheme, "{}", plan["warnings"]);
        assert_eq!(plan["table"]["partitions"].as_array().unwrap().len(), count);
        if count == 1 {
            assert_eq!(region(&plan, 1)["stored"], "used", "{}", plan["warnings"]);
        }
    }
}

#[test]
fn a_table_outlasts_the_label_of_a_physical_volume_that_the_disk_was() {
    let bench = Bench::new();
    let disk = sparse(&bench, "disk", 40 * MIB);
    // LVM2 `lib/format_text/layout.h`: the second sector, its number, an offset, a name.
    let label = [b"LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001".as_slice(), &[b'x'; 32]];
    write(&disk, 512, &label.concat());
    assert_eq!(plan(&bench, "disk")["regions"][0]["filesystem"]["kind"], "lvm2");
    partition(&disk, "label: dos\n2048,20M,83\n");
    put(&disk, MIB, &ext4(&bench));
    write(&disk, 512, &label.concat());
    let plan = plan(&bench, "disk");
    assert_eq!(plan["table"]["scheme"], "mbr");
    assert_eq!(region(&plan, 1)["stored"], "used", "{}", plan["warnings"]);
}

#[test]
fn a_table_below_what_owns_the_whole_disk_is_in_doubt() {
    let bench = Bench::new();
    let filesystem = ext4(&bench);
    // Places and magics as in libblkid: bcache, Promise FastTrak 63 sectors before the end.
    let bcache = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
    let size = 40 * MIB;
    for (at, magic, name) in [
        (4096 + 24, bcache.as_slice(), "bcache"),
        (size - 63 * 512, b"Promise Technology, Inc.", "promise"),
    ] {
        let disk = sparse(&bench, "disk", size);
        partition(&disk, "label: dos\n2048,20M,83\n");
        put(&disk, MIB, &filesystem);
        assert_eq!(region(&plan(&bench, "disk"), 1)["stored"], "used");
        write(&disk, at, magic);
        let plan = plan(&bench, "disk");
        assert_eq!(region(&plan, 1)["stored"], "whole", "{name}");
        assert!(plan["warnings"].to_string().contains(name), "{}", plan["warnings"]);
    }
}

/// A superblock of md, version 0.90, for a member of a RAID 5 that uses `len` bytes in front of it
/// (`mdp_super_t`).
fn member(len: u64) -> Vec<u8> {
    let mut words = vec![0u32; 1024];
    let size = u32::try_from(len / 1024).unwrap();
    for (word, value) in [(0, 0xa92b_4efc), (2, 90), (5, 1), (7, 5), (8, size), (9, 3), (10, 3)] {
        words[word] = value;
    }
    let sum: u64 = words.iter().map(|word| u64::from(*word)).sum();
    words[38] = u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap();
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_superblock_at_the_end_belongs_to_the_partition_that_it_speaks_of() {
    let bench = Bench::new();
    let filesystem = ext4(&bench);
    let size = 64 * MIB;
    let place = size - 0x10000;
    // The second partition ends with the disk, and begins at a multiple of 64 KiB.
    for (len, scheme) in [(place - 22 * MIB, "mbr"), (place, "none")] {
        let disk = sparse(&bench, "disk", size);
        partition(&disk, "label: dos\n2048,20M,83\n22M,,fd\n");
        put(&disk, MIB, &filesystem);
        write(&disk, place, &member(len));
        let plan = plan(&bench, "disk");
        assert_eq!(plan["table"]["scheme"], scheme, "{}", plan["warnings"]);
        let of_raid = if scheme == "mbr" {
            assert_eq!(region(&plan, 1)["stored"], "used", "{}", plan["warnings"]);
            region(&plan, 2)
        } else {
            &plan["regions"][0]
        };
        assert_eq!(of_raid["filesystem"]["kind"], "mdraid");
        assert_eq!(of_raid["stored"], "whole");
        assert!(plan["warnings"].to_string().contains("RAID 5"), "{}", plan["warnings"]);
    }
    let partition = bench.path("partition");
    cut(&bench.path("disk"), 22 * MIB, 42 * MIB, &partition);
    let examined = tool("mdadm", &["--examine", partition.to_str().unwrap()]);
    assert!(examined.contains("raid5"), "{examined}");
}

#[test]
fn files_that_are_no_disks_are_refused_as_source_and_as_target() {
    let bench = Bench::new();
    sparse(&bench, "disk", MIB);
    bench.capture("disk");
    let raw = bench.path("raw");
    fs::write(&raw, [0x5a; 4096]).unwrap();
    let raw = raw.to_str().unwrap();
    tool("xz", &["-k", raw]);
    tool("zstd", &["-q", "-k", raw]);
    tool("gzip", &["-k", raw]);
    fs::write(bench.path("raw.qcow2"), [b"QFI\xfb\0\0\0\x03".as_slice(), &[0; 4096]].concat())
        .unwrap();
    fs::write(bench.path("raw.vhdx"), [b"vhdxfile".as_slice(), &[0; 4096]].concat()).unwrap();
    fs::write(bench.path("raw.aa"), [b"partclone-image".as_slice(), &[0; 4096]].concat()).unwrap();
    // What has no next step is captured as the disk that it holds, or is damaged: tests of imports.
    for (name, word, step) in [
        ("raw.xz", "xz", ""),
        ("raw.zst", "zst", ""),
        ("raw.gz", "gz", ""),
        ("raw.qcow2", "qcow2", "qemu-img convert -O raw"),
        ("raw.vhdx", "VHDX", "qemu-img convert -O raw"),
        ("raw.aa", "partclone", ""),
    ] {
        let (file, before) = (bench.arg(name), fs::read(bench.path(name)).unwrap());
        let captures = [&["capture", &file][..], &["capture", &file, "--plan"]];
        for args in captures.into_iter().filter(|_| !step.is_empty()) {
            let run = bench.run(args).ended(4);
            assert!(run.stderr.contains(word) && run.stderr.contains(step), "{}", run.stderr);
        }
        let run = bench.run(&["restore", "latest", &file, "--erase", &file]).ended(4);
        assert!(run.stderr.contains(word), "{}", run.stderr);
        assert!(fs::read(bench.path(name)).unwrap() == before, "{name}");
    }
}

#[test]
fn a_vhd_of_fixed_size_is_captured_with_a_remark() {
    let bench = Bench::new();
    let disk = sparse(&bench, "disk.vhd", 30 * MIB);
    partition(&disk, "label: dos\n2048,20M,83\n");
    put(&disk, MIB, &ext4(&bench));
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[63] = 2;
    let mut file = fs::OpenOptions::new().append(true).open(&disk).unwrap();
    file.write_all(&footer).unwrap();
    drop(file);
    let report = bench.capture("disk.vhd");
    assert!(report["warnings"].to_string().contains("VHD of fixed size"), "{report}");
    bench.restore("out", &[]);
    assert!(fs::read(bench.path("out")).unwrap().ends_with(&footer));
    let path = bench.arg("disk.vhd");
    bench.run(&["restore", "latest", &path, "--erase", &path]).ended(4);
}
