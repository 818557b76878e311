//! The power goes, or the program is killed, while images are captured, forgotten and pruned, the
//! index is written anew, packs are mended, or an image is restored, in places of all kinds:
//! filesystems with a journal, without one, and those of USB sticks, which write in whatever order
//! they like between two flushes. As in `power_cut.rs` one run logs everything; what each point of it
//! leaves is checked by the filesystem's own tool, mounted by the medium's kernel, and judged here.
//! To be killed the program works once more, from where that run began.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guest::Guest;
use crate::power_cut::{noise, run, tool};
use crate::random::Random;
use crate::write_log::WriteLog;

const MIB: usize = 1 << 20;

/// Bytes of each place.
const SIZE: u64 = 64 << 20;

/// Bytes of the disk that is restored.
const GOAL: u64 = 3 << 20;

/// Points tried unless the environment says otherwise.
const POINTS: u64 = 16;

/// The longest that a machine may take for its work.
const LONGEST: Duration = Duration::from_secs(900);

/// Points that one machine looks at.
const TOGETHER: usize = 32;

/// A filesystem: its name here, its name for `mount`, what makes it, what checks it.
type Place = (&'static str, &'static str, &'static str, &'static str);

const PLACES: [Place; 4] = [
    ("ext4", "ext4", "mke2fs -q -F -t ext4", "e2fsck -fy"),
    ("unjournaled", "ext4", "mke2fs -q -F -t ext4 -O ^has_journal", "e2fsck -fy"),
    ("fat32", "vfat", "mkfs.fat -F 32 -s 1", "fsck.fat -a"),
    ("exfat", "exfat", "mkfs.exfat", "fsck.exfat -y"),
];

/// A kind of work: its name, the images that are there whenever it is cut off, the command.
type Work = (&'static str, [&'static str; 3], &'static str);

const WORK: [Work; 6] = [
    ("capture", ["earlier", "doomed", "kept"], "capture /disks/source"),
    ("forget", ["earlier", "kept", "source"], "forget $(id doomed)"),
    ("prune", ["earlier", "kept", "source"], "prune --max-unused 0"),
    ("repair-index", ["earlier", "kept", "source"], "repair index"),
    // One pack of another image is damaged.
    ("repair-packs", ["earlier", "kept", "source"], "repair packs"),
    ("restore", ["earlier", "kept", "source"], "restore $(id source) $goal --erase $erase"),
];

/// Runs the program in a place; `begin` opens that of a disk, `goal` is what is restored to.
const COMMON: &str = r#"
export LIFEBOAT_LOG=/dev/null LIFEBOAT_REPO=/mnt/repo
cp -r /shared/disks /disks
id() { "$LIFEBOAT" images | awk -v disk="$1" '$0 ~ disk { print $1 }'; }
begin() {
    mount -t "$2" "/dev/disk/$1" /mnt
    goal=/dev/disk/$1-goal
    erase=$1-goal
}
"#;

/// What the machine does in each place, how far the logs are and what time it is before and after.
const SCRIPT: &str = r#"
mark() {
    sync
    for log in "$1" "$1-goal"; do od -An -tu8 -j16 -N8 "/shared/$log.log"; done >>"/shared/$1.marks"
    awk '{ print $1 * 1000 }' /proc/uptime >>"/shared/$1.marks"
}
place() {
    $3 "/dev/disk/$1" >/dev/null 2>&1
    begin "$1" "$2"
    "$LIFEBOAT" init --no-passphrase
    for disk in earlier doomed kept; do "$LIFEBOAT" capture "/disks/$disk" 2>&1; done
    dd if=/disks/old "of=$goal" bs=1M conv=fsync 2>/dev/null
}
work() {
    command=$(eval "echo $2")
    mark "$1"
    "$LIFEBOAT" $command 2>&1 || [ "$3" = may_warn ]
    mark "$1"
}
spoil() {
    touch /before
    sleep 1
    "$LIFEBOAT" capture /disks/spoiled 2>&1
    find /mnt/repo/data -type f -size +1000k -newer /before | while read -r pack; do
        dd if=/dev/zero "of=$pack" bs=1000 count=1 seek=500 conv=notrunc,fsync 2>/dev/null
    done
}
"#;

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
    tool(env!("CARGO_BIN_EXE_lifeboat"), &[args, &["--repo", repo]].concat())
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

fn logged(disk: &Path, log: &Path, name: &str) -> Value {
    json!({
        "driver": "blklogwrites", "node-name": name, "log-super-update-interval": 1,
        "file": { "driver": "file", "filename": disk },
        "log": { "driver": "file", "filename": log },
    })
}

/// How far the logs of place and target are, entries, and the time, milliseconds.
#[derive(Clone, Copy)]
struct Mark {
    place: u64,
    goal: u64,
    time: u64,
}

/// Everything the machine wrote.
struct Worked {
    folder: TempDir,
}

