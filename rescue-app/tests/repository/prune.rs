//! Freeing space: judged by stock restic, and stopped at every step.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use common::Random;
use lifeboat::progress::{Cancel, Control, Event, Level};
use lifeboat::repository::{
    BlobType, Id, IndexedRepository, PUBLIC_PASSPHRASE, PackWriter, PruneOptions, PruneReport,
    Repository, RepositoryError, Result,
};
use lifeboat::store::FileKind;

use crate::faults::{Faulty, changes_made, remove_own_locks, stopping_after};
use crate::fixture::{CHUNK, disk, init, open, read_all, remove, save};
use crate::stock_restic::{Restic, files_below};

/// Images by the snapshots they are in.
type Images = BTreeMap<Id, Vec<u8>>;

fn options(max_unused: u8) -> PruneOptions {
    PruneOptions { max_unused, ..PruneOptions::default() }
}

fn try_prune(repo: &Repository, options: &PruneOptions) -> Result<PruneReport> {
    let lock = repo.lock_exclusive()?;
    repo.prune(&lock, options, Control::silent())
}

fn prune(restic: &Restic, max_unused: u8) -> PruneReport {
    try_prune(&open(restic), &options(max_unused)).unwrap()
}

fn pack_bytes(repo: &Repository) -> u64 {
    repo.store().list(FileKind::Pack).unwrap().iter().map(|pack| pack.size).sum()
}

/// A megabyte that does not compress, always the same for one number.
fn part(number: u64) -> Vec<u8> {
    let mut random = Random::new(number + 1);
    random.bytes(1 << 20)
}

/// Images of parts chosen by chance, of which later ones share some with earlier ones; packs are
/// then partly needed in all degrees.
fn save_some(restic: &Restic, random: &mut Random, count: u64, parts: u64) -> Images {
    let mut images = Images::new();
    for _ in 0..count {
        let image: Vec<u8> =
            (0..5 + random.below(parts)).flat_map(|_| part(random.below(60))).collect();
        images.insert(save(&open(restic), &image), image);
    }
    images
}

fn forget(restic: &Restic, images: &mut Images, mut goes: impl FnMut(&Id) -> bool) {
    let repo = open(restic);
    images.retain(|id, _| {
        let stays = !goes(id);
        if !stays {
            remove(&repo, *id);
        }
        stays
    });
}

fn assert_whole(restic: &Restic, images: &Images) {
    let repo = open(restic);
    let found = repo.snapshots().unwrap().snapshots;
    assert_eq!(found.len(), images.len());
    for file in found {
        let read = read_all(&repo, &file.snapshot.tree);
        assert!(read["/machine/disk.img"] == images[&file.id], "image {}", file.id);
    }
}

fn findings(restic: &Restic) -> Vec<String> {
    let report = open(restic).check(true, 2, Control::silent()).unwrap();
    report.findings.into_iter().map(|finding| finding.text).collect()
}

#[test]
fn what_no_image_uses_goes_and_restic_agrees() {
    let restic = Restic::new();
    init(&restic);
    let mut random = Random::from_environment();
    let mut images = save_some(&restic, &mut random, 6, 20);
    for max_unused in [5, 0] {
        let mut number = 0;
        forget(&restic, &mut images, |_| {
            number += 1;
            number % 3 == 0
        });
        let repo = open(&restic);
        let before = pack_bytes(&repo);
        let expected = try_prune(&repo, &PruneOptions { dry_run: true, ..options(max_unused) });
        assert_eq!(pack_bytes(&repo), before);
        let report = prune(&restic, max_unused);
        let after = pack_bytes(&repo);
        assert_eq!((report.freed, report.remaining), (before - after, after), "{report:?}");
        let difference = expected.unwrap().freed.abs_diff(report.freed);
        assert!(difference < 100_000, "a dry run tells what happens but for headers: {difference}");
        assert!(report.unused_left <= after * u64::from(max_unused) / 100, "{report:?}");
        restic.check();
        assert_eq!(findings(&restic), [""; 0]);
        assert_whole(&restic, &images);
        // restic finds nothing more to do.
        let rest = format!("--max-unused={max_unused}%");
        let before = files_below(&restic.repo().join("data"));
        restic.ok(&["prune", &rest]);
        assert_eq!(files_below(&restic.repo().join("data")), before);
        let again = prune(&restic, max_unused);
        assert_eq!((again.freed, again.moved, again.removed_packs), (0, 0, 0));
    }
    forget(&restic, &mut images, |_| true);
    let report = prune(&restic, 5);
    assert_eq!((report.remaining, report.images), (0, 0));
    restic.check();
    save(&open(&restic), &part(1));
    restic.check();
}

