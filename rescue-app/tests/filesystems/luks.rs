//! LUKS, judged by `cryptsetup`, which encrypts and decrypts whole volumes without the kernel's
//! help, and by QEMU's own driver. What is inside is judged by e2fsprogs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{Exported, tool};
use lifeboat::bytes::{Extents, ReadAt, Window};
use lifeboat::inspect::{inspect, inspect_unlocked, recognise, unlock};
use lifeboat::volume::{
    Alone, Coverage, Effort, Inspection, Kind, UnlockError, VolumeKey, VolumeKeys,
};
use serde_json::json;
use tempfile::TempDir;

use crate::tools::{self, Volume};
use crate::{ext, lvm};

const MIB: u64 = 1 << 20;
pub const SECRET: &str = "correct horse ünd battery";
/// What `cryptsetup reencrypt --encrypt` gives to header and key slots: half of what it is given.
const HEADER: u64 = 16 * MIB;
pub const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
pub const EFFORT: Effort = Effort { memory: 1 << 30, work: 1 << 28 };

/// An ext4 of `mib` MiB on a medium full of old bytes, filled and churned.
pub fn plain(scratch: &Path, mib: u64, options: &str) -> PathBuf {
    let (tree, image) = (scratch.join("tree"), scratch.join("plain"));
    if !tree.exists() {
        tools::make_tree(&tree, 5, mib * MIB / 2);
    }
    tools::old_medium(&image, mib * MIB);
    ext::format(&image, options, Some(&tree));
    ext::churn(&image, scratch, &tools::hashes(&tree));
    image
}

/// `cryptsetup` with the words of `command`, [`SECRET`] being the key file, and `image` last.
fn cryptsetup(scratch: &Path, command: &str, image: &Path) {
    let key = scratch.join("key");
    fs::write(&key, SECRET).unwrap();
    let mut args: Vec<&str> = vec!["-q", "--key-file", key.to_str().unwrap()];
    args.extend(command.split_whitespace());
    args.push(image.to_str().unwrap());
    tool("cryptsetup", &args);
}

/// The volume, encrypted by `cryptsetup` as LUKS2.
pub fn encrypted(scratch: &Path, plain: &Path, options: &str) -> PathBuf {
    let image = scratch.join("luks2");
    fs::copy(plain, &image).unwrap();
    let size = fs::metadata(&image).unwrap().len();
    OpenOptions::new().write(true).open(&image).unwrap().set_len(size + 2 * HEADER).unwrap();
    let command = format!("reencrypt --encrypt --type luks2 --reduce-device-size 32M {options}");
    cryptsetup(scratch, &command, &image);
    image
}

/// What `cryptsetup` makes of a LUKS2 volume with `size` bytes of content.
pub fn decrypted(scratch: &Path, image: &Path, size: u64) -> PathBuf {
    let (copy, header) = (scratch.join("decrypted"), scratch.join("header"));
    fs::copy(image, &copy).unwrap();
    let _ = fs::remove_file(&header);
    let header = header.to_str().unwrap();
    let command = format!("reencrypt --decrypt --force-offline-reencrypt --header {header}");
    cryptsetup(scratch, &command, &copy);
    OpenOptions::new().write(true).open(&copy).unwrap().set_len(size).unwrap();
    copy
}

fn key_of(image: &Path) -> VolumeKey {
    unlock(&Volume::open(image), SECRET.as_bytes(), EFFORT).unwrap()
}

/// The map of a container with `key` for its key.
pub fn opened_by(volume: &dyn ReadAt, key: VolumeKey) -> Inspection {
    let uuid = recognise(volume).unwrap().unwrap().uuid.unwrap();
    inspect_unlocked(volume, &Alone, &VolumeKeys::from([(uuid, key)]))
}

fn opened(image: &Path) -> Inspection {
    opened_by(&Volume::open(image), key_of(image))
}

