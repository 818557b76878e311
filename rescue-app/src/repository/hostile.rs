//! Repositories made to do harm, by someone who has the key: a stick found on the street. Each
//! test limits the memory of its process, which the test runner starts for it alone.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::format::compression::TEXT_LEVEL;
use super::format::index::{IndexFile, IndexedPack};
use super::format::json_file;
use super::format::pack::PackEntry;
use super::*;
use crate::progress::Control;
use crate::store::{FileKind, LocalStore};

/// Limits the address space of this process, in bytes; threads' stacks count too.
fn limit_memory(bytes: u64) {
    let pid = std::process::id().to_string();
    let limit = format!("--as={bytes}");
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

fn repository() -> (tempfile::TempDir, IndexedRepository) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::new(dir.path().join("images")));
    let repo = Repository::init(store, "a").unwrap().load_index().unwrap();
    (dir, repo)
}

fn save(repo: &Repository, kind: FileKind, value: &impl serde::Serialize) -> Id {
    json_file::save(&*repo.store, &repo.key, kind, value).unwrap()
}

/// Stores a blob of any text.
fn blob(repo: &IndexedRepository, kind: BlobType, text: &[u8]) -> Id {
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(repo, &lock).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    let id = worker.save(kind, None, text, TEXT_LEVEL).unwrap().id;
    worker.finish().unwrap();
    pack_writer.finish().unwrap();
    id
}

fn remove(repo: &Repository, snapshot: Id) {
    let lock = repo.lock_exclusive().unwrap();
    repo.remove_snapshots(&lock, &[snapshot]).unwrap();
}

fn snapshot(tree: Id) -> Value {
    json!({"time": "2026-01-01T00:00:00Z", "tree": tree, "paths": ["/a"], "hostname": "h"})
}

/// What the check says of the only image.
fn verdict(repo: &Repository) -> String {
    let report = repo.check(true, 1, Control::silent()).unwrap();
    assert_eq!(report.incomplete.len(), 1, "{:?}", report.findings);
    report.findings.iter().map(|finding| finding.text.as_str()).collect()
}

fn refuses_to_prune(repo: &Repository) {
    let lock = repo.lock_exclusive().unwrap();
    let pruned = repo.prune(&lock, &PruneOptions::default(), Control::silent());
    assert!(matches!(pruned, Err(RepositoryError::Unprunable { .. })), "{pruned:?}");
}

#[test]
fn an_index_cannot_fill_the_memory() {
    let (_dir, repo) = repository();
    let (kind, id) = (BlobType::Data, Id::of(b"blob"));
    let entry = PackEntry { id, kind, offset: 0, length: 100, uncompressed: None };
    let pack = |n: u32| IndexedPack {
        id: Id::of(&n.to_le_bytes()),
        blobs: vec![(&entry).into(); 100_000],
    };
    for n in 0..5 {
        let file = save(&repo, FileKind::Index, &IndexFile { packs: vec![pack(n)] });
        let size = repo.store.size(FileKind::Index, &file.to_string()).unwrap();
        assert!(size < 100_000, "it is small where it is stored: {size}");
    }
    let loaded = repo.load_index_up_to(250_000).unwrap();
    let damaged = loaded.damaged_index_files();
    assert_eq!((loaded.index().len(), damaged.len()), (200_000, 3));
    assert!(damaged[0].1.to_string().contains("than fit into memory"));
    drop(loaded);
    // Packs count too, and one file alone must not be the bomb.
    let empty = |n: u32| IndexedPack { id: Id::of(&n.to_le_bytes()), blobs: Vec::new() };
    save(&repo, FileKind::Index, &IndexFile { packs: (0..300_000).map(empty).collect() });
    assert_eq!(repo.load_index_up_to(250_000).unwrap().damaged_index_files().len(), 4);
    let bomb = json!({"packs": [], "x": "0".repeat(200 << 20)});
    let bomb = save(&repo, FileKind::Index, &bomb);
    drop(repo.load_index().unwrap());
    limit_memory(1 << 30);
    let loaded = repo.load_index().unwrap();
    let damaged = loaded.damaged_index_files();
    assert_eq!(damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [bomb]);
}

