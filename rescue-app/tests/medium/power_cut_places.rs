//! The power goes, or the program is killed, while images are captured, forgotten and pruned, the
//! index is written anew, packs are mended, or an image is restored or a disk cloned, in places of all kinds:
//! filesystems with a journal, without one, and those of USB sticks, which write in whatever order
//! they like between two flushes. As in `power_cut.rs` one run logs everything; what each point of it
//! leaves is checked by the filesystem's own tool, mounted by the medium's kernel, and judged here.
//! To be killed the program works once more, from where that run began.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::{Guest, Random, restic, succeeds, tool};
use serde_json::Value;

use crate::power_cut;
use crate::power_cut_work::{GOAL, LONGEST, Mark, PLACES, Place, SIZE, WORK, Work, Worked, script};

/// Points tried unless the environment says otherwise.
const POINTS: u64 = 16;

/// Points that one machine looks at.
const TOGETHER: usize = 32;

/// What the machine finds in a place whose power went, by way of a check.
const LOOK: &str = r#"
look() {
    status=0
    $3 "/dev/disk/$1" >/shared/check 2>&1 || status=$?
    [ "$status" -lt 4 ] || { cat /shared/check; exit 1; }
    mount -t "$2" -o ro "/dev/disk/$1" /mnt
    keep "$1"
}
keep() { tar -C /mnt -cf "/shared/$1.tar" repo && umount /mnt && sync; }
"#;

/// What the machine finds in a place where the program was killed after some milliseconds.
const KILL: &str = r#"
kill_after() {
    begin "$1" "$2"
    command=$(eval "echo $4")
    "$LIFEBOAT" $command >/dev/null 2>&1 &
    sleep "$(($3 / 1000)).$(printf %03d $(($3 % 1000)))"
    kill -9 $! 2>/dev/null || true
    wait $! || true
    keep "$1"
}
"#;

/// Runs the program on a repository.
#[track_caller]
fn lifeboat(repo: &str, args: &[&str]) -> String {
    power_cut::lifeboat(&[args, &["--repo", repo]].concat())
}

/// The id of a disk's image.
fn id(repo: &str, disk: &str) -> String {
    let json = lifeboat(repo, &["images", "--json"]);
    let images: Value = serde_json::from_str(&json).unwrap();
    let is_it = |image: &&Value| image["disk_name"].as_str().unwrap().contains(disk);
    let image = images.as_array().unwrap().iter().find(is_it);
    let image = image.unwrap_or_else(|| panic!("{disk} is gone: {json}"));
    image["id"].as_str().unwrap().to_owned()
}

/// A kind of work in a place that is cut off.
#[derive(Clone, Copy)]
struct Cut {
    place: Place,
    work: Work,
    /// Before and after the work.
    marks: (Mark, Mark),
    /// Or else the power goes.
    is_kill: bool,
}

impl Cut {
    /// Puts together what the machine begins with, as the disks `NAME` and `NAME-goal`; what it is
    /// to do with them.
    fn prepare(&self, worked: &Worked, name: &str, folder: &Path, random: &mut Random) -> String {
        let (place, kind, _, check) = self.place;
        let (from, to) = self.marks;
        let mut point = |from: u64, to: u64| from + random.below(to - from + 1);
        let (at, goal_at, time) = match self.is_kill {
            true => (from.place, from.goal, point(0, to.time - from.time)),
            false => (point(from.place, to.place), point(from.goal, to.goal), 0),
        };
        let goal = format!("{place}-goal");
        for (log, size, at, image) in
            [(place, SIZE, at, name.to_owned()), (&goal, GOAL, goal_at, format!("{name}-goal"))]
        {
            let disk = File::create_new(folder.join(image)).unwrap();
            disk.set_len(size).unwrap();
            match self.is_kill {
                true => worked.log(log).replay_all(&disk, at),
                false => worked.log(log).replay(&disk, at, random),
            }
        }
        match self.is_kill {
            true => {
                println!("{name}: {place}, {} killed after {time} ms", self.work.0);
                format!("kill_after {name} {kind} {time} '{}'\n", self.work.2)
            }
            false => {
                println!("{name}: {place}, {} without power after write {at}", self.work.0);
                format!("look {name} {kind} '{check}'\n")
            }
        }
    }

    /// What is left of the images is all of them, and the same commands complete the work.
    fn judge(&self, name: &str, folder: &Path, disks: &Path) {
        tool(
            "tar",
            &["-C", folder.to_str().unwrap(), "-xf", &format!("{}/{name}.tar", folder.display())],
        );
        let repo = folder.join("repo");
        let repo = repo.to_str().unwrap();
        // The machine is off: its lock is nobody's.
        lifeboat(repo, &["unlock", "--all"]);
        for disk in self.work.1 {
            lifeboat(repo, &["verify", &id(repo, disk)]);
        }
        match self.work.0 {
            "repair-packs" => {
                // It ends with a warning, for an image is incomplete.
                power_cut::program(&["repair", "packs", "--repo", repo]).output().unwrap();
                lifeboat(repo, &["forget", &id(repo, "spoiled")]);
            }
            "restore" | "clone" => {
                judge_target(repo, self.work.0, &folder.join(format!("{name}-goal")), disks);
            }
            _ => {}
        }
        assert_whole_but_for_an_emptied_index_file(repo);
        lifeboat(repo, &["prune", "--max-unused", "0"]);
        lifeboat(repo, &["capture", disks.join("source").to_str().unwrap()]);
        assert_whole(repo);
    }
}