#[test]
fn luks2_maps_hold_the_ciphertext_of_everything_that_matters() {
    for (name, options, inside) in [
        ("xts", CHEAP, "-t ext4 -b 1024"),
        (
            "4k-sectors",
            "--sector-size 4096 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32768",
            "-t ext4 -b 4096",
        ),
        (
            "essiv",
            &format!("-c aes-cbc-essiv:sha256 -s 256 --hash sha512 {CHEAP}"),
            "-t ext4 -b 2048",
        ),
    ] {
        let scratch = TempDir::new().unwrap();
        let scratch = scratch.path();
        let plain = plain(scratch, 20, inside);
        let size = fs::metadata(&plain).unwrap().len();
        let expected = ext::contents(&plain);
        let free = free_of(&plain);
        let image = encrypted(scratch, &plain, options);
        assert_eq!(inspect(&Volume::open(&image)).coverage, Coverage::Whole, "{name}");
        let found = opened(&image);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.warnings, Vec::<String>::new(), "{name}");
        let kinds: Vec<Kind> = found.inside.iter().map(|filesystem| filesystem.kind).collect();
        assert_eq!(kinds, [Kind::Ext4], "{name}");
        assert_eq!((&found.inside[0].label, &found.inside[0].uuid), (&None, &None), "{name}");
        assert_eq!(found.filesystem.as_ref().unwrap().kind, Kind::Luks2, "{name}");
        let unused = fs::metadata(&image).unwrap().len() - found.used.total();
        assert_eq!(unused, free, "{name}");
        for byte in [0x00, 0x5a] {
            let copy = tools::scribbled_copy(&image, &found.used, byte);
            let back = decrypted(scratch, &copy, size);
            assert!(ext::is_sound(&back), "{name}");
            assert!(ext::contents(&back) == expected, "{name}");
        }
        let hole = found.used.within(HEADER + size / 2, HEADER + size).next().unwrap();
        let hole = Extents::of(hole.start, hole.end.min(hole.start + 64 * 1024));
        let less = tools::without(&found.used, &hole, fs::metadata(&image).unwrap().len());
        let copy = tools::scribbled_copy(&image, &less, 0x5a);
        let back = decrypted(scratch, &copy, size);
        let same = ext::is_sound(&back) && ext::contents(&back) == expected;
        assert!(!same, "{name}: the test does not see a missing block");
    }
}

pub fn free_of(plain: &Path) -> u64 {
    let found = inspect(&Volume::open(plain));
    fs::metadata(plain).unwrap().len() - found.used.total()
}

/// The content of a LUKS1 container, in the clear, by QEMU.
fn by_qemu(scratch: &Path, image: &Path, writable: bool) -> Exported {
    let key = scratch.join("key");
    let payload = u32::from_be_bytes(fs::read(image).unwrap()[104..108].try_into().unwrap());
    let size = fs::metadata(image).unwrap().len() - u64::from(payload) * 512;
    let secret = json!({ "qom-type": "secret", "id": "key", "file": key });
    let file = json!({ "driver": "file", "node-name": "file", "filename": image });
    let top = json!({
        "driver": "luks", "node-name": "top", "file": "file", "key-secret": "key",
    });
    Exported::new(&[secret], &[file, top], size, writable)
}

/// Copies from one file to another that is there already.
fn copy_into(from: &Path, to: &Path) {
    let (mut from, mut to) =
        (File::open(from).unwrap(), OpenOptions::new().write(true).open(to).unwrap());
    io::copy(&mut from, &mut to).unwrap();
}

