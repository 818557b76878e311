//! The power goes while images are captured, forgotten and pruned, or the index is written anew, in
//! places of all kinds: filesystems with a journal, without one, and those of USB sticks, which
//! write in whatever order they like between two flushes. As in `power_cut.rs` one run logs
//! everything; what each point of it leaves is checked by the filesystem's own tool, mounted by the
//! medium's kernel, and judged here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guest::Guest;
use crate::power_cut::{noise, tool};
use crate::random::Random;
use crate::write_log::WriteLog;

const MIB: usize = 1 << 20;

/// Bytes of each place.
const SIZE: u64 = 64 << 20;

/// Points tried of each kind of work in each place unless the environment says otherwise.
const POINTS: u64 = 1;

/// Places that one machine looks at.
const TOGETHER: usize = 24;

/// A filesystem: its name here, its name for `mount`, what makes it, what checks it.
type Place = (&'static str, &'static str, &'static str, &'static str);

const PLACES: [Place; 4] = [
    ("ext4", "ext4", "mke2fs -q -F -t ext4", "e2fsck -fy"),
    ("unjournaled", "ext4", "mke2fs -q -F -t ext4 -O ^has_journal", "e2fsck -fy"),
    ("fat32", "vfat", "mkfs.fat -F 32 -s 1", "fsck.fat -a"),
    ("exfat", "exfat", "mkfs.exfat", "fsck.exfat -y"),
];

/// Kinds of work, and the images that are there whenever it is cut off.
const WORK: [(&str, [&str; 3]); 3] = [
    ("capture", ["earlier", "doomed", "kept"]),
    ("prune", ["earlier", "kept", "source"]),
    ("repair", ["earlier", "kept", "source"]),
];

/// What the machine does in each place, how far the log is before and after.
const SCRIPT: &str = r#"
export LIFEBOAT_LOG=/dev/null LIFEBOAT_REPO=/mnt/repo
cp -r /shared/disks /disks
mark() { sync; od -An -tu8 -j16 -N8 "/shared/$1.log" >>"/shared/$1.marks"; }
work() {
    $3 "/dev/disk/$1" >/dev/null 2>&1
    mount -t "$2" "/dev/disk/$1" /mnt
    "$LIFEBOAT" init --no-passphrase
    for disk in earlier doomed kept; do "$LIFEBOAT" capture "/disks/$disk" 2>&1; done
    mark "$1"
    "$LIFEBOAT" capture /disks/source 2>&1
    mark "$1"
    "$LIFEBOAT" forget "$("$LIFEBOAT" images | awk '/doomed/ { print $1 }')"
    "$LIFEBOAT" prune --max-unused 0 2>&1
    mark "$1"
    "$LIFEBOAT" repair index 2>&1
    mark "$1"
    umount /mnt
}
"#;

/// What the machine finds in a place, by way of a check.
const LOOK: &str = r#"
look() {
    status=0
    $3 "/dev/disk/$1" >/shared/check 2>&1 || status=$?
    [ "$status" -lt 4 ] || { cat /shared/check; exit 1; }
    mount -t "$2" -o ro "/dev/disk/$1" /mnt
    mkdir "/shared/$1"
    cp -r /mnt/repo "/shared/$1/repo"
    umount /mnt
}
"#;

