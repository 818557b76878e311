//! Disks in forms of their own as what is captured: made by the tools of others, and held against the capture of
//! the plain disk.

use std::fs;
use std::path::{Path, PathBuf};

use common::{Loop, noise, tool, tool_with_input};
use serde_json::Value;

use crate::support::{Bench, MIB, put, same};

/// Size of the disk in bytes.
const SIZE: u64 = 40 * MIB;

/// A disk with an MBR, an ext4 with files, and something behind it that is in no partition. What nothing uses is
/// zero, so that the restored disk is the same in every byte.
fn make_disk(bench: &Bench, name: &str) -> PathBuf {
    let disk = bench.path(name);
    fs::File::create(&disk).unwrap().set_len(SIZE).unwrap();
    tool_with_input("sfdisk", &[Path::new("-q"), &disk], "label: dos\n2048,30M,83,*\n");
    let files = bench.path("files");
    fs::create_dir_all(&files).unwrap();
    for at in 0..5 {
        fs::write(files.join(format!("file-{at}")), noise(at + 100, 300_000)).unwrap();
    }
    fs::write(files.join("text"), "the same again\n".repeat(40_000)).unwrap();
    let ext4 = bench.path("ext4");
    fs::File::create(&ext4).unwrap().set_len(30 * MIB).unwrap();
    let args = ["-q", "-F", "-t", "ext4", "-d", files.to_str().unwrap(), ext4.to_str().unwrap()];
    tool("mke2fs", &args);
    put(&disk, MIB, &ext4);
    let end = bench.path("end");
    fs::write(&end, noise(3, 70_000)).unwrap();
    put(&disk, SIZE - 70_000, &end);
    disk
}

/// What the newest image says of itself, without what is of the run or of the file.
fn manifest(bench: &Bench, name: &str) -> (Value, Option<String>) {
    let text = bench.restic(&["dump", "latest", &format!("/{name}/manifest.json")]);
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    let form = manifest["imported_from"].as_str().map(str::to_owned);
    let fields = manifest.as_object_mut().unwrap();
    fields
        .retain(|name, _| ["table", "regions", "warnings", "chunk_size"].contains(&name.as_str()));
    (manifest, form)
}

/// Captures a file that holds `disk`, whose capture made `expected`, and compares all that is to be the same.
fn judge(bench: &Bench, name: &str, disk: &Path, expected: &Value) -> String {
    let report = bench.capture(name);
    let (found, form) = manifest(bench, name);
    assert_eq!(found, *expected, "{name}");
    // All that it holds was there already; what is added are its own manifest and list.
    assert!(report["added"].as_u64().unwrap() < 64 << 10, "{name}: {report}");
    restore(bench, &report);
    assert!(same(&bench.path("out"), disk), "{name}");
    form.unwrap()
}

/// Restores the image that a capture made to the file `out`.
pub fn restore(bench: &Bench, report: &Value) {
    let (id, out) = (report["image"]["id"].as_str().unwrap(), bench.arg("out"));
    bench.run(&["restore", id, &out, "--erase", &out]).ended(0);
}

fn captured(bench: &Bench) -> (PathBuf, Value) {
    let disk = make_disk(bench, "disk");
    bench.capture("disk");
    let (expected, form) = manifest(bench, "disk");
    assert_eq!(form, None);
    assert_eq!(expected["regions"][1]["stored"], "used", "{expected}");
    (disk, expected)
}

#[test]
fn disks_of_virtual_machines_are_captured_as_the_disks_that_they_hold() {
    let bench = Bench::new();
    let (disk, expected) = captured(&bench);
    for (format, options, packed, form) in [
        ("qcow2", "compat=1.1", "-c", "qcow2"),
        ("qcow2", "compat=0.10", "", "qcow2"),
        ("qcow2", "compression_type=zstd", "-c", "qcow2"),
        ("vpc", "force_size=on", "", "VHD"),
        ("vpc", "force_size=on,subformat=fixed", "", "fixed VHD"),
        ("vhdx", "subformat=dynamic", "", "VHDX"),
        ("vmdk", "subformat=monolithicSparse", "", "VMDK"),
        ("vmdk", "subformat=streamOptimized", "", "VMDK"),
        ("vmdk", "subformat=monolithicFlat", "", "VMDK"),
        ("vmdk", "subformat=twoGbMaxExtentSparse", "", "VMDK"),
        ("vdi", "static=off", "", "VDI"),
    ] {
        // By content, whatever it is called.
        let file = bench.arg("file.img");
        let mut args = vec!["convert", "-f", "raw", "-O", format, "-o", options];
        args.extend(Some(packed).filter(|flag| !flag.is_empty()));
        args.extend([disk.to_str().unwrap(), &file]);
        tool("qemu-img", &args);
        assert_eq!(judge(&bench, "file.img", &disk, &expected), form, "{options}");
    }
    let shown = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(shown.contains("\nwas     VDI\n"), "{shown}");
}

