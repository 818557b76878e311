//! Partition tables, judged by `sgdisk` and `sfdisk`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lifeboat::bytes::{ReadAt, Window};
use lifeboat::disk::Source;
use lifeboat::table::{
    Patch, Role, Scheme, Table, TableError, fit_to_disk, metadata_extents, read,
};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// Runs a tool and returns its standard output; a failure fails the test.
fn run(program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn sgdisk(disk: &Path, args: &[&str]) -> String {
    let mut all = args.to_vec();
    all.push(disk.to_str().unwrap());
    run("sgdisk", &all, "")
}

/// sgdisk's own opinion of a disk.
fn assert_sound(disk: &Path) {
    let opinion = sgdisk(disk, &["-v"]);
    assert!(opinion.contains("No problems found"), "{opinion}");
    assert!(!opinion.contains("Warning") && !opinion.contains("Caution"), "{opinion}");
    // The kernel's tools also want the protective MBR to cover the disk.
    let listing = Command::new("sfdisk").arg("-l").arg(disk).output().unwrap();
    let complaints = String::from_utf8_lossy(&listing.stderr).into_owned();
    assert_eq!(complaints, "", "sfdisk -l complains");
}

struct Images {
    dir: TempDir,
}

impl Images {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn blank(&self, name: &str, size: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// What a restore makes: the captured disk, a larger size, the patches.
    fn restored(&self, image: &Path, size: u64, patches: &[Patch]) -> PathBuf {
        let path = self.dir.path().join(format!("restored-{size}.img"));
        fs::copy(image, &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        for patch in patches {
            file.write_all_at(&patch.bytes, patch.offset).unwrap();
        }
        path
    }

    /// Partitions 1, 3 and 5 with everything a GPT entry can say; 4 is for later.
    fn gpt(&self, size: u64) -> PathBuf {
        let path = self.blank("gpt.img", size);
        sgdisk(&path, &GPT_WITH_GAPS);
        path
    }
}

const GPT_WITH_GAPS: [&str; 18] = [
    "-n",
    "1:0:+1M",
    "-n",
    "3:0:+2M",
    "-n",
    "5:0:+1M",
    "-t",
    "1:ef00",
    "-t",
    "5:0700",
    "-c",
    "1:ESP",
    "-c",
    "3:rööt ✓",
    "-A",
    "3:set:63",
    "-A",
    "5:set:2",
];

/// A loop device over a file, with a sector size of its own.
struct Loop {
    device: PathBuf,
}

impl Loop {
    fn new(file: &Path, sector_size: u32) -> Self {
        let sector = sector_size.to_string();
        let args = ["--find", "--show", "-b", &sector, file.to_str().unwrap()];
        Self { device: run("losetup", &args, "").trim().into() }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

fn open(path: &Path) -> Source {
    Source::open(path).unwrap()
}

fn table_of(path: &Path, sector_size: u32) -> Table {
    read(&open(path), sector_size).unwrap()
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// Our table and sfdisk's must say the same in every field that sfdisk knows.
fn assert_agrees_with_sfdisk(table: &Table, disk: &Path) {
    let json: Value =
        serde_json::from_str(&run("sfdisk", &["-J", disk.to_str().unwrap()], "")).unwrap();
    let theirs = &json["partitiontable"];
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let sector = u64::from(table.sector_size);
    assert_eq!(theirs["sectorsize"], table.sector_size);
    assert_eq!(lower(&theirs["id"]).trim_start_matches("0x"), table.disk_id.clone().unwrap());
    let listed = theirs["partitions"].as_array().unwrap();
    assert_eq!(listed.len(), table.partitions.len());
    for (theirs, ours) in listed.iter().zip(&table.partitions) {
        let node = theirs["node"].as_str().unwrap();
        let number = node.strip_prefix(disk.to_str().unwrap()).unwrap().trim_start_matches('p');
        assert_eq!(number, ours.number.to_string());
        assert_eq!(theirs["start"].as_u64().unwrap() * sector, ours.start, "{node}");
        assert_eq!(theirs["size"].as_u64().unwrap() * sector, ours.size, "{node}");
        if table.scheme == Scheme::Gpt {
            assert_eq!(lower(&theirs["type"]), ours.type_id);
            assert_eq!(Some(lower(&theirs["uuid"])), ours.uuid);
            assert_eq!(theirs["name"].as_str(), ours.name.as_deref());
        } else {
            let kind = u8::from_str_radix(&lower(&theirs["type"]), 16).unwrap();
            assert_eq!(ours.type_id, format!("{kind:#04x}"));
            assert_eq!(theirs["bootable"].as_bool().unwrap_or(false), ours.bootable);
        }
    }
}

#[test]
fn gpt_with_gaps_in_the_numbering() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let table = table_of(&disk, 512);
    assert_eq!(table.scheme, Scheme::Gpt);
    assert_eq!(table.notices, Vec::<String>::new());
    assert_agrees_with_sfdisk(&table, &disk);
    let numbers: Vec<u32> = table.partitions.iter().map(|partition| partition.number).collect();
    assert_eq!(numbers, [1, 3, 5]);
    let root = table.partition(3).unwrap();
    assert_eq!((root.attributes, root.type_name.as_str()), (1 << 63, "Linux filesystem"));
    let data = table.partition(5).unwrap();
    assert_eq!((data.attributes, data.bootable), (1 << 2, true));
    let outside = table.unpartitioned(16 * MIB);
    assert_eq!(outside.total() + table.partitioned().total(), 16 * MIB);
    let metadata = metadata_extents(&open(&disk), &table);
    assert_eq!(metadata.total(), 512 * (1 + 2 * 33));
    assert_eq!(metadata.intersection(&outside), metadata);
}

#[test]
fn larger_disk_keeps_every_slot() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let table = table_of(&disk, 512);
    // Larger by so little that old and new backup overlap, by a size that is no whole number of
    // sectors, and by much.
    for size in [16 * MIB + 512, 16 * MIB + 4 * 512, 17 * MIB + 100, 1000 * MIB] {
        let patches = fit_to_disk(&open(&disk), &table, size).unwrap();
        let restored = images.restored(&disk, size / 512 * 512, &patches);
        assert_sound(&restored);
        for number in ["1", "3", "5"] {
            let info = |disk: &Path| sgdisk(disk, &["-i", number]);
            assert_eq!(info(&restored), info(&disk), "slot {number} at {size}");
        }
        assert!(sgdisk(&restored, &["-i", "2"]).contains("does not exist"));
        let again = table_of(&restored, 512);
        assert_eq!(again, table);
        // The array of entries is carried over byte by byte.
        let array = |disk: &Path| open(disk).read_vec(1024, 128 * 128).unwrap();
        assert_eq!(array(&restored), array(&disk));
        let boot_code = |disk: &Path| open(disk).read_vec(0, 446).unwrap();
        assert_eq!(boot_code(&restored), boot_code(&disk));
    }
}

/// `sgdisk -e` moves the backup to the end of a disk, too: both copies must come out the same.
#[test]
fn larger_disk_is_as_sgdisk_would_make_it() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let table = table_of(&disk, 512);
    let patches = fit_to_disk(&open(&disk), &table, 48 * MIB).unwrap();
    let ours = images.restored(&disk, 48 * MIB, &patches);
    let theirs = images.blank("sgdisk.img", 0);
    fs::copy(&disk, &theirs).unwrap();
    OpenOptions::new().write(true).open(&theirs).unwrap().set_len(48 * MIB).unwrap();
    sgdisk(&theirs, &["-e"]);
    for (what, offset, len) in
        [("primary", 512, 33 * 512), ("backup", 48 * MIB - 33 * 512, 33 * 512)]
    {
        let bytes = |disk: &Path| open(disk).read_vec(offset, len).unwrap();
        assert!(bytes(&ours) == bytes(&theirs), "{what}");
    }
}

#[test]
fn old_backup_is_cleared_on_a_larger_disk() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let patches = fit_to_disk(&open(&disk), &table_of(&disk, 512), 32 * MIB).unwrap();
    let restored = images.restored(&disk, 32 * MIB, &patches);
    let old = open(&restored).read_vec(16 * MIB - 33 * 512, 33 * 512).unwrap();
    assert!(old.iter().all(|byte| *byte == 0));
}

#[test]
fn equal_size_changes_nothing() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let table = table_of(&disk, 512);
    assert_eq!(fit_to_disk(&open(&disk), &table, 16 * MIB).unwrap(), []);
    assert_eq!(fit_to_disk(&open(&disk), &table, 16 * MIB + 511).unwrap(), []);
    let smaller = fit_to_disk(&open(&disk), &table, 16 * MIB - 1);
    assert!(matches!(smaller, Err(TableError::TooSmall { .. })), "{smaller:?}");
}

#[test]
fn sectors_of_4096_bytes() {
    let images = Images::new();
    let disk = images.blank("4k.img", 32 * MIB);
    {
        let device = Loop::new(&disk, 4096);
        sgdisk(&device.device, &GPT_WITH_GAPS);
        assert_agrees_with_sfdisk(&table_of(&disk, 4096), &device.device);
    }
    let table = table_of(&disk, 4096);
    assert_eq!(table.partitions.len(), 3);
    let patches = fit_to_disk(&open(&disk), &table, 64 * MIB).unwrap();
    let restored = images.restored(&disk, 64 * MIB, &patches);
    let (before, after) = (Loop::new(&disk, 4096), Loop::new(&restored, 4096));
    assert_sound(&after.device);
    for number in ["1", "3", "5"] {
        let info = |disk: &Loop| sgdisk(&disk.device, &["-i", number]);
        assert_eq!(info(&after), info(&before));
    }
    // Read with the wrong sector size there is a protective MBR and no GPT: one piece, with a word.
    let wrong = table_of(&disk, 512);
    assert_eq!(wrong.scheme, Scheme::None);
    assert!(wrong.notices.iter().any(|notice| notice.contains("--sector-size 4096")), "{wrong:?}");
}

#[test]
fn damaged_copies_are_recovered_from_each_other() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let whole = fs::read(&disk).unwrap();
    let sound = table_of(&disk, 512);
    let last = 16 * MIB - 512;
    let damages: [(&str, u64, usize); 5] = [
        ("primary", 512, 512),
        ("primary", 512 + 60, 1),
        ("primary", 1024 + 3, 1),
        ("backup", last, 512),
        ("backup", last - 32 * 512, 40),
    ];
    for (copy, offset, len) in damages {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, &vec![0x77; len]);
        let table = table_of(&disk, 512);
        assert_eq!(table.partitions, sound.partitions, "{copy} at {offset}");
        assert_eq!(table.notices.len(), 1);
        assert!(table.notices[0].contains(&format!("the {copy} GPT is damaged")), "{table:?}");
        // Written back to a disk of equal size, it is as it was before the damage.
        let patches = fit_to_disk(&open(&disk), &table, 16 * MIB).unwrap();
        let restored = images.restored(&disk, 16 * MIB, &patches);
        assert!(fs::read(&restored).unwrap() == whole, "{copy} at {offset}");
        let patches = fit_to_disk(&open(&disk), &table, 40 * MIB).unwrap();
        assert_sound(&images.restored(&disk, 40 * MIB, &patches));
    }
}

