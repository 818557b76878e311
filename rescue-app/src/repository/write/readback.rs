//! Reading back packs while a capture goes on.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bytes::AlignedBuffer;
use crate::progress::Cancelled;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::Id;
use crate::repository::format::hasher::TOGETHER;
use crate::repository::read::verify::first_wrong_pack;
use crate::store::Store;

/// Packs that stay to be read back at the end: what was only just written may come out of the
/// device's own memory (128 MiB of packs are more than most have).
const BEHIND: usize = 8;

/// Packs that were written, in that order, and how far reading them back has come.
#[derive(Default)]
pub(super) struct ReadBack {
    waiting: Mutex<Waiting>,
    /// Taken by the thread that reads back.
    bufs: Mutex<Vec<AlignedBuffer>>,
}

#[derive(Default)]
struct Waiting {
    packs: VecDeque<Id>,
    proven_bytes: u64,
}

impl ReadBack {
    /// A pack was written.
    pub(super) fn add(&self, pack: Id) {
        self.waiting().packs.push_back(pack);
    }

    /// Reads some packs back, if enough have been written since and no other thread is at it;
    /// gives it up as soon as the capture is `ending`, and leaves them for the end.
    pub(super) fn step(&self, store: &dyn Store, ending: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let Ok(mut bufs) = self.bufs.try_lock() else { return Ok(()) };
        let Some(packs) = self.due() else { return Ok(()) };
        let read = AtomicU64::new(0);
        let go_on = |bytes| {
            read.fetch_add(bytes, Ordering::Relaxed);
            if ending() { Err(Cancelled) } else { Ok(()) }
        };
        match first_wrong_pack(store, &packs, &mut bufs, &go_on) {
            Ok(None) => {
                self.waiting().proven_bytes += read.into_inner();
                Ok(())
            }
            Ok(Some(pack)) => Err(RepositoryError::StoredWrong { pack }),
            Err(RepositoryError::Cancelled) => {
                self.waiting().packs.extend(packs);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What was not read back, and the bytes that were.
    pub(super) fn take(&self) -> (BTreeSet<Id>, u64) {
        let waiting = std::mem::take(&mut *self.waiting());
        (waiting.packs.into_iter().collect(), waiting.proven_bytes)
    }

    fn due(&self) -> Option<Vec<Id>> {
        let packs = &mut self.waiting().packs;
        (packs.len() >= BEHIND + TOGETHER).then(|| packs.drain(..TOGETHER).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Valid at every step, whatever became of another thread.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{FileKind, LocalStore};

    const NEVER: &(dyn Fn() -> bool + Sync) = &|| false;

    /// A store with that many packs, all of them told about.
    fn written(count: usize) -> (tempfile::TempDir, LocalStore, ReadBack) {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::new(dir.path());
        store.create_layout().unwrap();
        let read_back = ReadBack::default();
        for number in 0..count {
            let bytes = vec![u8::try_from(number).unwrap(); 1000];
            let id = Id::of(&bytes);
            store.write(FileKind::Pack, &id.to_string(), &bytes).unwrap();
            read_back.add(id);
        }
        (dir, store, read_back)
    }

    fn first_pack(dir: &tempfile::TempDir) -> std::path::PathBuf {
        let name = Id::of(&[0; 1000]).to_string();
        dir.path().join("data").join(&name[..2]).join(name)
    }

    #[test]
    fn the_newest_are_left_for_the_end() {
        let (_dir, store, read_back) = written(BEHIND + 2 * TOGETHER);
        for _ in 0..5 {
            read_back.step(&store, NEVER).unwrap();
        }
        let (left, proven_bytes) = read_back.take();
        assert_eq!((left.len(), proven_bytes), (BEHIND, 2 * TOGETHER as u64 * 1000));
        assert!(left.contains(&Id::of(&[u8::try_from(BEHIND + 2 * TOGETHER - 1).unwrap(); 1000])));
    }

    #[test]
    fn what_was_not_kept_is_found() {
        let (dir, store, read_back) = written(BEHIND + TOGETHER);
        fs::write(first_pack(&dir), [1; 1000]).unwrap();
        let error = read_back.step(&store, NEVER).unwrap_err();
        assert!(
            matches!(error, RepositoryError::StoredWrong { pack } if pack == Id::of(&[0; 1000]))
        );
        let (dir, store, read_back) = written(BEHIND + TOGETHER);
        fs::remove_file(first_pack(&dir)).unwrap();
        assert!(read_back.step(&store, NEVER).is_err());
    }

    #[test]
    fn what_was_given_up_is_left_for_the_end() {
        let (_dir, store, read_back) = written(BEHIND + TOGETHER);
        read_back.step(&store, &|| true).unwrap();
        let (left, proven_bytes) = read_back.take();
        assert_eq!((left.len(), proven_bytes), (BEHIND + TOGETHER, 0));
    }
}