/// The points at which the work is cut off: all kinds of work, in all places, both ways, in turn.
fn cuts(worked: &Worked, random: &mut Random) -> Vec<Cut> {
    let mut cells = Vec::new();
    for place in PLACES {
        let log = worked.log(place.0);
        for (work, marks) in WORK.into_iter().zip(worked.marks(place.0)) {
            let goal = worked.log(&format!("{}-goal", place.0));
            let flushes = log.flushes(marks.0.place, marks.1.place)
                + goal.flushes(marks.0.goal, marks.1.goal);
            assert!(flushes > 1, "{} {}: {flushes} flushes", place.0, work.0);
            cells.extend([true, false].map(|is_kill| Cut { place, work, marks, is_kill }));
        }
    }
    let all = cells.len() as u64;
    let first = random.below(all);
    // Few points are of many kinds: five and the number of all have no divisor in common.
    let cell = |point| cells[usize::try_from((first + 5 * point) % all).unwrap()];
    (0..Random::count(POINTS)).map(cell).collect()
}

/// A target is what it was, or the whole disk, or says that it is neither and has no table; the same
/// command completes it.
fn judge_target(repo: &str, work: &str, goal: &Path, disks: &Path) {
    let (source, goal) = (disks.join("source"), goal.to_str().unwrap());
    let is = |disk: &Path| succeeds("cmp", &["-s", disk.to_str().unwrap(), goal]);
    let again = |more: &[&str]| match work {
        "restore" => lifeboat(repo, &[&["restore", &id(repo, "source"), goal], more].concat()),
        _ => {
            let source = source.to_str().unwrap();
            tool(env!("CARGO_BIN_EXE_lifeboat"), &[&["clone", source, goal], more].concat())
        }
    };
    if !is(&disks.join("old")) && !is(&source) {
        let table = succeeds("sfdisk", &["-d", goal]);
        assert!(!table, "a half-restored disk has a partition table");
        let plan = again(&["--plan"]);
        assert!(plan.contains("was not finished"), "{plan}");
    }
    again(&["--erase", goal, "--only-changed"]);
    assert!(is(&source), "the restored disk is not the source");
}

/// On FAT a power cut may leave an index file of no byte, beside which nothing is missing; restic
/// stops at it until the next work has removed it.
#[track_caller]
fn assert_whole_but_for_an_emptied_index_file(repo: &str) {
    match tool("find", &[&format!("{repo}/index"), "-size", "0"]).as_str() {
        "" => assert_whole(repo),
        emptied => {
            println!("emptied: {emptied}");
            lifeboat(repo, &["verify"]);
        }
    }
}

#[track_caller]
fn assert_whole(repo: &str) {
    lifeboat(repo, &["verify"]);
    let checked = restic(repo.as_ref(), "lifeboat", &["--no-lock", "check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
}

#[test]
fn nothing_that_is_cut_off_harms_an_image_in_any_kind_of_place() {
    let mut random = Random::from_environment();
    let worked = Worked::in_all_places();
    let disks = worked.path("disks");
    let cuts = cuts(&worked, &mut random);
    let mut failed = Vec::new();
    for (batch, batch_of) in cuts.chunks(TOGETHER).enumerate() {
        let shared = tempfile::tempdir().unwrap();
        let folder = shared.path();
        tool("cp", &["-r", disks.to_str().unwrap(), folder.to_str().unwrap()]);
        let mut guest = Guest::new();
        guest.longest = LONGEST;
        let mut script = script(&[LOOK, KILL]);
        let name = |number: usize| format!("cut{}", batch * TOGETHER + number);
        for (number, cut) in batch_of.iter().enumerate() {
            let name = name(number);
            script += &cut.prepare(&worked, &name, folder, &mut random);
            for disk in [name.clone(), format!("{name}-goal")] {
                guest.disk(&folder.join(&disk), &disk, 512);
            }
        }
        guest.run(&script, folder);
        for (number, cut) in batch_of.iter().enumerate() {
            // The others are judged all the same: it counts how many fail.
            let name = name(number);
            if catch_unwind(AssertUnwindSafe(|| cut.judge(&name, folder, &disks))).is_err() {
                let way = if cut.is_kill { "killed" } else { "without power" };
                failed.push(format!("{name}: {}, {} {way}", cut.place.0, cut.work.0));
                println!("failed: {failed:?}");
            }
            let _ = fs::remove_dir_all(folder.join("repo"));
        }
        println!("{} points judged, {} failed", batch * TOGETHER + batch_of.len(), failed.len());
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
