//! A disk with a volume group captured and restored by the program, as a whole and one logical
//! volume alone, judged by lvm2 and by the checkers of what is in the volumes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::tool;
use lifeboat::inspect;
use lifeboat::operation::{
    self, Cancel, Control, OperationError, RepoAccess, RestorePlan, RestoreRequest, TargetRequest,
    What, With,
};
use serde_json::Value;

use crate::lvm::{contents, filesystem_file, is_sound, make_device};
use crate::lvm_devices::Devices;
use crate::program::Bench;
use crate::tools::{self, Volume};
use crate::{ext, fat};

const MIB: u64 = 1 << 20;

/// A disk with one partition that is a physical volume; the volume's length.
fn make_disk(bench: &Bench) -> u64 {
    let (part, disk) = (bench.path("pv"), bench.path("disk"));
    make_device(&part, part.parent().unwrap());
    let bytes = fs::read(&part).unwrap();
    let len = bytes.len() as u64;
    tools::old_medium(&disk, len + 2 * MIB);
    let partition = format!("-n1:2048:{}", (MIB + len) / 512 - 1);
    tool("sgdisk", &["-Z", disk.to_str().unwrap()]);
    tool("sgdisk", &["-a1", &partition, "-t1:8e00", disk.to_str().unwrap()]);
    File::options().write(true).open(&disk).unwrap().write_all_at(&bytes, MIB).unwrap();
    len
}

fn extracted(device: &Path, name: &str, to: &Path) -> Vec<u8> {
    Devices::attach(&[device]).extract(name, to);
    fs::read(to).unwrap()
}

#[test]
fn a_volume_group_comes_back_and_so_does_one_volume_alone() {
    let bench = Bench::new();
    let len = make_disk(&bench);
    let pv = bench.path("pv");
    bench.run(0, &["capture", "disk"]);
    let shown = bench.run(0, &["show", "latest"]);
    for words in ["vg/root  ext4 lifeboat", "vg/data  FAT16 STICK", "vg/swap  swap", "vg/odd"] {
        assert!(shown.contains(words), "{shown}");
    }
    let shown: Value = serde_json::from_str(&bench.run(0, &["show", "latest", "--json"])).unwrap();
    let listed = &shown["partitions"][0]["logical_volumes"];
    assert_eq!(listed[0]["group"], "vg");
    assert_eq!(
        (&listed[0]["name"], &listed[0]["filesystem"]["kind"]),
        (&"root".into(), &"ext4".into())
    );

    bench.restore("out", &[]);
    bench.scribble("disk", "out");
    let part = bench.cut("out", MIB, len);
    assert!(is_sound(&part));
    assert!(contents(&part) == contents(&pv));

    let file = bench.path("file");
    let plan = bench.run(0, &["restore", "latest", "root", "--volume", "vg/root", "--plan"]);
    assert!(plan.contains("vg/root: ext4 lifeboat") && plan.contains("a new file"), "{plan}");
    bench.restore("root", &["--volume", "vg/root"]);
    let root = bench.path("root");
    assert_eq!(fs::metadata(&root).unwrap().len(), 30 * MIB);
    assert!(ext::is_sound(&root));
    extracted(&pv, "root", &file);
    assert!(ext::contents(&root) == ext::contents(&file));

    // Onto something larger with something on it; then what has changed there only.
    tools::old_medium(&bench.path("data"), 20 * MIB);
    bench.restore("data", &["--volume", "vg/data"]);
    let data = bench.path("data");
    extracted(&pv, "data", &file);
    assert!(fat::is_sound(&data));
    assert!(fat::contents(&data) == fat::contents(&file));
    let before = fs::read(&data).unwrap();
    let target = File::options().write(true).open(&data).unwrap();
    let used = inspect::inspect(&Volume::open(&data)).used;
    let place = used.within(2 * MIB, 16 * MIB).next().unwrap();
    target.write_all_at(&[7; 512], place.end - 512).unwrap();
    // A target that somebody has open for writing is refused.
    drop(target);
    bench.restore("data", &["--volume", "vg/data", "--only-changed"]);
    assert!(fs::read(&data).unwrap()[..16 << 20] == before[..16 << 20]);
    bench.restore("odd", &["--volume", "vg/odd"]);
    assert!(fs::read(bench.path("odd")).unwrap() == extracted(&pv, "odd", &file));
}

/// Two disks with a volume over both of them and one on the first, captured into one repository.
fn two_disks(bench: &Bench) -> [String; 2] {
    let [first, second] = [bench.path("disk"), bench.path("second")];
    [&first, &second].iter().for_each(|path| tools::old_medium(path, 32 * MIB));
    let group = Devices::attach(&[&first, &second]);
    group.make_group(1, &[("wide", "-L 8M -i 2 -I 64k"), ("whole", "-L 8M PV0")]);
    filesystem_file(&bench.path("file"), "ext4", 8, 21);
    group.insert("wide", &bench.path("file"));
    drop(group);
    ["disk", "second"].map(|disk| captured(bench, disk))
}

