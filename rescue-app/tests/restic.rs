//! The repository engine and stock restic working on the same repositories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/repo_restic.rs"]
mod repo_restic;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use lifeboat::repository::{
    BlobReader, BlobType, Id, Node, NodeType, PUBLIC_PASSPHRASE, Repository, Saver, Snapshot, Tree,
};
use lifeboat::store::LocalStore;
use repo_restic::{Restic, files_below};
use time::OffsetDateTime;

const CHUNK: usize = 64 << 10;

fn store(path: &Path) -> Arc<LocalStore> {
    Arc::new(LocalStore::new(path))
}

fn init(restic: &Restic) -> Repository {
    Repository::init(store(&restic.repo()), PUBLIC_PASSPHRASE).unwrap()
}

fn open(restic: &Restic) -> Repository {
    let repo = Repository::open(store(&restic.repo()), PUBLIC_PASSPHRASE).unwrap();
    let summary = repo.load_index().unwrap();
    assert!(summary.damaged.is_empty(), "{:?}", summary.damaged);
    repo
}

/// Bytes like a disk's: text, noise, zeros; different for each seed.
fn disk(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        match next() % 3 {
            0 => bytes.resize(bytes.len() + CHUNK, 0),
            1 => (0..CHUNK / 8).for_each(|_| bytes.extend(next().to_le_bytes())),
            _ => {
                let line = format!("line {:x} of a text that compresses well\n", next());
                (0..CHUNK / line.len()).for_each(|_| bytes.extend(line.as_bytes()));
            }
        }
    }
    bytes.truncate(len);
    bytes
}

/// Saves `bytes` with two threads, as `/machine/disk.img`.
fn save(repo: &Repository, bytes: &[u8]) -> Id {
    let saver = Saver::new(repo).unwrap();
    let chunks: Vec<&[u8]> = bytes.chunks(CHUNK).collect();
    let half = chunks.len().div_ceil(2);
    std::thread::scope(|scope| {
        for part in chunks.chunks(half.max(1)) {
            let mut worker = saver.worker().unwrap();
            scope.spawn(move || {
                for chunk in part {
                    worker.save(BlobType::Data, None, chunk, 1).unwrap();
                }
                worker.finish().unwrap();
            });
        }
    });
    let time = OffsetDateTime::UNIX_EPOCH;
    let ids = chunks.iter().map(|chunk| Id::of(chunk)).collect();
    let file = Node::file("disk.img", bytes.len() as u64, ids, time);
    let mut worker = saver.worker().unwrap();
    let machine = worker.save_tree(&Tree::new(vec![file]).unwrap()).unwrap();
    let top = Tree::new(vec![Node::dir("machine", machine, time)]).unwrap();
    let tree = worker.save_tree(&top).unwrap();
    worker.finish().unwrap();
    saver.finish().unwrap();
    repo.save_snapshot(&snapshot(tree)).unwrap()
}

fn snapshot(tree: Id) -> Snapshot {
    Snapshot {
        time: OffsetDateTime::now_utc(),
        parent: None,
        tree,
        paths: vec!["/machine/disk.img".to_owned()],
        hostname: "host".to_owned(),
        username: "root".to_owned(),
        uid: 0,
        gid: 0,
        tags: vec!["lifeboat".to_owned()],
        original: None,
        program_version: "lifeboat 0.1.0".to_owned(),
        summary: None,
    }
}

/// Every file of a snapshot with its contents, read by us.
fn read_all(repo: &Repository, tree: &Id) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut reader = BlobReader::new().unwrap();
    let mut trees = vec![(String::new(), *tree)];
    while let Some((path, tree)) = trees.pop() {
        for node in repo.read_tree(&tree).unwrap().into_nodes() {
            let path = format!("{path}/{}", node.name);
            match node.kind {
                NodeType::Dir => trees.push((path, node.subtree.unwrap())),
                NodeType::File => {
                    let mut bytes = Vec::new();
                    for id in node.content.unwrap() {
                        bytes.extend_from_slice(repo.read_blob(&id, &mut reader).unwrap());
                    }
                    assert_eq!(bytes.len() as u64, node.size);
                    files.insert(path, bytes);
                }
                NodeType::Other(_) => {}
            }
        }
    }
    files
}

#[test]
fn restic_checks_lists_and_restores_what_we_store() {
    let restic = Restic::new();
    let repo = init(&restic);
    let (first, second) = (disk(1, 5_000_001), disk(2, 3_000_000));
    let first_id = save(&repo, &first);
    let second_id = save(&repo, &second);
    restic.check();
    let listed = restic.ok(&["snapshots"]);
    assert!(listed.contains(&first_id.short()) && listed.contains("/machine/disk.img"), "{listed}");
    for (id, bytes) in [(first_id, &first), (second_id, &second)] {
        let target = restic.path(&id.short());
        restic.ok(&["restore", &id.to_string(), "--target", target.to_str().unwrap()]);
        assert!(fs::read(target.join("machine/disk.img")).unwrap() == *bytes);
    }
}

#[test]
fn we_read_what_restic_made_and_pruned() {
    let restic = Restic::new();
    restic.ok(&["init"]);
    let source = restic.path("source");
    for (name, seed) in [("a/b/first", 3), ("a/second", 4), ("third", 5)] {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, disk(seed, 4_000_000)).unwrap();
    }
    fs::write(source.join("empty"), "").unwrap();
    restic.ok(&["backup", "source"]);
    fs::write(source.join("a/second"), disk(6, 3_500_000)).unwrap();
    restic.ok(&["backup", "source"]);
    restic.ok(&["forget", "--keep-last", "1", "--prune", "--max-unused", "0"]);

    let repo = open(&restic);
    let list = repo.snapshots().unwrap();
    assert_eq!((list.snapshots.len(), list.damaged.len()), (1, 0));
    let read = read_all(&repo, &list.snapshots[0].snapshot.tree);
    let prefix = source.to_str().unwrap().to_owned() + "/";
    let files = files_below(&source);
    assert_eq!(read.len(), files.len());
    for path in files {
        let name = path.to_str().unwrap().strip_prefix(&prefix).unwrap();
        let found = read.iter().find(|(path, _)| path.ends_with(&format!("source/{name}")));
        assert!(*found.expect("the file is in the snapshot").1 == fs::read(&path).unwrap());
    }
}

#[test]
fn restic_works_on_in_our_repository() {
    let restic = Restic::new();
    let repo = init(&restic);
    let old = save(&repo, &disk(7, 6_000_000));
    let kept = disk(8, 6_000_000);
    save(&repo, &kept);
    fs::write(restic.path("file"), disk(9, 2_000_000)).unwrap();
    restic.ok(&["backup", "file"]);
    restic.ok(&["forget", &old.to_string()]);
    restic.ok(&["prune", "--max-unused", "0"]);
    restic.check();
    let repo = open(&restic);
    let list = repo.snapshots().unwrap().snapshots;
    assert_eq!(list.len(), 2);
    let ours = list.iter().find(|file| file.snapshot.hostname == "host").unwrap();
    assert!(read_all(&repo, &ours.snapshot.tree)["/machine/disk.img"] == kept);
}
