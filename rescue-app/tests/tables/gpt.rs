//! GUID partition tables.

use std::fs::{self, OpenOptions};
use std::path::Path;

use common::{Loop, Random, tool, tool_with_input};
use lifeboat::bytes::ReadAt;
use lifeboat::table::{Scheme, TableError, fit_to_disk, metadata_extents};

use crate::{
    GPT_WITH_GAPS, Images, MIB, assert_agrees_with_sfdisk, assert_sound, open, order, overwrite,
    sgdisk, table_of,
};

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
    let outside = table.partitioned().gaps_within(0, 16 * MIB);
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
        let patches = fit_to_disk(&open(&disk), &table, size, false).unwrap();
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
    let patches = fit_to_disk(&open(&disk), &table, 48 * MIB, false).unwrap();
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
    let patches = fit_to_disk(&open(&disk), &table_of(&disk, 512), 32 * MIB, false).unwrap();
    let restored = images.restored(&disk, 32 * MIB, &patches);
    let old = open(&restored).read_vec(16 * MIB - 33 * 512, 33 * 512).unwrap();
    assert!(old.iter().all(|byte| *byte == 0));
}

#[test]
fn equal_size_changes_nothing() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let table = table_of(&disk, 512);
    assert_eq!(fit_to_disk(&open(&disk), &table, 16 * MIB, false).unwrap(), []);
    assert_eq!(fit_to_disk(&open(&disk), &table, 16 * MIB + 511, false).unwrap(), []);
    let smaller = fit_to_disk(&open(&disk), &table, 16 * MIB - 1, false);
    assert!(matches!(smaller, Err(TableError::TooSmall { .. })), "{smaller:?}");
}

#[test]
fn sectors_of_4096_bytes() {
    let images = Images::new();
    let disk = images.blank("4k.img", 32 * MIB);
    {
        let device = Loop::with(&["-b", "4096"], &disk);
        sgdisk(device.path(), &GPT_WITH_GAPS);
        assert_agrees_with_sfdisk(&table_of(&disk, 4096), device.path());
    }
    let table = table_of(&disk, 4096);
    assert_eq!(table.partitions.len(), 3);
    let patches = fit_to_disk(&open(&disk), &table, 64 * MIB, false).unwrap();
    let restored = images.restored(&disk, 64 * MIB, &patches);
    let (before, after) =
        (Loop::with(&["-b", "4096"], &disk), Loop::with(&["-b", "4096"], &restored));
    assert_sound(after.path());
    for number in ["1", "3", "5"] {
        let info = |disk: &Loop| sgdisk(disk.path(), &["-i", number]);
        assert_eq!(info(&after), info(&before));
    }
    // Read with the wrong sector size there is a protective MBR and no GPT: one piece, with a word.
    let wrong = table_of(&disk, 512);
    assert_eq!(wrong.scheme, Scheme::None);
    assert!(wrong.doubts.iter().any(|doubt| doubt.contains("--sector-size 4096")), "{wrong:?}");
}

#[test]
fn damaged_copies_are_recovered_from_each_other() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let whole = fs::read(&disk).unwrap();
    let sound = table_of(&disk, 512);
    let last = 16 * MIB - 512;
    let damages: [(&str, u64, usize, u8); 5] = [
        ("primary", 512, 512, 0),
        ("primary", 512 + 60, 1, 0x77),
        ("primary", 1024 + 3, 1, 0x77),
        ("backup", last, 512, 0),
        ("backup", last - 32 * 512, 40, 0x77),
    ];
    for (copy, offset, len, byte) in damages {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, &vec![byte; len]);
        let table = table_of(&disk, 512);
        assert_eq!(table.partitions, sound.partitions, "{copy} at {offset}");
        let remarks: Vec<&String> = table.remarks().collect();
        assert_eq!(remarks.len(), 1);
        assert!(remarks[0].contains(&format!("the {copy} GPT is damaged")), "{table:?}");
        // Linux shows no partitions without the primary copy.
        assert_eq!(table.doubts.is_empty(), copy == "backup", "{table:?}");
        // On a disk of equal size it stays as it is, unless it is to be mended.
        assert_eq!(fit_to_disk(&open(&disk), &table, 16 * MIB, false).unwrap(), []);
        let patches = fit_to_disk(&open(&disk), &table, 16 * MIB, true).unwrap();
        let restored = images.restored(&disk, 16 * MIB, &patches);
        assert!(fs::read(&restored).unwrap() == whole, "{copy} at {offset}");
        let patches = fit_to_disk(&open(&disk), &table, 40 * MIB, false).unwrap();
        assert_sound(&images.restored(&disk, 40 * MIB, &patches));
    }
}

/// RAID metadata and boot loaders lie where a copy of the GPT was: they are not the rest of one.
#[test]
fn what_is_no_rest_of_a_gpt_is_not_mended() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    let whole = fs::read(&disk).unwrap();
    let last = 16 * MIB - 512;
    let places = [
        ("primary", 512, &b"boot code"[..]),
        ("primary", 8192, b"eGON.BT0"),
        ("backup", last, b"\xde\x11\xde\x11"),
        ("backup", 16 * MIB - 8192, b"\xfc\x4e\x2b\xa9"),
    ];
    for (copy, offset, bytes) in places {
        fs::write(&disk, &whole).unwrap();
        overwrite(&disk, offset, bytes);
        let table = table_of(&disk, 512);
        let mended = fit_to_disk(&open(&disk), &table, 16 * MIB, true);
        let refused =
            matches!(mended, Err(TableError::NoRoom { copy: which, .. }) if which == copy);
        assert!(refused, "{copy} at {offset}: {mended:?}");
        // On a larger disk there is a sound backup at the end, and what lay there is still there.
        let patches = fit_to_disk(&open(&disk), &table, 40 * MIB, false).unwrap();
        let restored = images.restored(&disk, 40 * MIB, &patches);
        assert_eq!(open(&restored).read_vec(offset, bytes.len()).unwrap(), bytes);
        assert!(sgdisk(&restored, &["-i", "5"]).contains("First sector"), "{copy} at {offset}");
    }
}

