//! What people do with images: several disks in one repository, wrong clocks, keep rules.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{noise, tool};
use lifeboat::repository::{Repository, Snapshot};
use lifeboat::store::LocalStore;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::support::{Bench, MIB, same};

/// A file of 17 MiB with an MBR and an ext4 filesystem of that label in its only partition.
fn make_disk(bench: &Bench, name: &str, label: &str) {
    let disk = bench.path(name);
    fs::create_dir_all(disk.parent().unwrap()).unwrap();
    let filesystem = bench.path("filesystem");
    let _ = fs::remove_file(&filesystem);
    fs::File::create(&filesystem).unwrap().set_len(16 * MIB).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", label, filesystem.to_str().unwrap()]);
    fs::File::create(&disk).unwrap().set_len(17 * MIB).unwrap();
    let table = format!("printf 'label: dos\\n2048,,83\\n' | sfdisk -q {}", bench.arg(name));
    tool("sh", &["-c", &table]);
    crate::support::put(&disk, MIB, &filesystem);
}

/// The labels of all filesystems in all images.
fn labels(bench: &Bench) -> Vec<String> {
    let json = bench.run(&["images", "--json"]).ended(0).stdout;
    let images: serde_json::Value = serde_json::from_str(&json).unwrap();
    let images = images.as_array().unwrap().iter();
    let partitions = images.flat_map(|image| image["partitions"].as_array().unwrap().clone());
    let labels = partitions.filter_map(|part| Some(part["label"].as_str()?.to_owned()));
    let mut labels: Vec<String> = labels.collect();
    labels.sort_unstable();
    labels
}

fn snapshots(bench: &Bench) -> usize {
    fs::read_dir(bench.path("repo/snapshots")).unwrap().count()
}

#[test]
fn two_disks_of_one_name_are_two_disks() {
    let bench = Bench::new();
    for machine in ["server", "office"] {
        make_disk(&bench, &format!("{machine}/disk.img"), machine);
        for _ in 0..2 {
            bench.capture(&format!("{machine}/disk.img"));
        }
    }
    let by_restic = bench.restic(&[
        "forget",
        "--group-by",
        "host,paths",
        "--keep-last",
        "1",
        "--dry-run",
        "--json",
    ]);
    let groups: serde_json::Value = serde_json::from_str(&by_restic).unwrap();
    assert_eq!(groups.as_array().unwrap().len(), 2, "{groups}");
    bench.run(&["forget", "--keep-last", "1"]).ended(0);
    assert_eq!(labels(&bench), ["office", "server"]);
}

#[test]
fn images_of_two_disks_that_share_a_folder_are_kept_apart() {
    let bench = Bench::new();
    for machine in ["server", "office", "office"] {
        make_disk(&bench, &format!("{machine}/disk.img"), machine);
        bench.capture(&format!("{machine}/disk.img"));
    }
    // As they were stored before disks were told apart by what is on them: one folder for all.
    let paths = vec!["/disk.img".to_owned()];
    change_snapshots(&bench, |snapshot| {
        let tags = vec!["lifeboat".to_owned()];
        Some(Snapshot { paths: paths.clone(), tags, ..snapshot.clone() })
    });
    bench.run(&["forget", "--keep-last", "1"]).ended(0);
    // The second disk of the office was set up anew, and has no serial number of its own.
    assert_eq!(labels(&bench), ["office", "office", "server"]);
}

#[test]
fn letters_of_all_scripts_stay_in_names() {
    let bench = Bench::new();
    for name in ["Büro-Größe.img", "Bero-Grose.img", "сервер.img"] {
        fs::write(bench.path(name), noise(3, 1 << 20)).unwrap();
        bench.capture(name);
    }
    let listed = bench.restic(&["ls", "latest"]);
    assert!(listed.contains("/сервер.img/disk.img"), "{listed}");
    bench.run(&["forget", "--keep-last", "1"]).ended(0);
    assert_eq!(snapshots(&bench), 3);
    bench.restic(&["restore", "latest", "--target", &bench.arg("out")]);
    assert!(same(&bench.path("out/сервер.img/disk.img"), &bench.path("сервер.img")));
}

/// Replaces every snapshot that `change` gives another one for.
fn change_snapshots(bench: &Bench, change: impl Fn(&Snapshot) -> Option<Snapshot>) {
    let store = Arc::new(LocalStore::new(bench.path("repo")));
    let repo = Repository::open(store, "lifeboat").unwrap();
    let lock = repo.lock_exclusive().unwrap();
    for file in repo.snapshots().unwrap().snapshots {
        if let Some(changed) = change(&file.snapshot) {
            repo.save_snapshot(&lock, &changed).unwrap();
            repo.remove_snapshots(&lock, &[file.id]).unwrap();
        }
    }
}

