//! Recognition, judged by libblkid: kind, label and identity of volumes made by their own tools.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{Loop, output_of, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Kind, State};
use tempfile::TempDir;

use crate::tools::{self, Volume};

const MIB: u64 = 1 << 20;
const UUID: &str = "1b4e28ba-2fa1-11d2-883f-b9a761bde3fb";

/// What libblkid says under a name; empty for nothing.
fn blkid(image: &Path, name: &str) -> String {
    let image = image.to_str().unwrap();
    output_of("blkid", &["-p", "-s", name, "-o", "value", image]).trim_end().into()
}

struct Case {
    kind: Kind,
    blkid: &'static str,
    mib: u64,
    command: &'static str,
}

const fn case(kind: Kind, blkid: &'static str, mib: u64, command: &'static str) -> Case {
    Case { kind, blkid, mib, command }
}

/// `IMAGE`, `TREE`, `KEY` and `UUID` are filled in.
const CASES: &[Case] = &[
    case(Kind::Ext2, "ext2", 16, "mke2fs -q -F -t ext2 -L label -U UUID IMAGE"),
    case(Kind::Ext3, "ext3", 16, "mke2fs -q -F -t ext3 -L label -U UUID IMAGE"),
    case(Kind::Ext4, "ext4", 16, "mke2fs -q -F -t ext4 -L label -U UUID IMAGE"),
    case(Kind::Ntfs, "ntfs", 16, "mkntfs -q -F -Q -s 512 -p 0 -H 255 -S 63 -L label IMAGE"),
    case(Kind::Fat12, "vfat", 8, "mkfs.fat -F 12 -n LABEL IMAGE"),
    case(Kind::Fat16, "vfat", 32, "mkfs.fat -F 16 -n LABEL IMAGE"),
    case(Kind::Fat32, "vfat", 64, "mkfs.fat -F 32 -n LABEL IMAGE"),
    case(Kind::ExFat, "exfat", 16, "mkfs.exfat -L label IMAGE"),
    case(Kind::Xfs, "xfs", 320, "mkfs.xfs -q -L label -m uuid=UUID IMAGE"),
    case(Kind::Btrfs, "btrfs", 128, "mkfs.btrfs -q -f -L label -U UUID IMAGE"),
    case(Kind::F2fs, "f2fs", 64, "mkfs.f2fs -q -l label -U UUID IMAGE"),
    case(Kind::Swap, "swap", 8, "mkswap -L label -U UUID IMAGE"),
    case(Kind::Swap, "swap", 8, "mkswap -p 65536 -L label -U UUID IMAGE"),
    case(
        Kind::Luks1,
        "crypto_LUKS",
        8,
        "cryptsetup luksFormat -q --type luks1 --uuid UUID \
        --pbkdf-force-iterations 1000 IMAGE KEY",
    ),
    case(
        Kind::Luks2,
        "crypto_LUKS",
        32,
        "cryptsetup luksFormat -q --type luks2 --uuid UUID \
        --label label --pbkdf pbkdf2 --pbkdf-force-iterations 1000 IMAGE KEY",
    ),
    case(Kind::Iso9660, "iso9660", 1, "xorriso -as mkisofs -quiet -V label -o IMAGE TREE"),
    case(Kind::Squashfs, "squashfs", 1, "mksquashfs TREE IMAGE -noappend -quiet -no-progress"),
];