#[test]
fn both_copies_damaged_is_one_piece() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    overwrite(&disk, 512, &[0; 512]);
    overwrite(&disk, 16 * MIB - 512, &[0; 512]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::None, 0));
    assert!(table.notices.iter().any(|notice| notice.contains("no copy of the GPT")));
    assert_eq!(table.unpartitioned(16 * MIB).total(), 16 * MIB);
}

#[test]
fn copies_that_differ_are_told() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let older = fs::read(&disk).unwrap();
    sgdisk(&disk, &["-c", "1:renamed"]);
    let from = older.len() - 33 * 512;
    overwrite(&disk, from as u64, &older[from..]);
    let table = table_of(&disk, 512);
    assert_eq!(table.partition(1).unwrap().name.as_deref(), Some("renamed"));
    assert!(table.notices.iter().any(|notice| notice.contains("differ")), "{table:?}");
    let patches = fit_to_disk(&open(&disk), &table, 20 * MIB).unwrap();
    assert_sound(&images.restored(&disk, 20 * MIB, &patches));
}

#[test]
fn backup_not_at_the_end() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    OpenOptions::new().write(true).open(&disk).unwrap().set_len(24 * MIB).unwrap();
    let table = table_of(&disk, 512);
    assert_eq!(table.partitions.len(), 3);
    assert_eq!(table.notices, ["the backup GPT is not at the end of the disk"]);
    assert_eq!(fit_to_disk(&open(&disk), &table, 24 * MIB).unwrap(), []);
    let patches = fit_to_disk(&open(&disk), &table, 30 * MIB).unwrap();
    assert_sound(&images.restored(&disk, 30 * MIB, &patches));
}

