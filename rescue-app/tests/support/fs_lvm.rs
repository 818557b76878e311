//! Physical volumes of LVM, judged by lvm2 itself and by the checkers of what is in the logical
//! volumes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lifeboat::bytes::{Extents, ReadAt, Window};
use lifeboat::filesystem::{self, Companions, Coverage, Inspection, Kind};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::fs_tools::{self as tools, Judge, Numbers, Volume};
use crate::lvm_devices::Devices;
use crate::{fs_ext, fs_fat};

const MIB: u64 = 1 << 20;

fn inspect(image: &Path) -> Inspection {
    filesystem::inspect(&Volume::open(image))
}

/// A filesystem of `mib` MiB with files in it, some deleted again.
fn filesystem_file(path: &Path, kind: &str, mib: u64, seed: u64) {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    tools::make_tree(&tree, seed, mib * MIB / 4);
    tools::old_medium(path, mib * MIB);
    if kind == "vfat" {
        fs_fat::format(path, "-F 16 -s 4");
        fs_fat::copy_in(path, &[tree], "::/");
    } else {
        fs_ext::format(path, &format!("-t {kind} -b 4096"), Some(&tree));
    }
}

const VOLUMES: &[(&str, &str)] = &[
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
    fs::write(&file, Numbers::new(6).bytes(5 << 20)).unwrap();
    device.insert("odd", &file);
    tools::old_medium(&file, 8 * MIB);
    tools::run("mkswap", &[&file]);
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
    let root = fs_ext::is_sound(&file);
    device.extract("data", &file);
    let data = fs_fat::is_sound(&file);
    device.extract("swap", &file);
    root && data && tools::run("blkid", &["-p", file.to_str().unwrap()]).contains("\"swap\"")
}

pub fn contents(image: &Path) -> BTreeMap<PathBuf, String> {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("file");
    let device = Devices::attach(&[image]);
    let mut found = BTreeMap::from([("metadata".into(), device.backup())]);
    device.extract("root", &file);
    found.extend(fs_ext::contents(&file));
    device.extract("data", &file);
    let data = fs_fat::contents(&file).into_iter();
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
    let quick = filesystem::volumes(&Volume::open(&image));
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
    let blocks = tools::run("debugfs", &["-R", command, file.to_str().unwrap()]);
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

/// An image with one bit of each byte in a range turned over.
struct Flipped<'a> {
    image: &'a Volume,
    at: u64,
    len: u64,
}

impl ReadAt for Flipped<'_> {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.image.read_at(offset, buf)?;
        for (place, byte) in (offset..).zip(buf) {
            if (self.at..self.at + self.len).contains(&place) {
                *byte ^= 0x10;
            }
        }
        Ok(())
    }
}

#[test]
fn damaged_metadata_gives_the_other_copy_or_the_whole() {
    let scratch = TempDir::new().unwrap();
    for copies in [1, 2] {
        let image = scratch.path().join(format!("image-{copies}"));
        tools::old_medium(&image, 64 * MIB);
        let device = Devices::attach(&[&image]);
        device.make_group(copies, VOLUMES);
        drop(device);
        let volume = Volume::open(&image);
        let intact = filesystem::inspect(&volume);
        assert_eq!(intact.coverage, Coverage::Used, "{:?}", intact.warnings);
        let (mut whole, mut other) = (0, 0);
        // The labels, headers and texts one by one, of the rest every 64th sector.
        let sectors = (0..MIB / 512).filter(|sector| *sector < 64 || sector % 64 == 0);
        let tail = sectors.clone().map(|sector| 63 * MIB / 512 + sector);
        for at in sectors.chain(tail).map(|sector| sector * 512) {
            let found = filesystem::inspect(&Flipped { image: &volume, at, len: 512 });
            if found.coverage == Coverage::Whole {
                whole += 1;
                continue;
            }
            assert_eq!(found.used, intact.used, "{copies} copies, byte {at}");
            other += u32::from(found.warnings != intact.warnings);
        }
        // The label; with one copy also its header and the sectors of the newest text.
        let expected = if copies == 1 { whole > 4 && other == 0 } else { whole == 1 && other > 8 };
        assert!(expected, "{copies} copies: {whole} whole, {other} by the other copy");
    }
}