impl Worked {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Works in all places, one after the other.
    fn in_all_places() -> Self {
        let worked = Self { folder: tempfile::tempdir().unwrap() };
        worked.make_disks();
        let mut guest = Guest::new();
        guest.longest = LONGEST;
        let mut script = script(&[SCRIPT]);
        for (place, kind, mkfs, _) in PLACES {
            for (name, size) in [(place.to_owned(), SIZE), (format!("{place}-goal"), GOAL)] {
                let (disk, log) = (worked.path(&name), worked.path(&format!("{name}.log")));
                File::create(&disk).unwrap().set_len(size).unwrap();
                File::create(&log).unwrap();
                guest.with("-blockdev", &logged(&disk, &log, &name).to_string());
                guest.device(&name, 512);
            }
            script += &format!("place {place} {kind} '{mkfs}'\n");
            for (work, _, command) in WORK {
                let is_mended = work == "repair-packs";
                let (before, after) = match is_mended {
                    true => ("spoil", "\"$LIFEBOAT\" forget \"$(id spoiled)\""),
                    false => (":", ":"),
                };
                let may = if is_mended { "may_warn" } else { "must" };
                script += &format!("{before}\nwork {place} '{command}' {may}\n{after}\n");
            }
            script += "umount /mnt\n";
        }
        guest.run(&script, worked.folder.path());
        worked
    }

    /// Disks of noise; those that are restored have a table.
    fn make_disks(&self) {
        let disks = self.path("disks");
        fs::create_dir(&disks).unwrap();
        let mut doomed = noise(31, 5 * MIB);
        fs::write(disks.join("doomed"), &doomed).unwrap();
        doomed.truncate(4 * MIB);
        fs::write(disks.join("kept"), doomed).unwrap();
        fs::write(disks.join("earlier"), noise(32, MIB)).unwrap();
        fs::write(disks.join("spoiled"), noise(35, 2 * MIB)).unwrap();
        for (name, seed) in [("source", 33), ("old", 34)] {
            let disk = disks.join(name);
            fs::write(&disk, noise(seed, usize::try_from(GOAL).unwrap())).unwrap();
            let disk = disk.to_str().unwrap();
            tool("sgdisk", &["-o", "-n1:2048:0", disk]);
        }
    }

    fn log(&self, name: &str) -> WriteLog {
        WriteLog::open(&self.path(&format!("{name}.log"))).unwrap()
    }

    /// In a place, how far all was before and after each kind of work.
    fn marks(&self, place: &str) -> Vec<(Mark, Mark)> {
        let text = fs::read_to_string(self.path(&format!("{place}.marks"))).unwrap();
        let numbers: Vec<u64> = text.split_whitespace().map(|mark| mark.parse().unwrap()).collect();
        let marks = numbers.chunks_exact(3);
        let marks: Vec<Mark> =
            marks.map(|mark| Mark { place: mark[0], goal: mark[1], time: mark[2] }).collect();
        marks.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// The points at which the work is cut off: all kinds of work, in all places, both ways, in turn.
    fn cuts(&self, random: &mut Random) -> Vec<Cut> {
        let mut cells = Vec::new();
        for place in PLACES {
            let log = self.log(place.0);
            for (work, marks) in WORK.into_iter().zip(self.marks(place.0)) {
                let flushes = log.flushes(marks.0.place, marks.1.place);
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
}

/// A script for a machine of these parts.
fn script(parts: &[&str]) -> String {
    format!("LIFEBOAT={}\n{COMMON}{}", env!("CARGO_BIN_EXE_lifeboat"), parts.concat())
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
                run(env!("CARGO_BIN_EXE_lifeboat"), &["repair", "packs", "--repo", repo]);
                lifeboat(repo, &["forget", &id(repo, "spoiled")]);
            }
            "restore" => judge_target(repo, &folder.join(format!("{name}-goal")), disks),
            _ => {}
        }
        assert_whole(repo);
        lifeboat(repo, &["prune", "--max-unused", "0"]);
        lifeboat(repo, &["capture", disks.join("source").to_str().unwrap()]);
        assert_whole(repo);
    }
}

/// A target is what it was, or the whole image, or says that it is neither and has no table; the same
/// command completes it.
fn judge_target(repo: &str, goal: &Path, disks: &Path) {
    let (source, goal) = (disks.join("source"), goal.to_str().unwrap());
    let is = |disk: &Path| run("cmp", &["-s", disk.to_str().unwrap(), goal]).status.success();
    if !is(&disks.join("old")) && !is(&source) {
        let table = run("sfdisk", &["-d", goal]);
        assert!(!table.status.success(), "a half-restored disk has a partition table");
        let plan = lifeboat(repo, &["restore", &id(repo, "source"), goal, "--plan"]);
        assert!(plan.contains("was not finished"), "{plan}");
    }
    lifeboat(repo, &["restore", &id(repo, "source"), goal, "--erase", goal, "--only-changed"]);
    assert!(is(&source), "the restored disk is not the source");
}

#[track_caller]
fn assert_whole(repo: &str) {
    lifeboat(repo, &["verify"]);
    let checked = tool("restic", &["-r", repo, "--no-cache", "--no-lock", "check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
}

#[test]
fn nothing_that_is_cut_off_harms_an_image_in_any_kind_of_place() {
    let mut random = Random::from_environment();
    let worked = Worked::in_all_places();
    let disks = worked.path("disks");
    let cuts = worked.cuts(&mut random);
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
                failed.push(format!("{name}: {} in {}", cut.work.0, cut.place.0));
            }
            let _ = fs::remove_dir_all(folder.join("repo"));
        }
        println!("{} points judged, {} failed", batch * TOGETHER + batch_of.len(), failed.len());
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
