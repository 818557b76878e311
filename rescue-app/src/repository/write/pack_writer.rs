//! Storing blobs: what all threads of one capture share.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::BlobWriter;
use super::open_pack::{FullPack, PackBuffer};
use super::readback::ReadBack;
use crate::repository::IndexedRepository;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::crypto::Key;
use crate::repository::format::index::{Index, IndexFile, IndexedPack};
use crate::repository::format::{BlobType, Id, json_file};
use crate::repository::lock::{Held, Lock};
use crate::store::{FileKind, Store};

/// An index file is written at the latest after this many blobs (restic
/// `internal/repository/index`) …
const INDEX_BLOBS: usize = 50_000;

/// … or this much time, so that an interrupted capture finds again nearly all it has stored.
const INDEX_INTERVAL: Duration = Duration::from_secs(120);

/// Full packs that wait for a writer; with them the memory in use is bounded.
const WAITING_PACKS: usize = 1;

/// The claims are spread over this many locks.
const SHARDS: usize = 64;

/// What a [`PackWriter`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blobs that were stored.
    pub new_blobs: u64,
    /// Blobs that were there already.
    pub known_blobs: u64,
    /// Plain bytes of the blobs that were stored.
    pub new_bytes: u64,
    /// Plain bytes of the blobs that were there already.
    pub known_bytes: u64,
    /// Bytes the stored blobs take in packs.
    pub stored_bytes: u64,
    /// Packs written.
    pub packs: u64,
}

/// What [`PackWriter::written`] returns.
#[derive(Debug)]
pub struct Written {
    /// Packs that were not read back yet.
    pub unproven: BTreeSet<Id>,
    /// Bytes of the packs that were written and read back.
    pub proven_bytes: u64,
}

#[derive(Default)]
struct Counters {
    new_blobs: AtomicU64,
    known_blobs: AtomicU64,
    new_bytes: AtomicU64,
    known_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    packs: AtomicU64,
}

/// Packs that are stored but not yet in an index file.
struct Pending {
    packs: Vec<IndexedPack>,
    blobs: usize,
    since: Instant,
    /// Index files written so far, to be taken into the repository's index at the end.
    written: Vec<IndexFile>,
}

/// The first error; the error itself is given out once, its text as often as asked.
struct FirstFailure {
    error: Option<RepositoryError>,
    text: String,
}

/// What threads share.
pub(super) struct Shared {
    pub(super) key: Arc<Key>,
    store: Arc<dyn Store>,
    lock: Arc<Held>,
    index: Arc<Index>,
    claims: [Mutex<HashSet<(BlobType, Id)>>; SHARDS],
    pending: Mutex<Pending>,
    /// The way of full packs to the writer threads; `None` when no more are to come.
    full: Mutex<Option<Sender<FullPack>>>,
    spare: Mutex<Vec<PackBuffer>>,
    read_back: ReadBack,
    failure: Mutex<Option<FirstFailure>>,
    failed: AtomicBool,
    lost_blobs: AtomicBool,
    counters: Counters,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data behind these locks is valid at every step; a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Whether the blob is new; from now on everybody is told that it is not.
    pub(super) fn claim(&self, kind: BlobType, id: &Id, plain_len: u64) -> bool {
        let shard = &self.claims[usize::from(id.as_bytes()[0]) % SHARDS];
        let new = !self.index.contains(kind, id) && locked(shard).insert((kind, *id));
        let (blobs, bytes) = match new {
            true => (&self.counters.new_blobs, &self.counters.new_bytes),
            false => (&self.counters.known_blobs, &self.counters.known_bytes),
        };
        blobs.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(plain_len, Ordering::Relaxed);
        new
    }

    /// Counts bytes put into a pack.
    pub(super) fn count_stored(&self, bytes: u32) {
        self.counters.stored_bytes.fetch_add(u64::from(bytes), Ordering::Relaxed);
    }

    /// A buffer for a new pack.
    pub(super) fn buffer(&self) -> PackBuffer {
        locked(&self.spare).pop().unwrap_or_default()
    }

