//! Physical volumes whose metadata is damaged, old, or says what is not understood; lvm2 makes them.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use common::tool;
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::Coverage;
use tempfile::TempDir;

use crate::lvm::{VOLUMES, filesystem_file, inspect};
use crate::lvm_devices::Devices;
use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;

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
        let intact = inspect::inspect(&volume);
        assert_eq!(intact.coverage, Coverage::Used, "{:?}", intact.warnings);
        let (mut whole, mut other) = (0, 0);
        // The labels, headers and texts one by one, of the rest every 64th sector.
        let sectors = (0..MIB / 512).filter(|sector| *sector < 64 || sector % 64 == 0);
        let tail = sectors.clone().map(|sector| 63 * MIB / 512 + sector);
        for at in sectors.chain(tail).map(|sector| sector * 512) {
            let found = inspect::inspect(&Flipped { image: &volume, at, len: 512 });
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
        let mut plain = found.volumes.iter().filter(|volume| volume.plain);
        assert!(plain.all(|volume| volume.name == "root"), "{name}: {:?}", found.volumes);
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
    tool("sync", &[&image]);
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    let area = |at: u64| {
        let mut bytes = vec![0; 1 << 20];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let (first, second) = (area(0), area(63 * MIB));
    device.create("late", "-L 7M");
    tool("sync", &[&image]);
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