/// Volumes on a group of two devices: what is striped over both, or lies on the other.
#[test]
fn volumes_that_need_another_device_are_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let images = [scratch.path().join("a"), scratch.path().join("b")];
    images.iter().for_each(|image| tools::old_medium(image, 64 * MIB));
    let devices = Devices::attach(&[&images[0], &images[1]]);
    devices.make_group(
        1,
        &[("here", "-L 20M PV0"), ("wide", "-L 16M -i 2 -I 64k"), ("there", "-L 20M PV1")],
    );
    let file = scratch.path().join("file");
    for (name, mib) in [("here", 20), ("wide", 16), ("there", 20)] {
        filesystem_file(&file, "ext4", mib, mib);
        devices.insert(name, &file);
    }
    let found = inspect(&images[0]);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let wide = devices.taken("wide", 0);
    assert_eq!((wide.total(), found.used.intersection(&wide)), (8 * MIB, wide));
    let here = devices.taken("here", 0);
    let used = found.used.intersection(&here).total();
    assert!(used < 14 * MIB && used > 5 * MIB, "{used}");
    assert!(found.used.total() < 64 * MIB - 30 * MIB);
    let complete: Vec<bool> = found.volumes.iter().map(|volume| volume.complete).collect();
    assert_eq!(complete, [true, false, false]);
}

/// The devices of a group beside each other.
struct Together<'a>(&'a [Volume]);

impl Companions for Together<'_> {
    fn of_kind(&self, kind: Kind) -> Vec<Window<'_>> {
        assert_eq!(kind, Kind::Lvm2);
        self.0.iter().map(|volume| Window::new(volume, 0, volume.size())).collect()
    }
}

#[test]
fn volumes_on_several_devices_are_read_from_all_of_them() {
    let scratch = TempDir::new().unwrap();
    let images = [scratch.path().join("a"), scratch.path().join("b")];
    images.iter().for_each(|image| tools::old_medium(image, 64 * MIB));
    let devices = Devices::attach(&[&images[0], &images[1]]);
    devices.make_group(1, &[("wide", "-L 16M -i 2 -I 64k"), ("long", "-L 60M")]);
    let file = scratch.path().join("file");
    for (name, mib) in [("wide", 16), ("long", 60)] {
        filesystem_file(&file, "ext4", mib, mib);
        devices.insert(name, &file);
    }
    let old = scratch.path().join("old");
    fs::copy(&images[1], &old).unwrap();
    devices.lvm("pvchange -q -y --metadataignore y PV0");
    let volumes = images.each_ref().map(|image| Volume::open(image));
    let maps = volumes.each_ref().map(|volume| {
        let found = filesystem::inspect_among(volume, &Together(&volumes));
        assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new());
        let kinds = found.volumes.iter().map(|v| v.filesystem.as_ref().unwrap().kind);
        assert!(kinds.eq([Kind::Ext4, Kind::Ext4]));
        found.used
    });
    let used = maps[0].total() + maps[1].total();
    assert!((20 * MIB..60 * MIB).contains(&used), "{used}");
    let hashes = |devices: &Devices| {
        ["wide", "long"].map(|name| {
            devices.extract(name, &file);
            assert!(fs_ext::is_sound(&file), "{name}");
            fs_ext::contents(&file)
        })
    };
    let expected = (hashes(&devices), devices.backup());
    drop(devices);
    for byte in [0x00, 0x5a] {
        let copies = [0, 1].map(|at| tools::scribbled_copy(&images[at], &maps[at], byte));
        let devices = Devices::attach(&[&copies[0], &copies[1]]);
        assert!((hashes(&devices), devices.backup()) == expected, "{byte:#x}");
    }
    // Alone the first keeps no metadata; beside older metadata of the second it is not trusted.
    assert_eq!(filesystem::inspect(&volumes[0]).coverage, Coverage::Whole);
    let newer = Devices::attach(&[&images[0], &images[1]]);
    newer.lvm("pvchange -q -y --metadataignore n PV0");
    newer.lvm("lvremove -q -y vg/long");
    drop(newer);
    let [first, stale] = [Volume::open(&images[0]), Volume::open(&old)];
    let found = filesystem::inspect_among(&stale, &Together(&[first]));
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("on other devices differ"), "{:?}", found.warnings);
}

#[test]
fn files_in_logical_volumes_are_named_with_them() {
    let scratch = TempDir::new().unwrap();
    let (image, file) = (scratch.path().join("image"), scratch.path().join("file"));
    make_device(&image, scratch.path());
    let device = Devices::attach(&[&image]);
    device.extract("root", &file);
    let command = "blocks \"/folder 1/sub1/file-0001.bin\"";
    let blocks = tools::run("debugfs", &["-R", command, file.to_str().unwrap()]);
    let block: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let pieces = device.pieces("root");
    drop(device);
    let (mut at, mut place) = (block * 4096, pieces[0].1);
    if at >= pieces[0].2 {
        (at, place) = (at - pieces[0].2, pieces[1].1);
    }
    let lost = Extents::from(vec![(4096, 512), (place + at, 512)]);
    let found = filesystem::owners(&Volume::open(&image), &lost);
    let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(files, [("vg/root: /folder 1/sub1/file-0001.bin", 512)], "{:?}", found.note);
    assert_eq!((found.metadata, found.note), (512, None));
}