#[test]
fn hybrid_mbr_is_kept() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    sgdisk(&disk, &["-h", "1:3"]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Gpt, 3));
    assert!(table.notices.iter().any(|notice| notice.contains("hybrid")), "{table:?}");
    let patches = fit_to_disk(&open(&disk), &table, 40 * MIB).unwrap();
    let restored = images.restored(&disk, 40 * MIB, &patches);
    assert!(sgdisk(&restored, &["-v"]).contains("No problems found"));
    let mbr = |disk: &Path| open(disk).read_vec(0, 512).unwrap();
    assert_eq!(mbr(&restored), mbr(&disk));
}

#[test]
fn gpt_made_by_sfdisk_and_other_entry_counts() {
    let images = Images::new();
    let disk = images.blank("sfdisk.img", 16 * MIB);
    let script = "label: gpt\ntable-length: 8\n2: start=2048,size=2048\n8: size=4096,type=swap\n";
    run("sfdisk", &[disk.to_str().unwrap()], script);
    let table = table_of(&disk, 512);
    assert_eq!(table.notices, Vec::<String>::new());
    assert_agrees_with_sfdisk(&table, &disk);
    let patches = fit_to_disk(&open(&disk), &table, 18 * MIB).unwrap();
    let restored = images.restored(&disk, 18 * MIB, &patches);
    assert_agrees_with_sfdisk(&table, &restored);
    let verdict = run("sfdisk", &["-V", restored.to_str().unwrap()], "");
    assert!(verdict.contains("No errors detected"), "{verdict}");
}

