//! Folders as Clonezilla makes them, by hand: the table by `sfdisk -d` and `dd`, the filesystems by partclone; and single
//! images of partclone.

use std::fs;
use std::path::{Path, PathBuf};

use common::{stdout_of, tool, tool_with_input};
use serde_json::Value;

use crate::import::restore;
use crate::support::{
    Bench, DISK_SIZE, ESP, EXT4, MIB, NTFS, Part, SWAP, cut, judge_gpt_disk, make_gpt_disk, put,
};

/// How a folder is made.
#[derive(Clone, Copy)]
struct Style {
    /// A program that packs, and the ending that stands for it.
    packer: &'static str,
    ending: &'static str,
    /// What `split` gets, if anything is split.
    split: Option<&'static str>,
    /// partclone's `-a`: no checksums, or CRC-32.
    checksum: &'static str,
}

const STYLES: [Style; 6] = [
    Style { packer: "zstd -q", ending: "zst", split: None, checksum: "-a1" },
    Style { packer: "gzip -1", ending: "gz", split: Some("-a 2 -b 2MB"), checksum: "-a0" },
    Style { packer: "xz -0", ending: "xz", split: Some("-a 3 -b 3MB"), checksum: "-a1" },
    Style { packer: "lz4 -q", ending: "lz4", split: Some("-a 2 -b 4096MB"), checksum: "-a1" },
    Style {
        packer: "xz --format=lzma -0",
        ending: "lzma",
        split: Some("-a 2 -b 1MB"),
        checksum: "-a1",
    },
    Style { packer: "cat", ending: "uncomp", split: None, checksum: "-a1" },
];

fn bash(script: &str, words: &[&str]) -> String {
    let mut command = common::command("bash");
    command.args(["-euo", "pipefail", "-c", script, "bash"]).args(words);
    stdout_of(&mut command)
}

/// Saves a partition by partclone, or byte by byte.
fn save(bench: &Bench, disk: &Path, name: &str, (part, kind): (&Part, &str), style: Style) {
    let file = bench.path("part");
    cut(disk, part.start, part.size, &file);
    let program = match kind {
        "ext4" => "partclone.extfs -c",
        "ntfs" => "partclone.ntfs -c",
        "vfat" => "partclone.fat -c",
        "dd" => "partclone.dd",
        other => panic!("{other}"),
    };
    let into = match style.split {
        Some(options) => format!("split {options} - \"$2.\""),
        None => "cat >\"$2\"".to_owned(),
    };
    let checksum = if kind == "dd" { "" } else { style.checksum };
    let script = format!(
        "{program} {checksum} -z 10485760 -L \"$3\" -s \"$1\" -o - 2>/dev/null | {} -c | {into}",
        style.packer.replace("cat", "cat -u")
    )
    .replace("cat -u -c", "cat");
    let name = format!("{name}.{kind}-ptcl-img.{}", style.ending);
    let words = [file.to_str().unwrap(), &bench.arg(&name), &bench.arg("partclone.log")];
    bash(&script, &words);
}

/// The table of `disk` as text, the disk called `/dev/sda`.
fn save_table(bench: &Bench, disk: &Path, folder: &str, kind: &str) {
    let path = disk.to_str().unwrap();
    let dump = tool("sfdisk", &["-d", path]).replace(path, "/dev/sda");
    fs::write(bench.path(&format!("{folder}/sda-pt.sf")), dump).unwrap();
    let size = fs::metadata(disk).unwrap().len() / 512;
    let parted = format!(
        "Model: ATA QEMU HARDDISK (scsi)\nDisk /dev/sda: {size}s\n\
         Sector size (logical/physical): 512B/512B\nPartition Table: {kind}\nDisk Flags: \n"
    );
    fs::write(bench.path(&format!("{folder}/sda-pt.parted")), parted).unwrap();
    cut(disk, 0, 512, &bench.path(&format!("{folder}/sda-mbr")));
    fs::write(bench.path(&format!("{folder}/disk")), "sda\n").unwrap();
    fs::write(bench.path(&format!("{folder}/clonezilla-img")), "### End of log ###\n").unwrap();
}

fn save_swap(bench: &Bench, disk: &Path, name: &str, part: &Part) {
    let file = bench.path("part");
    cut(disk, part.start, part.size, &file);
    let field = |field: &str| {
        tool("blkid", &["-p", "-o", "value", "-s", field, file.to_str().unwrap()]).trim().to_owned()
    };
    let info = format!("UUID=\"{}\"\nLABEL=\"{}\"\n", field("UUID"), field("LABEL"));
    fs::write(bench.path(name), info).unwrap();
}