/// A logical volume in the text of the metadata.
fn logical(name: &str, status: &str, segment: &str) -> String {
    let id: String =
        name.chars().chain("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef".chars()).take(32).collect();
    let id: Vec<char> = id.replace('_', "x").chars().collect();
    let part = |from: usize, to: usize| id[from..to].iter().collect::<String>();
    let cuts = [(0, 6), (6, 10), (10, 14), (14, 18), (18, 22), (22, 26), (26, 32)];
    let id: Vec<String> = cuts.into_iter().map(|(from, to)| part(from, to)).collect();
    format!(
        "{name} {{\nid = \"{}\"\nstatus = [{status}]\nflags = []\nsegment_count = 1\n\
         segment1 {{\nstart_extent = 0\n{segment}\n}}\n}}\n",
        id.join("-")
    )
}

fn linear(name: &str, status: &str, first: u64, count: u64) -> String {
    let segment = format!(
        "extent_count = {count}\ntype = \"striped\"\nstripe_count = 1\nstripes = [ \"pv0\", {first} ]"
    );
    logical(name, status, &segment)
}

/// What is not linear or striped, made by handing lvm2 the metadata. Of each: the volumes that
/// are added behind `root` at extents 0 to 11, which all begin with the remains of a filesystem,
/// and the extents that have to be kept whole.
fn unusual() -> Vec<(&'static str, String, std::ops::Range<u64>)> {
    const SEEN: &str = "\"READ\", \"WRITE\", \"VISIBLE\"";
    const HIDDEN: &str = "\"READ\", \"WRITE\"";
    let snapshot = "extent_count = 12\ntype = \"snapshot\"\nchunk_size = 8\n\
                    origin = \"root\"\ncow_store = \"snap\"";
    let thin_pool = "extent_count = 8\ntype = \"thin-pool\"\nmetadata = \"pool_tmeta\"\n\
                     pool = \"pool_tdata\"\ntransaction_id = 1\nchunk_size = 128\n\
                     discards = \"passdown\"\nzero_new_blocks = 1";
    let thin = "extent_count = 50\ntype = \"thin\"\nthin_pool = \"pool\"\ntransaction_id = 0\n\
                device_id = 1";
    let raid = "extent_count = 8\ntype = \"raid1\"\ndevice_count = 2\nregion_size = 1024\n\
                raids = [ \"r_rmeta_0\", \"r_rimage_0\", \"r_rmeta_1\", \"r_rimage_1\" ]";
    let mirror = "extent_count = 8\ntype = \"mirror\"\nmirror_count = 2\nextents_moved = 0\n\
                  region_size = 1024\nmirrors = [ \"pv0\", 12, \"pv0\", 20 ]";
    let moved = "extent_count = 8\ntype = \"striped\"\nstripe_count = 1\n\
                 stripes = [ \"pvmove0\", 0 ]";
    vec![
        ("snapshot", linear("snap", SEEN, 12, 8) + &logical("snapshot0", HIDDEN, snapshot), 0..20),
        (
            "thin",
            logical("pool", SEEN, thin_pool)
                + &linear("pool_tmeta", HIDDEN, 12, 4)
                + &linear("pool_tdata", HIDDEN, 16, 8)
                + &linear("lvol0_pmspare", HIDDEN, 24, 4)
                + &logical("thin", SEEN, thin),
            12..28,
        ),
        (
            "raid",
            logical("r", SEEN, raid)
                + &linear("r_rmeta_0", HIDDEN, 12, 1)
                + &linear("r_rimage_0", HIDDEN, 13, 8)
                + &linear("r_rmeta_1", HIDDEN, 21, 1)
                + &linear("r_rimage_1", HIDDEN, 22, 8),
            12..30,
        ),
        (
            "pvmove",
            logical("moved", "\"READ\", \"WRITE\", \"VISIBLE\", \"LOCKED\"", moved)
                + &logical("pvmove0", "\"READ\", \"WRITE\", \"PVMOVE\", \"LOCKED\"", mirror),
            12..28,
        ),
    ]
}

