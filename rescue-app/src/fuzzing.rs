//! What `cargo fuzz` feeds with changing bytes: one function for each parser of foreign bytes.
//! Compiled for fuzzing and for the tests alone, which replay the seeds and whatever was found.
//!
//! Each asserts what must hold whatever the bytes say. A panic, an endless loop or too much
//! memory is a finding.

mod pieces;
mod summed;

use std::sync::Arc;

use pieces::Pieces;
use summed::Summed;

use crate::bytes::{Extents, Overlay, OverlayRoom, ReadAt, WriteAt};
use crate::disk::mount::parse_mounts;
use crate::disk::uevent::Uevent;
use crate::filesystem;
use crate::firmware::{LoadOption, SecureBoot, program::Program};
use crate::image::disk_volumes::DiskVolumes;
use crate::image::layout::{self, Selection};
use crate::image::manifest::Manifest;
use crate::image::marker;
pub use crate::import::fuzz_partclone as partclone;
use crate::inspect::{
    around_shown_array, files as tree_of, fuzzing as seals, inspect, locate, locked_containers,
    owners, recognise, system, unlock, volumes, windows_version,
};
use crate::progress::Cancel;
pub use crate::repository::fuzzing::{blob, index, key_file, pack_header, sealed, snapshot, tree};
use crate::signature;
use crate::table;
use crate::transfer::read_any_map;
use crate::virtual_disk::{self, Format};
use crate::volume::{Alone, Coverage, Doubt, Effort, EntryKind, FileId, FileTree, Place, Scrutiny};

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name; the seeds of each are in the folder of that name.
pub const TARGETS: &[(&str, Target)] = &[
    ("bitlocker", bitlocker),
    ("blob", blob),
    ("boot_entry", boot_entry),
    ("btrfs", btrfs),
    ("disk", disk),
    ("exfat", exfat),
    ("ext", ext),
    ("f2fs", f2fs),
    ("fat", fat),
    ("gpt", gpt),
    ("hfsplus", hfsplus),
    ("hive", hive),
    ("index", index),
    ("luks", luks),
    ("key_file", key_file),
    ("lvm", lvm),
    ("manifest", manifest),
    ("map_file", map_file),
    ("marker", read_marker),
    ("mbr", mbr),
    ("mountinfo", mountinfo),
    ("ntfs", ntfs),
    ("owners", files),
    ("pack_header", pack_header),
    ("partclone", partclone),
    ("program", program),
    ("raid", raid),
    ("recognition", recognition),
    ("sealed", sealed),
    ("snapshot", snapshot),
    ("tree", tree),
    ("uevent", uevent),
    ("virtual_disk", disk_file),
    ("xfs", xfs),
];

/// A whole disk: its table, then every region with its filesystem, as a capture examines it.
pub fn disk(data: &[u8]) {
    let disk = Pieces::parse(data);
    let Ok(table) = table::read(&disk, 512) else { return };
    let metadata = table::metadata_extents(&disk, &table);
    let selection = Selection::default();
    let volumes = DiskVolumes::new(&disk, &table);
    let mut at = 0;
    for span in layout::spans(disk.size(), &table).into_iter().take(16) {
        let region = layout::inspect(&disk, span, Some(&metadata), &volumes, &selection).region;
        assert_eq!(region.start, at, "regions have gaps or overlap");
        at = region.end();
        let inside = region.used.iter().all(|used| region.start <= used.start && used.end <= at);
        assert!(inside, "used blocks outside of their region");
    }
}

/// A file of a virtual machine, by the readers of all formats: what its first bytes say it is, one of them believes.
pub fn disk_file(data: &[u8]) {
    for format in [Format::Qcow2, Format::Vhd, Format::Vhdx, Format::Vmdk, Format::Vdi] {
        let file = Arc::new(Pieces::parse(data));
        let Ok(disk) = virtual_disk::open(format, file) else { continue };
        let size = disk.size();
        assert!(disk.data().map_or(0, |data| data.end()) <= size, "it holds more than there is");
        let mut buf = [0; 4096];
        for at in [0, size / 3, size / 2, size.saturating_sub(4096)] {
            let len = usize::try_from(size - at).unwrap_or(usize::MAX).min(4096);
            let _ = disk.read_at(at, &mut buf[..len]);
        }
        assert!(disk.read_at(size, &mut buf[..1]).is_err(), "past the end");
    }
}