#[test]
fn volumes_are_recognised_as_libblkid_does() {
    let scratch = TempDir::new().unwrap();
    let (tree, key) = (scratch.path().join("tree"), scratch.path().join("key"));
    tools::make_tree(&tree, 31, MIB / 2);
    fs::write(&key, "secret").unwrap();
    for Case { kind, blkid: name, mib, command } in CASES {
        let image = scratch.path().join("image");
        tools::sparse_medium(&image, mib * MIB);
        let words: Vec<String> = command
            .split_whitespace()
            .map(|word| {
                word.replace("IMAGE", image.to_str().unwrap())
                    .replace("TREE", tree.to_str().unwrap())
                    .replace("KEY", key.to_str().unwrap())
                    .replace("UUID", UUID)
            })
            .collect();
        tool(&words[0], &words[1..]);
        assert_eq!(blkid(&image, "TYPE"), *name, "{command}");

        let volume = Volume::open(&image);
        let found = inspect::recognise(&volume).unwrap();
        let found = found.unwrap_or_else(|| panic!("{kind} was not recognised"));
        assert_eq!(found.kind, *kind);
        assert_eq!(found.label.unwrap_or_default(), blkid(&image, "LABEL"), "{kind}");
        assert_eq!(found.uuid.unwrap_or_default(), blkid(&image, "UUID"), "{kind}");
        assert!(found.size <= volume.size() && found.size > 0, "{kind}: {}", found.size);
        if matches!(kind, Kind::Xfs | Kind::Btrfs | Kind::ExFat | Kind::Swap) {
            assert_eq!(found.size, volume.size(), "{kind}");
        }
        let inspection = inspect::inspect(&volume);
        let expected = match kind {
            Kind::Swap => Coverage::HeaderOnly,
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Ntfs | Kind::Xfs => Coverage::Used,
            Kind::Fat12 | Kind::Fat16 | Kind::Fat32 | Kind::Btrfs => Coverage::Used,
            Kind::ExFat | Kind::F2fs => Coverage::Used,
            _ => Coverage::Whole,
        };
        assert_eq!(inspection.coverage, expected, "{kind}: {:?}", inspection.warnings);
        if expected == Coverage::Whole {
            assert_eq!(inspection.used, Extents::of(0, volume.size()), "{kind}");
            assert!(!inspection.warnings.is_empty(), "{kind}");
        }
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn a_physical_volume_is_recognised() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::sparse_medium(&image, 32 * MIB);
    let device = Loop::new(&image);
    let config = "devices{use_devicesfile=0} activation{udev_sync=0 udev_rules=0}";
    tool("pvcreate", &["-q", "-y", "--config", config, device.name()]);
    drop(device);
    assert_eq!(blkid(&image, "TYPE"), "LVM2_member");
    let found = inspect::recognise(&Volume::open(&image)).unwrap().unwrap();
    assert_eq!((found.kind, found.size), (Kind::Lvm2, 32 * MIB));
    assert_eq!(found.uuid.unwrap(), blkid(&image, "UUID"));
}

/// A version 1 superblock of a two-disk RAID 1 at byte `at`.
fn add_raid_superblock(image: &Path, at: u64, minor_offset: u64) {
    let mut block = [0u8; 256];
    block[0..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    block[4] = 1;
    block[16..32].copy_from_slice(&[0x5a; 16]);
    block[32..43].copy_from_slice(b"host:array0");
    block[72..76].copy_from_slice(&1u32.to_le_bytes());
    block[92..96].copy_from_slice(&2u32.to_le_bytes());
    block[128..136].copy_from_slice(&minor_offset.to_le_bytes());
    block[144..152].copy_from_slice(&(at / 512).to_le_bytes());
    // Sum of all words with the sum's own place zero, folded to 32 bits.
    let sum: u64 =
        block.chunks_exact(4).map(|w| u64::from(u32::from_le_bytes(w.try_into().unwrap()))).sum();
    let sum = u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap();
    block[216..220].copy_from_slice(&sum.to_le_bytes());
    OpenOptions::new().write(true).open(image).unwrap().write_all_at(&block, at).unwrap();
}

#[test]
fn a_raid_member_wins_over_the_filesystem_inside() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    for (at, offset) in [(0, 2048), (4096, 2048), (32 * MIB - 8192, 0)] {
        tools::sparse_medium(&image, 32 * MIB);
        if offset == 0 {
            tool("mke2fs", &["-q", "-F", "-t", "ext4", image.to_str().unwrap(), "31M"]);
        }
        add_raid_superblock(&image, at, offset);
        assert_eq!(blkid(&image, "TYPE"), "linux_raid_member", "{at}");
        let found = inspect::inspect(&Volume::open(&image));
        let member = found.filesystem.unwrap();
        assert_eq!(member.kind, Kind::MdRaid, "{at}");
        assert_eq!(member.uuid.unwrap(), blkid(&image, "UUID"), "{at}");
        assert_eq!(member.label.unwrap(), blkid(&image, "LABEL"), "{at}");
        assert_eq!(found.coverage, Coverage::Whole);
    }
}

#[test]
fn contradicting_signatures_are_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::sparse_medium(&image, 128 * MIB);
    tool("mkfs.btrfs", &["-q", "-f", image.to_str().unwrap()]);
    let mut leftover = vec![0; 8192];
    let file = OpenOptions::new().read(true).write(true).open(&image).unwrap();
    file.read_exact_at(&mut leftover, 65536).unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", image.to_str().unwrap()]);
    file.write_all_at(&leftover, 65536).unwrap();
    assert_eq!(blkid(&image, "TYPE"), "", "libblkid calls it ambivalent as well");
    let volume = Volume::open(&image);
    assert_eq!(inspect::recognise(&volume).unwrap(), None);
    let found = inspect::inspect(&volume);
    assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, volume.size()));
    let words = &found.warnings[0];
    assert!(words.contains("ext4") && words.contains("Btrfs"), "{words}");
}

#[test]
fn a_hibernated_swap_space_is_kept_whole() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::sparse_medium(&image, 8 * MIB);
    tool("mkswap", &["-L", "label", image.to_str().unwrap()]);
    let found = inspect::inspect(&Volume::open(&image));
    assert_eq!(found.used, Extents::of(0, 4096));
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(b"S1SUSPEND\0", 4086).unwrap();
    assert_eq!(blkid(&image, "TYPE"), "swsuspend");
    let found = inspect::inspect(&Volume::open(&image));
    let swap = found.filesystem.unwrap();
    assert!(matches!(swap.state, State::Hibernated(_)));
    assert_eq!(swap.label.as_deref(), Some("label"));
    assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, 8 * MIB));
}

#[test]
fn bitlocker_wins_over_what_it_looks_like() {
    let mut disk = vec![0u8; 1 << 20];
    disk[..11].copy_from_slice(b"\xeb\x58\x90-FVE-FS-");
    let found = inspect::inspect(&disk);
    assert_eq!(found.filesystem.unwrap().kind, Kind::BitLocker);
    assert_eq!(found.coverage, Coverage::Whole);
    // BitLocker To Go hides behind a FAT32 boot sector.
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    tools::sparse_medium(&image, 64 * MIB);
    tool("mkfs.fat", &["-F", "32", image.to_str().unwrap()]);
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    file.write_all_at(b"MSWIN4.1", 3).unwrap();
    let id = hex::decode("3bd66749292ed84a8399f6a339e3d001").unwrap();
    file.write_all_at(&id, 0x1a8).unwrap();
    let found = inspect::inspect(&Volume::open(&image));
    assert_eq!(found.filesystem.unwrap().kind, Kind::BitLocker);
    assert_eq!(found.coverage, Coverage::Whole);
}