/// Captures a disk; the start of the image's id.
fn captured(bench: &Bench, disk: &str) -> String {
    bench.run(0, &["capture", disk]);
    let images: Value = serde_json::from_str(&bench.run(0, &["images", "--json"])).unwrap();
    images[0]["id"].as_str().unwrap()[..8].to_owned()
}

#[test]
fn volumes_that_cannot_be_restored_alone_are_refused() {
    let bench = Bench::new();
    let [first, second] = two_disks(&bench);
    let refused = |target: &str, more: &[&str], why: &str| {
        let args = [&["restore", &first, target, "--erase", target], more].concat();
        let text = bench.run(4, &args);
        assert!(text.contains(why), "{text}");
    };
    refused("new", &["--volume", "vg/wide"], &format!("too: --with {second} (second, 20"));
    refused("new", &["--volume", "vg/none"], "those it has: vg/wide, vg/whole");
    tools::old_medium(&bench.path("small"), 8 * MIB - 512);
    refused("small", &["--volume", "vg/whole"], "smallest disk that this fits on");
    bench.run(0, &["forget", &second]);
    refused("new", &["--volume", "vg/wide"], "capture the other disks into this repository");
    assert!(!bench.path("new").exists());
    let both =
        ["restore", "latest", "new", "--erase", "new", "--volume", "a/b", "--partitions", "1"];
    bench.run(2, &both);
    bench.run(2, &["restore", "latest", "new", "--erase", "new", "--with", &second]);
}

#[test]
fn a_volume_on_two_disks_comes_back_from_the_images_of_both() {
    let bench = Bench::new();
    let [first, second] = two_disks(&bench);
    let expected = ext::contents(&bench.path("file"));
    for (image, with) in [(&first, &second), (&second, &first)] {
        let args =
            ["restore", image, "new", "--erase", "new", "--volume", "vg/wide", "--with", with];
        let said = bench.run(0, &[&args[..], &["--only-changed"]].concat());
        assert!(said.contains("they do not fit together"), "{said}");
        let new = bench.path("new");
        assert_eq!(fs::metadata(&new).unwrap().len(), 8 * MIB);
        assert!(ext::is_sound(&new));
        assert!(ext::contents(&new) == expected);
        fs::remove_file(&new).unwrap();
    }
}

/// A restore of a logical volume to the new file `new` that looks for other images by itself.
fn searching(bench: &Bench, image: &str, volume: &str) -> RestoreRequest {
    let disk = bench.path("new");
    RestoreRequest {
        image: image.to_owned(),
        repo: RepoAccess::new(bench.path("repo"), None),
        target: TargetRequest::all_of(&disk, disk.to_str().unwrap()),
        what: What::Volume { name: volume.to_owned(), with: With::Searched },
        verify_first: false,
    }
}

/// The starts of the ids of the images that are taken along.
fn taken_along(plan: Result<RestorePlan, OperationError>) -> Vec<String> {
    plan.unwrap().with.iter().map(|image| image.short_id().to_owned()).collect()
}

#[test]
fn the_images_of_the_other_disks_are_found_by_the_state_of_the_group() {
    let bench = Bench::new();
    let [first, second] = two_disks(&bench);
    let plan = |image: &str, volume| operation::plan_restore(&searching(&bench, image, volume));
    assert_eq!(taken_along(plan(&first, "vg/wide")), [&*second]);
    assert_eq!(taken_along(plan(&second, "vg/wide")), [&*first]);
    assert!(taken_along(plan(&first, "vg/whole")).is_empty());

    // The group changes: images from before and after do not fit together.
    let group = Devices::attach(&[&bench.path("disk"), &bench.path("second")]);
    group.lvm("lvremove -q -y vg/whole");
    drop(group);
    let third = captured(&bench, "disk");
    let text = plan(&third, "vg/wide").unwrap_err().to_string();
    assert!(text.contains("images of second show its volume group as it was at"), "{text}");
    assert!(text.contains("capture all the disks that it lies on"), "{text}");
    let fourth = captured(&bench, "second");
    assert_eq!(taken_along(plan(&third, "vg/wide")), [&*fourth]);
    assert_eq!(taken_along(plan(&first, "vg/wide")), [&*second]);

    let expected = ext::contents(&bench.path("file"));
    for image in [&first, &third, &fourth] {
        let cancel = Cancel::new();
        let control = Control { sink: &|_| {}, cancel: &cancel, resume: None };
        let request = searching(&bench, image, "vg/wide");
        operation::plan_restore(&request).unwrap().run(&request, control).unwrap();
        assert!(ext::contents(&bench.path("new")) == expected);
        fs::remove_file(bench.path("new")).unwrap();
    }

    bench.run(0, &["forget", &second, &fourth]);
    let text = plan(&third, "vg/wide").unwrap_err().to_string();
    assert!(text.contains("there is no image of the others"), "{text}");
}
