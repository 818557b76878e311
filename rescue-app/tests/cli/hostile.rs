//! Images made to do harm, by someone who has the key: the program refuses them with bounded
//! memory.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use common::noise;
use lifeboat::repository::{
    BlobType, Id, Node, PUBLIC_PASSPHRASE, PackWriter, Repository, Snapshot, Tree,
};
use lifeboat::store::LocalStore;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::Bench;

/// Address space that every command must do with, in bytes.
const MEMORY: u64 = 2 << 30;

/// Size of the disk in the images.
const DISK: u64 = 8 << 20;

/// A manifest in order: that of a captured disk.
fn manifest(bench: &Bench) -> Value {
    fs::write(bench.path("disk"), noise(1, usize::try_from(DISK).unwrap())).unwrap();
    bench.capture("disk");
    serde_json::from_str(&bench.restic(&["dump", "latest", "/disk/manifest.json"])).unwrap()
}

/// Stores an image with this manifest, repeated in pieces of `piece` bytes `times` over.
fn save(bench: &Bench, pieces: &[(Vec<u8>, usize)]) -> String {
    let store = Arc::new(LocalStore::new(bench.path("repo")));
    let repo = Repository::open(store, PUBLIC_PASSPHRASE).unwrap().load_index().unwrap();
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(&repo, &lock).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    let mut blob = |bytes: &[u8]| worker.save(BlobType::Data, None, bytes, 3).unwrap().id;
    let half = blob(&vec![7; usize::try_from(DISK / 2).unwrap()]);
    let (mut content, mut size): (Vec<Id>, u64) = (Vec::new(), 0);
    for (bytes, times) in pieces {
        let id = blob(bytes);
        content.extend(std::iter::repeat_n(id, *times));
        size += bytes.len() as u64 * *times as u64;
    }
    let time = OffsetDateTime::UNIX_EPOCH;
    let files = vec![
        Node::file("disk.img", DISK, vec![half, half], time),
        Node::file("manifest.json", size, content, time),
    ];
    let folder = worker.save_tree(&Tree::new(files).unwrap()).unwrap();
    let top = Tree::new(vec![Node::dir("m-s", folder, time)]).unwrap();
    let tree = worker.save_tree(&top).unwrap();
    worker.finish().unwrap();
    pack_writer.finish().unwrap();
    let snapshot: Snapshot = serde_json::from_value(json!({
        "time": "2026-01-01T00:00:00Z", "tree": tree, "paths": ["/m-s"], "tags": ["lifeboat"],
    }))
    .unwrap();
    repo.save_snapshot(&lock, &snapshot).unwrap().to_string()
}

fn save_manifest(bench: &Bench, manifest: &Value) -> String {
    save(bench, &[(manifest.to_string().into_bytes(), 1)])
}

/// Runs a command with little memory; it must end by itself with an error of its own.
fn refused(bench: &Bench, args: &[&str]) -> String {
    let limit = format!("--as={MEMORY}");
    let mut command = Command::new("prlimit");
    command.arg(limit).arg(env!("CARGO_BIN_EXE_lifeboat")).args(args);
    command.env("LIFEBOAT_REPO", bench.path("repo")).env("LIFEBOAT_LOG", bench.path("log"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 4)), "{args:?}: {:?} {text}", output.status);
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The image is refused wherever it is used, and nothing is written.
fn is_refused(id: &str, bench: &Bench) {
    refused(bench, &["show", id]);
    refused(bench, &["verify", id]);
    let out = bench.arg("out");
    refused(bench, &["restore", id, &out, "--erase", &out]);
    assert!(!bench.path("out").exists());
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    let bench = Bench::new();
    let whole = manifest(&bench);
    let good = save_manifest(&bench, &whole);
    bench.run(&["verify", &good]).ended(0);
    type Change = fn(&mut Value);
    let changes: [Change; 12] = [
        |m| m["regions"][0]["size"] = (DISK * 2).into(),
        |m| m["regions"][0]["start"] = u64::MAX.into(),
        |m| m["regions"][0]["used"] = json!([[DISK, 1]]),
        |m| m["regions"][0]["used"] = json!([[0, u64::MAX]]),
        |m| m["regions"] = json!([m["regions"][0], m["regions"][0]]),
        |m| m["regions"] = json!([]),
        |m| {
            let mut empty = m["regions"][0].clone();
            (empty["size"], empty["used"]) = (0.into(), json!([]));
            let mut regions = vec![empty; 300_000];
            regions.push(m["regions"][0].clone());
            m["regions"] = regions.into();
        },
        |m| {
            let partition = json!({"number": 1, "start": 0, "size": 0, "type_id": "83",
                "type_name": "Linux", "attributes": 0, "role": "primary", "bootable": false});
            m["table"]["partitions"] = vec![partition; 300_000].into();
        },
        |m| m["disk"]["size"] = u64::MAX.into(),
        |m| m["disk"]["logical_sector"] = 0.into(),
        |m| m["chunk_size"] = 0.into(),
        |m| m["version"] = 2.into(),
    ];
    for change in changes {
        let mut manifest = whole.clone();
        change(&mut manifest);
        is_refused(&save_manifest(&bench, &manifest), &bench);
    }
}

#[test]
fn manifests_that_grow_are_refused_with_bounded_memory() {
    let bench = Bench::new();
    let open = br#"{"version":1,"x":["#.to_vec();
    // Small where they are stored, for the pieces are all one blob.
    let values = save(&bench, &[(open.clone(), 1), (b"0,".repeat(1 << 20), 100)]);
    let nested = save(&bench, &[(b"[".repeat(1 << 20), 100)]);
    let large = save(&bench, &[(open.clone(), 1), (vec![b' '; 16 << 20], 1000)]);
    let text = save(&bench, &[(open, 1), (vec![b'"'], 1), (vec![b'a'; 8 << 20], 30)]);
    for id in [values, nested, large, text] {
        is_refused(&id, &bench);
    }
}

#[test]
fn names_do_not_steer_the_terminal() {
    let bench = Bench::new();
    let mut manifest = manifest(&bench);
    manifest["disk"]["model"] = "\u{1b}]0;owned\u{7}../../etc".into();
    let id = save_manifest(&bench, &manifest);
    for args in [vec!["images"], vec!["show", &id], vec!["forget", "--keep-last", "1", "-n"]] {
        let told = bench.run(&args).ended(0).stdout;
        assert!(!told.contains('\u{1b}') && !told.contains('\u{7}'), "{told:?}");
    }
}
