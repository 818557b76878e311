//! Repositories that are mended, judged by stock restic.

use std::fs;
use std::path::{Path, PathBuf};

use common::Random;
use lifeboat::progress::Control;
use lifeboat::repository::{
    IndexedRepository, PUBLIC_PASSPHRASE, RebuiltIndex, RepairedPacks, Repository, RepositoryError,
    Result,
};

use crate::faults::{changes_made, remove_own_locks, stopping_after};
use crate::fixture::{disk, init, open, read_all, remove, save, store};
use crate::stock_restic::{Restic, files_below};

/// Opens without demanding that the index is whole.
fn open_damaged(restic: &Restic) -> Repository {
    Repository::open(store(&restic.repo()), PUBLIC_PASSPHRASE).unwrap()
}

fn rebuild(repo: &Repository) -> Result<RebuiltIndex> {
    repo.rebuild_index(&repo.lock_exclusive()?, Control::silent())
}

fn repair(repo: &Repository) -> Result<RepairedPacks> {
    repo.repair_packs(&repo.lock_exclusive()?, Control::silent())
}

fn files(restic: &Restic, folder: &str) -> Vec<PathBuf> {
    files_below(&restic.repo().join(folder))
}

fn largest_pack(restic: &Restic) -> PathBuf {
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    files(restic, "data").into_iter().max_by_key(size).unwrap()
}

fn assert_holds(restic: &Restic, images: &[&[u8]]) {
    let repo = open(restic);
    let found = repo.snapshots().unwrap().snapshots;
    assert_eq!(found.len(), images.len());
    for (file, image) in found.iter().zip(images) {
        assert!(read_all(&repo, &file.snapshot.tree)["/machine/disk.img"] == *image);
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_lost_or_damaged_index_is_made_anew() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (disk(1, 20_000_000), disk(2, 3_000_000));
    save(&repo, &first);
    save(&repo, &second);
    let packs = files(&restic, "data").len() as u64;
    let index = files(&restic, "index");
    assert!(index.len() > 1);

    index.iter().for_each(|path| fs::remove_file(path).unwrap());
    let report = rebuild(&open(&restic)).unwrap();
    assert_eq!((report.packs, report.added, report.dropped), (packs, packs, 0));
    restic.check();
    assert_holds(&restic, &[&first, &second]);

    flip(&files(&restic, "index")[0], 50);
    let report = rebuild(&open_damaged(&restic)).unwrap();
    assert_eq!((report.packs, report.added), (packs, packs));
    restic.check();

    // An unused pack that is missing is only dropped; nothing else is read again.
    let unused = save(&repo, &disk(3, 100_000));
    let before = files(&restic, "data");
    remove(&repo, unused);
    let report = rebuild(&open(&restic)).unwrap();
    assert_eq!((report.packs, report.added, report.dropped), (before.len() as u64, 0, 0));
    assert_eq!(files(&restic, "index").len(), 1);
}

#[test]
fn what_is_good_in_damaged_packs_is_saved_and_the_rest_comes_back_with_the_next_capture() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(4, 30_000_000);
    save(&repo, &image);
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("a flipped bit", |pack| flip(pack, 100_000)),
        ("its header", |pack| {
            flip(pack, usize::try_from(pack.metadata().unwrap().len()).unwrap() - 20)
        }),
        ("cut short", |pack| File::truncate(pack)),
        ("removed", |pack| fs::remove_file(pack).unwrap()),
    ];
    for (what, damage) in damages {
        let restic = restic.copy();
        damage(&largest_pack(&restic));
        let repo = open(&restic);
        // Unless it is removed, a capture takes the damaged data for granted.
        let report = repair(&repo).unwrap();
        assert_eq!(report.damaged, 1, "{what}: {report:?}");
        assert_eq!(report.saved > 10, what != "removed", "{what}: {report:?}");
        assert_eq!(report.lost > 0, what != "its header", "{what}: {report:?}");
        assert_eq!(report.incomplete.is_empty(), report.lost == 0, "{what}: {report:?}");
        save(&open(&restic), &image);
        restic.check();
        assert_holds(&restic, &[&image, &image]);
        assert_eq!(repair(&open(&restic)).unwrap().damaged, 0);
    }
}

