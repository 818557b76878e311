//! Tables with their partitions in other places.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Loop, Random, command, tool, tool_with_input};
use lifeboat::bytes::ReadAt;
use lifeboat::layout::{Mode, Part, Wishes, frame, plan};
use lifeboat::table::{Partition, Position, Role, Scheme, Table, metadata_extents, rewrite, room};

use crate::{Images, MIB, open, order, sgdisk, table_of};

/// The partitions of a table as the plan sees them; a part of each can go.
fn parts(table: &Table, random: &mut Random) -> Vec<Part> {
    let mut partitions: Vec<&Partition> = table.data_partitions().collect();
    partitions.sort_by_key(|it| it.start);
    let mut before = frame(table).map(|it| it.start);
    let each = partitions.into_iter().map(|it| {
        let lead = before.filter(|_| it.role == Role::Logical).map(|end| it.start - end);
        if it.role == Role::Logical {
            before = Some(it.end());
        }
        let less = it.size / 512 * random.below(100) / 100 * 512;
        Part {
            number: it.number,
            start: it.start,
            size: it.size,
            least: (it.size - less).next_multiple_of(4096).min(it.size),
            shrunk: (it.size - less).next_multiple_of(4096).min(it.size),
            wanted: random.below(8) > 0,
            fixed: None,
            grows: random.below(2) > 0,
            lead: lead.map(|lead| lead.min(MIB)),
        }
    });
    each.collect()
}

/// The table of `disk` for one of `size` bytes, as random wishes have it; `None` where it does not
/// fit.
fn relaid(images: &Images, disk: &Path, size: u64, random: &mut Random) -> Option<Relaid> {
    let table = table_of(disk, 512);
    let parts = parts(&table, random);
    let mode = if random.below(2) > 0 { Some(Mode::Fit) } else { None };
    let wishes = Wishes { mode, ..Wishes::default() };
    let source = open(disk);
    let room = room(&source, &table, size).unwrap();
    let layout = plan(&parts, frame(&table), room, &wishes).ok()?;
    let positions: Vec<Position> = layout.placed.iter().map(|it| it.position).collect();
    if positions.is_empty() {
        return None;
    }
    let patches = rewrite(&source, &table, &positions, size).unwrap();
    // What a restore makes: the start of the captured disk, and the patches.
    let path = images.blank("relaid.img", size);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&source.read_vec(0, 1 << 20).unwrap(), 0).unwrap();
    for record in metadata_extents(&source, &table).iter().filter(|it| it.end <= size) {
        if table.scheme == Scheme::Mbr {
            file.write_all_at(&source.read_vec(record.start, 512).unwrap(), record.start).unwrap();
        }
    }
    for patch in &patches {
        file.write_all_at(&patch.bytes, patch.offset).unwrap();
    }
    Some(Relaid { path, table, positions })
}

struct Relaid {
    path: PathBuf,
    table: Table,
    positions: Vec<Position>,
}

impl Relaid {
    /// Every partition has its place, and is otherwise what it was.
    fn check(&self) {
        let now = table_of(&self.path, 512);
        assert_eq!((now.scheme, &now.disk_id), (self.table.scheme, &self.table.disk_id));
        assert_eq!((&now.doubts, &now.notices), (&Vec::new(), &Vec::new()), "{now:?}");
        let mut expected: Vec<Partition> = self.table.partitions.clone();
        expected.retain(|old| self.positions.iter().any(|new| new.number == old.number));
        for partition in &mut expected {
            let new = self.positions.iter().find(|new| new.number == partition.number).unwrap();
            (partition.start, partition.size) = (new.start, new.size);
        }
        assert_eq!(now.partitions, expected);
        // sfdisk must see the same.
        crate::assert_agrees_with_sfdisk(&now, &self.path);
        let verdict = command("sfdisk").arg("-V").arg(&self.path).output().unwrap();
        assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
        let listed =
            tool("partx", &["-g", "-o", "NR,START,SECTORS", "-s", self.path.to_str().unwrap()]);
        let theirs: Vec<String> = listed
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let frames = now.partitions.iter().filter(|it| it.role == Role::Extended);
        let frames: Vec<String> = frames.map(|it| format!("{} ", it.number)).collect();
        let mut theirs = theirs;
        // The kernel gives an extended partition two sectors.
        theirs.retain(|line| !frames.iter().any(|number| line.starts_with(number)));
        let ours: Vec<String> = now
            .data_partitions()
            .map(|it| format!("{} {} {}", it.number, it.start / 512, it.size / 512))
            .collect();
        assert_eq!(ours, theirs);
    }
}

/// A target smaller or larger than 64 MiB, of a size that is a whole number of sectors.
fn some_size(random: &mut Random) -> u64 {
    (20 * 2048 + random.below(100 * 2048)) * 512
}