/// Moves the time of all images, as a clock that was wrong when they were made would have.
fn date_images(bench: &Bench, time: OffsetDateTime) {
    change_snapshots(bench, |snapshot| Some(Snapshot { time, ..snapshot.clone() }));
}

#[test]
fn a_clock_that_cannot_be_right_is_told_and_the_last_image_stays() {
    let bench = Bench::new();
    make_disk(&bench, "disk", "old");
    bench.capture("disk");
    date_images(&bench, datetime!(2135-01-01 0:00 UTC));
    tool("sh", &["-c", &format!("e2label '{}?offset=1048576' new", bench.arg("disk"))]);
    let disk = bench.arg("disk");
    let plan = bench.run(&["capture", &disk, "--plan"]).ended(0);
    assert!(plan.stdout.contains("dated later, 2135-01-01 00:00 UTC"), "{}", plan.stdout);
    let captured = bench.run(&["capture", &disk]).ended(0);
    assert!(captured.stderr.contains("clock"), "{}", captured.stderr);
    let shown = bench.run(&["show", "latest"]).ended(0);
    assert!(shown.stdout.contains("old") && shown.stderr.contains("clock"), "{}", shown.stderr);

    let forget = bench.run(&["forget", "--keep-last", "1"]).ended(0);
    assert!(forget.stdout.contains("stored last"), "{}", forget.stdout);
    assert!(forget.stderr.contains("clock was wrong"), "{}", forget.stderr);
    assert_eq!(snapshots(&bench), 2);
    bench.run(&["forget", "--keep-last", "1", "--yes"]).ended(0);
    assert_eq!(labels(&bench), ["old"]);
}

#[test]
fn latest_is_of_one_disk() {
    let bench = Bench::new();
    for (name, seed) in [("one", 1), ("two", 2)] {
        fs::write(bench.path(name), noise(seed, 1 << 20)).unwrap();
        bench.capture(name);
    }
    let out = bench.arg("out");
    let onto = |image: &str, more: &[&str]| {
        let args = ["restore", image, &out, "--erase", &out];
        bench.run(&[&args[..], more].concat())
    };
    // A new file loses nothing.
    let said = onto("latest", &[]).ended(0).stdout;
    assert!(said.contains("images of 2 disks") && said.contains("is of two"), "{said}");
    assert!(same(&bench.path("two"), &bench.path("out")));

    let refused = onto("latest", &[]).ended(4).stderr;
    assert!(refused.contains("--disk 'one'") && refused.contains("--disk 'two'"), "{refused}");
    assert!(refused.contains(" UTC"), "{refused}");
    onto("latest", &["--disk", "three"]).ended(4);
    onto("latest", &["--disk", "one"]).ended(0);
    assert!(same(&bench.path("one"), &bench.path("out")));
    onto("latest:two", &[]).ended(0);
    assert!(same(&bench.path("two"), &bench.path("out")));

    let noted = bench.run(&["show", "latest"]).ended(0);
    assert!(noted.stderr.contains("images of 2 disks"), "{}", noted.stderr);
    bench.run(&["verify", "latest"]).ended(0);
    bench.run(&["forget", "latest"]).ended(4);
    assert_eq!(snapshots(&bench), 2);
    bench.run(&["forget", "latest", "--disk", "two"]).ended(0);
    onto("latest", &[]).ended(0);
    assert!(same(&bench.path("one"), &bench.path("out")));
}

#[test]
fn rules_may_be_for_one_disk() {
    let bench = Bench::new();
    for name in ["one", "two"] {
        fs::write(bench.path(name), noise(1, 1 << 20)).unwrap();
        bench.capture(name);
        bench.capture(name);
    }
    bench.run(&["forget", "--keep-last", "1", "--disk", "three"]).ended(4);
    bench.run(&["forget", "--keep-last", "1", "--disk", "one"]).ended(0);
    assert_eq!(snapshots(&bench), 3);
}

#[test]
fn what_holds_less_never_pushes_out_what_holds_more() {
    let bench = Bench::new();
    crate::support::make_gpt_disk(&bench, "disk");
    let disk = bench.arg("disk");
    bench.capture("disk");
    for partitions in ["1,3", "4", "4"] {
        bench.run(&["capture", &disk, "--partitions", partitions]).ended(0);
    }
    let listed = bench.run(&["images"]).ended(0).stdout;
    assert!(listed.contains("[partitions 1, 3]") && listed.contains("[partition 4]"), "{listed}");
    let json = bench.run(&["images", "--json"]).ended(0).stdout;
    let images: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(images[2]["only_partitions"], serde_json::json!([1, 3]), "{images}");
    assert!(images[3]["only_partitions"].is_null(), "{images}");

    let forget = bench.run(&["forget", "--keep-last", "1"]).ended(0).stdout;
    assert!(forget.contains("forgot 1 image(s), kept 3"), "{forget}");
    let shown = bench.run(&["show", "latest"]).ended(0).stdout;
    assert!(shown.contains("lacks   partition 4"), "{shown}");
}

