//! Partition tables of the PC BIOS.

use std::fs;
use std::path::{Path, PathBuf};

use common::{Loop, Random, tool, tool_with_input};
use lifeboat::table::{Role, Scheme, Table, fit_to_disk, metadata_extents};

use crate::{Images, MIB, assert_agrees_with_sfdisk, open, order, overwrite, table_of};

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
    tool_with_input("sfdisk", &[disk.to_str().unwrap()], script);
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
    assert_eq!(fit_to_disk(&open(&disk), &table, 200 * MIB, false).unwrap(), []);
}

/// Logical partitions in any order on the disk, primary ones in any slot.
#[test]
fn random_mbr_layouts_agree_with_sfdisk() {
    let images = Images::new();
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let disk = images.blank("random.img", 64 * MIB);
        let slots = order(&mut random, 4);
        let used = 1 + random.below(3);
        let mut script = format!("label: dos\nlabel-id: {:#010x}\n", 1 + random.below(1 << 30));
        for (place, slot) in (0..used).zip(&slots) {
            let (start, kind) = (2048 + place * 8192 + random.below(2048), 0x83 - random.below(2));
            script += &format!(
                "{}: start={start},size={},type={kind:x}\n",
                slot + 1,
                1 + random.below(6000)
            );
        }
        if random.below(4) > 0 {
            script += &format!("{}: start=40960,size=90000,type=f\n", slots[3] + 1);
            let count = random.below(12);
            for (number, place) in (5..).zip(order(&mut random, count)) {
                let (start, size) =
                    (43_008 + place * 6144 + random.below(2000), 1 + random.below(2000));
                script += &format!("{number}: start={start},size={size},type=83\n");
            }
        }
        tool_with_input("sfdisk", &[disk.to_str().unwrap()], &script);
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.notices.len()), (Scheme::Mbr, 0), "{script}{table:?}");
        let mut sorted = table.clone();
        sorted.partitions.sort_by_key(|partition| partition.number);
        assert_eq!(sorted, table);
        assert_agrees_with_sfdisk(&table, &disk);
    }
}

/// A disk with an extended partition and three logical ones in it.
fn with_three_logical_partitions(images: &Images) -> PathBuf {
    let disk = images.blank("chain.img", 64 * MIB);
    let script = "label: dos\n1: start=2048,size=100000,type=5\n\
        5: start=4096,size=2048\n6: start=8192,size=2048\n7: start=12288,size=2048\n";
    tool_with_input("sfdisk", &[disk.to_str().unwrap()], script);
    disk
}

/// A record whose partition was deleted has no number; `partx` counts as the kernel does.
#[test]
fn deleted_logical_partitions_take_no_number() {
    let images = Images::new();
    let disk = with_three_logical_partitions(&images);
    let metadata = metadata_extents(&open(&disk), &table_of(&disk, 512));
    for record in [2, 1] {
        overwrite(&disk, metadata.iter().nth(record).unwrap().start + 446, &[0; 16]);
        let listed = tool("partx", &["-g", "-o", "NR,START,UUID", "-s", disk.to_str().unwrap()]);
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
    let device = Loop::with(&["-b", "4096"], &disk);
    let script = "label: dos\n1: start=256,size=1024,type=83\n2: start=2048,size=8192,type=5\n\
        5: start=2304,size=1024,type=83\n6: start=4096,size=512,type=83\n";
    tool_with_input("sfdisk", &[device.name()], script);
    let table = table_of(device.path(), 4096);
    assert_eq!(table.scheme, Scheme::Mbr);
    assert_agrees_with_sfdisk(&table, device.path());
}

#[test]
fn broken_chains_are_cut_and_told() {
    let images = Images::new();
    let disk = with_three_logical_partitions(&images);
    let whole = fs::read(&disk).unwrap();
    assert_eq!(table_of(&disk, 512).partitions.len(), 4);
    let sound = metadata_extents(&open(&disk), &table_of(&disk, 512));
    let third = sound.iter().nth(2).unwrap().start;
    let link = third + 446 + 16 + 8;
    let cases: [(&str, u64, &[u8]); 4] = [
        ("circle", link, &[0, 0, 0, 0]),
        ("out of it", link, &[0xff, 0xff, 0xff, 0x7f]),
        ("broken", third + 510, &[0, 0]),
        ("reaches out", third + 446 + 12, &[0xff, 0xff, 0x7f, 0]),
    ];
    for (word, offset, bytes) in cases {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, bytes);
        let table = table_of(&disk, 512);
        assert!(table.doubts.iter().any(|doubt| doubt.contains(word)), "{word}: {table:?}");
        assert_eq!(table.scheme, Scheme::Mbr);
        assert_agrees_with_partx(&table, &disk);
    }
}

