//! Physical volumes that get smaller and larger with what is in them, judged by lvm2 and by the checkers of what is in
//! the logical volumes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Random, output_of, tool};

use crate::ext;
use crate::lvm::filesystem_file;
use crate::lvm_devices::Devices;
use crate::program::Bench;

const MIB: u64 = 1 << 20;
/// Size of the device, bytes; not of whole extents.
const SIZE: u64 = 300 * MIB + 300 * 512;

/// A group with volumes in pieces, one on two stripes, one that another is made of, with `copies` of its metadata.
fn make_device(bench: &Bench, copies: u32) -> PathBuf {
    let (image, file) = (bench.path("pv"), bench.path("file"));
    File::create(&image).unwrap().set_len(SIZE).unwrap();
    let device = Devices::attach(&[&image]);
    device.make_group(copies, &[("gone", "-L 30M"), ("root", "-L 50M"), ("gap", "-L 10M")]);
    device.create("home", "-L 70M");
    device.create("stripes", "-L 8M");
    device.lvm("lvremove -q -y vg/gap");
    device.lvm("lvextend -q -y -L 110M vg/root");
    device.create("swap", "-L 30M");
    device.lvm("lvremove -q -y vg/gone");
    device.create("odd", "-L 7M");
    filesystem_file(&file, "ext4", 110, 4);
    device.insert("root", &file);
    filesystem_file(&file, "ext3", 70, 5);
    device.insert("home", &file);
    fs::write(&file, Random::new(6).bytes(7 << 20)).unwrap();
    device.insert("odd", &file);
    fs::write(&file, Random::new(7).bytes(8 << 20)).unwrap();
    device.insert("stripes", &file);
    File::create(&file).unwrap().set_len(30 * MIB).unwrap();
    tool(
        "mkswap",
        &["-L", "SWAP", "-U", "2c5a7f60-3a1c-4b9e-9d57-000000000001", file.to_str().unwrap()],
    );
    device.insert("swap", &file);
    image
}

fn make_disk(bench: &Bench, part: &Path) {
    let (disk, len) = (bench.path("disk"), fs::metadata(part).unwrap().len());
    File::create(&disk).unwrap().set_len(len + 2 * MIB).unwrap();
    let partition = format!("-n1:2048:{}", (MIB + len) / 512 - 1);
    tool("sgdisk", &["-a1", &partition, "-t1:8e00", disk.to_str().unwrap()]);
    let disk = File::options().write(true).open(&disk).unwrap();
    disk.write_all_at(&fs::read(part).unwrap(), MIB).unwrap();
}

/// Sizes of the logical volumes by lvm2, MiB.
fn sizes(device: &Devices) -> BTreeMap<String, u64> {
    let listed = device.lvm("lvs -o lv_name,lv_size --noheadings --nosuffix --units m vg");
    let each = listed.lines().map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap().to_owned();
        (name, words.next().unwrap().split('.').next().unwrap().parse().unwrap())
    });
    each.collect()
}

/// What is in the volumes.
fn contents(device: &Devices, scratch: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for name in ["root", "home"] {
        device.extract(name, scratch);
        assert!(ext::is_sound(scratch), "{name}");
        let files = ext::contents(scratch).into_iter();
        found.extend(files.map(|(path, hash)| (Path::new(name).join(path), hash)));
    }
    for name in ["odd", "stripes"] {
        device.extract(name, scratch);
        found.insert(name.into(), tool("sha256sum", &[scratch]));
    }
    device.extract("swap", scratch);
    let told = tool("blkid", &["-p", "-o", "export", scratch.to_str().unwrap()]);
    found.insert("swap".into(), told.lines().filter(|line| !line.starts_with("DEVNAME")).collect());
    found
}

