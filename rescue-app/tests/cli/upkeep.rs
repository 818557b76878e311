//! Looking after a repository from the command line, judged by stock restic.

use std::fs;
use std::path::PathBuf;

use common::noise;

use crate::support::{Bench, same};

/// Captures a file of noise as a disk; returns the image's id.
fn capture(bench: &Bench, disk: &str, seed: u64) -> String {
    fs::write(bench.path(disk), noise(2 * seed, 3 << 20)).unwrap();
    bench.capture(disk)["image"]["id"].as_str().unwrap().to_owned()
}

/// All files in a folder of the repository.
fn files(bench: &Bench, folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![bench.path("repo").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn largest_pack(bench: &Bench) -> PathBuf {
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    files(bench, "data").into_iter().max_by_key(size).unwrap()
}

#[test]
fn rules_forget_for_each_disk_and_pruning_frees_the_space() {
    let bench = Bench::new();
    let ids: Vec<String> =
        [("one", 1), ("two", 2), ("one", 3), ("one", 4)].map(|(n, s)| capture(&bench, n, s)).into();
    let images = || bench.run(&["images"]).ended(0).stdout;
    // Without consent not everything goes.
    bench.run(&["forget"]).ended(2);
    bench.run(&["forget", "--keep-last", "0"]).ended(2);
    bench.run(&["forget", "--all", "--keep-last", "1"]).ended(2);
    bench.run(&["forget", &ids[0], "--keep-last", "1"]).ended(2);
    let before = files(&bench, "");
    let dry = ["forget", "--keep-last", "1", "--keep-daily", "3", "--prune", "-n", "--json"];
    let plan = bench.run(&dry).ended(0).result();
    assert_eq!((&plan["kept"], &plan["forgotten"]), (&2.into(), &2.into()), "{plan}");
    let expected = plan["pruned"]["freed"].as_u64().unwrap();
    assert!(expected > 6 << 20, "{plan}");
    assert_eq!(files(&bench, ""), before, "a dry run changes nothing");

    let told = bench.run(&["forget", "--keep-last", "1"]).ended(0).stdout;
    assert!(told.contains(&format!("forget  {}", &ids[0][..8])), "{told}");
    assert!(told.contains(&format!("keep    {}", &ids[3][..8])), "{told}");
    assert_eq!(images().lines().count(), 2);
    assert!(images().contains(&ids[1][..8]) && images().contains(&ids[3][..8]));
    let freed = bench.run(&["prune", "--json"]).ended(0).result();
    let actual = freed["freed"].as_u64().unwrap();
    assert!(actual.abs_diff(expected) < 10_000, "{actual} freed, {expected} foretold");
    bench.restic(&["check", "--read-data"]);
    bench.restore("out", &[]);
    assert!(same(&bench.path("one"), &bench.path("out")));
    bench.run(&["forget", "--all", "--yes", "--prune"]).ended(0);
    assert!(images().contains("no images"));
    assert_eq!(files(&bench, "data"), [""; 0].map(PathBuf::from));
}

#[test]
fn a_damaged_image_can_be_forgotten() {
    let bench = Bench::new();
    let id = capture(&bench, "one", 1);
    flip(&bench.path("repo/snapshots").join(&id), 30);
    bench.run(&["forget", "--keep-last", "1"]).ended(0);
    let refused = bench.run(&["prune"]).ended(1).stderr;
    assert!(refused.contains("nothing was removed"), "{refused}");
    bench.run(&["forget", &id[..8], "--prune"]).ended(0);
    bench.run(&["check"]).ended(0);
    bench.restic(&["check"]);
}

#[test]
fn what_check_finds_is_mended_by_repair_and_another_capture() {
    let bench = Bench::new();
    capture(&bench, "one", 1);
    let told = bench.run(&["check"]).ended(0).stdout;
    assert!(told.contains("no damage"), "{told}");
    for index in files(&bench, "index") {
        fs::remove_file(index).unwrap();
    }
    bench.run(&["check"]).ended(1);
    bench.run(&["repair", "index"]).ended(0);
    bench.restic(&["check"]);

    // A flipped bit takes reading to be found, and a capture relies on what is there already …
    flip(&largest_pack(&bench), 1 << 20);
    bench.run(&["check"]).ended(0);
    bench.run(&["check", "--read-data"]).ended(1);
    let report = bench.run(&["check", "--read-data", "--json"]).ended(1).result();
    assert_eq!(report["incomplete"].as_array().unwrap().len(), 1, "{report}");
    bench.run(&["capture", &bench.arg("one")]).ended(0);
    // … unless it is asked not to.
    let refused = bench.run(&["capture", &bench.arg("one"), "--verify-all"]).ended(1).stderr;
    assert!(refused.contains("repair packs"), "{refused}");
    let told = bench.run(&["repair", "packs"]).ended(3).stdout;
    assert!(told.contains(" of one, 20") && told.contains("'lifeboat forget "), "{told}");
    bench.run(&["capture", &bench.arg("one"), "--verify-all"]).ended(0);
    bench.run(&["verify"]).ended(0);
    bench.restic(&["check", "--read-data"]);
    bench.restore("out", &[]);
    assert!(same(&bench.path("one"), &bench.path("out")));
}

/// Cuts a pack short.
fn cut_short(pack: &PathBuf) {
    let file = fs::File::options().write(true).open(pack).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

/// Everything in the newest image is there for stock restic too.
fn assert_restic_restores(bench: &Bench, disk: &str) {
    bench.restic(&["check", "--read-data"]);
    let out = bench.path("restic");
    let _ = fs::remove_dir_all(&out);
    bench.restic(&["restore", "latest", "--target", out.to_str().unwrap()]);
    let folder = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    assert!(same(&folder.join("disk.img"), &bench.path(disk)));
}

#[test]
fn a_capture_lets_the_index_name_no_bad_packs() {
    for damage in [cut_short as fn(&PathBuf), |pack| fs::remove_file(pack).unwrap()] {
        let bench = Bench::new();
        capture(&bench, "one", 1);
        capture(&bench, "other", 2);
        for _ in 0..3 {
            damage(&largest_pack(&bench));
            for disk in ["one", "other"] {
                bench.run(&["capture", &bench.arg(disk)]).ended(0);
                bench.restore("out", &["--disk", disk]);
                assert!(same(&bench.path(disk), &bench.path("out")));
            }
            assert_restic_restores(&bench, "other");
        }
        bench.run(&["verify"]).ended(0);
        let told = bench.run(&["capture", &bench.arg("one")]).ended(0);
        assert!(!told.stderr.contains("missing or cut short"), "{}", told.stderr);
        bench.run(&["prune"]).ended(0);
        assert_restic_restores(&bench, "one");
    }
}

#[test]
fn bad_packs_stay_in_the_index_while_others_use_it_or_for_what_only_they_hold() {
    let bench = Bench::new();
    let first = capture(&bench, "one", 1);
    cut_short(&largest_pack(&bench));
    // Another disk: nothing of the pack is stored again.
    let warned = capture_and_hear(&bench, "other", 2);
    assert!(warned.contains("nowhere else") && warned.contains("repair packs"), "{warned}");
    bench.run(&["verify", &first]).ended(1);
    // The same disk while others are at work.
    let lock = somebody_elses_lock(&bench);
    let warned = bench.run(&["capture", &bench.arg("one")]).ended(0).stderr;
    assert!(warned.contains("others are using"), "{warned}");
    fs::remove_file(lock).unwrap();
    bench.run(&["verify", &first]).ended(0);
    let warned = bench.run(&["capture", &bench.arg("one")]).ended(0).stderr;
    assert!(warned.contains("missing or cut short"), "{warned}");
    assert_restic_restores(&bench, "one");
}

fn capture_and_hear(bench: &Bench, disk: &str, seed: u64) -> String {
    fs::write(bench.path(disk), noise(2 * seed, 3 << 20)).unwrap();
    bench.run(&["capture", &bench.arg(disk)]).ended(0).stderr
}

/// A shared lock of somebody else: of this process, which does not give it back.
fn somebody_elses_lock(bench: &Bench) -> PathBuf {
    use lifeboat::repository::Repository;
    use lifeboat::store::LocalStore;

    let store = std::sync::Arc::new(LocalStore::new(bench.path("repo")));
    let repo = Repository::open(store, "lifeboat").unwrap();
    std::mem::forget(repo.lock_shared().unwrap());
    files(bench, "locks").pop().unwrap()
}

#[test]
fn locks_left_behind_are_removed_on_request() {
    let bench = Bench::new();
    let name = "0".repeat(64);
    fs::write(bench.path("repo/locks").join(name), b"").unwrap();
    let refused = bench.run(&["prune"]).ended(1).stderr;
    assert!(refused.contains("lifeboat unlock --all"), "{refused}");
    bench.run(&["unlock"]).ended(3);
    bench.run(&["unlock", "--all"]).ended(0);
    bench.run(&["prune"]).ended(0);
}