/// `partx` lists what libblkid sees, which reads as Linux does.
fn assert_agrees_with_partx(table: &Table, disk: &Path) {
    let listed = tool("partx", &["-g", "-b", "-o", "NR,START,SIZE", "-s", disk.to_str().unwrap()]);
    let theirs: Vec<Vec<u64>> = listed
        .lines()
        .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
        .collect();
    let ours = table.partitions.iter().map(|p| vec![u64::from(p.number), p.start / 512, p.size]);
    assert_eq!(ours.collect::<Vec<_>>(), theirs, "{table:?}");
}

/// Old bytes, deleted entries and odd flags in the records, as libblkid reads them.
#[test]
fn records_that_are_not_by_the_book_are_read_as_linux_does() {
    let images = Images::new();
    let disk = with_three_logical_partitions(&images);
    let whole = fs::read(&disk).unwrap();
    let records = metadata_extents(&open(&disk), &table_of(&disk, 512));
    let entry =
        |record: usize, slot: u64| records.iter().nth(record).unwrap().start + 446 + slot * 16;
    // Sectors 10 to 14 behind a record: in front of its partition, and inside of its link.
    let fits = [0, 0, 0, 0, 0x83, 0, 0, 0, 10, 0, 0, 0, 5, 0, 0, 0];
    let cases: [(&str, u64, &[u8], bool); 6] = [
        ("text in entry 3", entry(2, 2), b"old text of 16 B", false),
        ("text in entry 4", entry(1, 3), b"old text of 16 B", false),
        ("a partition in entry 3", entry(2, 2), &fits, true),
        ("a size without a type", entry(3, 0) + 4, &[0], true),
        ("a boot flag in a record", entry(2, 0), &[0x11], false),
        ("a size without a type in the MBR", 446 + 4, &[0], true),
    ];
    for (what, offset, bytes, doubtful) in cases {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, bytes);
        let table = table_of(&disk, 512);
        assert_eq!(table.doubts.is_empty(), !doubtful, "{what}: {table:?}");
        assert_agrees_with_partx(&table, &disk);
    }
}

#[test]
fn contradictory_tables_are_doubted() {
    let images = Images::new();
    let disk = images.blank("overlap.img", 16 * MIB);
    let script = "label: dos\n1: start=2048,size=4096\n2: start=8192,size=4096\n";
    tool_with_input("sfdisk", &[disk.to_str().unwrap()], script);
    let whole = fs::read(&disk).unwrap();
    // Start of partition 2, size of partition 2, start of partition 1.
    for (word, offset, value, contested) in [
        ("overlap", 470u64, 4096u32, vec![1, 2]),
        ("past the end", 474, 400_000, vec![]),
        ("over a part", 454, 0, vec![]),
    ] {
        fs::write(&disk, &whole).unwrap();
        assert_eq!(table_of(&disk, 512).partitions.len(), 2);
        overwrite(&disk, offset, &value.to_le_bytes());
        let table = table_of(&disk, 512);
        assert_eq!((table.scheme, table.partitions.len()), (Scheme::Mbr, 2), "{word}");
        assert_eq!(table.contested, contested, "{word}");
        assert!(table.doubts.iter().any(|doubt| doubt.contains(word)), "{word}: {table:?}");
    }
}

/// libfdisk takes such a first sector for a table, Linux does not.
#[test]
fn an_odd_boot_flag_makes_a_table_doubtful() {
    let images = Images::new();
    let disk = images.blank("flag.img", 16 * MIB);
    tool_with_input("sfdisk", &[disk.to_str().unwrap()], "label: dos\n1: start=2048,size=4096\n");
    overwrite(&disk, 446, &[0x17]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.doubts.len()), (Scheme::None, 1), "{table:?}");
}

#[test]
fn mbr_over_the_remains_of_a_gpt() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let mbr = images.blank("mbr-only.img", 16 * MIB);
    tool_with_input("sfdisk", &[mbr.to_str().unwrap()], "label: dos\n1: start=2048,size=4096\n");
    overwrite(&disk, 0, &fs::read(&mbr).unwrap()[..512]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Mbr, 1));
    assert!(table.notices.iter().any(|notice| notice.contains("remains of a GPT")), "{table:?}");
}