fn save_gpt(bench: &Bench, disk: &Path, folder: &str, style: Style) {
    fs::create_dir(bench.path(folder)).unwrap();
    save_table(bench, disk, folder, "gpt");
    cut(disk, 0, 34 * 512, &bench.path(&format!("{folder}/sda-gpt-1st")));
    // One sector short, as Clonezilla makes it.
    cut(disk, DISK_SIZE - 32 * 512, 32 * 512, &bench.path(&format!("{folder}/sda-gpt-2nd")));
    for (number, part, kind) in [(1, &ESP, "vfat"), (3, &EXT4, "ext4"), (4, &NTFS, "ntfs")] {
        save(bench, disk, &format!("{folder}/sda{number}"), (part, kind), style);
    }
    save_swap(bench, disk, &format!("{folder}/swappt-sda7.info"), &SWAP);
    fs::write(bench.path(&format!("{folder}/parts")), "sda1 sda3 sda4\n").unwrap();
}

fn manifest(bench: &Bench) -> Value {
    let tree = bench.restic(&["ls", "latest"]);
    let path = tree.lines().find(|line| line.ends_with("/manifest.json")).unwrap();
    serde_json::from_str(&bench.restic(&["dump", "latest", path])).unwrap()
}

/// The bytes that partitions use, by their numbers.
fn used(manifest: &Value) -> Vec<(u64, Value)> {
    let regions = manifest["regions"].as_array().unwrap().iter();
    let used =
        regions.filter_map(|region| Some((region["partition"].as_u64()?, region["used"].clone())));
    used.filter(|(number, _)| *number != 7).collect()
}

#[test]
fn a_folder_is_the_disk_that_clonezilla_saved() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    bench.capture("disk");
    let raw = manifest(&bench);
    for (number, style) in STYLES.into_iter().enumerate() {
        save_gpt(&bench, &disk, "img", style);
        let report = bench.capture("img");
        let found = manifest(&bench);
        assert_eq!(found["table"], raw["table"], "{}", style.ending);
        assert_eq!(used(&found), used(&raw), "{}", style.ending);
        assert_eq!(found["disk"]["size"], DISK_SIZE);
        assert_eq!(
            found["imported_from"],
            "Clonezilla image of sda (sda1 FAT32, sda3 EXTFS, sda4 NTFS, sda7 swap)"
        );
        assert!(report["read"].as_u64().unwrap() < DISK_SIZE / 2, "{report}");
        if number == 0 {
            restore(&bench, &report);
            judge_gpt_disk(&bench, &bench.path("out"));
        } else {
            // All that it holds was there already; what is added are its own manifest and list.
            assert!(report["added"].as_u64().unwrap() < 64 << 10, "{report}");
        }
        fs::remove_dir_all(bench.path("img")).unwrap();
    }
}

#[test]
fn logical_partitions_and_what_lies_in_front_of_the_first_come_along() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    fs::File::create(&disk).unwrap().set_len(80 * MIB).unwrap();
    let script = "label: dos\nlabel-id: 0x12345678\n2048,20M,83,*\n22M,50M,f\n24M,16M,83\n42M,8M,82\n52M,8M,83\n";
    tool_with_input("sfdisk", &[Path::new("-q"), &disk], script);
    let boot = bench.path("boot");
    fs::write(&boot, common::noise(5, 30_000)).unwrap();
    put(&disk, 512, &boot);
    let ext4 = bench.path("ext4");
    for (start, size) in [(1, 20), (24, 16), (52, 8)] {
        let _ = fs::remove_file(&ext4);
        fs::File::create(&ext4).unwrap().set_len(size * MIB).unwrap();
        tool("mke2fs", &["-q", "-F", "-t", "ext4", ext4.to_str().unwrap()]);
        put(&disk, start * MIB, &ext4);
    }
    fs::create_dir(bench.path("img")).unwrap();
    save_table(&bench, &disk, "img", "msdos");
    cut(&disk, 512, MIB - 512, &bench.path("img/sda-hidden-data-after-mbr"));
    let style = STYLES[0];
    for (number, start, size, kind) in [(1, 1, 20, "ext4"), (5, 24, 16, "ext4"), (7, 52, 8, "dd")] {
        let part = Part { start: start * MIB, size: size * MIB };
        save(&bench, &disk, &format!("img/sda{number}"), (&part, kind), style);
    }
    // Of several disks in a folder one is named.
    fs::copy(bench.path("img/sda-pt.sf"), bench.path("img/sdb-pt.sf")).unwrap();
    let refused = bench.run(&["capture", &bench.arg("img")]).ended(4).stderr;
    assert!(
        refused.contains("holds 2 disks: sda, sdb") && refused.contains("img/sda"),
        "{refused}"
    );
    let plan = bench.run(&["capture", &bench.arg("img/sda"), "--plan"]).ended(0).stdout;
    assert!(
        plan.contains("is Clonezilla image of sda (sda1 EXTFS, sda5 EXTFS, sda7), unpacked"),
        "{plan}"
    );
    assert!(plan.contains("warning: sda6 is not in the image"), "{plan}");
    let report = bench.capture("img/sda");
    restore(&bench, &report);
    let table = |name: &str| {
        let path = bench.arg(name);
        tool("sfdisk", &["-d", &path]).replace(&path, "")
    };
    assert_eq!(table("out"), table("disk"));
    for (start, size) in [(0, 1), (1, 20), (24, 16), (52, 8)] {
        let part = |name: &str| {
            cut(&bench.path(name), start * MIB, size * MIB, &bench.path("part"));
            fs::read(bench.path("part")).unwrap()
        };
        assert!(part("out") == part("disk"), "at {start} MiB");
    }
}