    /// Blobs were claimed that will never be stored: nothing may refer to them.
    pub(super) fn mark_lost(&self) {
        self.lost_blobs.store(true, Ordering::Release);
    }

    /// The failure so far, if any.
    pub(super) fn check(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &mut *locked(&self.failure) {
            Some(failure) => Err(failure
                .error
                .take()
                .unwrap_or_else(|| RepositoryError::Stopped(failure.text.clone()))),
            None => Ok(()),
        }
    }

    fn fail(&self, error: RepositoryError) {
        let text = error.to_string();
        locked(&self.failure).get_or_insert(FirstFailure { error: Some(error), text });
        self.failed.store(true, Ordering::Release);
    }

    /// Hands a pack to the writers; waits while they are behind.
    pub(super) fn enqueue(&self, pack: FullPack) -> Result<()> {
        // Nobody waits while the lock is held.
        let full = locked(&self.full).clone();
        match full.is_some_and(|full| full.send(pack).is_ok()) {
            true => Ok(()),
            false => Err(RepositoryError::Internal("a pack came after the end")),
        }
    }

    /// A writer thread's life. After a failure packs are still taken, so that nobody waits for
    /// ever, but no longer written.
    fn write_packs(&self, packs: &Receiver<FullPack>) {
        for pack in packs {
            if !self.failed.load(Ordering::Acquire)
                && let Err(error) = self.write_pack(&pack)
            {
                self.fail(error);
            }
            let buffer = pack.into_buffer();
            if buffer.is_reusable() {
                locked(&self.spare).push(buffer);
            }
            if let Err(error) = self.read_back(packs) {
                if let RepositoryError::StoredWrong { pack } = &error {
                    locked(&self.pending).packs.retain(|stored| stored.id != *pack);
                }
                self.fail(error);
            }
        }
    }

    /// Uses a pause between packs to read back earlier ones. Where there is no pause the place is
    /// what everybody waits for: then all is read back at the end, in one go.
    fn read_back(&self, packs: &Receiver<FullPack>) -> Result<()> {
        let ending = || locked(&self.full).is_none() || self.failed.load(Ordering::Acquire);
        if packs.is_empty() && !ending() {
            self.read_back.step(&*self.store, &ending)
        } else {
            Ok(())
        }
    }

    fn write_pack(&self, pack: &FullPack) -> Result<()> {
        self.store.write(FileKind::Pack, &pack.id.to_string(), pack.bytes())?;
        self.counters.packs.fetch_add(1, Ordering::Relaxed);
        self.read_back.add(pack.id);
        let blobs: Vec<_> = pack.entries().iter().map(Into::into).collect();
        let mut pending = locked(&self.pending);
        pending.blobs += blobs.len();
        pending.packs.push(IndexedPack { id: pack.id, blobs });
        let due = pending.blobs >= INDEX_BLOBS || pending.since.elapsed() >= INDEX_INTERVAL;
        drop(pending);
        if due { self.write_index() } else { Ok(()) }
    }

    /// Writes an index file for the packs stored since the last one, which must still be there: a
    /// pack that an index file names is one that others rely on.
    fn write_index(&self) -> Result<()> {
        let mut pending = locked(&self.pending);
        pending.since = Instant::now();
        pending.blobs = 0;
        let file = IndexFile { packs: std::mem::take(&mut pending.packs) };
        drop(pending);
        if file.packs.is_empty() {
            return Ok(());
        }
        self.lock.ensure()?;
        for IndexedPack { id: pack, .. } in &file.packs {
            if !self.store.exists(FileKind::Pack, &pack.to_string())? {
                let location = self.store.location();
                return Err(RepositoryError::StoredGone { pack: *pack, location });
            }
        }
        json_file::save(&*self.store, &self.key, FileKind::Index, &file)?;
        locked(&self.pending).written.push(file);
        Ok(())
    }
}

/// Stores blobs for one capture: makes sure that each is stored once, writes packs in the
/// background and index files as it goes. Threads work through their own [`BlobWriter`].
///
/// When it is dropped unfinished, packs and index files written so far stay and are found by the
/// next one; nothing refers to them until then, and restic's prune would remove them.
pub struct PackWriter<'r> {
    repository: &'r IndexedRepository,
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