#[test]
fn snapshots_cannot_fill_the_memory() {
    let (_dir, repo) = repository();
    let mut bomb = snapshot(Id::of(b""));
    bomb["paths"] = vec![""; 200_000].into();
    for n in 0..30 {
        bomb["uid"] = n.into();
        save(&repo, FileKind::Snapshot, &bomb);
    }
    bomb["paths"] = vec![""; 2_000_000].into();
    save(&repo, FileKind::Snapshot, &bomb);
    limit_memory(1 << 30);
    let list = repo.snapshots().unwrap();
    assert_eq!((list.snapshots.len(), list.damaged.len()), (5, 26));
}

#[test]
fn a_directory_cannot_fill_the_memory() {
    let (_dir, repo) = repository();
    let nodes = vec![r#"{"name":"","type":""}"#; 3_000_000].join(",");
    let many = blob(&repo, BlobType::Tree, format!(r#"{{"nodes":[{nodes}]}}"#).as_bytes());
    save(&repo, FileKind::Snapshot, &snapshot(many));
    drop(nodes);
    limit_memory(2 << 30);
    assert!(verdict(&repo).contains("at most 1000000 entries"));
    refuses_to_prune(&repo);
}

#[test]
fn deep_and_shared_directories_are_walked_once_and_without_recursion() {
    let (_dir, repo) = repository();
    let adding = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(&repo, &adding).unwrap();
    let mut worker = pack_writer.blob_writer().unwrap();
    let mut tree = worker.save_tree(&Tree::new(Vec::new()).unwrap()).unwrap();
    // Each directory holds the one below three times: 3^5000 paths.
    for _ in 0..5_000 {
        let nodes = ["a", "b", "c"].map(|name| Node::dir(name, tree, OffsetDateTime::UNIX_EPOCH));
        tree = worker.save_tree(&Tree::new(nodes.to_vec()).unwrap()).unwrap();
    }
    worker.finish().unwrap();
    pack_writer.finish().unwrap();
    drop(adding);
    save(&repo, FileKind::Snapshot, &snapshot(tree));
    limit_memory(1 << 30);
    let report = repo.check(true, 1, Control::silent()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let lock = repo.lock_exclusive().unwrap();
    let options = PruneOptions { dry_run: true, ..PruneOptions::default() };
    let pruned = repo.prune(&lock, &options, Control::silent()).unwrap();
    assert_eq!(pruned.freed, 0);
}

#[test]
fn what_is_of_another_type_is_refused() {
    let (_dir, repo) = repository();
    // A directory's text stored as data is no directory, as restic sees it.
    let data = blob(&repo, BlobType::Data, br#"{"nodes":[]}"#);
    let first = save(&repo, FileKind::Snapshot, &snapshot(data));
    assert!(verdict(&repo).contains("is in no index"));
    refuses_to_prune(&repo);
    remove(&repo, first);
    // A directory that stands where data should be.
    let tree = blob(&repo, BlobType::Tree, br#"{"nodes": []}"#);
    let file = json!({"nodes": [{"name": "f", "type": "file", "size": 13, "content": [tree]}]});
    let other = json!({"nodes": [{"name": "f", "type": "dir", "subtree": Id::of(b"nowhere")}]});
    for nodes in [file, other] {
        let top = blob(&repo, BlobType::Tree, nodes.to_string().as_bytes());
        let id = save(&repo, FileKind::Snapshot, &snapshot(top));
        verdict(&repo);
        refuses_to_prune(&repo);
        remove(&repo, id);
    }
    // Files of one kind in the place of another.
    let wrong = save(&repo, FileKind::Snapshot, &IndexFile::default());
    let index = save(&repo, FileKind::Index, &snapshot(tree));
    assert_eq!(repo.snapshots().unwrap().damaged[0].0, wrong);
    assert_eq!(repo.load_index().unwrap().damaged_index_files()[0].0, index);
    refuses_to_prune(&repo);
}
