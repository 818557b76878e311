//! BitLocker, judged by dislocker on volumes that Windows encrypted.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lifeboat::bytes::Extents;
use lifeboat::inspect::{
    inspect, inspect_unlocked, locked_containers, recognise, unlock, unlock_in,
};
use lifeboat::volume::{
    Alone, Coverage, Effort, Inspection, Kind, UnlockError, VolumeKey, VolumeKeys,
};
use tempfile::TempDir;

use crate::luks::opened_by;
use crate::lvm_devices::Devices;
use crate::tools::{self, Judge, Volume};
use crate::{fat, ntfs};
use common::bitlocker_images;
use common::bitlocker_maker::{PASSWORD, decrypted, image, overhead, seal};

const MIB: u64 = 1 << 20;
/// Size of all volumes that are given a content.
const SIZE: u64 = 100 * MIB;
const EFFORT: Effort = Effort { memory: 0, work: 1 << 20 };

fn key_of(image: &Path, secret: &str) -> VolumeKey {
    unlock(&Volume::open(image), secret.as_bytes(), EFFORT).unwrap()
}

fn opened(image: &Path) -> Inspection {
    opened_by(&Volume::open(image), key_of(image, PASSWORD))
}

/// An NTFS with files. None of its own structures lies where BitLocker keeps its metadata.
fn ntfs(scratch: &Path, sector: u64) -> PathBuf {
    let image = scratch.join("plain");
    tools::sparse_medium(&image, SIZE);
    ntfs::format(&image, &format!("-Q -s {sector}"));
    tools::make_tree(ntfs::Mount::new(&image, "").path(), 11, 3 * MIB);
    image
}

/// A FAT with files.
fn fat(scratch: &Path) -> PathBuf {
    let (image, tree) = (scratch.join("plain"), scratch.join("tree"));
    tools::sparse_medium(&image, SIZE);
    fat::format(&image, "-F 16");
    tools::make_tree(&tree, 11, 3 * MIB);
    let folders = fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().path());
    fat::copy_in(&image, &folders.collect::<Vec<_>>(), "::/");
    image
}

/// The map of a volume that holds `plain` keeps what the judge wants to see and hardly more.
fn map_holds_what_matters(volume: &Path, plain: &Path, kind: Kind, judge: &Judge) {
    let name = volume.display();
    assert_eq!(inspect(&Volume::open(volume)).coverage, Coverage::Whole, "{name}");
    let found = opened(volume);
    assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
    assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
    let kinds: Vec<Kind> = found.inside.iter().map(|filesystem| filesystem.kind).collect();
    assert_eq!(kinds, [kind], "{name}");
    assert_eq!((&found.inside[0].label, &found.inside[0].uuid), (&None, &None), "{name}");
    let inside = inspect(&Volume::open(plain)).used;
    let more = found.used.total() - inside.total();
    assert!(more <= overhead(volume), "{name}: {more} bytes more than what is inside needs");

    let before = fs::read(plain).unwrap();
    let back = decrypted(&tools::scribbled_copy(volume, &found.used, 0x5a));
    let after = fs::read(&back).unwrap();
    for used in inside.iter() {
        let range = usize::try_from(used.start).unwrap()..usize::try_from(used.end).unwrap();
        assert!(after[range.clone()] == before[range], "{name}: something used is gone");
    }
    assert!(after != before, "{name}: the test does not see what is overwritten");
    assert!((judge.is_sound)(plain) && (judge.is_sound)(&back), "{name}: not sound");
    assert!((judge.contents)(&back) == (judge.contents)(plain), "{name}: files differ");
}

#[test]
fn maps_of_fixed_volumes_hold_the_ciphertext_of_everything_that_matters() {
    for (name, sector) in [("bitlk-aes-xts-128", 512), ("bitlk-aes-cbc-128-4k", 4096)] {
        let scratch = TempDir::new().unwrap();
        let (plain, volume) = (ntfs(scratch.path(), sector), scratch.path().join(name));
        seal(&image(name), &plain, &volume);
        map_holds_what_matters(&volume, &plain, Kind::Ntfs, &ntfs::JUDGE);
    }
}

