//! A place for images that does not keep what is stored in it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::noise;

use crate::support::Bench;

/// More packs than may wait to be read back.
const DISK_LEN: usize = 240 << 20;

/// A pack file that is there under its final name.
fn any_pack(repo: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(repo.join("data")).unwrap();
    let mut files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    files.find_map(|file| {
        let path = file.ok()?.path();
        (path.file_name()?.len() == 64).then_some(path)
    })
}

/// Changes one byte of the first pack that is stored.
fn spoil_first_pack(repo: &Path, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        if let Some(pack) = any_pack(repo) {
            let file = File::options().read(true).write(true).open(pack).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, 1000).unwrap();
            file.write_all_at(&[byte[0] ^ 1], 1000).unwrap();
            return file.sync_all().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_place_that_does_not_keep_what_is_stored_is_found_out() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(3, DISK_LEN)).unwrap();
    let (repo, ended) = (bench.path("repo"), AtomicBool::new(false));
    let run = thread::scope(|scope| {
        scope.spawn(|| spoil_first_pack(&repo, &ended));
        let run = bench.run(&["capture", &bench.arg("disk")]);
        ended.store(true, Ordering::Relaxed);
        run
    });
    let run = run.ended(1);
    assert!(run.stderr.contains("different from what was written"), "{}", run.stderr);
    assert!(run.stderr.contains("store images elsewhere"), "{}", run.stderr);
    let images = bench.run(&["images", "--json"]).ended(0);
    assert_eq!(images.stdout.trim(), "[]", "an image counts that was not proven");
}