/// GPT: the checksums of both headers are made right first, for changes to get past them.
pub fn gpt(data: &[u8]) {
    let mut disk = Pieces::parse(data);
    disk.protect();
    let last = (disk.size() / 512).saturating_sub(1);
    let sealed = disk.with_gpt_checksums(1).with_gpt_checksums(last);
    tables(&sealed);
}

/// A boot entry: written as it was read, and for another partition.
pub fn boot_entry(data: &[u8]) {
    let Some(option) = LoadOption::parse(data) else { return };
    assert_eq!(option.to_bytes().as_deref(), Some(data), "not as it was read");
    let Some(loader) = option.loader() else { return };
    let moved = option.onto(&loader.drive).and_then(|moved| moved.loader());
    assert_eq!(moved, Some(loader), "another program");
}

/// A signed program, and a list of keys.
pub fn program(data: &[u8]) {
    let Some(program) = Program::read(&data.to_vec()) else {
        let _ = SecureBoot::with(data, data, data);
        return;
    };
    let _ = SecureBoot::with(data, &[], program.generations()).refusal(&program);
}

/// MBR with extended partitions.
pub fn mbr(data: &[u8]) {
    let mut disk = Pieces::parse(data);
    disk.sign();
    tables(&disk);
}

fn tables(disk: &Pieces) {
    for sector_size in [512, 4096] {
        let Ok(table) = table::read(disk, sector_size) else { continue };
        let data = table.partitioned();
        let sizes = table.data_partitions().map(|partition| partition.size);
        let metadata = table::metadata_extents(disk, &table);
        let contradicts = data.end() > disk.size()
            || data.total() != sizes.fold(0, u64::saturating_add)
            || !metadata.intersection(&data).is_empty();
        assert!(!contradicts || !table.doubts.is_empty(), "a contradiction without a doubt");
        let spans = layout::spans(disk.size(), &table);
        let end = spans.iter().fold(0, |at, span| {
            assert_eq!(span.start, at, "a gap between regions");
            at + span.size
        });
        assert_eq!(end, disk.size(), "regions end with the disk");
        for target in [disk.size(), disk.size() + 10 * u64::from(sector_size)] {
            let Ok(patches) = table::fit_to_disk(disk, &table, target, true) else { continue };
            let mut end = 0;
            for patch in patches {
                assert!(patch.offset >= end, "patches overlap");
                end = patch.offset + patch.bytes.len() as u64;
                assert!(end <= target, "a patch reaches past the end");
                // Sector 0 is the table's, whatever an entry says.
                let hits = data.within(patch.offset.max(512), end).next().is_some();
                assert!(!hits, "a patch hits a partition");
            }
        }
    }
}

/// Whatever a volume may hold.
pub fn recognition(data: &[u8]) {
    let volume = Pieces::parse(data);
    let _ = recognise(&volume);
    if let Ok(found) = signature::find(&volume) {
        assert!(found.iter().all(|found| found.end() <= volume.size()), "past the end");
    }
    volume_map(&volume);
}

/// ext2, ext3 and ext4, their journals too: the superblock always has its magic number.
pub fn ext(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(1024 + 56, &[0x53, 0xef]);
    volume_map(&volume);
}

/// A registry hive: it always starts with its name.
pub fn hive(data: &[u8]) {
    let mut hive = data.to_vec();
    hive.splice(..data.len().min(4), *b"regf");
    let version = windows_version(&hive);
    assert!(version.is_none_or(|version| version.len() < 5000), "a long name");
}

/// LUKS: the magic number and, in version 2, the checksum are always right. The passphrase is tried
/// on every key slot that asks for little.
pub fn luks(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(0, b"LUKS\xba\xbe");
    let sealed = volume.with_luks2_checksum();
    let _ = unlock(&sealed, b"x", Effort { memory: 1 << 20, work: 2000 });
    volume_map(&sealed);
}

