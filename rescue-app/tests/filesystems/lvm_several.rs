//! Volume groups on several devices, judged by lvm2 and e2fsprogs.

use std::fs;

use lifeboat::inspect;
use lifeboat::volume::{Coverage, Kind};
use tempfile::TempDir;

use crate::ext;
use crate::lvm::{filesystem_file, inspect};
use crate::lvm_devices::Devices;
use crate::tools::{self, Together, Volume};

const MIB: u64 = 1 << 20;

/// What is striped over both, or lies on the other.
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
    assert!(found.volumes.iter().all(|volume| volume.plain));
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
        let found = inspect::inspect_among(volume, &Together(&volumes));
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
            assert!(ext::is_sound(&file), "{name}");
            ext::contents(&file)
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
    assert_eq!(inspect::inspect(&volumes[0]).coverage, Coverage::Whole);
    let newer = Devices::attach(&[&images[0], &images[1]]);
    newer.lvm("pvchange -q -y --metadataignore n PV0");
    newer.lvm("lvremove -q -y vg/long");
    drop(newer);
    let [first, stale] = [Volume::open(&images[0]), Volume::open(&old)];
    let found = inspect::inspect_among(&stale, &Together(&[first]));
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("on other devices differ"), "{:?}", found.warnings);
}
