//! What is cut off in `power_cut_places.rs`: the places, the kinds of work, and the machine that does
//! all of it once in each place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Guest, Random, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::write_log::WriteLog;

const MIB: usize = 1 << 20;

/// Bytes of each place.
pub(super) const SIZE: u64 = 64 << 20;

/// Bytes of the disk that is restored or cloned.
pub(super) const GOAL: u64 = 3 << 20;

/// The longest that a machine may take for its work.
pub(super) const LONGEST: Duration = Duration::from_secs(900);

/// A filesystem: its name here, its name for `mount`, what makes it, what checks it.
pub(super) type Place = (&'static str, &'static str, &'static str, &'static str);

pub(super) const PLACES: [Place; 4] = [
    ("ext4", "ext4", "mke2fs -q -F -t ext4", "e2fsck -fy"),
    ("unjournaled", "ext4", "mke2fs -q -F -t ext4 -O ^has_journal", "e2fsck -fy"),
    ("fat32", "vfat", "mkfs.fat -F 32 -s 1", "fsck.fat -a"),
    ("exfat", "exfat", "mkfs.exfat", "fsck.exfat -y"),
];

/// A kind of work: its name, the images that are there whenever it is cut off, the command.
pub(super) type Work = (&'static str, [&'static str; 3], &'static str);

pub(super) const WORK: [Work; 7] = [
    ("capture", ["earlier", "doomed", "kept"], "capture /disks/source"),
    ("forget", ["earlier", "kept", "source"], "forget $(id doomed)"),
    ("prune", ["earlier", "kept", "source"], "prune --max-unused 0"),
    ("repair-index", ["earlier", "kept", "source"], "repair index"),
    // One pack of another image is damaged.
    ("repair-packs", ["earlier", "kept", "source"], "repair packs"),
    ("restore", ["earlier", "kept", "source"], "restore $(id source) $goal --erase $erase"),
    // The target is again what it was before the restore.
    ("clone", ["earlier", "kept", "source"], "clone /disks/source $goal --erase $erase"),
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
    old
}
old() { dd if=/disks/old "of=$goal" bs=1M conv=fsync 2>/dev/null; }
work() {
    command=$(eval "echo $2")
    mark "$1"
    "$LIFEBOAT" $command 2>&1 || [ "$3" = may_warn ]
    mark "$1"
}
spoil() {
    find /mnt/repo/data -type f >/before
    "$LIFEBOAT" capture /disks/spoiled 2>&1
    find /mnt/repo/data -type f -size +1000k | grep -vxFf /before | while read -r pack; do
        dd if=/dev/zero "of=$pack" bs=1000 count=1 seek=500 conv=notrunc,fsync 2>/dev/null
    done
    if "$LIFEBOAT" verify >/dev/null 2>&1; then exit 1; fi
}
"#;

fn logged(disk: &Path, log: &Path, name: &str) -> Value {
    json!({
        "driver": "blklogwrites", "node-name": name, "log-super-update-interval": 1,
        "file": { "driver": "file", "filename": disk },
        "log": { "driver": "file", "filename": log },
    })
}

/// How far the logs of place and target are, entries, and the time, milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) place: u64,
    pub(super) goal: u64,
    pub(super) time: u64,
}

/// Everything the machine wrote.
pub(super) struct Worked {
    folder: TempDir,
}

impl Worked {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Works in all places, one after the other.
    pub(super) fn in_all_places() -> Self {
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
                let (before, after) = match work {
                    "repair-packs" => ("spoil", "\"$LIFEBOAT\" forget \"$(id spoiled)\""),
                    "clone" => ("old", ":"),
                    _ => (":", ":"),
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
        let mut doomed = Random::new(31).bytes(5 * MIB);
        fs::write(disks.join("doomed"), &doomed).unwrap();
        doomed.truncate(4 * MIB);
        fs::write(disks.join("kept"), doomed).unwrap();
        fs::write(disks.join("earlier"), Random::new(32).bytes(MIB)).unwrap();
        fs::write(disks.join("spoiled"), Random::new(35).bytes(2 * MIB)).unwrap();
        for (name, seed) in [("source", 33), ("old", 34)] {
            let disk = disks.join(name);
            fs::write(&disk, Random::new(seed).bytes(usize::try_from(GOAL).unwrap())).unwrap();
            let disk = disk.to_str().unwrap();
            tool("sgdisk", &["-o", "-n1:2048:0", disk]);
        }
    }

    pub(super) fn log(&self, name: &str) -> WriteLog {
        WriteLog::open(&self.path(&format!("{name}.log"))).unwrap()
    }

    /// In a place, how far all was before and after each kind of work.
    pub(super) fn marks(&self, place: &str) -> Vec<(Mark, Mark)> {
        let text = fs::read_to_string(self.path(&format!("{place}.marks"))).unwrap();
        let numbers: Vec<u64> = text.split_whitespace().map(|mark| mark.parse().unwrap()).collect();
        let marks = numbers.chunks_exact(3);
        let marks: Vec<Mark> =
            marks.map(|mark| Mark { place: mark[0], goal: mark[1], time: mark[2] }).collect();
        marks.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// A script for a machine of these parts.
pub(super) fn script(parts: &[&str]) -> String {
    format!("LIFEBOAT={}\n{COMMON}{}", env!("CARGO_BIN_EXE_lifeboat"), parts.concat())
}