#[test]
fn a_clone_reads_the_disk_in_a_file_too() {
    let bench = Bench::empty();
    let disk = make_disk(&bench, "disk");
    let (file, out) = (bench.arg("file"), bench.arg("out"));
    tool("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", disk.to_str().unwrap(), &file]);
    let size = SIZE.to_string();
    bench.run(&["clone", &file, &out, "--erase", &out, "--size", &size]).ended(0);
    assert!(same(&bench.path("out"), &disk));
    tool("zstd", &["-q", disk.to_str().unwrap(), "-o", &bench.arg("disk.zst")]);
    let clone = |more: &[&str]| {
        let packed = bench.arg("disk.zst");
        bench.run(&[&["clone", &packed, &out, "--erase", &out][..], more].concat())
    };
    let refused = clone(&[]).ended(4).stderr;
    assert!(refused.contains("--scratch DIR"), "{refused}");
    fs::write(&out, vec![1; usize::try_from(SIZE).unwrap()]).unwrap();
    clone(&["--scratch", bench.dir.path().to_str().unwrap()]).ended(0);
    assert!(same(&bench.path("out"), &disk));
}

/// What packs a file to its standard output, and unpacks it.
const PACKERS: [(&str, &str); 5] =
    [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd"), ("bz2", "bzip2"), ("lz4", "lz4")];

/// Packs a file in two members, one behind the other.
fn pack(bench: &Bench, program: &str, disk: &Path, name: &str) {
    let script = r#"
        { head -c 7000000 "$2" | "$1" -c; tail -c +7000001 "$2" | "$1" -c; } >"$3"
    "#;
    let (disk, packed) = (disk.to_str().unwrap(), bench.arg(name));
    tool("bash", &["-euo", "pipefail", "-c", script, "pack", program, disk, &packed]);
}

#[test]
fn packed_disks_are_captured_as_what_was_packed() {
    let bench = Bench::new();
    let (disk, expected) = captured(&bench);
    for (ending, program) in PACKERS {
        pack(&bench, program, &disk, "file");
        assert_eq!(judge(&bench, "file", &disk, &expected), format!("a disk in {ending}"));
    }
    // Where tapes are filled up with zeros.
    pack(&bench, "gzip", &disk, "file");
    let len = fs::metadata(bench.path("file")).unwrap().len();
    fs::File::options().write(true).open(bench.path("file")).unwrap().set_len(len + 5000).unwrap();
    judge(&bench, "file", &disk, &expected);
    // A disk of a virtual machine that was packed.
    let (file, raw) = (bench.arg("file"), disk.to_str().unwrap());
    tool("qemu-img", &["convert", "-f", "raw", "-O", "vdi", raw, &file]);
    tool("xz", &["-f", "-0", &file]);
    assert_eq!(judge(&bench, "file.xz", &disk, &expected), "VDI in xz");
    let plan = bench.run(&["capture", &bench.arg("file.xz"), "--plan"]).ended(0).stdout;
    assert!(plan.contains("is VDI in xz, unpacked to a file of"), "{plan}");
    let left: Vec<_> =
        fs::read_dir(bench.path("repo")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with('.')), "{left:?}");
}

/// No image is made of the file, and the error names it and a place in it.
fn refuses_damage(bench: &Bench, name: &str, what: &str) {
    let stderr = bench.run(&["capture", &bench.arg(name)]).ended(1).stderr;
    let place = format!("{name} is damaged or cut short at byte ");
    assert!(stderr.contains(&place), "{what}: {stderr}");
}