#[test]
fn maps_of_bitlocker_to_go_hold_the_ciphertext_of_everything_that_matters() {
    for name in ["bitlk-togo-aes-xts-128", "bitlk-togo-aes-cbc-128"] {
        let scratch = TempDir::new().unwrap();
        let (plain, volume) = (fat(scratch.path()), scratch.path().join(name));
        seal(&image(name), &plain, &volume);
        map_holds_what_matters(&volume, &plain, Kind::Fat16, &fat::JUDGE);
    }
}

#[test]
fn a_volume_in_a_logical_volume_is_opened_too() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let (plain, sealed) = (fat(scratch), scratch.join("sealed"));
    seal(&image("bitlk-togo-aes-xts-128"), &plain, &sealed);
    let device = scratch.join("device");
    tools::sparse_medium(&device, 112 * MIB);
    let group = Devices::attach(&[&device]);
    group.make_group(1, &[("guest", "-L 100M")]);
    group.insert("guest", &sealed);
    let place = group.taken("guest", 0);
    drop(group);

    let volume = Volume::open(&device);
    let containers = locked_containers(&volume, &Alone);
    let [container] = containers.as_slice() else { panic!("{containers:?}") };
    assert_eq!(container.kind, Kind::BitLocker);
    assert_eq!(container.logical_volume.as_deref(), Some("vg/guest"));
    let key = unlock_in((&volume, &Alone), container, PASSWORD.as_bytes(), EFFORT).unwrap();
    let keys = VolumeKeys::from([(container.uuid.clone(), key)]);
    let found = inspect_unlocked(&volume, &Alone, &keys);
    assert_eq!(found.warnings, Vec::<String>::new());
    let kinds: Vec<Kind> = found.volumes[0].inside.iter().map(|inside| inside.kind).collect();
    assert_eq!(kinds, [Kind::Fat16]);
    assert_eq!(found.used.intersection(&place).total(), opened(&sealed).used.total());
}

#[test]
fn identities_are_those_that_cryptsetup_expects() {
    let all = bitlocker_images::all();
    assert_eq!(all.len(), 16);
    for image in all {
        let found = recognise(&Volume::open(&image.path)).unwrap().unwrap();
        assert_eq!(found.kind, Kind::BitLocker, "{}", image.name);
        assert_eq!(found.uuid.as_deref(), image.fact("GUID"), "{}", image.name);
    }
}

#[test]
fn nothing_but_its_own_secrets_opens_a_volume() {
    let image = image("bitlk-aes-xts-256");
    let volume = Volume::open(&image.path);
    let recovery_key = image.fact("RP").unwrap();
    let by_password = key_of(&image.path, PASSWORD);
    assert!(key_of(&image.path, recovery_key) == by_password);
    assert!(key_of(&image.path, &recovery_key.replace('-', "")) == by_password);
    let fails = |secret: &str| unlock(&volume, secret.as_bytes(), EFFORT).unwrap_err();
    assert!(matches!(fails("Anaconda"), UnlockError::WrongSecret));
    let other = "042647-302313-590458-071500-554323-116567-412181-516978";
    assert!(matches!(fails(other), UnlockError::WrongSecret));
    let mistyped = recovery_key.replace("404558", "404559");
    assert!(matches!(fails(&mistyped), UnlockError::Mistyped(1)));

    let by_card = self::image("bitlk-aes-xts-128-smart-card");
    let error = unlock(&Volume::open(&by_card.path), PASSWORD.as_bytes(), EFFORT).unwrap_err();
    assert!(matches!(error, UnlockError::RecoveryKeyNeeded), "{error}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let why = |name: &str, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(image(name).path).unwrap();
        change(&mut bytes);
        let error = unlock(&bytes, PASSWORD.as_bytes(), EFFORT).unwrap_err();
        let found = inspect(&bytes);
        assert_eq!(found.coverage, Coverage::Whole, "{name}");
        assert_eq!(found.warnings, [format!("captured whole: {error}")], "{name}");
        error.to_string()
    };
    let on_write = "it encrypts only what is written to it, and has not finished";
    assert_eq!(why("bitlk-aes-xts-128-eow", |_| ()), on_write);
    assert_eq!(why("bitlk-clearkey-aes-cbc-128", |_| ()), on_write);
    let vista = why("bitlk-aes-cbc-128", |bytes| bytes[1] = 0x52);
    assert!(vista.contains("Windows Vista"), "{vista}");
    let damaged = why("bitlk-aes-cbc-128", |bytes| {
        COPIES.iter().for_each(|at| bytes[at + 200] ^= 1);
    });
    assert_eq!(damaged, "all three copies of its metadata are damaged");
    let converting = why("bitlk-aes-cbc-128", |bytes| {
        // The state that it is in (4 is encrypted, 5 being decrypted).
        COPIES.iter().for_each(|at| edit(&mut bytes[*at..at + METADATA], |copy| copy[12] = 5));
    });
    assert_eq!(converting, "it is being encrypted or decrypted");
}

