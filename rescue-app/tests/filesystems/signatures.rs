//! Signatures: what `wipefs` and `blkid` find on a volume is named at the same place, and without
//! the bytes that are named they find nothing any more.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use common::{output_of, succeeds, tool, tool_with_input};
use lifeboat::signature::{self, Signature};

use crate::lvm_devices::Devices;
use crate::mdraid;
use crate::tools::{Volume, sparse_medium};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 80 * MIB;

fn found_on(path: &Path) -> Vec<Signature> {
    signature::find(&Volume::open(path)).unwrap()
}

/// What `wipefs` names: type and first byte.
fn by_wipefs(path: &Path) -> Vec<(String, u64)> {
    let told = tool("wipefs", &["--no-act", "--parsable", path.to_str().unwrap()]);
    let lines = told.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let offset = u64::from_str_radix(fields[0].trim_start_matches("0x"), 16).unwrap();
        (fields[3].to_owned(), offset)
    };
    lines.map(parse).collect()
}

fn erase(path: &Path, found: &[Signature]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for signature in found {
        file.write_all_at(&vec![0; signature.len], signature.offset).unwrap();
    }
}

/// Everything that `wipefs` names is found, nothing of another name is, and with that erased
/// `wipefs` and `blkid` find nothing.
fn judge(path: &Path, what: &str) {
    let (ours, theirs) = (found_on(path), by_wipefs(path));
    assert!(!theirs.is_empty(), "{what}: wipefs finds nothing, so this says nothing");
    for (name, offset) in &theirs {
        let known = |it: &Signature| it.name == name && it.offset == *offset;
        assert!(ours.iter().any(known), "{what}: {name} at {offset} is not in {ours:?}");
    }
    for signature in &ours {
        let named = theirs.iter().any(|(name, _)| name == signature.name);
        // Whether the boot sectors of exFAT and NTFS are tables too depends on libblkid's version.
        let is_boot_sector = what.contains("exfat") || what.contains("ntfs");
        let named = named || is_boot_sector && signature.name == "dos";
        assert!(named, "{what}: {signature:?} is not in {theirs:?}");
    }
    erase(path, &ours);
    assert_eq!(by_wipefs(path), [], "{what}");
    let blkid = output_of("blkid", &["-p", path.to_str().unwrap()]);
    assert_eq!(blkid, "", "{what}");
    assert_eq!(found_on(path), [], "{what}");
}

#[test]
fn what_tools_make_is_found_where_wipefs_finds_it() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    let volume = path.to_str().unwrap();
    let makers: &[&[&str]] = &[
        &["mkfs.ext2", "-q", "-F", volume],
        &["mkfs.ext3", "-q", "-F", volume],
        &["mkfs.ext4", "-q", "-F", volume],
        &["mke2fs", "-q", "-F", "-O", "journal_dev", volume],
        &["mkfs.vfat", "-F", "12", volume],
        &["mkfs.vfat", "-F", "16", volume],
        &["mkfs.vfat", "-F", "32", volume],
        &["mkfs.exfat", volume],
        &["mkfs.ntfs", "-q", "-F", "-f", volume],
        &["mkfs.minix", "-1", volume],
        &["mkfs.minix", "-2", volume],
        &["mkfs.minix", "-3", volume],
        &["mkfs.bfs", volume],
        &["mkswap", volume],
        &["mkswap", "--pagesize", "65536", volume],
        &["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"],
        &[
            "cryptsetup",
            "-q",
            "luksFormat",
            "--type",
            "luks2",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
        ],
        &["sgdisk", "-o", "-n1:2048:+8M", volume],
    ];
    for maker in makers {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, SIZE);
        let mut args = maker[1..].to_vec();
        let mut input: &[u8] = b"";
        if maker[0] == "cryptsetup" {
            args.extend([volume, "-"]);
            input = b"passphrase";
        }
        tool_with_input(maker[0], &args, input);
        judge(&path, &maker.join(" "));
    }
}

