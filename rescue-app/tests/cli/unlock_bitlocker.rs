//! A BitLocker volume that is unlocked for the capture: what is stored is ciphertext that matters,
//! and restoring needs no key. Judged by dislocker and dosfstools.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::bitlocker_maker::{decrypted, image, overhead, seal};
use common::{noise, tool};

use crate::support::{Bench, MIB, cut, put};

const VOLUME: &str = "bitlk-togo-aes-xts-128";
const START: u64 = MIB;
const SIZE: u64 = 100 * MIB;
const FILES: u64 = 10;
const FILE_SIZE: usize = 300_000;

fn file(at: u64) -> Vec<u8> {
    noise(at + 500, FILE_SIZE)
}

/// A disk with one encrypted partition, a FAT with files in it.
fn make_disk(bench: &Bench) -> PathBuf {
    let (plain, volume, disk) = (bench.path("plain"), bench.path("volume"), bench.path("disk"));
    File::create(&plain).unwrap().set_len(SIZE).unwrap();
    tool("mkfs.fat", &["-F", "16", "-n", "TOPSECRET", plain.to_str().unwrap()]);
    let files = bench.path("files");
    fs::create_dir_all(&files).unwrap();
    for at in 0..FILES {
        fs::write(files.join(format!("file-{at}")), file(at)).unwrap();
    }
    tool("mcopy", &["-s", "-i", plain.to_str().unwrap(), files.to_str().unwrap(), "::/"]);
    seal(&image(VOLUME), &plain, &volume);
    File::create(&disk).unwrap().set_len(SIZE + 2 * MIB).unwrap();
    let entry = format!("-n3:{}:{}", START / 512, (START + SIZE) / 512 - 1);
    tool("sgdisk", &["-Z", "-a", "1", &entry, "-t3:0700", disk.to_str().unwrap()]);
    put(&disk, START, &volume);
    disk
}

/// The partition of a restored disk, read by dislocker: sound, and every file as it was.
fn judge(bench: &Bench, disk: &Path) {
    let volume = bench.path("judged");
    cut(disk, START, SIZE, &volume);
    let content = decrypted(&volume);
    let content = content.to_str().unwrap();
    tool("fsck.fat", &["-n", content]);
    let dump = bench.path("dump");
    fs::create_dir_all(&dump).unwrap();
    tool("mcopy", &["-s", "-i", content, "::/files", dump.to_str().unwrap()]);
    for at in 0..FILES {
        let stored = fs::read(dump.join(format!("files/file-{at}"))).unwrap();
        assert!(stored == file(at), "file-{at} differs");
    }
}

#[test]
fn an_unlocked_bitlocker_volume_is_stored_by_what_is_used_and_restored_without_a_key() {
    let bench = Bench::new();
    let source = make_disk(&bench);
    let before = fs::read(&source).unwrap();
    let (disk, secret) = (bench.arg("disk"), bench.arg("secret"));
    let unlock = ["capture", &disk, "--unlock", "--unlock-file", &secret];
    let refused = |words: &str| {
        fs::write(&secret, words).unwrap();
        bench.run(&unlock).ended(4).stderr
    };

    let locked = bench.run(&["capture", &disk, "--plan"]).ended(0);
    assert!(locked.stdout.contains("without its password or recovery key"), "{}", locked.stdout);
    let said = refused("Anaconda");
    let wrong = "partition 3 stays locked: this is neither its password nor its recovery key";
    assert!(said.contains(wrong) && said.contains("try again"), "{said}");
    let recovery_key = image(VOLUME).fact("RP").unwrap().to_owned();
    let said = refused(&recovery_key.replace("548680", "548681"));
    assert!(said.contains("group 2 of the recovery key is mistyped"), "{said}");

    fs::write(&secret, format!("{recovery_key}\r\n")).unwrap();
    let report = bench.run(&[&unlock[..], &["--json"]].concat()).ended(0).result();
    let used = overhead(&bench.path("volume")) + FILES * FILE_SIZE as u64 + 4 * MIB;
    assert!(report["skipped"].as_u64().unwrap() >= SIZE - used, "{report}");
    assert_eq!(report["warnings"], serde_json::json!([]), "{report}");
    assert!(fs::read(&source).unwrap() == before, "the source was changed");

    let manifest = bench.restic(&["dump", "latest", "/disk/manifest.json"]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let region = &manifest["regions"].as_array().unwrap()[1];
    assert_eq!(region["filesystem"]["kind"], "bitlocker");
    assert_eq!(region["inside"][0]["kind"], "fat16");
    assert_eq!(region["stored"], "used");
    let manifest = manifest.to_string();
    assert!(!manifest.contains("TOPSECRET") && !manifest.contains(&recovery_key), "{manifest}");

    fs::remove_file(&secret).unwrap();
    bench.restore("out", &[]);
    judge(&bench, &bench.path("out"));
}