/// sfdisk numbers the logical partitions as the kernel does: along the chain, which here runs
/// backwards on the disk.
#[test]
fn mbr_with_logical_partitions() {
    let images = Images::new();
    let disk = images.blank("mbr.img", 64 * MIB);
    let script = "label: dos\nlabel-id: 0x1234abcd\n\
        1: start=2048,size=8192,type=83,bootable\n\
        3: start=12288,size=100000,type=f\n\
        4: start=114688,size=4096,type=ef\n\
        5: start=30000,size=5000,type=83\n\
        6: start=14336,size=8192,type=82\n\
        7: start=40000,size=2000,type=7\n";
    run("sfdisk", &[disk.to_str().unwrap()], script);
    let table = table_of(&disk, 512);
    assert_eq!(table.scheme, Scheme::Mbr);
    assert_eq!(table.notices, Vec::<String>::new());
    assert_agrees_with_sfdisk(&table, &disk);
    assert_eq!(table.partition(3).unwrap().role, Role::Extended);
    assert_eq!(table.partition(7).unwrap().role, Role::Logical);
    assert_eq!(table.partition(7).unwrap().uuid.as_deref(), Some("1234abcd-07"));
    // MBR and three extended boot records; the space around them in the extended partition counts
    // as unpartitioned.
    let metadata = metadata_extents(&open(&disk), &table);
    assert_eq!(metadata.total(), 4 * 512);
    assert_eq!(metadata.intersection(&table.partitioned()).total(), 0);
    assert_eq!(table.partitioned().total(), (8192 + 4096 + 5000 + 8192 + 2000) * 512);
    assert_eq!(fit_to_disk(&open(&disk), &table, 200 * MIB).unwrap(), []);
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// A random order of `0..count`.
    fn order(&mut self, count: u64) -> Vec<u64> {
        let mut order: Vec<u64> = (0..count).collect();
        for at in (1..order.len()).rev() {
            let other = self.below(at as u64 + 1);
            order.swap(at, usize::try_from(other).unwrap());
        }
        order
    }
}

/// Logical partitions in any order on the disk, primary ones in any slot.
#[test]
fn random_mbr_layouts_agree_with_sfdisk() {
    let images = Images::new();
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let disk = images.blank("random.img", 64 * MIB);
        let slots = dice.order(4);
        let used = 1 + dice.below(3);
        let mut script = format!("label: dos\nlabel-id: {:#010x}\n", 1 + dice.below(1 << 30));
        for (place, slot) in (0..used).zip(&slots) {
            let (start, kind) = (2048 + place * 8192 + dice.below(2048), 0x83 - dice.below(2));
            script += &format!(
                "{}: start={start},size={},type={kind:x}\n",
                slot + 1,
                1 + dice.below(6000)
            );
        }
        if dice.below(4) > 0 {
            script += &format!("{}: start=40960,size=90000,type=f\n", slots[3] + 1);
            let count = dice.below(12);
            for (number, place) in (5..).zip(dice.order(count)) {
                let (start, size) =
                    (43_008 + place * 6144 + dice.below(2000), 1 + dice.below(2000));
                script += &format!("{number}: start={start},size={size},type=83\n");
            }
        }
        run("sfdisk", &[disk.to_str().unwrap()], &script);
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.notices.len()), (Scheme::Mbr, 0), "{script}{table:?}");
        let mut sorted = table.clone();
        sorted.partitions.sort_by_key(|partition| partition.number);
        assert_eq!(sorted, table);
        assert_agrees_with_sfdisk(&table, &disk);
    }
}

