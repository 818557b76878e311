//! The inner loops of capture and restore, one thread each: `cargo bench`.
//!
//! The chunks are pieces of this very program, or noise. Repositories lie in memory, so that
//! nothing but calculation is measured.

#![allow(clippy::expect_used, reason = "a measurement that fails has nothing to tell but that")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lifeboat::image::chunks::ChunkSize;
use lifeboat::operation::Compression;
use lifeboat::repository::{
    BlobReader, BlobType, BlobWriter, Id, IndexedRepository, PackWriter, Repository,
};
use lifeboat::store::LocalStore;

fn main() {
    divan::main();
}

const LEVELS: [Compression; 3] = [Compression::Fast, Compression::Balanced, Compression::Small];

fn chunk_len() -> usize {
    usize::try_from(ChunkSize::default().bytes()).expect("a chunk fits into memory")
}

/// A chunk of program text.
fn program() -> Vec<u8> {
    let path = std::env::current_exe().expect("this program has a path");
    let bytes = std::fs::read(path).expect("this program can be read");
    bytes.iter().copied().cycle().take(chunk_len()).collect()
}

fn noise() -> Vec<u8> {
    let mut chunk = vec![0; chunk_len()];
    getrandom::fill(&mut chunk).expect("the kernel has random bytes");
    chunk
}

/// Makes the chunk another one.
fn renumber(chunk: &mut [u8]) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    chunk[..8].copy_from_slice(&NUMBER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
}

/// Runs `body` with a repository in memory.
fn with_repository(body: impl FnOnce(&IndexedRepository)) {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let store = Arc::new(LocalStore::new(folder.path().join("images")));
    let repository = Repository::init(store, "passphrase").expect("a new repository");
    body(&repository.load_index().expect("its index"));
}

fn save(writer: &mut BlobWriter, chunk: &[u8], level: Compression) -> Id {
    writer.save(BlobType::Data, None, chunk, level.zstd_level()).expect("a stored chunk").id
}

fn store_new(bencher: Bencher, mut chunk: Vec<u8>, level: Compression) {
    with_repository(|repository| {
        let lock = repository.lock_shared().expect("a lock");
        let pack_writer = PackWriter::new(repository, &lock).expect("a pack writer");
        let mut writer = pack_writer.blob_writer().expect("a worker");
        bencher.counter(BytesCount::new(chunk.len())).bench_local(|| {
            renumber(&mut chunk);
            black_box(save(&mut writer, &chunk, level));
        });
        writer.finish().expect("the last pack");
    });
}

/// What a further capture does with most chunks.
#[divan::bench]
fn hash(bencher: Bencher) {
    let chunk = program();
    bencher.counter(BytesCount::new(chunk.len())).bench(|| Id::of(black_box(&chunk)));
}

/// Hash, look up, compress, encrypt, hash for the pack's name, hand to the writer.
#[divan::bench(args = LEVELS, sample_size = 4)]
fn store_program(bencher: Bencher, level: &Compression) {
    store_new(bencher, program(), *level);
}

#[divan::bench(sample_size = 4)]
fn store_noise(bencher: Bencher) {
    store_new(bencher, noise(), Compression::Balanced);
}

/// Read, authenticate, decrypt, decompress, hash.
#[divan::bench(args = [false, true])]
fn read(bencher: Bencher, random: bool) {
    with_repository(|repository| {
        let chunk = if random { noise() } else { program() };
        let lock = repository.lock_shared().expect("a lock");
        let pack_writer = PackWriter::new(repository, &lock).expect("a pack writer");
        let mut writer = pack_writer.blob_writer().expect("a worker");
        let id = save(&mut writer, &chunk, Compression::Balanced);
        writer.finish().expect("the last pack");
        pack_writer.finish().expect("an index");
        let mut reader = BlobReader::new().expect("a reader");
        bencher.counter(BytesCount::new(chunk.len())).bench_local(|| {
            black_box(repository.read_blob(&id, &mut reader).expect("the chunk").len())
        });
    });
}
