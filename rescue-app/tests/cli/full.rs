//! Places that really fill up: small filesystems of their own, as root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::{noise, succeeds, tool};
use lifeboat::image::chunks::ChunkSize;
use lifeboat::operation::{
    self, Cancel, CaptureReport, CaptureRequest, Compression, Control, Event, Label,
    OperationError, Phase, RepoAccess, Resume, Shortage, SourceRequest, Timed,
};

use crate::support::{Bench, MIB, same};

/// The repository of a bench on a filesystem of its own, with something else in the way.
struct SmallPlace {
    bench: Bench,
    root: PathBuf,
}

impl SmallPlace {
    /// A tmpfs of `mib` MiB, `ballast` of them taken.
    fn tmpfs(mib: u64, ballast: u64) -> Self {
        let size = format!("size={mib}m");
        Self::mounted(&["-t", "tmpfs", "-o", &size, "none"], ballast, |_| {})
    }

    /// An ext4 filesystem of `mib` MiB in a loop device, `ballast` of them taken.
    fn ext4(mib: u64, ballast: u64) -> Self {
        let image = |bench: &Bench| {
            File::create(bench.path("place")).unwrap().set_len(mib * MIB).unwrap();
            tool("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", &bench.arg("place")]);
        };
        Self::mounted(&["-o", "loop", "place"], ballast, image)
    }

    fn mounted(options: &[&str], ballast: u64, prepare: impl FnOnce(&Bench)) -> Self {
        let bench = Bench::empty();
        prepare(&bench);
        let root = bench.path("repo");
        fs::create_dir(&root).unwrap();
        let (what, options) = options.split_last().unwrap();
        let what = if *what == "place" { bench.arg("place") } else { (*what).to_owned() };
        let mut args = options.to_vec();
        args.extend([what.as_str(), root.to_str().unwrap()]);
        tool("mount", &args);
        let place = Self { bench, root };
        fs::write(place.ballast(), vec![1; usize::try_from(ballast * MIB).unwrap()]).unwrap();
        place.bench.run(&["init", "--no-passphrase"]).ended(0);
        place
    }

    fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    fn make_space(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Every file in the place.
    fn files(&self) -> Vec<String> {
        let list = tool("find", &[self.root.to_str().unwrap(), "-type", "f"]);
        list.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn assert_nothing_in_the_way(&self) {
        for file in self.files() {
            assert!(!file.contains("unfinished") && !file.contains("/locks/"), "{file} is left");
        }
    }

    /// Nothing found by stock restic, which reads without a lock where none fits.
    #[track_caller]
    fn assert_whole(&self, more: &[&str]) {
        let checked = self.bench.restic(&[&["check", "--no-lock"], more].concat());
        assert!(checked.contains("no errors were found"), "{checked}");
    }

    fn make_disk(&self) -> PathBuf {
        let disk = self.bench.path("disk");
        fs::write(&disk, noise(11, 56 << 20)).unwrap();
        disk
    }

    fn request(&self, disk: &Path) -> CaptureRequest {
        CaptureRequest {
            source: SourceRequest::all_of(disk),
            repo: RepoAccess::new(self.root.clone(), None),
            compression: Compression::Fast,
            chunk_size: ChunkSize::default(),
            keep_map: false,
            verify_all: false,
            label: Label::default(),
            in_memory: false,
        }
    }
}

impl Drop for SmallPlace {
    fn drop(&mut self) {
        let _ = succeeds("umount", &[Path::new("-l"), &self.root]);
    }
}

#[test]
fn a_full_place_ends_the_command_with_its_own_code_and_is_continued() {
    let place = SmallPlace::ext4(110, 70);
    let (bench, disk) = (&place.bench, place.make_disk());
    let disk = disk.to_str().unwrap();
    fs::write(bench.path("earlier"), noise(12, 2 << 20)).unwrap();
    bench.capture("earlier");
    let before = place.files();
    let planned = bench.run(&["capture", disk, "--plan"]).ended(0).stdout;
    assert!(
        planned.contains("to be stored: at most 57.0 MiB; likely 16.8 MiB to 53.2 MiB"),
        "{planned}"
    );
    assert!(planned.contains("may be too little"), "{planned}");
    assert_eq!(place.files(), before, "a plan stores nothing, not even a lock");

    let full = bench.run(&["capture", disk]).ended(5).stderr;
    let root = place.root.to_str().unwrap();
    assert!(full.contains(&format!("{root} is full: ")), "{full}");
    assert!(full.contains("still to be stored at most") && full.contains("same command again"));
    place.assert_nothing_in_the_way();
    place.assert_whole(&[]);
    assert_eq!(bench.run(&["images"]).ended(0).stdout.lines().count(), 1);
    bench.run(&["verify"]).ended(0);

    let again = bench.run(&["capture", disk, "--json"]).ended(5).stdout;
    assert!(again.contains(r#""event":"error""#) && again.contains("is full"), "{again}");
    place.make_space();
    // What a killed run left half-written is as old as that run.
    let leftover = place.root.join(format!("data/00/{}.lifeboat-unfinished-1-0", "0".repeat(64)));
    fs::write(&leftover, [7; 4096]).unwrap();
    tool("touch", &["-d", "1 hour ago", leftover.to_str().unwrap()]);
    let report = bench.capture("disk");
    assert!(report["reused"].as_u64().unwrap() >= 8 * MIB, "{report}");
    place.assert_nothing_in_the_way();
    place.assert_whole(&["--read-data"]);
    bench.restore("out", &[]);
    assert!(same(&bench.path("out"), &bench.path("disk")));
}

#[test]
fn an_image_is_read_from_a_place_without_room_for_a_lock() {
    let place = SmallPlace::tmpfs(76, 0);
    let disk = place.make_disk();
    place.bench.run(&["capture", disk.to_str().unwrap()]).ended(0);
    let mut file = File::create(place.root.join("more")).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    place.bench.run(&["verify"]).ended(0);
    place.bench.restore("out", &[]);
    assert!(same(&place.bench.path("out"), &disk));
    let refused = place.bench.run(&["capture", disk.to_str().unwrap()]).ended(5).stderr;
    assert!(refused.contains("is full"), "{refused}");
}

/// What a person does at each pause, in order; the last one is repeated.
type Answer = fn(&SmallPlace, &Cancel, &Resume);

fn make_space_and_go_on(place: &SmallPlace, _: &Cancel, resume: &Resume) {
    place.make_space();
    resume.request();
}

fn go_on(_: &SmallPlace, _: &Cancel, resume: &Resume) {
    resume.request();
}

fn stop(_: &SmallPlace, cancel: &Cancel, _: &Resume) {
    cancel.request();
}

/// What a paused capture told.
struct Told {
    pauses: Vec<Shortage>,
    continued: u64,
    read: u64,
}

/// Captures as the menu does; `answers` are given one pause after the other.
fn capture_with(
    place: &SmallPlace,
    disk: &Path,
    answers: &[Answer],
) -> (Result<Timed<CaptureReport>, OperationError>, Told) {
    let (cancel, resume) = (Cancel::new(), Resume::new());
    let pauses: Mutex<Vec<Shortage>> = Mutex::default();
    let (continued, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let waiting = Mutex::new(false);
    let result = thread::scope(|scope| {
        let sink = |event: Event| match event {
            Event::Progress(progress) if progress.phase == Phase::Capturing => {
                read.fetch_max(progress.done, Ordering::Relaxed);
            }
            Event::Paused(shortage) => {
                let mut waiting = waiting.lock().unwrap();
                if std::mem::replace(&mut *waiting, true) {
                    return;
                }
                let mut pauses = pauses.lock().unwrap();
                let answer = answers[pauses.len().min(answers.len() - 1)];
                pauses.push(shortage);
                assert!(place.files().iter().any(|file| file.contains("/locks/")), "no lock");
                let (cancel, resume) = (&cancel, &resume);
                scope.spawn(move || answer(place, cancel, resume));
            }
            Event::Continued => {
                *waiting.lock().unwrap() = false;
                continued.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        };
        let control = Control { sink: &sink, cancel: &cancel, resume: Some(&resume) };
        operation::capture(&place.request(disk), control)
    });
    let pauses = pauses.into_inner().unwrap();
    (result, Told { pauses, continued: continued.into_inner(), read: read.into_inner() })
}

#[test]
fn a_capture_pauses_and_goes_on_without_reading_anything_again() {
    let place = SmallPlace::tmpfs(80, 40);
    let disk = place.make_disk();
    let (report, told) = capture_with(&place, &disk, &[go_on, go_on, make_space_and_go_on]);
    let report = report.unwrap();
    assert!(told.pauses.len() >= 3, "too little space is asked about again");
    assert_eq!(told.continued, told.pauses.len() as u64);
    let first = &told.pauses[0];
    assert_eq!(first.location, place.root.to_str().unwrap());
    assert!(first.needed > 0 && first.needed < 56 * MIB, "{first:?}");
    assert!(first.free.unwrap() < 40 * MIB, "{first:?}");
    assert_eq!((report.read, told.read), (56 * MIB, 56 * MIB));
    assert_eq!(report.reused, 0, "nothing came twice");
    place.assert_nothing_in_the_way();
    place.assert_whole(&["--read-data"]);
    place.bench.restore("out", &[]);
    assert!(same(&place.bench.path("out"), &disk));
}

#[test]
fn a_capture_that_waits_for_space_can_be_stopped() {
    let place = SmallPlace::tmpfs(80, 40);
    let disk = place.make_disk();
    let (report, told) = capture_with(&place, &disk, &[stop]);
    assert!(report.unwrap_err().is_cancelled());
    assert_eq!(told.pauses.len(), 1, "one answer is enough for all threads");
    place.assert_nothing_in_the_way();
    place.assert_whole(&[]);
    place.make_space();
    let report = place.bench.capture("disk");
    assert!(report["reused"].as_u64().unwrap() > 0, "{report}");
}