#[test]
fn filesystems_that_want_more_room_are_found_with_their_copies() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    let volume = path.to_str().unwrap();
    for maker in
        [&["mkfs.btrfs", "-q", "-f"][..], &["mkfs.f2fs", "-q", "-f"], &["mkfs.xfs", "-q", "-f"]]
    {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, 400 * MIB);
        tool(maker[0], &[&maker[1..], &[volume]].concat());
        let offsets: Vec<u64> = found_on(&path).iter().map(|found| found.offset).collect();
        let copies: &[u64] = match maker[0] {
            "mkfs.btrfs" => &[0x10040, 0x400_0040],
            "mkfs.f2fs" => &[0x400, 0x1400],
            _ => &[0],
        };
        assert_eq!(offsets, copies, "{}", maker[0]);
        judge(&path, maker[0]);
    }
}

#[test]
fn tables_that_tools_make_are_found_where_wipefs_finds_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    for label in ["dos", "gpt", "sgi", "sun"] {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, SIZE);
        let script = format!("label: {label}\nstart=0, size=20480\n");
        let script = if label == "sun" { script } else { script.replace("start=0", "start=2048") };
        tool_with_input("sfdisk", &["-q", path.to_str().unwrap()], script);
        judge(&path, label);
    }
}

/// The second header of LUKS2 lies wherever the first one's size puts it.
#[test]
fn the_second_header_of_luks2_is_found_at_every_size() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    for kib in ["16", "64", "512", "4096"] {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, SIZE);
        let (size, keys) = (format!("{kib}k"), "256k");
        let args = [
            "-q",
            "luksFormat",
            "--type",
            "luks2",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
            "--luks2-metadata-size",
            &size,
            "--luks2-keyslots-size",
            keys,
            path.to_str().unwrap(),
            "-",
        ];
        tool_with_input("cryptsetup", &args, b"passphrase");
        let second = kib.parse::<u64>().unwrap() << 10;
        let offsets: Vec<u64> = found_on(&path).iter().map(|found| found.offset).collect();
        assert_eq!(offsets, [0, second]);
        erase(&path, &found_on(&path));
        let repaired = succeeds("cryptsetup", &["-q", "repair", path.to_str().unwrap()]);
        assert!(!repaired, "{kib}: cryptsetup still finds a header");
    }
}

/// 512 bytes at the end of a disk as its maker's firmware writes them, with their checksums.
fn firmware(kind: &str) -> Vec<u8> {
    let mut sector = vec![0; 512];
    match kind {
        "adaptec_raid_member" => {
            sector[..4].copy_from_slice(&0x37fc_4d1e_u32.to_be_bytes());
            sector[256..260].copy_from_slice(&0x4450_544d_u32.to_be_bytes());
        }
        "jmicron_raid_member" => {
            sector[..4].copy_from_slice(b"JM\x01\x02");
            let sum = 0x4d4a_u16.wrapping_add(0x0201);
            sector[4..6].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
        }
        "silicon_medley_raid_member" => {
            sector[0x63] = 0x2f;
            sector[0x13e..0x140].copy_from_slice(&0x2f00_u16.wrapping_neg().to_le_bytes());
        }
        "via_raid_member" => {
            sector[..3].copy_from_slice(b"\x55\xaa\x01");
            sector[50] = 0x55u8.wrapping_add(0xaa).wrapping_add(1);
        }
        "nvidia_raid_member" => {
            sector[..8].copy_from_slice(b"NVIDIA  ");
            sector[8] = 30;
            let words = sector[..120].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap()));
            let sum = words.fold(0, u32::wrapping_add);
            sector[12..16].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
        }
        _ => panic!("{kind}"),
    }
    sector
}