/// The one file of the packs that is as large as none other.
fn largest_pack(bench: &Bench) -> std::path::PathBuf {
    let folders = fs::read_dir(bench.path("repo/data")).unwrap();
    let packs = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let size = |path: &std::path::PathBuf| fs::metadata(path).unwrap().len();
    packs.map(|pack| pack.unwrap().path()).max_by_key(size).unwrap()
}

#[test]
fn an_image_that_lacks_data_hides_no_other() {
    let bench = Bench::new();
    fs::write(bench.path("lost"), noise(1, 3 << 20)).unwrap();
    fs::write(bench.path("kept"), noise(2, 1 << 20)).unwrap();
    bench.capture("lost");
    bench.capture("kept");
    let saved = bench.path("saved");
    fs::rename(largest_pack(&bench), &saved).unwrap();
    let listed = bench.run(&["images"]).ended(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("lost  [incomplete]") && listed.contains(" UTC"), "{listed}");
    let forget = bench.run(&["forget", "--keep-last", "1", "--dry-run"]).ended(0);
    assert!(forget.stderr.contains("is incomplete and stays"), "{}", forget.stderr);
    bench.restore("out", &["--disk", "kept"]);
    assert!(same(&bench.path("kept"), &bench.path("out")));
}

#[test]
fn a_removal_that_came_undone_hides_no_other_image() {
    let bench = Bench::new();
    fs::write(bench.path("gone"), noise(1, 3 << 20)).unwrap();
    fs::write(bench.path("kept"), noise(2, 1 << 20)).unwrap();
    bench.capture("gone");
    tool("cp", &["-a", &bench.arg("repo/snapshots"), &bench.arg("before")]);
    bench.run(&["forget", "--all", "--yes", "--prune"]).ended(0);
    bench.capture("kept");
    tool("sh", &["-c", &format!("cp {}/* {}", bench.arg("before"), bench.arg("repo/snapshots"))]);
    let listed = bench.run(&["images"]).ended(0).stdout;
    assert!(listed.contains("gone  [incomplete]") && listed.contains("kept\n"), "{listed}");
    // What is named latest is what can be restored.
    bench.restore("out", &[]);
    assert!(same(&bench.path("kept"), &bench.path("out")));
    let id = listed.lines().find(|line| line.contains("gone")).unwrap()[..8].to_owned();
    bench.run(&["forget", &id]).ended(0);
    assert_eq!(snapshots(&bench), 1);
    bench.run(&["prune"]).ended(0);
}

#[test]
fn a_disk_that_was_half_restored_is_no_source() {
    let bench = Bench::new();
    let mut disk = noise(1, 3 << 20);
    let note = b"LIFEBOAT RESTORE NOT FINISHED\n{\"image\":\"ab12cd34ef\",\"disk\":\"M (S)\"}\0";
    disk[..note.len()].copy_from_slice(note);
    fs::write(bench.path("disk"), disk).unwrap();
    for more in [&["--plan"][..], &[], &["--whole"]] {
        let run = bench.run(&[&["capture", &bench.arg("disk")], more].concat()).ended(4);
        assert!(run.stderr.contains("restore of image ab12cd34 (M (S))"), "{}", run.stderr);
    }
    assert_eq!(snapshots(&bench), 0);
}

#[test]
fn a_capture_that_goes_on_reads_back_what_the_earlier_one_stored() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 40 << 20)).unwrap();
    bench.capture("disk");
    let without_image = || {
        for file in fs::read_dir(bench.path("repo/snapshots")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    };
    // All of it is stored and indexed, but no image came of it.
    without_image();
    let report = bench.capture("disk");
    assert!(report["resumed"].as_u64().unwrap() > 40 << 20, "{report}");
    assert!(report["verified"].as_u64() >= report["resumed"].as_u64(), "{report}");
    // Another image vouches for it.
    assert_eq!(bench.capture("disk")["resumed"], 0);
    without_image();
    spoil(&largest_pack(&bench));
    let run = bench.run(&["capture", &bench.arg("disk")]).ended(1);
    assert!(run.stderr.contains("is damaged"), "{}", run.stderr);
    assert_eq!(snapshots(&bench), 0);
}

/// Turns a bit in the middle of a file around.
fn spoil(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}