#[test]
fn we_accept_what_restic_prunes() {
    let restic = Restic::new();
    init(&restic);
    let mut images = save_some(&restic, &mut Random::from_environment(), 4, 20);
    let mut number = 0;
    forget(&restic, &mut images, |_| {
        number += 1;
        number % 2 == 0
    });
    restic.ok(&["prune", "--max-unused", "0"]);
    assert_eq!(findings(&restic), [""; 0]);
    assert_whole(&restic, &images);
}

#[test]
fn leftovers_copies_and_small_packs_are_tidied_up() {
    let restic = Restic::new();
    let image: Vec<u8> = (0..5).flat_map(part).collect();
    let (one, other) = (init(&restic), open(&restic));
    let mut images = Images::new();
    images.insert(save(&one, &image), image.clone());
    // Two captures at once that do not know of each other.
    images.insert(save(&other, &image), image.clone());
    for number in 0..12 {
        let small = disk(number, 100_000);
        images.insert(save(&open(&restic), &small), small);
    }
    // An interrupted capture, and one whose index file was lost.
    abandon(&open(&restic), &part(50));
    let index = restic.repo().join("index");
    let before = files_below(&index);
    abandon(&open(&restic), &part(51));
    for file in files_below(&index).iter().filter(|file| !before.contains(file)) {
        fs::remove_file(file).unwrap();
    }
    let packs = files_below(&restic.repo().join("data")).len();
    assert!(packs >= 25, "{packs}");
    // One of two copies is damaged; which one must not matter.
    for damaged in [0, 1] {
        let restic = restic.copy();
        damage_copy(&restic, damaged);
        prune(&restic, 5);
        assert_whole(&restic, &images);
        restic.check();
    }
    let report = prune(&restic, 5);
    assert_eq!(files_below(&restic.repo().join("data")).len(), 2, "{report:?}");
    assert_eq!(files_below(&index).len(), 1);
    restic.check();
    assert_whole(&restic, &images);
}

/// Stores data and gives up.
fn abandon(repo: &IndexedRepository, bytes: &[u8]) {
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(repo, &lock).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    for chunk in bytes.chunks(CHUNK) {
        worker.save(BlobType::Data, None, chunk, 1).unwrap();
    }
    worker.finish().unwrap();
}

/// Flips bits all over one of the two packs that hold the same large data.
fn damage_copy(restic: &Restic, which: usize) {
    let large = |path: &std::path::PathBuf| fs::metadata(path).unwrap().len() > 2 << 20;
    let twins: Vec<_> =
        files_below(&restic.repo().join("data")).into_iter().filter(large).collect();
    let mut bytes = fs::read(&twins[which]).unwrap();
    bytes.iter_mut().step_by(CHUNK / 2).for_each(|byte| *byte ^= 1);
    fs::write(&twins[which], bytes).unwrap();
}