/// The last partition ends where the backup belongs, as on a disk cloned to a smaller one.
#[test]
fn a_gpt_without_room_for_its_backup_fits_where_there_is_room() {
    let images = Images::new();
    let disk = images.blank("cut.img", 16 * MIB);
    sgdisk(&disk, &["-n1:2048:+1M", "-n2:0:0"]);
    let size = 16 * MIB - 33 * 512;
    OpenOptions::new().write(true).open(&disk).unwrap().set_len(size).unwrap();
    let table = table_of(&disk, 512);
    assert_eq!(table.partitions.len(), 2);
    assert_eq!(fit_to_disk(&open(&disk), &table, size, false).unwrap(), []);
    let little = fit_to_disk(&open(&disk), &table, size + 32 * 512, false);
    let needed = 16 * MIB;
    assert!(matches!(little, Err(TableError::NoRoom { needed: Some(n), .. }) if n == needed));
    let patches = fit_to_disk(&open(&disk), &table, needed, false).unwrap();
    // Not as sound as can be: sgdisk cautions of an end that is not on a whole mebibyte.
    let opinion = sgdisk(&images.restored(&disk, needed, &patches), &["-v"]);
    assert!(opinion.contains("No problems found") && !opinion.contains("Warning"), "{opinion}");
}

#[test]
fn both_copies_damaged_is_one_piece() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    overwrite(&disk, 512, &[0; 512]);
    overwrite(&disk, 16 * MIB - 512, &[0; 512]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::None, 0));
    assert!(table.doubts.iter().any(|doubt| doubt.contains("no copy of the GPT")));
    assert_eq!(table.partitioned().gaps_within(0, 16 * MIB).total(), 16 * MIB);
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
    assert!(table.doubts.iter().any(|doubt| doubt.contains("differ")), "{table:?}");
    // Both give partition 1 the same place.
    assert_eq!(table.contested, Vec::<u32>::new());
    let patches = fit_to_disk(&open(&disk), &table, 20 * MIB, false).unwrap();
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
    assert_eq!(fit_to_disk(&open(&disk), &table, 24 * MIB, false).unwrap(), []);
    let patches = fit_to_disk(&open(&disk), &table, 30 * MIB, false).unwrap();
    assert_sound(&images.restored(&disk, 30 * MIB, &patches));
}

#[test]
fn hybrid_mbr_is_kept() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    sgdisk(&disk, &["-h", "1:3"]);
    let table = table_of(&disk, 512);
    assert_eq!((table.scheme, table.partitions.len()), (Scheme::Gpt, 3));
    assert_eq!((&table.doubts, &table.contested), (&Vec::new(), &Vec::new()), "{table:?}");
    let patches = fit_to_disk(&open(&disk), &table, 40 * MIB, false).unwrap();
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
    tool_with_input("sfdisk", &[disk.to_str().unwrap()], script);
    let table = table_of(&disk, 512);
    assert_eq!(table.notices, Vec::<String>::new());
    assert_agrees_with_sfdisk(&table, &disk);
    let patches = fit_to_disk(&open(&disk), &table, 18 * MIB, false).unwrap();
    let restored = images.restored(&disk, 18 * MIB, &patches);
    assert_agrees_with_sfdisk(&table, &restored);
    let verdict = tool("sfdisk", &["-V", restored.to_str().unwrap()]);
    assert!(verdict.contains("No errors detected"), "{verdict}");
}

#[test]
fn random_gpt_layouts_agree_with_sfdisk_and_sgdisk() {
    let images = Images::new();
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let disk = images.blank("random.img", 64 * MIB);
        let mut script = String::from("label: gpt\nfirst-lba: 34\n");
        let mut slots = order(&mut random, 128);
        slots.truncate(usize::try_from(1 + random.below(20)).unwrap());
        for (place, slot) in (0u64..).zip(&slots) {
            let start = 2048 + place * 4096 + random.below(2000);
            // Where all starts are aligned sgdisk wants the ends to be so too: one never is.
            let start = if place == 0 { start | 1 } else { start };
            script += &format!(
                "{}: start={start},size={},name=p{place}\n",
                slot + 1,
                1 + random.below(2000)
            );
        }
        tool_with_input("sfdisk", &[disk.to_str().unwrap()], &script);
        let table = table_of(&disk, 512);
        assert_eq!(table.notices, Vec::<String>::new());
        assert_agrees_with_sfdisk(&table, &disk);
        let size = 64 * MIB + (1 + random.below(10_000)) * 512;
        let patches = fit_to_disk(&open(&disk), &table, size, false).unwrap();
        let restored = images.restored(&disk, size, &patches);
        assert_sound(&restored);
        assert_agrees_with_sfdisk(&table, &restored);
    }
}

#[test]
fn gpt_without_protective_mbr_is_not_followed() {
    let images = Images::new();
    let disk = images.gpt(16 * MIB);
    overwrite(&disk, 0, &[0; 512]);
    let table = table_of(&disk, 512);
    assert_eq!(table.scheme, Scheme::None);
    assert!(table.doubts[0].contains("no protective MBR"), "{table:?}");
    assert_eq!(fit_to_disk(&open(&disk), &table, 32 * MIB, false).unwrap(), []);
}