/// BitLocker: it always has its name and says that it is encrypted, and the checksums of the
/// metadata are right. No protector is tried but the key that lies in a suspended volume.
pub fn bitlocker(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(3, b"-FVE-FS-");
    volume.put(160, b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01");
    let sealed = volume.with_bitlocker_checksums();
    let _ = unlock(&sealed, b"x", Effort { memory: 0, work: 0 });
    volume_map(&sealed);
}

/// XFS: the superblock always has its magic number.
pub fn xfs(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(0, b"XFSB");
    volume_map(&volume);
}

/// Physical volumes of LVM: the checksums of label and metadata are made right first, for changes to
/// get past them.
pub fn lvm(data: &[u8]) {
    let volume = Pieces::parse(data).with_lvm_checksums();
    volume_map(&volume);
    let _ = locked_containers(&volume, &Alone);
    for found in volumes(&volume) {
        let Some(located) = locate(&volume, &Alone, &found.to_string()) else { continue };
        let Ok(fragments) = located.fragments else { continue };
        let mut end = 0;
        for fragment in fragments {
            assert_eq!(fragment.start, end, "a volume with gaps");
            let fits = |at: u64| at + fragment.len <= volume.size();
            let inside = matches!(fragment.at, Place::Here(at) if fits(at));
            assert!(inside, "it reaches past the end");
            end += fragment.len;
        }
        assert_eq!(end, located.volume.size, "a volume cut short");
    }
}

/// Members of arrays, by md and by firmware: the checksums of the metadata are right.
pub fn raid(data: &[u8]) {
    let volume = member(data);
    volume_map(&volume);
    let own = around_shown_array(&volume);
    assert!(own.is_none_or(|own| own.end() <= volume.size()), "it reaches past the end");
}

fn member(data: &[u8]) -> Pieces {
    let mut volume = Pieces::parse(data);
    for seal in [seals::MD_RAID, seals::FIRMWARE_RAID] {
        for (place, bytes) in seal(&volume) {
            volume.put(place, &bytes);
        }
    }
    volume
}

/// NTFS: the boot sector always has its name. It is made smaller too, unless it is so large that this takes long.
pub fn ntfs(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(3, b"NTFS    ");
    volume.sign();
    volume_map(&volume);
    halve(volume, filesystem::ntfs::shrink);
}

/// Makes half as much of a volume that is not so large that this takes long.
fn halve(volume: Pieces, shrink: fn(&dyn WriteAt, u64, &Cancel) -> Result<(), Doubt>) {
    let half = (volume.size() / 2).next_multiple_of(4096);
    if half <= 256 << 20 {
        let room = OverlayRoom { memory: 64 << 20, folder: None };
        let _ = shrink(&Overlay::new(volume, room), half, &Cancel::new());
    }
}

/// FAT12, FAT16 and FAT32: the boot sector always has its jump and its signature. It is made smaller too.
pub fn fat(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(0, &[0xeb, 0x58, 0x90]);
    volume.sign();
    volume_map(&volume);
    halve(volume, filesystem::fat::shrink);
}

/// exFAT: the boot sector always has its name and the boot regions are intact. It is made smaller too.
pub fn exfat(data: &[u8]) {
    let volume = sealed_map(data, 3, b"EXFAT   ", seals::EXFAT);
    halve(volume, filesystem::exfat::shrink);
}

/// F2FS: the superblock always has its magic number and the checkpoints are intact.
pub fn f2fs(data: &[u8]) {
    sealed_map(data, 1024, &[0x10, 0x20, 0xf5, 0xf2], seals::F2FS);
}

/// HFS+: the volume header and the alternate one always agree.
pub fn hfsplus(data: &[u8]) {
    sealed_map(data, 1025, b"+\0\x04", seals::HFSPLUS);
}

/// A volume whose checksums and copies are made right first. Files are looked up too.
fn sealed_map(data: &[u8], at: u64, magic: &[u8], seal: seals::Seal) -> Pieces {
    let mut volume = Pieces::parse(data);
    volume.put(at, magic);
    for (place, bytes) in seal(&volume) {
        volume.put(place, &bytes);
    }
    volume_map(&volume);
    look_up(&volume);
    volume
}

/// Btrfs: the superblock always has its name, and the checksums of all blocks are right. Files are
/// looked up too.
pub fn btrfs(data: &[u8]) {
    let mut volume = Pieces::parse(data);
    volume.put(65536 + 64, b"_BHRfS_M");
    let volume = Summed(volume);
    volume_map(&volume);
    look_up(&volume);
}

fn volume_map(volume: &dyn ReadAt) {
    let found = inspect(volume);
    assert!(found.used.end() <= volume.size(), "the map reaches past the end");
    if found.coverage == Coverage::Whole {
        assert_eq!(found.used.total(), volume.size(), "the whole volume is not all of it");
        assert!(!found.warnings.is_empty() || volume.size() == 0, "no reason is given");
    }
}

/// Records and directories, as they are looked up when all of a volume is lost; and by path.
pub fn files(data: &[u8]) {
    look_up(&Pieces::parse(data));
}

fn look_up(volume: &dyn ReadAt) {
    let found = owners(volume, &Extents::of(0, volume.size()));
    assert!(found.metadata <= volume.size(), "more records than volume");
    let longest = found.files.iter().map(|file| file.path.len()).max();
    assert!(longest.is_none_or(|len| len <= 5000), "a path of {longest:?} bytes");
    let name = system(volume);
    assert!(name.is_none_or(|name| name.chars().count() <= 64), "a long name");
    list_files(volume, Scrutiny::Strict);
    list_files(volume, Scrutiny::Lenient);
}

/// The files, as they are looked at in search of repositories and for a person.
fn list_files(volume: &dyn ReadAt, scrutiny: Scrutiny) {
    let Ok(tree) = tree_of(volume, scrutiny) else { return };
    // A damaged one may tell of more than there is.
    let size = if scrutiny == Scrutiny::Strict { volume.size() } else { u64::MAX };
    let free = tree.free(Some(0));
    assert!(free.is_none_or(|free| free <= size), "more is free than there is: {free:?}");
    let mut folders = vec![tree.root()];
    for _ in 0..100 {
        let Some(folder) = folders.pop() else { break };
        let mut files = Vec::new();
        let _ = tree.list(folder, &mut |entry| {
            let is_wanted = entry.kind == EntryKind::Folder && folders.len() < 1000;
            folders.extend(is_wanted.then_some(entry.file));
            files.extend((files.len() < 20).then_some(entry.file));
        });
        files.into_iter().for_each(|file| look_at(tree.as_ref(), file, size));
    }
}

/// All that can be asked of a file.
fn look_at(tree: &dyn FileTree, file: FileId, size: u64) {
    let _ = tree.stat(file);
    let _ = tree.extents(file, &mut |extent| {
        assert!(extent.end <= size, "a file lies outside the volume: {extent:?}");
    });
    let target = tree.link_target(file);
    assert!(target.map_or(0, |target| target.len()) <= 1 << 16, "a long link");
    let Ok(content) = tree.open(file) else { return };
    // The start, the end and a piece between.
    for at in [0, content.size() / 2, content.size().saturating_sub(1)] {
        let len = content.size().saturating_sub(at).min(100_000);
        let _ = content.read_vec(at, usize::try_from(len).unwrap_or(0));
    }
}

/// An image's manifest.
pub fn manifest(data: &[u8]) {
    let Ok(mut manifest) = Manifest::parse(data) else { return };
    // Numbers of absurd length lose their last digit in fields that this version does not know.
    manifest.other.clear();
    assert!(manifest.used().end() <= manifest.disk.size, "used bytes past the end");
    let folder = manifest.disk.folder();
    assert!(!folder.is_empty() && !folder.starts_with('.') && !folder.contains('/'), "{folder}");
    let again = manifest.to_json().map(|json| Manifest::parse(&json));
    assert!(matches!(again, Ok(Ok(again)) if again == manifest), "it changes when written");
}

/// The note at the start of a half-restored disk.
pub fn read_marker(data: &[u8]) {
    let mut disk = b"LIFEBOAT RESTORE NOT FINISHED\n".to_vec();
    disk.extend_from_slice(data);
    disk.resize(512, 0);
    let note = marker::read(&disk);
    assert!(note.is_some(), "the note is overlooked");
    let _ = note.map(|note| note.to_string());
    let _ = marker::read(&data);
}

/// The map file of a failing disk, which other programs write too.
pub fn map_file(data: &[u8]) {
    read_any_map(data);
}

/// The kernel's announcements of devices.
pub fn uevent(data: &[u8]) {
    let Some(event) = Uevent::parse(data) else { return };
    let _ = (event.concerns_disks(), event.whole_disk(), event.property("DEVNAME"));
}

/// The kernel's list of mounts.
pub fn mountinfo(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(parse_mounts(data).len() <= lines, "more mounts than lines");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// Every seed and every input that once was a finding.
    #[test]
    fn seeds_and_findings_do_no_harm() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (name, target) in TARGETS {
            let mut inputs = 0;
            for entry in fs::read_dir(folder.join(name)).unwrap() {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                target(&fs::read(&path).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "{name} has no seeds");
            target(&[]);
        }
    }

    /// Seeds that no parser recognised would test nothing.
    #[test]
    fn seeds_of_filesystems_are_recognised() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for name in ["exfat", "f2fs", "hfsplus", "btrfs", "ext", "fat", "lvm", "ntfs", "xfs"] {
            for entry in fs::read_dir(folder.join(name)).unwrap() {
                let path = entry.unwrap().path();
                let is_seed = path.file_name().unwrap().to_str().unwrap().starts_with("seed-");
                let found = inspect(&Pieces::parse(&fs::read(&path).unwrap()));
                let mapped = found.coverage != Coverage::Whole;
                assert!(!is_seed || mapped, "{}: {:?}", path.display(), found.warnings);
            }
        }
        for (name, expected) in [
            ("btrfs/seed-files", "Some Linux 1"),
            ("owners/seed-xfs", "Some Linux 1"),
            ("owners/seed-hfsplus", "Mac OS X"),
        ] {
            let volume = fs::read(folder.join(name)).unwrap();
            assert_eq!(system(&Pieces::parse(&volume)).as_deref(), Some(expected), "{name}");
        }
        for name in ["intel-mirror", "ddf-mirror"] {
            let disk = fs::read(folder.join("raid").join(format!("seed-{name}"))).unwrap();
            assert!(around_shown_array(&member(&disk)).is_some(), "{name}");
        }
        // What is left of an array without its record is no spare disk.
        let mut disk = member(&fs::read(folder.join("raid/seed-ddf-mirror")).unwrap());
        disk.put(2003 * 512, &[0; 4]);
        assert!(around_shown_array(&disk).is_none());
        for entry in fs::read_dir(folder.join("hive")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("seed-") {
                let version = windows_version(&fs::read(&path).unwrap());
                assert_eq!(version.as_deref(), Some("Windows 11 Pro 23H2"));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        /// A little of what fuzzing does, in every run of the tests.
        #[test]
        fn changed_headers_and_hives_do_no_harm(
            pick in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
            let targets = [
                ("bitlocker", bitlocker as Target),
                ("luks", luks),
                ("hive", hive),
                ("boot_entry", boot_entry),
                ("program", program),
            ];
            for (name, target) in targets {
                let seeds = fs::read_dir(folder.join(name)).unwrap();
                let mut seeds: Vec<_> = seeds.map(|entry| entry.unwrap().path()).collect();
                seeds.sort();
                let mut seed = fs::read(pick.get(&seeds)).unwrap();
                // Most of a hive is room that nothing uses.
                let used = if name == "hive" { 4096..8800 } else { 0..seed.len() };
                for (at, byte) in &changes {
                    let at = used.start + at.index(used.len());
                    seed[at] = *byte;
                }
                target(&seed);
            }
        }
    }
}