#[test]
fn packed_disks_that_are_cut_or_damaged_make_no_image() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk");
    for (ending, program) in PACKERS {
        pack(&bench, program, &disk, "file");
        let whole = fs::read(bench.path("file")).unwrap();
        for cut in [whole.len() - 1, whole.len() / 9] {
            fs::write(bench.path("file"), &whole[..cut]).unwrap();
            refuses_damage(&bench, "file", &format!("{ending} cut to {cut}"));
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 4;
        fs::write(bench.path("file"), &damaged).unwrap();
        refuses_damage(&bench, "file", &format!("{ending}, damaged"));
        // What is no member of the same kind is no end.
        fs::write(bench.path("file"), [&whole[..], b"something"].concat()).unwrap();
        refuses_damage(&bench, "file", &format!("{ending} with a tail"));
    }
    // LZ4 tells the end of a file by a mark, without which it ends between two blocks.
    tool("lz4", &["-q", "-f", "--no-frame-crc", disk.to_str().unwrap(), &bench.arg("file")]);
    let whole = fs::read(bench.path("file")).unwrap();
    fs::write(bench.path("file"), &whole[..whole.len() - 4]).unwrap();
    refuses_damage(&bench, "file", "lz4 without its end");
    let images = bench.run(&["images", "--json"]).ended(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&images).unwrap().as_array().map(Vec::len), Some(0));
}

#[test]
fn damaged_disks_of_virtual_machines_make_no_image() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk");
    let (file, raw) = (bench.arg("file"), disk.to_str().unwrap());
    for (format, options) in
        [("qcow2", "-c"), ("vhdx", "-p"), ("vmdk", "-p"), ("vdi", "-p"), ("vpc", "-p")]
    {
        tool("qemu-img", &["convert", "-q", options, "-f", "raw", "-O", format, raw, &file]);
        let len = fs::metadata(&file).unwrap().len();
        // The footer of a VHD is its last sector, and was its first one too.
        fs::File::options().write(true).open(&file).unwrap().set_len(len * 2 / 3).unwrap();
        let run = bench.run(&["capture", &file]);
        assert!(matches!(run.code, Some(1 | 4)), "{format}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains(&file), "{format}: {}", run.stderr);
    }
    let images = bench.run(&["images", "--json"]).ended(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&images).unwrap().as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_not_read_is_refused_with_the_next_step() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk");
    let (base, raw) = (bench.arg("base"), disk.to_str().unwrap());
    for format in ["qcow2", "vmdk"] {
        tool("qemu-img", &["convert", "-f", "raw", "-O", format, raw, &base]);
        let file = bench.arg("overlay");
        let _ = fs::remove_file(&file);
        tool("qemu-img", &["create", "-q", "-f", format, "-F", format, "-b", &base, &file]);
        let refused = bench.run(&["capture", &file]).ended(4).stderr;
        assert!(refused.contains("only what differs from another file"), "{format}: {refused}");
        assert!(refused.contains("qemu-img convert -O raw"), "{refused}");
    }
    let script = "zstd -q --long=28 -c <\"$1\" >\"$2\"; xz -q --lzma2=preset=0,dict=512MiB -c <\"$1\" >\"$3\"";
    tool("bash", &["-ec", script, "pack", raw, &bench.arg("long.zst"), &bench.arg("large.xz")]);
    for name in ["long.zst", "large.xz"] {
        let refused = bench.run(&["capture", &bench.arg(name)]).ended(4).stderr;
        assert!(refused.contains("takes more memory to unpack than it gets"), "{name}: {refused}");
    }
    let folder = bench.dir.path().to_str().unwrap();
    tool("tar", &["-C", folder, "-czf", &bench.arg("disk.tgz"), "disk"]);
    let refused = bench.run(&["capture", &bench.arg("disk.tgz")]).ended(4).stderr;
    assert!(refused.contains("holds a tar file, not a disk"), "{refused}");
}

#[test]
fn a_scratch_folder_without_room_is_told() {
    let bench = Bench::new();
    let disk = make_disk(&bench, "disk");
    pack(&bench, "zstd", &disk, "file");
    let place = bench.path("place");
    fs::File::create(bench.path("small")).unwrap().set_len(2 * MIB).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext2", &bench.arg("small")]);
    fs::create_dir(&place).unwrap();
    let device = Loop::new(bench.path("small"));
    tool("mount", &[device.path(), &place]);
    let run = bench.run(&["capture", &bench.arg("file"), "--scratch", place.to_str().unwrap()]);
    tool("umount", &[&place]);
    let stderr = run.ended(5).stderr;
    assert!(
        stderr.contains("has no room for what is unpacked") && stderr.contains("--scratch"),
        "{stderr}"
    );
}