#[test]
fn luks1_maps_hold_the_ciphertext_of_everything_that_matters() {
    for (name, options) in [
        ("xts-512", "-s 512"),
        ("xts-256-sha1", "-s 256 --hash sha1 --offset 4168"),
        ("essiv-sha512", "-c aes-cbc-essiv:sha256 -s 256 --hash sha512 --offset 5000"),
        ("cbc-plain", "-c aes-cbc-plain -s 128"),
    ] {
        let scratch = TempDir::new().unwrap();
        let scratch = scratch.path();
        let plain = plain(scratch, 12, "-t ext4 -b 1024");
        let size = fs::metadata(&plain).unwrap().len();
        let expected = ext::contents(&plain);
        let image = scratch.join("luks1");
        tools::old_medium(&image, size + 4 * MIB);
        let format = format!("luksFormat --type luks1 --pbkdf-force-iterations 1000 {options}");
        cryptsetup(scratch, &format, &image);
        {
            let inside = by_qemu(scratch, &image, true);
            copy_into(&plain, &inside.path());
        }
        let found = opened(&image);
        assert_eq!(found.coverage, Coverage::Used, "{name}: {:?}", found.warnings);
        assert_eq!(found.filesystem.as_ref().unwrap().kind, Kind::Luks1, "{name}");
        let unused = fs::metadata(&image).unwrap().len() - found.used.total();
        assert_eq!(unused, free_of(&plain), "{name}");
        for byte in [0x00, 0x5a] {
            let copy = tools::scribbled_copy(&image, &found.used, byte);
            let back = scratch.join("back");
            fs::copy(by_qemu(scratch, &copy, false).path(), &back).unwrap();
            assert!(ext::is_sound(&back), "{name}");
            assert!(ext::contents(&back) == expected, "{name}");
        }
    }
}

/// An empty container of `mib` MiB.
fn container(scratch: &Path, mib: u64, options: &str) -> PathBuf {
    let image = scratch.join("container");
    tools::sparse_medium(&image, mib * MIB);
    cryptsetup(scratch, &format!("luksFormat {options}"), &image);
    image
}

/// Adds a key slot by `cryptsetup`.
fn add_key(scratch: &Path, image: &Path, secret: &str, options: &str) {
    let new = scratch.join("new-key");
    fs::write(&new, secret).unwrap();
    let mut args = vec!["luksAddKey", "-q", "--key-file"];
    let key = scratch.join("key");
    args.extend([key.to_str().unwrap(), "--new-keyfile", new.to_str().unwrap()]);
    args.extend(options.split_whitespace());
    args.push(image.to_str().unwrap());
    tool("cryptsetup", &args);
}

#[test]
fn every_key_slot_opens_with_its_own_passphrase_and_with_no_other() {
    for (format, slots) in [
        (
            "--type luks2 --pbkdf argon2i --pbkdf-force-iterations 4 --pbkdf-memory 32768 \
             --pbkdf-parallel 4",
            [
                "--key-slot 5 --pbkdf pbkdf2 --hash sha512 --pbkdf-force-iterations 1000",
                "--key-slot 2 --pbkdf argon2id --pbkdf-force-iterations 5 --pbkdf-memory 65536",
            ],
        ),
        (
            "--type luks2 -s 256 --sector-size 4096 --hash sha1 --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000 --luks2-metadata-size 32k --offset 40000",
            [
                "--key-slot 31 --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
                "--key-slot 1 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32",
            ],
        ),
        (
            "--type luks1 --pbkdf-force-iterations 1000",
            [
                "--key-slot 7 --pbkdf-force-iterations 1001",
                "--key-slot 3 --pbkdf-force-iterations 2000",
            ],
        ),
    ] {
        let scratch = TempDir::new().unwrap();
        let scratch = scratch.path();
        let image = container(scratch, 24, format);
        add_key(scratch, &image, "second\nwith a line", slots[0]);
        add_key(scratch, &image, "third", slots[1]);
        let volume = Volume::open(&image);
        let key = unlock(&volume, SECRET.as_bytes(), EFFORT).unwrap();
        for secret in ["second\nwith a line", "third"] {
            assert!(unlock(&volume, secret.as_bytes(), EFFORT).unwrap() == key, "{format}");
        }
        for wrong in ["second", "", "Third", "third "] {
            let error = unlock(&volume, wrong.as_bytes(), EFFORT).unwrap_err();
            assert!(matches!(error, UnlockError::WrongPassphrase(3)), "{format}: {error}");
        }
    }
}

#[test]
fn memory_and_work_are_bounded() {
    let scratch = TempDir::new().unwrap();
    let argon = "--type luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 65536";
    let image = container(scratch.path(), 24, argon);
    let volume = Volume::open(&image);
    let little = Effort { memory: 60 << 20, ..EFFORT };
    let error = unlock(&volume, SECRET.as_bytes(), little).unwrap_err();
    let said = "opening a key slot takes 64 MiB of memory, and 60 MiB are free";
    assert_eq!(error.to_string(), said);
    let quick = Effort { work: 1 << 17, ..EFFORT };
    let error = unlock(&volume, SECRET.as_bytes(), quick).unwrap_err();
    assert!(error.to_string().contains("asks for more work"), "{error}");
    // Another slot that takes less still opens.
    add_key(scratch.path(), &image, "cheap", CHEAP);
    let volume = Volume::open(&image);
    assert!(unlock(&volume, b"cheap", little).is_ok());
}

