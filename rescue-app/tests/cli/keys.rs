//! Who can open a repository, judged by stock restic.

use std::fs;
use std::process::Command;

use crate::support::{Bench, Run};

/// Whether stock restic opens the repository with this passphrase.
fn opens(bench: &Bench, word: &str) -> bool {
    let mut restic = Command::new("restic");
    restic.args(["--no-cache", "snapshots", "-r", &bench.arg("repo")]);
    restic.env("RESTIC_PASSWORD", word).output().unwrap().status.success()
}

fn with(bench: &Bench, word: &str, args: &[&str]) -> Run {
    Run::from(bench.command(args).env("LIFEBOAT_PASSPHRASE", word).output().unwrap())
}

#[test]
fn restic_counts_the_same() {
    let bench = Bench::new();
    for (seed, name) in [(51, "one"), (52, "two")] {
        fs::write(bench.path(name), common::noise(seed, 9 << 20)).unwrap();
        bench.capture(name);
        bench.capture(name);
    }
    let stats = bench.run(&["stats", "--json"]).ended(0).stdout;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let judged = bench.restic(&["stats", "--mode", "raw-data", "--json"]);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    for (ours, theirs) in
        [("blobs", "total_blob_count"), ("stored", "total_size"), ("images", "snapshots_count")]
    {
        assert!(stats[ours].as_u64() > Some(0), "{stats}");
        assert_eq!(stats[ours], judged[theirs], "{ours}: {stats} {judged}");
    }
    assert_eq!((&stats["disks"], &stats["held"]), (&2.into(), &(36 << 20).into()), "{stats}");
    // Noise does not get smaller.
    assert!(stats["plain"].as_u64() > Some(18 << 20), "{stats}");
    let told = bench.run(&["stats"]).ended(0).stdout;
    assert!(told.starts_with("images    4 images of 2 disks\nhold      36.0 MiB"), "{told}");
}

#[test]
fn keys_are_added_listed_changed_and_removed() {
    let bench = Bench::empty();
    with(&bench, "ebb", &["init"]).ended(0);
    for word in ["flood", "slack"] {
        fs::write(bench.path(word), format!("{word}\n")).unwrap();
    }
    let (flood, slack) = (bench.arg("flood"), bench.arg("slack"));
    with(&bench, "ebb", &["key", "add", "--new-passphrase-file", &flood]).ended(0);
    assert!(opens(&bench, "ebb") && opens(&bench, "flood"));
    let listed = with(&bench, "flood", &["key", "list", "--json"]).ended(0).stdout;
    let keys: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let current: Vec<bool> =
        keys.as_array().unwrap().iter().map(|key| key["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [false, true], "{keys}");
    let (first, second) = (keys[0]["id"].as_str().unwrap(), keys[1]["id"].as_str().unwrap());

    let refused = with(&bench, "flood", &["key", "remove", &second[..8]]).ended(1).stderr;
    assert!(refused.contains("opened with it now"), "{refused}");
    with(&bench, "flood", &["key", "remove", "no key"]).ended(1);
    with(&bench, "flood", &["key", "remove", ""]).ended(1);
    with(&bench, "flood", &["key", "remove", &first[..8]]).ended(0);
    assert!(!opens(&bench, "ebb") && opens(&bench, "flood"));

    with(&bench, "flood", &["key", "change", "--new-passphrase-file", &slack]).ended(0);
    assert!(!opens(&bench, "flood") && opens(&bench, "slack"));
    with(&bench, "flood", &["images"]).ended(12);
    with(&bench, "slack", &["images"]).ended(0);
    let unasked = with(&bench, "slack", &["key", "change"]).ended(1).stderr;
    assert!(unasked.contains("no terminal to ask"), "{unasked}");
    assert!(opens(&bench, "slack"));
}

#[test]
fn a_repository_without_a_passphrase_gets_one() {
    let bench = Bench::new();
    fs::write(bench.path("word"), "spring tide\n").unwrap();
    let word = bench.arg("word");
    let note = || fs::read_to_string(bench.path("repo/README.txt")).unwrap();
    assert!(note().contains("NOT SECRET"));
    let added = bench.run(&["key", "add", "--new-passphrase-file", &word]).ended(0).stdout;
    assert!(added.contains("everybody knows"), "{added}");
    bench.run(&["key", "change", "--new-passphrase-file", &word]).ended(0);
    assert!(!opens(&bench, "lifeboat") && opens(&bench, "spring tide"));
    assert!(!note().contains("NOT SECRET"), "{}", note());
}