#[test]
fn random_gpt_layouts_agree_with_sfdisk_and_sgdisk() {
    let images = Images::new();
    for seed in 0..8 {
        let mut dice = Dice(seed);
        let disk = images.blank("random.img", 64 * MIB);
        let mut script = String::from("label: gpt\nfirst-lba: 34\n");
        let mut slots = dice.order(128);
        slots.truncate(usize::try_from(1 + dice.below(20)).unwrap());
        for (place, slot) in (0u64..).zip(&slots) {
            let start = 2048 + place * 4096 + dice.below(2000);
            script += &format!(
                "{}: start={start},size={},name=p{place}\n",
                slot + 1,
                1 + dice.below(2000)
            );
        }
        run("sfdisk", &[disk.to_str().unwrap()], &script);
        let table = table_of(&disk, 512);
        assert_eq!(table.notices, Vec::<String>::new());
        assert_agrees_with_sfdisk(&table, &disk);
        let size = 64 * MIB + (1 + dice.below(10_000)) * 512;
        let patches = fit_to_disk(&open(&disk), &table, size).unwrap();
        let restored = images.restored(&disk, size, &patches);
        assert_sound(&restored);
        assert_agrees_with_sfdisk(&table, &restored);
    }
}

/// A record whose partition was deleted has no number; `partx` counts as the kernel does.
#[test]
fn deleted_logical_partitions_take_no_number() {
    let images = Images::new();
    let disk = images.blank("deleted.img", 64 * MIB);
    let script = "label: dos\n1: start=2048,size=100000,type=5\n\
        5: start=4096,size=2048\n6: start=8192,size=2048\n7: start=12288,size=2048\n";
    run("sfdisk", &[disk.to_str().unwrap()], script);
    let metadata = metadata_extents(&open(&disk), &table_of(&disk, 512));
    for record in [2, 1] {
        overwrite(&disk, metadata.iter().nth(record).unwrap().start + 446, &[0; 16]);
        let listed = run("partx", &["-g", "-o", "NR,START,UUID", "-s", disk.to_str().unwrap()], "");
        let theirs: Vec<Vec<&str>> =
            listed.lines().map(|line| line.split_whitespace().collect()).collect();
        let ours = table_of(&disk, 512);
        let ours: Vec<Vec<String>> = ours
            .partitions
            .iter()
            .map(|p| {
                vec![p.number.to_string(), (p.start / 512).to_string(), p.uuid.clone().unwrap()]
            })
            .collect();
        assert_eq!(ours, theirs);
    }
    assert_eq!(table_of(&disk, 512).partitions.len(), 2);
}

#[test]
fn mbr_with_sectors_of_4096_bytes() {
    let images = Images::new();
    let disk = images.blank("mbr4k.img", 64 * MIB);
    let device = Loop::new(&disk, 4096);
    let script = "label: dos\n1: start=256,size=1024,type=83\n2: start=2048,size=8192,type=5\n\
        5: start=2304,size=1024,type=83\n6: start=4096,size=512,type=83\n";
    run("sfdisk", &[device.device.to_str().unwrap()], script);
    let table = table_of(&device.device, 4096);
    assert_eq!(table.scheme, Scheme::Mbr);
    assert_agrees_with_sfdisk(&table, &device.device);
}

#[test]
fn broken_chains_are_cut_and_told() {
    let images = Images::new();
    let disk = images.blank("chain.img", 64 * MIB);
    let script = "label: dos\n1: start=2048,size=100000,type=5\n\
        5: start=4096,size=2048\n6: start=8192,size=2048\n7: start=12288,size=2048\n";
    run("sfdisk", &[disk.to_str().unwrap()], script);
    let whole = fs::read(&disk).unwrap();
    assert_eq!(table_of(&disk, 512).partitions.len(), 4);
    let sound = metadata_extents(&open(&disk), &table_of(&disk, 512));
    let third = sound.iter().nth(2).unwrap().start;
    let link = third + 446 + 16 + 8;
    let cases: [(&str, u64, &[u8]); 4] = [
        ("circle", link, &[0, 0, 0, 0]),
        ("out of it", link, &[0xff, 0xff, 0xff, 0x7f]),
        ("broken", third + 510, &[0, 0]),
        ("reaches out", third + 446 + 12, &[0xff; 4]),
    ];
    for (word, offset, bytes) in cases {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, bytes);
        let table = table_of(&disk, 512);
        assert!(table.notices.iter().any(|notice| notice.contains(word)), "{word}: {table:?}");
        assert!((2..4).contains(&table.partitions.len()), "{word}: {table:?}");
        assert_eq!(table.scheme, Scheme::Mbr);
    }
}