#[test]
fn stopped_anywhere_it_harms_no_image_and_is_completed_by_running_it_again() {
    let restic = Restic::new();
    init(&restic);
    let mut random = Random::from_environment();
    let mut images = save_some(&restic, &mut random, 4, 8);
    let mut number = 0;
    forget(&restic, &mut images, |_| {
        number += 1;
        number % 2 == 0
    });
    abandon(&open(&restic), &part(70));
    let steps = changes_made(&restic, |repo| try_prune(repo, &options(0)).map(drop));
    assert!(steps > 10, "it took {steps} changes only");
    for step in random.points(6, steps) {
        println!("stopped after {step} of {steps} changes");
        let copy = restic.copy();
        let repo = stopping_after(&copy, step);
        assert!(try_prune(&repo, &options(0)).is_err() || step + 1 == steps);
        remove_own_locks(&copy);
        let found = open(&copy).check(true, 2, Control::silent()).unwrap();
        assert!(found.is_sound(), "{:?}", found.findings);
        copy.ok(&["check", "--read-data"]);
        assert_whole(&copy, &images);
        prune(&copy, 0);
        copy.check();
        assert_eq!(findings(&copy), [""; 0]);
    }
}

#[test]
fn nothing_is_removed_when_an_image_is_incomplete() {
    let restic = Restic::new();
    init(&restic);
    let mut images = save_some(&restic, &mut Random::from_environment(), 2, 5);
    forget(&restic, &mut images, |_| false);
    let index = files_below(&restic.repo().join("index"));
    let packs = files_below(&restic.repo().join("data"));
    let snapshots = files_below(&restic.repo().join("snapshots"));
    let refused = |path: &Path, change: &dyn Fn(&Path)| {
        let bytes = fs::read(path).unwrap();
        change(path);
        let before = files_below(&restic.repo());
        let repo = Repository::open(crate::fixture::store(&restic.repo()), PUBLIC_PASSPHRASE);
        let result = try_prune(&repo.unwrap(), &options(0));
        let refused = matches!(result, Err(RepositoryError::Unprunable { .. }));
        assert!(refused, "{}: {result:?}", path.display());
        assert_eq!(files_below(&restic.repo()), before);
        fs::write(path, bytes).unwrap();
    };
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let cut = |path: &Path| fs::write(path, b"x").unwrap();
    index.iter().for_each(|path| {
        refused(path, &remove);
        refused(path, &cut);
    });
    packs.iter().for_each(|path| refused(path, &remove));
    refused(&snapshots[0], &cut);
    prune(&restic, 0);
    assert_whole(&restic, &images);
    let repo = open(&restic);
    let lock = repo.lock_exclusive().unwrap();
    let cancel = Cancel::new();
    cancel.request();
    let control = Control { cancel: &cancel, ..Control::silent() };
    let cancelled = repo.prune(&lock, &options(0), control);
    assert!(matches!(cancelled, Err(RepositoryError::Cancelled)));
}

#[test]
fn a_full_place_frees_what_it_can() {
    let restic = Restic::new();
    init(&restic);
    let all: Vec<u8> = (0..24).flat_map(part).collect();
    let half: Vec<u8> = (0..24).step_by(2).flat_map(part).collect();
    let gone = save(&open(&restic), &all);
    let mut images = Images::from([(gone, all), (save(&open(&restic), &half), half)]);
    // Every pack is half needed now.
    forget(&restic, &mut images, |id| *id == gone);
    let store = Faulty::new(&restic);
    let repo = Repository::open(store.clone(), PUBLIC_PASSPHRASE).unwrap();
    store.left.store(1 << 20, Ordering::Relaxed);
    let warned = Mutex::new(Vec::new());
    let sink = |event| match event {
        Event::Notice(notice) if notice.level == Level::Warning => {
            warned.lock().unwrap().push(notice.text);
        }
        _ => {}
    };
    let lock = repo.lock_exclusive().unwrap();
    let report = repo.prune(&lock, &options(0), Control { sink: &sink, ..Control::silent() });
    drop(lock);
    let report = report.unwrap();
    let warned = warned.into_inner().unwrap();
    assert!(warned.len() == 1 && warned[0].contains("too full"), "{warned:?}");
    assert_eq!(report.warnings, warned);
    assert!(report.repacked_packs == 0 && report.unused_left > 0, "{report:?}");
    assert_eq!(findings(&restic), [""; 0], "nothing half done stays");
    prune(&restic, 0);
    restic.check();
    assert_whole(&restic, &images);
}
