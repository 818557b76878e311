//! What happens to a repository is noticed, and hurts no image but those it hits.

use std::fs;
use std::path::{Path, PathBuf};

use common::Random;

use crate::fixture::{CHUNK, disk, init, open, read_all, save, store};
use crate::stock_restic::{Restic, files_below};
use lifeboat::progress::{Cancel, Control, Event};
use lifeboat::repository::{
    BlobReader, CheckReport, Id, PUBLIC_PASSPHRASE, Repository, RepositoryError,
};

fn check(repo: &Repository) -> CheckReport {
    repo.check(true, 2, Control::silent()).unwrap()
}

/// Opens and checks; whatever is wrong must end in an error or in the report.
fn is_noticed(restic: &Restic) -> bool {
    match Repository::open(store(&restic.repo()), PUBLIC_PASSPHRASE) {
        Ok(repo) => !repo.check(true, 1, Control::silent()).is_ok_and(|report| report.is_sound()),
        Err(_) => true,
    }
}

/// The repository's files, without the note for people, in the given folder of it.
fn repository_files(restic: &Restic, folder: &str) -> Vec<PathBuf> {
    let files = files_below(&restic.repo().join(folder));
    files.into_iter().filter(|path| !path.ends_with("README.txt")).collect()
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_repository_passes() {
    let restic = Restic::new();
    let repo = init(&restic);
    save(&repo, &disk(1, 20_000_000));
    save(&repo, &disk(2, 1_000_000));
    let read = std::sync::atomic::AtomicU64::new(0);
    let sink = |event| {
        if let Event::Progress(progress) = event {
            read.fetch_max(progress.done, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let report = repo.check(true, 2, Control { sink: &sink, ..Control::silent() }).unwrap();
    assert!(report.is_sound() && report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.snapshots, 2);
    let bytes: u64 = repository_files(&restic, "data")
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert_eq!((report.bytes_read, read.into_inner()), (bytes, bytes));
    let cancel = Cancel::new();
    cancel.request();
    let cancelled = repo.check(true, 2, Control { cancel: &cancel, ..Control::silent() });
    assert!(matches!(cancelled, Err(RepositoryError::Cancelled)));
}

#[test]
fn what_restic_makes_passes_our_check() {
    let restic = Restic::new();
    restic.ok(&["init"]);
    let source = restic.path("source/folder");
    fs::create_dir_all(&source).unwrap();
    for seed in 0..5 {
        fs::write(source.join(format!("file {seed}")), disk(seed, 1_500_000)).unwrap();
        restic.ok(&["backup", "source"]);
    }
    restic.ok(&["forget", "--keep-last", "2", "--prune", "--max-unused", "0"]);
    let report = check(&open(&restic));
    assert!(report.is_sound() && report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.snapshots, 2);
}

#[test]
fn every_flipped_byte_is_noticed() {
    let restic = Restic::new();
    let repo = init(&restic);
    save(&repo, &disk(3, 900));
    let sound = |repo: &Repository| {
        repo.check(true, 1, Control::silent()).is_ok_and(|report| report.is_sound())
    };
    assert!(sound(&repo));
    for folder in ["data", "index", "snapshots"] {
        let files = repository_files(&restic, folder);
        assert!(!files.is_empty());
        for path in files {
            for at in 0..fs::read(&path).unwrap().len() {
                let bit = u8::try_from(at % 8).unwrap();
                flip(&path, at, bit);
                assert!(!sound(&repo), "bit {bit} of byte {at} of {}", path.display());
                flip(&path, at, bit);
            }
        }
    }
    assert!(sound(&repo));
    for path in ["config", "keys"].iter().flat_map(|name| match *name {
        "config" => vec![restic.repo().join(name)],
        folder => repository_files(&restic, folder),
    }) {
        for at in 0..fs::read(&path).unwrap().len() {
            let bit = u8::try_from(at % 8).unwrap();
            flip(&path, at, bit);
            assert!(is_noticed(&restic), "bit {bit} of byte {at} of {}", path.display());
            flip(&path, at, bit);
        }
    }
    assert!(!is_noticed(&restic));
}

#[test]
fn every_cut_or_removed_file_is_noticed() {
    let restic = Restic::new();
    let repo = init(&restic);
    save(&repo, &disk(4, 200_000));
    for path in repository_files(&restic, "") {
        let bytes = fs::read(&path).unwrap();
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            assert!(is_noticed(&restic), "{} cut to {len} bytes", path.display());
        }
        fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
        assert!(is_noticed(&restic), "{} with more at its end", path.display());
        fs::remove_file(&path).unwrap();
        // A snapshot that is gone looks like one that was removed on purpose.
        let is_snapshot = path.parent().unwrap().ends_with("snapshots");
        assert!(is_snapshot || is_noticed(&restic), "{} removed", path.display());
        fs::write(&path, &bytes).unwrap();
    }
    assert!(!is_noticed(&restic));
}

#[test]
fn damage_hurts_no_other_image() {
    let restic = Restic::new();
    let repo = init(&restic);
    let kept = disk(5, 3_000_000);
    let kept_id = save(&repo, &kept);
    let before = repository_files(&restic, "");
    let hit = save(&repo, &disk(6, 3_000_000));
    let tree = repo.load_snapshot(kept_id).unwrap().snapshot.tree;
    let mut random = Random::from_environment();
    let new = |path: &&PathBuf| !before.contains(path);
    for path in repository_files(&restic, "").iter().filter(new) {
        let bytes = fs::read(path).unwrap();
        let len = bytes.len() as u64;
        let is_snapshot = path.ends_with(hit.to_string());
        for point in random.points(3, len) {
            let at = usize::try_from(point).unwrap();
            let flipped = [&bytes[..at], &[bytes[at] ^ 1], &bytes[at + 1..]].concat();
            for damaged in [Some(&flipped[..]), Some(&bytes[..at]), None] {
                match damaged {
                    Some(bytes) => fs::write(path, bytes).unwrap(),
                    None => fs::remove_file(path).unwrap(),
                }
                let gone = is_snapshot && damaged.is_none();
                let report = check(&repo);
                assert_eq!(report.is_sound(), gone, "{} at {at}", path.display());
                // A pack whose list of blobs is damaged still gives its blobs.
                assert!(
                    report.incomplete.iter().all(|id| *id == hit),
                    "{} at {at}",
                    path.display()
                );
                let loaded = repo.load_index().unwrap();
                assert!(read_all(&loaded, &tree)["/machine/disk.img"] == kept);
                fs::write(path, &bytes).unwrap();
            }
        }
    }
    assert!(check(&repo).is_sound());
}

#[test]
fn a_damaged_snapshot_leaves_the_others_listed() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (save(&repo, &disk(7, 1000)), save(&repo, &disk(8, 1000)));
    flip(&restic.repo().join("snapshots").join(first.to_string()), 100, 0);
    let list = repo.snapshots().unwrap();
    assert_eq!(list.snapshots.iter().map(|file| file.id).collect::<Vec<_>>(), [second]);
    assert_eq!(list.damaged[0].0, first);
    assert!(matches!(repo.snapshot(&first.short()), Err(RepositoryError::Damaged { .. })));
    assert_eq!(repo.snapshots().unwrap().snapshots.pop().unwrap().id, second);
    assert_eq!(repo.snapshot(&second.short()).unwrap().id, second);
    assert!(matches!(repo.snapshot("x"), Err(RepositoryError::NoSuchSnapshot { .. })));
    assert_eq!(check(&repo).incomplete, [first]);
}

#[test]
fn a_second_copy_of_a_blob_steps_in() {
    let restic = Restic::new();
    let image = disk(9, 1_000_000);
    // Two captures at once that do not know of each other store everything twice.
    let (one, other) = (init(&restic), open(&restic));
    save(&one, &image);
    let first_packs = repository_files(&restic, "data");
    save(&other, &image);
    for pack in &first_packs {
        flip(pack, 5000.min(fs::read(pack).unwrap().len() / 2), 0);
    }
    let repo = open(&restic);
    let report = check(&repo);
    assert!(!report.is_sound(), "the damaged pack is reported");
    assert_eq!(report.incomplete, [], "but nothing is lost");
    for file in repo.snapshots().unwrap().snapshots {
        assert!(read_all(&repo, &file.snapshot.tree)["/machine/disk.img"] == image);
    }
}

#[test]
fn verifying_an_image_names_its_damaged_blobs() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(10, 4_000_000);
    save(&repo, &image);
    let ids: Vec<Id> = image.chunks(CHUNK).map(Id::of).collect();
    let verified = repo.verify_blobs(&ids, 2, Control::silent()).unwrap();
    assert!(verified.damaged.is_empty());
    let target = repo.blob(&ids[40]).unwrap();
    let pack = target.pack.to_string();
    let path = restic.repo().join("data").join(&pack[..2]).join(&pack);
    flip(&path, usize::try_from(target.offset).unwrap() + 20, 0);
    let strange = Id::of(b"never stored");
    let wanted = ids.iter().chain([&strange]);
    let verified_again = repo.verify_blobs(wanted, 2, Control::silent()).unwrap();
    assert_eq!(verified_again.blobs, verified.blobs);
    let mut damaged: Vec<Id> = verified_again.damaged.iter().map(|(id, _)| *id).collect();
    damaged.sort_unstable();
    let mut expected = [ids[40], strange];
    expected.sort_unstable();
    assert_eq!(damaged, expected);
    let mut reader = BlobReader::new().unwrap();
    let refused = repo.read_blob(&ids[40], &mut reader);
    assert!(matches!(refused, Err(RepositoryError::DamagedBlob { blob, .. }) if blob == ids[40]));
    assert!(repo.read_blob(&ids[41], &mut reader).is_ok());
}

#[test]
fn lost_index_files_are_made_again() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(11, 20_000_000);
    save(&repo, &image);
    for path in repository_files(&restic, "index") {
        fs::remove_file(path).unwrap();
    }
    let repo = open(&restic);
    assert!(!check(&repo).is_sound());
    let adopted =
        repo.adopt_packs(&repo.lock_shared().unwrap(), &repo.packs_with_sizes().unwrap()).unwrap();
    assert_eq!(adopted.packs, repository_files(&restic, "data").len() as u64);
    assert!(check(&repo).findings.is_empty());
    restic.check();
}