/// The copies of the metadata of three volumes, and the room of each.
const COPIES: [usize; 3] = [35_213_312, 46_256_128, 57_909_248];
const METADATA: usize = 64 << 10;

/// Changes a copy of the metadata and makes its checksum right.
fn edit(copy: &mut [u8], change: impl Fn(&mut [u8])) {
    change(copy);
    let len = usize::from(u16::from_le_bytes([copy[8], copy[9]])) * 16;
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&copy[..len]);
    copy[len + 4..len + 8].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn one_copy_of_the_metadata_is_enough_and_copies_have_to_agree() {
    let image = image("bitlk-aes-cbc-128");
    let mut bytes = fs::read(&image.path).unwrap();
    edit(&mut bytes[COPIES[2]..COPIES[2] + METADATA], |copy| copy[96] ^= 1);
    let error = unlock(&bytes, PASSWORD.as_bytes(), EFFORT).unwrap_err();
    assert_eq!(error.to_string(), "the copies of its metadata differ");
    for at in [COPIES[0], COPIES[2]] {
        bytes[at..at + 4096].fill(0x5a);
    }
    let key = unlock(&bytes, PASSWORD.as_bytes(), EFFORT).unwrap();
    assert!(key == key_of(&image.path, PASSWORD));
}

/// Suspended protection leaves the key on the disk; no such volume of Windows is to be had but one
/// that has not finished to encrypt, so that mark is taken off.
#[test]
fn a_suspended_volume_is_opened_with_the_key_that_lies_in_it() {
    let scratch = TempDir::new().unwrap();
    let image = image("bitlk-clearkey-aes-cbc-128");
    let path = scratch.path().join("suspended");
    fs::copy(&image.path, &path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&hex::decode("3bd66749292ed84a8399f6a339e3d001").unwrap(), 160).unwrap();
    let volume = Volume::open(&path);
    assert_eq!(locked_containers(&volume, &Alone), []);
    let by_itself = unlock(&volume, b"", EFFORT).unwrap();
    let found = inspect(&volume);
    // What is inside was cut out of the image.
    assert_eq!(found.used, Extents::of(0, SIZE));
    assert!(found.warnings[0].starts_with("captured whole: inside: "), "{:?}", found.warnings);
    // Without the clear key the same master key comes from the password.
    let mut bytes = fs::read(&path).unwrap();
    COPIES.iter().for_each(|at| edit(&mut bytes[*at..at + METADATA], hide_clear_key));
    assert_eq!(locked_containers(&bytes, &Alone).len(), 1);
    assert!(unlock(&bytes, PASSWORD.as_bytes(), EFFORT).unwrap() == by_itself);
}

/// Turns the protector by clear key into one that nothing opens.
fn hide_clear_key(copy: &mut [u8]) {
    let half = |copy: &[u8], at: usize| usize::from(u16::from_le_bytes([copy[at], copy[at + 1]]));
    let mut at = 112;
    while half(copy, at) != 0 {
        // A master key's kind of protection stands behind 8 bytes of header and 26 of identity.
        if half(copy, at + 2) == 2 && half(copy, at + 34) == 0 {
            copy[at + 34] = 0x77;
        }
        at += half(copy, at);
    }
}