/// Runs the program on a repository.
#[track_caller]
fn lifeboat(repo: &str, args: &[&str]) -> String {
    tool(env!("CARGO_BIN_EXE_lifeboat"), &[args, &["--repo", repo]].concat())
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
        let disks = worked.path("disks");
        fs::create_dir(&disks).unwrap();
        let doomed = noise(31, 8 * MIB);
        fs::write(disks.join("kept"), &doomed[..4 * MIB]).unwrap();
        fs::write(disks.join("doomed"), doomed).unwrap();
        fs::write(disks.join("earlier"), noise(32, 3 * MIB)).unwrap();
        fs::write(disks.join("source"), noise(33, 6 * MIB)).unwrap();
        let mut guest = Guest::new();
        let mut script = format!("LIFEBOAT={}\n{SCRIPT}", env!("CARGO_BIN_EXE_lifeboat"));
        for (name, kind, mkfs, _) in PLACES {
            let (disk, log) = (worked.path(name), worked.path(&format!("{name}.log")));
            File::create(&disk).unwrap().set_len(SIZE).unwrap();
            File::create(&log).unwrap();
            guest.with("-blockdev", &logged(&disk, &log, name).to_string());
            guest.device(name, 512);
            script += &format!("work {name} {kind} '{mkfs}'\n");
        }
        guest.run(&script, worked.folder.path());
        worked
    }

    fn log(&self, place: &str) -> WriteLog {
        WriteLog::open(&self.path(&format!("{place}.log"))).unwrap()
    }

    /// Where in the log of a place each kind of work begins, and where the last one ends.
    fn marks(&self, place: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(&format!("{place}.marks"))).unwrap();
        text.split_whitespace().map(|mark| mark.parse().unwrap()).collect()
    }

    /// The points at which the power goes.
    fn cuts(&self, random: &mut Random) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for place in PLACES {
            let (log, marks) = (self.log(place.0), self.marks(place.0));
            for (work, ends) in WORK.iter().zip(marks.windows(2)) {
                let (from, to) = (ends[0], ends[1]);
                let flushes = log.flushes(from, to);
                assert!(flushes > 2, "{} {}: {flushes} flushes", place.0, work.0);
                let points = random.points(POINTS, to - from).into_iter();
                cuts.extend(points.map(|point| Cut {
                    place,
                    work: *work,
                    point: from + point + 1,
                }));
            }
        }
        cuts
    }
}

fn logged(disk: &Path, log: &Path, name: &str) -> Value {
    json!({
        "driver": "blklogwrites", "node-name": name, "log-super-update-interval": 1,
        "file": { "driver": "file", "filename": disk },
        "log": { "driver": "file", "filename": log },
    })
}

/// A point in the work at which the power goes.
struct Cut {
    place: Place,
    work: (&'static str, [&'static str; 3]),
    /// Entries of the log that the disk was asked for.
    point: u64,
}

impl Cut {
    /// What is left of the images is all of them, and the same commands complete the work.
    fn judge(&self, repo: &str, disks: &Path) {
        let json = lifeboat(repo, &["images", "--json"]);
        let images: Value = serde_json::from_str(&json).unwrap();
        for name in self.work.1 {
            let is_it = |image: &Value| image["disk_name"].as_str().unwrap().contains(name);
            assert!(images.as_array().unwrap().iter().any(is_it), "{name} is gone: {json}");
        }
        // The machine is off: its lock is nobody's.
        lifeboat(repo, &["unlock", "--all"]);
        assert_whole(repo);
        lifeboat(repo, &["prune", "--max-unused", "0"]);
        lifeboat(repo, &["capture", disks.join("source").to_str().unwrap()]);
        assert_whole(repo);
    }
}

#[track_caller]
fn assert_whole(repo: &str) {
    lifeboat(repo, &["verify"]);
    let checked = tool("restic", &["-r", repo, "--no-cache", "--no-lock", "check", "--read-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
}

#[test]
fn power_cuts_harm_no_image_in_any_kind_of_place() {
    let mut random = Random::from_environment();
    let worked = Worked::in_all_places();
    let cuts = worked.cuts(&mut random);
    for cuts in cuts.chunks(TOGETHER) {
        let shared = tempfile::tempdir().unwrap();
        let mut guest = Guest::new();
        let mut script = LOOK.to_owned();
        for (number, cut) in cuts.iter().enumerate() {
            let (place, kind, _, check) = cut.place;
            let image = shared.path().join(format!("{number}.img"));
            let disk = File::create_new(&image).unwrap();
            disk.set_len(SIZE).unwrap();
            worked.log(place).replay(&disk, cut.point, &mut random);
            guest.disk(&image, &format!("cut{number}"), 512);
            script += &format!("look cut{number} {kind} '{check}'\n");
        }
        guest.run(&script, shared.path());
        for (number, cut) in cuts.iter().enumerate() {
            println!("{}, {} after write {}", cut.place.0, cut.work.0, cut.point);
            let repo = shared.path().join(format!("cut{number}/repo"));
            cut.judge(repo.to_str().unwrap(), &worked.path("disks"));
        }
    }
}