/// Cutting files.
struct File;

impl File {
    fn truncate(path: &Path) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    }
}

#[test]
fn a_capture_does_not_rely_on_packs_that_are_gone_or_cut() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(5, 30_000_000);
    save(&repo, &image);
    let distrusted =
        |repo: &IndexedRepository| repo.distrust_bad_packs(&repo.packs_with_sizes().unwrap());
    assert_eq!(distrusted(&open(&restic)), 0);
    for damage in [File::truncate as fn(&Path), |pack| fs::remove_file(pack).unwrap()] {
        let pack = largest_pack(&restic);
        damage(&pack);
        let repo = open(&restic);
        assert_eq!(distrusted(&repo), 1);
        save(&repo, &image);
        rebuild(&open(&restic)).unwrap();
        repair(&open(&restic)).unwrap();
        restic.check();
        let all = vec![&image[..]; open(&restic).snapshots().unwrap().snapshots.len()];
        assert_holds(&restic, &all);
    }
}

/// Repairs a damaged repository, stopped after some numbers of changes.
fn stop_at_points<T>(damage: fn(&Restic), work: fn(&Repository) -> Result<T>) {
    let restic = Restic::new();
    let image = disk(6, 20_000_000);
    let id = save(&init(&restic), &image);
    let hit = save(&open(&restic), &disk(7, 20_000_000));
    damage(&restic);
    let steps = changes_made(&restic, |repo| work(repo).map(drop));
    for step in Random::from_environment().points(3, steps) {
        println!("stopped after {step} of {steps} changes");
        let copy = restic.copy();
        let stopped = work(&stopping_after(&copy, step));
        assert!(stopped.is_err() || step + 1 == steps);
        remove_own_locks(&copy);
        work(&open_damaged(&copy)).unwrap();
        let repo = open(&copy);
        let tree = repo.load_snapshot(id).unwrap().snapshot.tree;
        assert!(read_all(&repo, &tree)["/machine/disk.img"] == image);
        remove(&repo, hit);
        copy.ok(&["check", "--read-data"]);
    }
}

/// What a power cut on FAT leaves of an index file that was being renamed.
#[test]
fn an_emptied_index_file_is_no_damage_and_goes_with_the_next_work() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (disk(1, 3_000_000), disk(2, 3_000_000));
    save(&repo, &first);
    let emptied = restic.repo().join("index").join("e".repeat(64));
    let check = || {
        restic.check();
        assert!(!emptied.exists());
    };
    let empty = || {
        fs::write(&emptied, b"").unwrap();
        assert!(!restic.run(&["check"]).status.success(), "restic does not mind");
        assert_holds(&restic, &[&first]);
    };
    empty();
    rebuild(&open(&restic)).unwrap();
    check();
    empty();
    save(&open(&restic), &second);
    check();
    assert_holds(&restic, &[&first, &second]);
}

#[test]
fn repairing_the_index_may_be_stopped_anywhere() {
    stop_at_points(|restic| flip(&files(restic, "index")[0], 50), rebuild);
}

#[test]
fn repairing_packs_may_be_stopped_anywhere() {
    let damage_newest = |restic: &Restic| {
        let modified = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        let large = |path: &PathBuf| fs::metadata(path).unwrap().len() > 1 << 20;
        let packs = files(restic, "data").into_iter().filter(large);
        flip(&packs.max_by_key(modified).unwrap(), 50_000);
    };
    stop_at_points(damage_newest, repair);
}

#[test]
fn packs_are_not_repaired_before_the_index_is() {
    let restic = Restic::new();
    save(&init(&restic), &disk(8, 100_000));
    flip(&files(&restic, "index")[0], 50);
    let refused = repair(&open_damaged(&restic));
    assert!(matches!(refused, Err(RepositoryError::Unprunable { .. })), "{refused:?}");
}
