//! LUKS containers that are unlocked for the capture: what is stored is ciphertext that matters, and
//! restoring needs no passphrase. Judged by cryptsetup and e2fsprogs.

use std::fs;
use std::path::{Path, PathBuf};

use common::{noise, tool};

use crate::support::{Bench, MIB, cut, put};

const SECRET: &str = "correct horse";
const START: u64 = MIB;
/// The content, and twice what `cryptsetup` takes for its header.
const CONTENT: u64 = 24 * MIB;
const SIZE: u64 = CONTENT + 32 * MIB;
const DISK: u64 = 60 * MIB;

/// `cryptsetup`, the right passphrase in its key file.
fn cryptsetup(bench: &Bench, words: &[&str], image: &Path) {
    let key = bench.arg("key");
    let mut args = vec!["-q", "--key-file", &key];
    args.extend(words);
    args.push(image.to_str().unwrap());
    tool("cryptsetup", &args);
}

/// A disk with one encrypted partition; what is free in it is noise.
fn make_disk(bench: &Bench) -> PathBuf {
    fs::write(bench.path("key"), SECRET).unwrap();
    fs::write(bench.path("wrong"), "correct house\n").unwrap();
    let files = bench.path("files");
    fs::create_dir_all(&files).unwrap();
    for at in 0..10u64 {
        fs::write(files.join(format!("file-{at}")), noise(at + 300, 300_000)).unwrap();
    }
    let part = bench.path("part");
    fs::write(&part, noise(21, usize::try_from(CONTENT).unwrap())).unwrap();
    let args = ["-q", "-F", "-t", "ext4", "-L", "TopSecret", "-E", "nodiscard", "-d"];
    let mut args = args.to_vec();
    args.extend([files.to_str().unwrap(), part.to_str().unwrap()]);
    tool("mke2fs", &args);
    fs::OpenOptions::new().write(true).open(&part).unwrap().set_len(SIZE).unwrap();
    let words = "reencrypt --encrypt --type luks2 --reduce-device-size 32M --pbkdf argon2id \
                 --pbkdf-force-iterations 4 --pbkdf-memory 32768";
    cryptsetup(bench, &words.split_whitespace().collect::<Vec<_>>(), &part);
    let disk = bench.path("disk");
    fs::write(&disk, noise(22, usize::try_from(DISK).unwrap())).unwrap();
    let last = (START + SIZE) / 512 - 1;
    let entry = format!("-n3:{}:{last}", START / 512);
    tool("sgdisk", &["-Z", "-a", "1", &entry, "-t3:8309", disk.to_str().unwrap()]);
    put(&disk, START, &part);
    disk
}

/// The partition of a restored disk, opened by `cryptsetup`: sound, and every file as it was.
fn judge(bench: &Bench, disk: &str) {
    let (part, header) = (bench.path("judged"), bench.path("header"));
    cut(&bench.path(disk), START, SIZE, &part);
    let header = header.to_str().unwrap();
    let words = ["reencrypt", "--decrypt", "--force-offline-reencrypt", "--header", header];
    cryptsetup(bench, &words, &part);
    fs::OpenOptions::new().write(true).open(&part).unwrap().set_len(CONTENT).unwrap();
    tool("e2fsck", &["-fn", part.to_str().unwrap()]);
    let dump = bench.path("dump");
    fs::create_dir_all(&dump).unwrap();
    let rdump = format!("rdump / {}", dump.to_str().unwrap());
    tool("debugfs", &["-R", &rdump, part.to_str().unwrap()]);
    for at in 0..10u64 {
        let stored = fs::read(dump.join(format!("file-{at}"))).unwrap();
        assert!(stored == noise(at + 300, 300_000), "file-{at} differs");
    }
}

#[test]
fn an_unlocked_container_is_stored_by_what_is_used_and_restored_without_a_key() {
    let bench = Bench::new();
    let disk = make_disk(&bench);
    let before = fs::read(&disk).unwrap();
    let (disk, key) = (bench.arg("disk"), bench.arg("key"));

    let locked = bench.run(&["capture", &disk, "--plan"]).ended(0);
    assert!(locked.stdout.contains("without its passphrase"), "{}", locked.stdout);
    let unlock = ["capture", &disk, "--unlock", "--unlock-file", &key];
    let report = bench.run(&[&unlock[..], &["--json"]].concat()).ended(0).result();
    let skipped = report["skipped"].as_u64().unwrap();
    assert!(skipped > CONTENT / 2, "{report}");
    assert_eq!(report["warnings"], serde_json::json!([]), "{report}");
    assert!(fs::read(bench.path("disk")).unwrap() == before, "the source was changed");

    let manifest = bench.restic(&["dump", "latest", "/disk/manifest.json"]);
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let region = &manifest["regions"].as_array().unwrap()[1];
    assert_eq!(region["filesystem"]["kind"], "luks2");
    assert_eq!(region["inside"][0]["kind"], "ext4");
    assert_eq!(region["stored"], "used");
    let log = fs::read_to_string(bench.path("log")).unwrap_or_default();
    for text in [manifest.to_string(), log] {
        assert!(!text.contains("TopSecret") && !text.contains(SECRET), "{text}");
    }

    fs::remove_file(bench.path("key")).unwrap();
    bench.restore("out", &[]);
    fs::write(bench.path("key"), SECRET).unwrap();
    judge(&bench, "out");
}

#[test]
fn a_container_that_stays_locked_is_told_and_costs_nothing() {
    let bench = Bench::new();
    make_disk(&bench);
    let (disk, wrong, key) = (bench.arg("disk"), bench.arg("wrong"), bench.arg("key"));
    let refused = |args: &[&str]| {
        let run = bench.run(&[&["capture", &disk], args].concat()).ended(4);
        assert_eq!(run.stdout, "");
        run.stderr
    };
    let said = refused(&["--unlock=3", "--unlock-file", &wrong]);
    assert!(said.contains("partition 3 stays locked: the passphrase is wrong"), "{said}");
    assert!(said.contains("try again"), "{said}");
    let said = refused(&["--unlock=1", "--unlock-file", &key]);
    assert!(said.contains("there is nothing to unlock in partition 1"), "{said}");
    let said = refused(&["--unlock", "--partitions=1", "--unlock-file", &key]);
    assert!(said.contains("there is nothing to unlock"), "{said}");
    let asked = bench.run(&["capture", &disk, "--unlock"]).ended(1).stderr;
    assert!(asked.contains("no terminal to ask at; use --unlock-file"), "{asked}");
    bench.run(&["capture", &disk, "--unlock-file", &key]).ended(2);
    assert_eq!(bench.run(&["images"]).ended(0).stdout.lines().count(), 1, "nothing is stored");
}