#[test]
fn random_gpts_on_disks_of_all_sizes() {
    let images = Images::new();
    let mut fitting = 0;
    for seed in 0..14 {
        let mut random = Random::new(seed);
        let disk = images.blank("random-gpt.img", 64 * MIB);
        let count = 1 + random.below(6);
        let mut args = Vec::new();
        for (place, number) in (0..count).zip(order(&mut random, 12)) {
            let (number, start) = (number + 1, 2048 * (1 + place * 9 + random.below(3)));
            let end = start + 2048 + random.below(2048 * 5);
            args.push(format!("-n{number}:{start}:{end}"));
            args.push(format!("-c{number}:name {number}"));
            args.push(format!("-A{number}:set:{}", random.below(64)));
            if random.below(3) == 0 {
                args.push(format!("-t{number}:8200"));
            }
        }
        sgdisk(&disk, &args.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..3 {
            let size = some_size(&mut random);
            let Some(found) = relaid(&images, &disk, size, &mut random) else { continue };
            // Of the alignment of ends it has an opinion too.
            let verdict = sgdisk(&found.path, &["-v"]);
            assert!(verdict.contains("No problems found"), "{verdict}");
            assert!(!verdict.contains("Warning"), "{verdict}");
            found.check();
            fitting += 1;
        }
    }
    assert!(fitting > 20, "{fitting}");
}

/// Logical partitions in the order of the disk and in others.
#[test]
fn random_mbrs_on_disks_of_all_sizes() {
    let images = Images::new();
    let mut fitting = 0;
    for seed in 100..118 {
        let mut random = Random::new(seed);
        let disk = images.blank("random-mbr.img", 64 * MIB);
        let slots = order(&mut random, 4);
        let mut script = format!("label: dos\nlabel-id: {:#010x}\n", 1 + random.below(1 << 30));
        for place in 0..random.below(3) {
            let start = 2048 + place * 8192 + random.below(2048);
            let slot = slots[usize::try_from(place).unwrap()] + 1;
            script += &format!("{slot}: start={start},size={},type=83\n", 1 + random.below(6000));
        }
        script += &format!("{}: start=24576,size=90000,type=f\n", slots[3] + 1);
        let count = 1 + random.below(6);
        let places = match random.below(2) {
            0 => (0..count).collect(),
            _ => order(&mut random, count),
        };
        for (number, place) in (5..).zip(places) {
            let start = 24_576 + 2048 + place * 12_288 + random.below(2000);
            let active = if random.below(4) == 0 { ",bootable" } else { "" };
            let size = 1 + random.below(8000);
            script += &format!("{number}: start={start},size={size},type=83{active}\n");
        }
        tool_with_input("sfdisk", &[disk.to_str().unwrap()], &script);
        for _ in 0..3 {
            let size = some_size(&mut random);
            let Some(found) = relaid(&images, &disk, size, &mut random) else { continue };
            found.check();
            fitting += 1;
        }
    }
    assert!(fitting > 20, "{fitting}");
}

#[test]
fn partitions_in_their_places_keep_the_table_byte_for_byte() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let (source, table) = (open(&disk), table_of(&disk, 512));
    let places = table.partitions.iter().map(|it| Position {
        number: it.number,
        start: it.start,
        size: it.size,
        record: 0,
    });
    let places: Vec<Position> = places.collect();
    let patches = rewrite(&source, &table, &places, 16 * MIB).unwrap();
    assert!(!patches.is_empty());
    let whole = fs::read(&disk).unwrap();
    for patch in patches {
        let at = usize::try_from(patch.offset).unwrap();
        assert_eq!(&whole[at..at + patch.bytes.len()], patch.bytes, "{}", patch.what);
    }
}

#[test]
fn a_hybrid_mbr_follows_its_partitions() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    sgdisk(&disk, &["-h", "1:3"]);
    let (source, table) = (open(&disk), table_of(&disk, 512));
    assert_eq!(table.doubts, Vec::<String>::new());
    let mut places: Vec<Position> = Vec::new();
    for old in &table.partitions {
        let by = if old.number == 1 { 0 } else { 4 * MIB };
        places.push(Position {
            number: old.number,
            start: old.start + by,
            size: old.size,
            record: 0,
        });
    }
    let size = 20 * MIB;
    let patches = rewrite(&source, &table, &places, size).unwrap();
    let restored = images.restored(&disk, size, &patches);
    let now = table_of(&restored, 512);
    assert_eq!(now.doubts, Vec::<String>::new(), "{now:?}");
    let third = |table: &Table| table.partition(3).unwrap().start;
    assert_eq!(third(&now), third(&table) + 4 * MIB);
    let listed = sgdisk(&restored, &["-O"]);
    let start = (third(&now) / 512).to_string();
    assert!(listed.lines().any(|line| line.split_whitespace().nth(1) == Some(&start)), "{listed}");
}

#[test]
fn sectors_of_4096_bytes() {
    let images = Images::new();
    let disk = images.blank("gpt4k.img", 64 * MIB);
    let device = Loop::with(&["-b", "4096"], &disk);
    sgdisk(device.path(), &["-n", "1:0:+10M", "-n", "2:0:+20M"]);
    let (source, table) = (open(device.path()), table_of(device.path(), 4096));
    assert_eq!(table.scheme, Scheme::Gpt);
    let size = 40 * MIB;
    let room = room(&source, &table, size).unwrap();
    let old = metadata_extents(&source, &table);
    let places: Vec<Position> = table
        .partitions
        .iter()
        .map(|it| Position { number: it.number, start: it.start, size: it.size, record: 0 })
        .collect();
    assert!(room.end < size && old.total() > 0);
    let patches = rewrite(&source, &table, &places, size).unwrap();
    let smaller = images.blank("smaller.img", size);
    let file = OpenOptions::new().write(true).open(&smaller).unwrap();
    file.write_all_at(&source.read_vec(0, 1 << 20).unwrap(), 0).unwrap();
    for patch in &patches {
        file.write_all_at(&patch.bytes, patch.offset).unwrap();
    }
    let device = Loop::with(&["-b", "4096"], &smaller);
    let verdict = sgdisk(device.path(), &["-v"]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let table_now = table_of(device.path(), 4096);
    assert_eq!(table_now.partitions, table.partitions);
}