#[test]
fn volumes_that_are_not_understood_are_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let (image, file) = (scratch.path().join("image"), scratch.path().join("file"));
    filesystem_file(&file, "ext4", 12, 9);
    for (name, volumes, kept) in unusual() {
        tools::old_medium(&image, 64 * MIB);
        let device = Devices::attach(&[&image]);
        device.make_group(1, &[("root", "-l 12")]);
        device.insert("root", &file);
        let volume = OpenOptions::new().write(true).open(&image).unwrap();
        let remains = fs::read(&file).unwrap();
        for extent in 12..32 {
            volume.write_all_at(&remains[..1 << 16], MIB + extent * MIB).unwrap();
        }
        device.edit(|text| {
            let at = text.find("logical_volumes {").unwrap() + "logical_volumes {".len();
            format!("{}\n{volumes}{}", &text[..at], &text[at..])
        });
        assert!(device.succeeds("vgck vg"), "{name}");
        drop(device);
        let found = inspect(&image);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        let whole = Extents::of(MIB + kept.start * MIB, MIB + kept.end * MIB);
        assert_eq!(found.used.intersection(&whole), whole, "{name}: {:?}", found.warnings);
        let rest = Extents::of(MIB + kept.end * MIB, 63 * MIB);
        assert!(found.used.intersection(&rest).is_empty(), "{name}");
        let root = found.used.within(MIB, 13 * MIB).map(|part| part.len()).sum::<u64>();
        assert_eq!(root == 12 * MIB, name == "snapshot", "{name}: {root}");
        assert!(!found.warnings.is_empty(), "{name}");
    }
}

/// What the metadata says of the volume as a whole.
#[test]
fn volumes_in_doubt_are_captured_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let found = RefCell::new(Vec::new());
    let case = |what: &str, coverage: Coverage, make: &dyn Fn(&Devices)| {
        tools::old_medium(&image, 64 * MIB);
        let device = Devices::attach(&[&image]);
        make(&device);
        drop(device);
        let inspection = inspect(&image);
        assert_eq!(inspection.coverage, coverage, "{what}: {:?}", inspection.warnings);
        found.borrow_mut().push((what.to_owned(), inspection.warnings));
        inspection.used
    };
    let own = [("root", "-L 12M")];
    case("exported", Coverage::Used, &|device| {
        device.make_group(1, &own);
        device.lvm("vgexport -q vg");
    });
    let used = case("no group", Coverage::Used, &|device| {
        device.lvm("pvcreate -q -y PV0");
    });
    assert_eq!(used, Extents::of(0, MIB));
    case("no volumes", Coverage::Used, &|device| device.make_group(1, &[]));
    case("no metadata", Coverage::Whole, &|device| {
        device.lvm("pvcreate -q -y --metadatacopies 0 PV0");
    });
    case("ignored", Coverage::Whole, &|device| {
        let second = scratch.path().join("second");
        tools::sparse_medium(&second, 64 * MIB);
        let both = Devices::attach(&[&device.images[0], &second]);
        both.make_group(1, &own);
        both.lvm("pvchange -q -y --metadataignore y PV0");
    });
    case("status", Coverage::Whole, &|device| {
        device.make_group(1, &own);
        device.edit(|text| text.replacen("\"RESIZEABLE\"", "\"RESIZEABLE\", \"CLUSTERED\"", 1));
    });
    let reasons = found.into_inner();
    let reason = |what: &str| reasons.iter().find(|(case, _)| case == what).unwrap().1.join(" ");
    assert!(reason("no metadata").contains("kept on other devices"), "{reasons:?}");
    assert!(reason("ignored").contains("kept on other devices"), "{reasons:?}");
    assert!(reason("status").contains("CLUSTERED"), "{reasons:?}");
}

#[test]
fn of_two_copies_the_newer_counts() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::old_medium(&image, 64 * MIB);
    let device = Devices::attach(&[&image]);
    device.make_group(2, &[("root", "-L 12M")]);
    tools::run("sync", &[&image]);
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let area = |at: u64| {
        let mut bytes = vec![0; 1 << 20];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let (first, second) = (area(0), area(63 * MIB));
    device.create("late", "-L 7M");
    tools::run("sync", &[&image]);
    let late = device.taken("late", 0);
    drop(device);
    let newest = inspect(&image).used;
    assert_eq!(newest.intersection(&late), late);
    for (at, old) in [(0, first), (63 * MIB, second)] {
        let new = area(at);
        file.write_all_at(&old, at).unwrap();
        let found = inspect(&image);
        assert_eq!(found.used, newest, "{at}: {:?}", found.warnings);
        file.write_all_at(&new, at).unwrap();
    }
}
