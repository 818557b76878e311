//! Repositories with known contents, and all that is in a snapshot as we read it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::Random;
use lifeboat::repository::{
    BlobReader, BlobType, Id, IndexedRepository, Node, NodeType, PUBLIC_PASSPHRASE, PackWriter,
    Repository, Snapshot, Totals, Tree,
};
use lifeboat::store::LocalStore;
use time::OffsetDateTime;

use crate::stock_restic::Restic;

pub const CHUNK: usize = 64 << 10;

pub fn store(path: &Path) -> Arc<LocalStore> {
    Arc::new(LocalStore::new(path))
}

pub fn init(restic: &Restic) -> IndexedRepository {
    let repo = Repository::init(store(&restic.repo()), PUBLIC_PASSPHRASE).unwrap();
    repo.load_index().unwrap()
}

pub fn open(restic: &Restic) -> IndexedRepository {
    let repo = Repository::open(store(&restic.repo()), PUBLIC_PASSPHRASE).unwrap();
    let repo = repo.load_index().unwrap();
    assert!(repo.damaged_index_files().is_empty(), "{:?}", repo.damaged_index_files());
    repo
}

/// Bytes like a disk's: text, noise, zeros; different for each seed.
pub fn disk(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        match random.below(3) {
            0 => bytes.resize(bytes.len() + CHUNK, 0),
            1 => bytes.extend(random.bytes(CHUNK)),
            _ => {
                let line = format!("line {:x} of a text that compresses well\n", random.next_u64());
                (0..CHUNK / line.len()).for_each(|_| bytes.extend(line.as_bytes()));
            }
        }
    }
    bytes.truncate(len);
    bytes
}

/// Saves `bytes` with two threads, as `/machine/disk.img`.
pub fn save(repo: &IndexedRepository, bytes: &[u8]) -> Id {
    save_counted(repo, bytes).0
}

/// Like [`save`], and tells what it took.
pub fn save_counted(repo: &IndexedRepository, bytes: &[u8]) -> (Id, Totals) {
    let lock = repo.lock_shared().unwrap();
    let pack_writer = PackWriter::new(repo, &lock).unwrap();
    let chunks: Vec<&[u8]> = bytes.chunks(CHUNK).collect();
    let half = chunks.len().div_ceil(2);
    std::thread::scope(|scope| {
        for part in chunks.chunks(half.max(1)) {
            let mut worker = pack_writer.blob_writer().unwrap();
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
    let mut worker = pack_writer.blob_writer().unwrap();
    let machine = worker.save_tree(&Tree::new(vec![file]).unwrap()).unwrap();
    let top = Tree::new(vec![Node::dir("machine", machine, time)]).unwrap();
    let tree = worker.save_tree(&top).unwrap();
    worker.finish().unwrap();
    let totals = pack_writer.finish().unwrap();
    (repo.save_snapshot(&lock, &snapshot(tree)).unwrap(), totals)
}

/// Forgets an image.
pub fn remove(repo: &Repository, snapshot: Id) {
    let lock = repo.lock_exclusive().unwrap();
    repo.remove_snapshots(&lock, &[snapshot]).unwrap();
}

pub fn snapshot(tree: Id) -> Snapshot {
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
pub fn read_all(repo: &IndexedRepository, tree: &Id) -> BTreeMap<String, Vec<u8>> {
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