impl<'r> PackWriter<'r> {
    /// Starts storing.
    pub fn new(repository: &'r IndexedRepository, lock: &'r Lock) -> Result<Self> {
        repository.require_writable()?;
        // Index files that are relied on may be of someone who was stopped.
        repository.store.sync_names(FileKind::Index)?;
        let (full, packs) = bounded(WAITING_PACKS);
        let shared = Arc::new(Shared {
            key: Arc::clone(&repository.key),
            store: Arc::clone(&repository.store),
            lock: lock.held(),
            index: repository.index(),
            claims: std::array::from_fn(|_| Mutex::default()),
            pending: Mutex::new(Pending {
                packs: Vec::new(),
                blobs: 0,
                since: Instant::now(),
                written: Vec::new(),
            }),
            full: Mutex::new(Some(full)),
            spare: Mutex::default(),
            read_back: ReadBack::default(),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            lost_blobs: AtomicBool::new(false),
            counters: Counters::default(),
        });
        let mut pack_writer = Self { repository, shared, writers: Vec::new() };
        // One pack is synced, or on its way, while the next one is written.
        for _ in 0..repository.store.connections() {
            pack_writer.start_writer(packs.clone())?;
        }
        Ok(pack_writer)
    }

    fn start_writer(&mut self, packs: Receiver<FullPack>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("pack writer".to_owned());
        let thread = thread
            .spawn(move || shared.write_packs(&packs))
            .map_err(|error| RepositoryError::Stopped(format!("starting a thread: {error}")))?;
        self.writers.push(thread);
        Ok(())
    }

    /// A writer for one thread.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        BlobWriter::new(Arc::clone(&self.shared))
    }

    /// What has been done so far.
    pub fn totals(&self) -> Totals {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            new_blobs: get(&counters.new_blobs),
            known_blobs: get(&counters.known_blobs),
            new_bytes: get(&counters.new_bytes),
            known_bytes: get(&counters.known_bytes),
            stored_bytes: get(&counters.stored_bytes),
            packs: get(&counters.packs),
        }
    }

    /// Writes an index file for all packs stored so far.
    pub fn checkpoint(&self) -> Result<()> {
        self.shared.check()?;
        self.shared.write_index()
    }

    /// Ends storing, after all [`BlobWriter`]s have finished: waits for the packs. Only after the
    /// rest of them was read back may they count as stored.
    pub fn written(&mut self) -> Result<Written> {
        self.stop_writers()?;
        self.shared.check()?;
        let (unproven, proven_bytes) = self.shared.read_back.take();
        Ok(Written { unproven, proven_bytes })
    }

    /// Ends storing as [`Self::written`] does, writes the last index file and takes all that is new
    /// into the repository's index. Only after this may a snapshot refer to what was stored.
    pub fn finish(mut self) -> Result<Totals> {
        self.stop_writers()?;
        self.shared.check()?;
        if self.shared.lost_blobs.load(Ordering::Acquire) {
            return Err(RepositoryError::Internal("a thread ended without storing its blobs"));
        }
        self.shared.write_index()?;
        let written = std::mem::take(&mut locked(&self.shared.pending).written);
        let index = Index::clone(&self.shared.index).with(written);
        self.repository.set_index(index);
        Ok(self.totals())
    }

    fn stop_writers(&mut self) -> Result<()> {
        // They end when the last pack is taken.
        drop(locked(&self.shared.full).take());
        let ended = self.writers.drain(..).map(|thread| thread.join().is_ok());
        match ended.fold(true, |all, one| all & one) {
            true => Ok(()),
            false => Err(RepositoryError::Internal("a thread that writes packs panicked")),
        }
    }
}

impl Drop for PackWriter<'_> {
    fn drop(&mut self) {
        // Unfinished: keep what is stored for the next run. Errors were or will be seen by
        // whoever stopped us.
        let _ = self.stop_writers();
        let _ = self.shared.write_index();
    }
}