fn single(bench: &Bench, options: &str, name: &str) -> PathBuf {
    let ext4 = bench.path("ext4");
    if !ext4.exists() {
        let files = bench.path("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("file"), common::noise(9, 3_000_000)).unwrap();
        fs::File::create(&ext4).unwrap().set_len(24 * MIB).unwrap();
        let args =
            ["-q", "-F", "-t", "ext4", "-d", files.to_str().unwrap(), ext4.to_str().unwrap()];
        tool("mke2fs", &args);
    }
    let script =
        format!("partclone.extfs -c {options} -L \"$3\" -s \"$1\" -o - 2>/dev/null >\"$2\"");
    let words = [ext4.to_str().unwrap(), &bench.arg(name), &bench.arg("partclone.log")];
    bash(&script, &words);
    ext4
}

#[test]
fn an_image_of_partclone_is_a_disk_without_a_table() {
    let bench = Bench::new();
    for options in ["-a0", "-a1", "-a1 -k 1", "-a1 -k 7", "-a1 -K", "-a1 -k 7 -K"] {
        let ext4 = single(&bench, options, "image");
        let report = bench.capture("image");
        assert_eq!(manifest(&bench)["imported_from"], "EXTFS saved by partclone", "{options}");
        restore(&bench, &report);
        let out = fs::read(bench.path("out")).unwrap();
        assert!(out == fs::read(ext4).unwrap(), "{options}");
    }
}

#[test]
fn images_of_partclone_that_are_cut_or_damaged_make_no_image() {
    let bench = Bench::new();
    single(&bench, "-a1", "image");
    let whole = fs::read(bench.path("image")).unwrap();
    let damaged = |at: usize| {
        let mut image = whole.clone();
        image[at] ^= 0x10;
        image
    };
    let tail = [&whole[..], b"12"].concat();
    let len = whole.len();
    let mut inputs = vec![tail, damaged(60), damaged(2000), damaged(len / 2), damaged(len - 1)];
    inputs.extend([len - 1, len / 2, 2000, 100].map(|cut| whole[..cut].to_vec()));
    for (number, input) in inputs.iter().enumerate() {
        fs::write(bench.path("image"), input).unwrap();
        let stderr = bench.run(&["capture", &bench.arg("image")]).ended(1).stderr;
        assert!(stderr.contains("image is damaged or cut short at byte "), "{number}: {stderr}");
    }
    // The last piece of a split one that is missing, and one in the middle.
    let disk = make_gpt_disk(&bench, "disk");
    save_gpt(&bench, &disk, "img", STYLES[1]);
    let pieces: Vec<String> = fs::read_dir(bench.path("img"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("sda3."))
        .collect();
    let last = pieces.iter().max().unwrap();
    assert!(pieces.len() > 2, "{pieces:?}");
    let (middle, moved) = (bench.path("img/sda3.ext4-ptcl-img.gz.ab"), bench.path("moved"));
    fs::rename(&middle, &moved).unwrap();
    let stderr = bench.run(&["capture", &bench.arg("img")]).ended(4).stderr;
    assert!(stderr.contains("sda3.ext4-ptcl-img.gz.ab is missing"), "{stderr}");
    fs::rename(&moved, &middle).unwrap();
    fs::remove_file(bench.path(&format!("img/{last}"))).unwrap();
    let stderr = bench.run(&["capture", &bench.arg("img")]).ended(1).stderr;
    assert!(
        stderr.contains("sda3.ext4-ptcl-img.gz.a") && stderr.contains("ends too early"),
        "{stderr}"
    );
    fs::write(bench.path("img/lvm_vg_dev.list"), "vg0 /dev/sda3 abc\n").unwrap();
    let stderr = bench.run(&["capture", &bench.arg("img")]).ended(4).stderr;
    assert!(stderr.contains("sda3 is a physical volume of LVM"), "{stderr}");
    let images = bench.run(&["images", "--json"]).ended(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&images).unwrap().as_array().map(Vec::len), Some(0));
}
