//! Physical volumes of LVM, judged by lvm2 itself and by the checkers of what is in the logical
//! volumes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Random, tool};
use lifeboat::bytes::Extents;
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Inspection, Kind};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::lvm_devices::Devices;
use crate::tools::{self, Judge, Volume};
use crate::{ext, fat};

const MIB: u64 = 1 << 20;

pub fn inspect(image: &Path) -> Inspection {
    inspect::inspect(&Volume::open(image))
}

/// A filesystem of `mib` MiB with files in it, some deleted again.
pub fn filesystem_file(path: &Path, kind: &str, mib: u64, seed: u64) {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, seed, mib * MIB / 4);
    tools::old_medium(path, mib * MIB);
    if kind == "vfat" {
        fat::format(path, "-F 16 -s 4");
        fat::copy_in(path, &[tree], "::/");
    } else {
        ext::format(path, &format!("-t {kind} -b 4096"), Some(&tree));
    }
}

pub const VOLUMES: &[(&str, &str)] = &[
    ("root", "-L 12M"),
    ("gone", "-L 9M"),
    ("data", "-L 16M"),
    ("odd", "-L 5M"),
    ("swap", "-L 8M"),
];

/// A device with a group as they grow: in pieces, with a volume removed, volumes of all sorts.
pub fn make_device(image: &Path, scratch: &Path) {
    tools::old_medium(image, 128 * MIB + 77 * 512);
    let device = Devices::attach(&[image]);
    device.make_group(2, VOLUMES);
    let file = scratch.join("file");
    filesystem_file(&file, "ext4", 9, 3);
    device.insert("gone", &file);
    device.lvm("lvremove -q -y vg/gone");
    device.lvm("lvextend -q -y -L 30M vg/root");
    filesystem_file(&file, "ext4", 30, 4);
    device.insert("root", &file);
    filesystem_file(&file, "vfat", 16, 5);
    device.insert("data", &file);
    fs::write(&file, Random::new(6).bytes(5 << 20)).unwrap();
    device.insert("odd", &file);
    tools::old_medium(&file, 8 * MIB);
    tool("mkswap", &[&file]);
    device.insert("swap", &file);
}

/// lvm2 finds nothing to complain of, and neither do the checkers of what it holds.
pub fn is_sound(image: &Path) -> bool {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("file");
    let device = Devices::attach(&[image]);
    if !device.succeeds("vgck vg") {
        return false;
    }
    device.extract("root", &file);
    let root = ext::is_sound(&file);
    device.extract("data", &file);
    let data = fat::is_sound(&file);
    device.extract("swap", &file);
    root && data && tool("blkid", &["-p", file.to_str().unwrap()]).contains("\"swap\"")
}

pub fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("file");
    let device = Devices::attach(&[image]);
    let mut found = BTreeMap::from([("metadata".into(), device.backup())]);
    device.extract("root", &file);
    found.extend(ext::contents(&file));
    device.extract("data", &file);
    let data = fat::contents(&file).into_iter();
    found.extend(data.map(|(name, hash)| (Path::new("data").join(name), hash)));
    device.extract("odd", &file);
    found.insert("odd".into(), hex::encode(Sha256::digest(fs::read(&file).unwrap())));
    found
}

const JUDGE: Judge = Judge { is_sound, contents };

#[test]
fn lvm_maps_hold_everything_that_matters() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    make_device(&image, scratch.path());
    let found = inspect(&image);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let warnings = ["vg/odd: captured whole: no known filesystem was recognised"];
    assert_eq!(found.warnings, warnings);
    // Extents without a volume, nearly all of the swap space, and what root and data say is free.
    let size = fs::metadata(&image).unwrap().len();
    let left_out = size - found.used.total();
    assert!(left_out > (128 - 1 - 59 + 7 + 20) * MIB, "{left_out}");
    assert_eq!(found.filesystem.unwrap().used, Some(59 * MIB));
    assert!(JUDGE.accepts(&image, &found.used));

    let listed: Vec<_> =
        found.volumes.iter().map(|v| (v.to_string(), v.size, v.complete)).collect();
    let lvs = Devices::attach(&[&image]).lvm(
        "lvs -o lv_full_name,lv_size,lv_uuid --noheadings --nosuffix --units b -O -lv_name vg",
    );
    for line in lvs.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let listed = found.volumes.iter().find(|volume| volume.to_string() == words[0]).unwrap();
        assert_eq!((listed.size.to_string().as_str(), listed.uuid.as_str()), (words[1], words[2]));
    }
    assert_eq!((listed.len(), lvs.lines().count()), (4, 4), "{listed:?}");
    let kinds = found.volumes.iter().map(|v| v.filesystem.as_ref().map(|found| found.kind));
    let expected = [Some(Kind::Ext4), Some(Kind::Fat16), None, Some(Kind::Swap)];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let quick = inspect::volumes(&Volume::open(&image));
    assert_eq!(quick.len(), 4);
    assert_eq!(quick[0], found.volumes[0]);
}

#[test]
fn an_lvm_map_that_drops_one_used_block_is_caught() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    make_device(&image, scratch.path());
    let used = inspect(&image).used;
    let size = fs::metadata(&image).unwrap().len();
    let (device, file) = (Devices::attach(&[&image]), scratch.path().join("file"));
    device.extract("root", &file);
    let command = "blocks \"/folder 1/sub1/file-0001.bin\"";
    let blocks = tool("debugfs", &["-R", command, file.to_str().unwrap()]);
    let block: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let (mut at, pieces) = (block * 4096, device.pieces("root"));
    let first = pieces[0].2;
    let place = if at < first { pieces[0].1 } else { pieces[1].1 };
    at %= first;
    drop(device);
    let of_a_file = Extents::of(place + at, place + at + 4096);
    // Each copy of the metadata alone is enough for lvm2.
    let metadata = Extents::from(vec![(4096, MIB - 4096), (126 * MIB, 2 * MIB)]);
    for hole in [of_a_file, metadata] {
        assert!(!used.intersection(&hole).is_empty());
        assert!(!JUDGE.accepts(&image, &tools::without(&used, &hole, size)));
    }
}

#[test]
fn files_in_logical_volumes_are_named_with_them() {
    let scratch = TempDir::new().unwrap();
    let (image, file) = (scratch.path().join("image"), scratch.path().join("file"));
    make_device(&image, scratch.path());
    let device = Devices::attach(&[&image]);
    device.extract("root", &file);
    let command = "blocks \"/folder 1/sub1/file-0001.bin\"";
    let blocks = tool("debugfs", &["-R", command, file.to_str().unwrap()]);
    let block: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let pieces = device.pieces("root");
    drop(device);
    let (mut at, mut place) = (block * 4096, pieces[0].1);
    if at >= pieces[0].2 {
        (at, place) = (at - pieces[0].2, pieces[1].1);
    }
    let lost = Extents::from(vec![(4096, 512), (place + at, 512)]);
    let found = inspect::owners(&Volume::open(&image), &lost);
    let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(files, [("vg/root: /folder 1/sub1/file-0001.bin", 512)], "{:?}", found.note);
    assert_eq!((found.metadata, found.note), (512, None));
}