/// Formats without a maker here: the bytes that are enough for libblkid, and where.
#[test]
fn signatures_written_by_hand_are_found_where_wipefs_finds_them() {
    let back = |sectors: u64| SIZE - sectors * 512;
    let mut cases: Vec<(u64, Vec<u8>)> = [
        "adaptec_raid_member",
        "jmicron_raid_member",
        "silicon_medley_raid_member",
        "via_raid_member",
    ]
    .map(|kind| (back(1), firmware(kind)))
    .to_vec();
    cases.push((back(2), firmware("nvidia_raid_member")));
    let plain: &[(u64, &[u8])] = &[
        (back(1), b"$XIDE$"),
        (back(11), b"\xf3\x16\x78\x5a"),
        (back(2), b"Intel Raid ISM Cfg Sig. 1.1.00"),
        (back(63), b"Promise Technology, Inc."),
        (back(3087), b"Promise Technology, Inc."),
        (SIZE - 4096 + 60, b"\x83\x74\x02\x6b"),
        (4640, b"\xf0\x16\x78\x5a"),
        (0, b"SnAp"),
        (MIB, b"\x0d\xd0\x01\xc0"),
        (2 * MIB, b"\x5e\xf1\xab\x2f"),
        (4086, b"S1SUSPEND"),
        (0xfff6, b"LINHIB0001"),
        (0, b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"),
        (0, b"\xeb\x52\x90-FVE-FS-"),
        (4096, b"SPB5"),
        (0, b"-rom1fs-"),
        (32, b"ORCLDISK"),
        (8192, b"OracleCFS"),
        (1024, b"OCFSV2"),
        (65536, b"ReIsEr4"),
        (0, b"\0\0\0ReFS\0"),
        (512 + 504, b"\x20\x7e\x18\xfd"),
        (15 * 1024 + 512 + 504, b"\xfd\x18\x7e\x20"),
        (2048, b"\x2b\x55\x44"),
        (0, b"UBI#"),
        (8192 + 1372, b"\x54\x19\x01\x00"),
        (65536 + 1372, b"\x19\x54\x01\x19"),
        (0, b"dmvdo001"),
        (1024, b"\xf5\xfc\x01\xa5"),
        (1024, b"\xe2\xe1\xf5\xe0"),
        (0, b"\xc9\xc2\xd4\xc1"),
        (0, b"hsqs"),
        (0, b"sqsh"),
        (0, b"SFOZ"),
        (0, b"mpoolDev"),
        (0, b"bluestore block device"),
        (0, b"\x31\x18\x10\x06"),
        (3, b"EXFAT   "),
        (16312, b"\x57\x29\x03\0\x01\0\0\0"),
    ];
    cases.extend(plain.iter().map(|(at, bytes)| (*at, bytes.to_vec())));
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    for (at, bytes) in cases {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, SIZE);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&bytes, at).unwrap();
        let start = String::from_utf8_lossy(&bytes[..8.min(bytes.len())]).into_owned();
        judge(&path, &format!("{start:?} at {at}"));
    }
}

#[test]
fn md_is_found_where_wipefs_and_mdadm_find_it_on_volumes_of_any_size() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    for size in [SIZE, SIZE + 33 * 512, SIZE + 65536 - 512] {
        let make = |at: Option<u64>| {
            let _ = fs::remove_file(&path);
            sparse_medium(&path, size);
            match at {
                Some(at) => mdraid::version_1(&path, at, 16 * MIB, &|_| ()),
                None => mdraid::version_0(&path, &|_| ()),
            }
        };
        for at in [None, Some(0), Some(4096), Some(size / 4096 * 4096 - 8192)] {
            make(at);
            assert!(mdraid::examined(&path).contains("raid1"), "the case itself is wrong");
            judge(&path, &format!("md at {at:?} of {size}"));
            let told = mdraid::examined(&path);
            assert!(!told.contains("raid1"), "{at:?} of {size}: {told}");
        }
    }
}

#[test]
fn lvm_is_found_in_each_of_its_four_sectors() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("volume");
    for sector in 0..4 {
        let _ = fs::remove_file(&path);
        sparse_medium(&path, SIZE);
        let devices = Devices::attach(&[&path]);
        devices.lvm(&format!("pvcreate -qq -y --labelsector {sector} PV0"));
        assert_eq!(found_on(&path)[0].offset, sector * 512 + 24);
        judge(&path, &format!("LVM in sector {sector}"));
        assert!(!devices.succeeds("pvck PV0"), "pvck still finds LVM in sector {sector}");
    }
}