#[test]
fn contradictory_tables_are_one_piece() {
    let images = Images::new();
    let disk = images.blank("overlap.img", 16 * MIB);
    let script = "label: dos\n1: start=2048,size=4096\n2: start=8192,size=4096\n";
    run("sfdisk", &[disk.to_str().unwrap()], script);
    let whole = fs::read(&disk).unwrap();
    // Start of partition 2, size of partition 2, start of partition 1.
    for (word, offset, value) in
        [("overlap", 470u64, 4096u32), ("past the end", 474, 400_000), ("over the", 454, 0)]
    {
        fs::write(&disk, &whole).unwrap();
        assert_eq!(table_of(&disk, 512).partitions.len(), 2);
        overwrite(&disk, offset, &value.to_le_bytes());
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.partitions.len()), (Scheme::None, 0), "{word}");
        assert!(table.notices.iter().any(|notice| notice.contains(word)), "{word}: {table:?}");
    }
}

#[test]
fn gpt_without_protective_mbr_is_not_followed() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    overwrite(&disk, 0, &[0; 512]);
    let table = table_of(&disk, 512);
    assert_eq!(table.scheme, Scheme::None);
    assert!(table.notices[0].contains("no protective MBR"), "{table:?}");
    assert_eq!(fit_to_disk(&open(&disk), &table, 32 * MIB).unwrap(), []);
}

#[test]
fn mbr_over_the_remains_of_a_gpt() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let mbr = images.blank("mbr-only.img", 16 * MIB);
    run("sfdisk", &[mbr.to_str().unwrap()], "label: dos\n1: start=2048,size=4096\n");
    overwrite(&disk, 0, &fs::read(&mbr).unwrap()[..512]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Mbr, 1));
    assert!(table.notices.iter().any(|notice| notice.contains("remains of a GPT")), "{table:?}");
}

#[test]
fn filesystems_on_the_whole_disk_are_no_tables() {
    let images = Images::new();
    let disk = images.blank("fat.img", 16 * MIB);
    for tool in [vec!["mkfs.fat", "--mbr=no", "-I"], vec!["mkfs.ext4", "-q", "-F"]] {
        let mut args = tool[1..].to_vec();
        args.push(disk.to_str().unwrap());
        run(tool[0], &args, "");
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.notices.len()), (Scheme::None, 0), "{tool:?}");
    }
    // dosfstools can add a table that has the filesystem itself, from sector 0, as partition 1.
    run("mkfs.fat", &["--mbr=yes", "-I", disk.to_str().unwrap()], "");
    assert_eq!(table_of(&disk, 512).scheme, Scheme::None);
}

#[test]
fn patches_can_be_laid_over_a_stream() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let patches = fit_to_disk(&open(&disk), &table_of(&disk, 512), 17 * MIB).unwrap();
    let restored = images.restored(&disk, 17 * MIB, &patches);
    let (image, expected) = (open(&disk), open(&restored));
    // Pieces of a size that cuts every patch somewhere.
    let mut at = 0;
    while at < 16 * MIB {
        let piece = Window::new(&image, at, 1000);
        let mut buf = piece.read_vec(0, usize::try_from(piece.size()).unwrap()).unwrap();
        for patch in &patches {
            patch.apply_to(at, &mut buf);
        }
        assert!(buf == expected.read_vec(at, buf.len()).unwrap(), "at {at}");
        at += 1000;
    }
}

#[test]
fn impossible_sector_sizes_are_refused() {
    for size in [0, 1, 256, 513, 8192, u32::MAX] {
        let result = read(&vec![0u8; 8192], size);
        assert!(matches!(result, Err(TableError::SectorSize(bad)) if bad == size));
    }
    assert_eq!(read(&Vec::new(), 512).unwrap().scheme, Scheme::None);
}