#[test]
fn the_newer_undamaged_copy_of_the_header_counts() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let image = container(scratch, 24, &format!("--type luks2 {CHEAP}"));
    let old = fs::read(&image).unwrap()[..16 << 10].to_vec();
    add_key(scratch, &image, "new", CHEAP);
    let file = OpenOptions::new().write(true).open(&image).unwrap();
    let opens = || unlock(&Volume::open(&image), b"new", EFFORT).map(drop);
    assert!(opens().is_ok());
    file.write_all_at(&old, 0).unwrap();
    assert!(opens().is_ok(), "the first copy is older");
    file.write_all_at(b"?", 5000).unwrap();
    assert!(opens().is_ok(), "the first copy is damaged");
    file.write_all_at(b"?", (16 << 10) + 5000).unwrap();
    let error = opens().unwrap_err();
    assert_eq!(error.to_string(), "both copies of its header are damaged");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let why = |image: &Path| {
        unlock(&Volume::open(image), SECRET.as_bytes(), EFFORT).unwrap_err().to_string()
    };
    let image = scratch.join("half-way");
    tools::old_medium(&image, 40 * MIB);
    let command =
        format!("reencrypt --encrypt --init-only --type luks2 --reduce-device-size 32M {CHEAP}");
    cryptsetup(scratch, &command, &image);
    assert!(why(&image).contains("reencrypted"), "{}", why(&image));

    let header = scratch.join("detached");
    let data = scratch.join("data");
    tools::sparse_medium(&data, MIB);
    let command = format!("luksFormat --type luks2 {CHEAP} --header {}", header.display());
    cryptsetup(scratch, &command, &data);
    assert_eq!(why(&header), "its header lies on another device");

    let one = container(scratch, 24, &format!("--type luks2 {CHEAP}"));
    let key = key_of(&one);
    fs::rename(&one, scratch.join("one")).unwrap();
    let other = container(scratch, 24, &format!("--type luks2 {CHEAP}"));
    let found = opened_by(&Volume::open(&other), key);
    assert_eq!(found.coverage, Coverage::Whole);
    assert!(found.warnings[0].contains("not that of this container"), "{:?}", found.warnings);

    // The same container in a partition that ends before its key slots do.
    let volume = Volume::open(&other);
    let cut = Window::new(&volume, 0, 16 * MIB - 512);
    let found = opened_by(&cut, key_of(&other));
    assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, cut.size()));
}

#[test]
fn volumes_of_lvm_in_a_container_are_stored_by_what_is_used_in_them() {
    let scratch = TempDir::new().unwrap();
    let scratch = scratch.path();
    let plain = scratch.join("plain");
    lvm::make_device(&plain, scratch);
    let size = fs::metadata(&plain).unwrap().len();
    let expected = lvm::contents(&plain);
    let image = encrypted(scratch, &plain, CHEAP);
    let found = opened(&image);
    assert_eq!(found.coverage, Coverage::Used, "{:?}", found.warnings);
    let unused = fs::metadata(&image).unwrap().len() - found.used.total();
    assert_eq!(unused, free_of(&plain));
    let kinds: Vec<Kind> = found.inside.iter().map(|filesystem| filesystem.kind).collect();
    assert_eq!((kinds[0], kinds.contains(&Kind::Ext4)), (Kind::Lvm2, true), "{kinds:?}");
    assert!(found.volumes.is_empty() && found.inside.iter().all(|inside| inside.uuid.is_none()));
    let copy = tools::scribbled_copy(&image, &found.used, 0x5a);
    let back = decrypted(scratch, &copy, size);
    assert!(lvm::is_sound(&back));
    assert!(lvm::contents(&back) == expected);
}