/// Partition 1 of a disk, which fills it up.
fn partition(bench: &Bench, disk: &str) -> PathBuf {
    let table = output_of("sfdisk", &["-J", bench.path(disk).to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let partition = &table["partitiontable"]["partitions"][0];
    let [start, size] = ["start", "size"].map(|key| partition[key].as_u64().unwrap() * 512);
    bench.cut(disk, start, size)
}

#[test]
fn a_volume_group_gets_smaller_with_what_is_in_it() {
    for (copies, size) in [(1, 160 * MIB), (2, 130 * MIB)] {
        let bench = Bench::new();
        let image = make_device(&bench, copies);
        make_disk(&bench, &image);
        let (before, was) = {
            let device = Devices::attach(&[&image]);
            (contents(&device, &bench.path("file")), sizes(&device))
        };
        bench.run(0, &["capture", "disk"]);
        File::create(bench.path("out")).unwrap().set_len(size).unwrap();
        let plan = bench.run(0, &["restore", "latest", "out", "--plan"]);
        assert!(plan.contains("is made smaller by lifeboat before anything is written"), "{plan}");
        let said = bench.restore("out", &[]);
        assert!(said.contains("vg/root gets "), "{said}");
        let part = partition(&bench, "out");
        assert!(size - fs::metadata(&part).unwrap().len() < 4 * MIB);
        let device = Devices::attach(&[&part]);
        device.lvm("vgck vg");
        device.lvm("pvck PV0");
        let now = sizes(&device);
        assert_eq!(contents(&device, &bench.path("file")), before, "{now:?}");
        // All that could give way did, in proportion, and nothing else.
        for (name, size) in &was {
            match name.as_str() {
                "odd" | "stripes" => assert_eq!(now[name], *size, "{name}"),
                _ => assert!(now[name] < size * 9 / 10, "{name}: {now:?}"),
            }
        }
        let free = device.lvm("vgs -o vg_free --noheadings --nosuffix --units m vg");
        assert_eq!(free.trim(), "0", "{now:?}");
        // lvm2 goes on with it: it writes its metadata behind what is there.
        device.lvm("lvreduce -q -y -f -L 3M vg/swap");
        device.lvm("lvextend -q -y -l +100%FREE vg/odd");
        device.lvm("vgck vg");
        drop(device);
        let disk = bench.path("out");
        assert!(tool("sgdisk", &["-v", disk.to_str().unwrap()]).contains("No problems found"));
    }
}

#[test]
fn extents_alone_move_where_there_is_room_for_them() {
    let bench = Bench::new();
    let (image, file) = (bench.path("pv"), bench.path("file"));
    File::create(&image).unwrap().set_len(200 * MIB).unwrap();
    let device = Devices::attach(&[&image]);
    device.make_group(1, &[("first", "-L 20M"), ("filler", "-L 120M"), ("last", "-L 40M")]);
    device.create("pool", "-L 6M");
    for (name, mib, seed) in [("first", 20, 1), ("last", 40, 2), ("pool", 6, 3)] {
        fs::write(&file, Random::new(seed).bytes(mib << 20)).unwrap();
        device.insert(name, &file);
    }
    device.lvm("lvremove -q -y vg/filler");
    let sums = |device: &Devices| {
        ["first", "last", "pool"].map(|name| {
            device.extract(name, &file);
            tool("sha256sum", &[&file])
        })
    };
    let before = sums(&device);
    drop(device);
    make_disk(&bench, &image);
    bench.run(0, &["capture", "disk"]);
    File::create(bench.path("out")).unwrap().set_len(71 * MIB).unwrap();
    bench.restore("out", &[]);
    let device = Devices::attach(&[&partition(&bench, "out")]);
    device.lvm("vgck vg");
    assert_eq!(sums(&device), before);
    assert_eq!(
        sizes(&device),
        BTreeMap::from(
            [("first", 20), ("last", 40), ("pool", 6)].map(|(name, size)| (name.to_owned(), size))
        )
    );
    // One extent less is refused, before anything is written.
    File::create(bench.path("out")).unwrap().set_len(68 * MIB).unwrap();
    let refused = bench.run(4, &["restore", "latest", "out", "--erase", "out"]);
    assert!(refused.contains("the smallest disk that this fits on"), "{refused}");
}

#[test]
fn a_volume_group_grows_with_its_largest_volume() {
    let bench = Bench::new();
    let image = make_device(&bench, 2);
    make_disk(&bench, &image);
    let free = |device: &Devices| device.lvm("vgs -o vg_free --noheadings --units m vg");
    let (before, was, unused) = {
        let device = Devices::attach(&[&image]);
        (contents(&device, &bench.path("file")), sizes(&device), free(&device))
    };
    bench.run(0, &["capture", "disk"]);
    File::create(bench.path("out")).unwrap().set_len(500 * MIB).unwrap();
    let plan = bench.run(0, &["restore", "latest", "out", "--plan"]);
    assert!(plan.contains("its LVM2 is grown by lifeboat afterwards"), "{plan}");
    bench.restore("out", &[]);
    let device = Devices::attach(&[&partition(&bench, "out")]);
    device.lvm("vgck vg");
    let now = sizes(&device);
    assert_eq!(contents(&device, &bench.path("file")), before, "{now:?}");
    assert_eq!(free(&device), unused);
    for (name, size) in &was {
        match name.as_str() {
            "root" => assert!(now[name] > size + 190, "{now:?}"),
            _ => assert_eq!(now[name], *size, "{name}"),
        }
    }
    // The filesystem fills its volume.
    device.extract("root", &bench.path("file"));
    let facts = tool("dumpe2fs", &["-h", bench.path("file").to_str().unwrap()]);
    let blocks = facts.lines().find(|line| line.starts_with("Block count:")).unwrap();
    let blocks: u64 = blocks.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(blocks * 4096, now["root"] * MIB);
    device.lvm("lvextend -q -y -l +100%FREE vg/odd");
    device.lvm("vgck vg");
}
