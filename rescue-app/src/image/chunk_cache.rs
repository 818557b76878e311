//! Decoded chunks that are kept for a while.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::repository::Id;

/// The bytes of a chunk, once they are there.
type Chunk<B> = Arc<Mutex<Option<Arc<B>>>>;

/// A cache of chunks, for several threads: whoever wants a chunk that is being decoded waits for it,
/// and for no other.
#[derive(Debug)]
pub struct ChunkCache<B> {
    /// Bytes of all chunks in it, at most; one chunk is kept whatever its size.
    limit: usize,
    kept: Mutex<Kept<B>>,
}

#[derive(Debug)]
struct Kept<B> {
    chunks: HashMap<Id, CachedChunk<B>>,
    /// Bytes of them.
    bytes: usize,
    /// Counts every use.
    clock: u64,
}

#[derive(Debug)]
struct CachedChunk<B> {
    chunk: Chunk<B>,
    bytes: usize,
    used: u64,
}

impl<B: Deref<Target = [u8]>> ChunkCache<B> {
    /// An empty one that keeps `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let kept = Kept { chunks: HashMap::new(), bytes: 0, clock: 0 };
        Self { limit, kept: Mutex::new(kept) }
    }

    /// The chunk `id`, decoded by `decode` unless it is kept.
    ///
    /// # Errors
    /// Those of `decode`; the next call tries again.
    pub fn get(&self, id: Id, decode: impl FnOnce() -> io::Result<B>) -> io::Result<Arc<B>> {
        let chunk = self.entry(id);
        let mut content = chunk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*content {
            return Ok(Arc::clone(bytes));
        }
        let bytes = Arc::new(decode()?);
        *content = Some(Arc::clone(&bytes));
        drop(content);
        self.weigh(id, bytes.len());
        Ok(bytes)
    }

    fn entry(&self, id: Id) -> Chunk<B> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let used = kept.clock;
        let new = || CachedChunk { chunk: Chunk::<B>::default(), bytes: 0, used };
        let entry = kept.chunks.entry(id).or_insert_with(new);
        entry.used = used;
        Arc::clone(&entry.chunk)
    }

    /// Takes note of the size of a chunk; those that were not used for longest make room for it.
    fn weigh(&self, id: Id, bytes: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = kept.chunks.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.bytes, bytes);
        kept.bytes = kept.bytes + bytes - before;
        while kept.bytes > self.limit && kept.chunks.len() > 1 {
            let others = kept.chunks.iter().filter(|(other, _)| **other != id);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id) else {
                return;
            };
            kept.bytes -= kept.chunks.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn id(number: u8) -> Id {
        Id::of(&[number])
    }

    fn decoded(cache: &ChunkCache<Vec<u8>>, number: u8) -> bool {
        let mut asked = false;
        let bytes = cache.get(id(number), || {
            asked = true;
            Ok(vec![number; 10])
        });
        assert_eq!(*bytes.unwrap(), [number; 10]);
        asked
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let cache = ChunkCache::new(30);
        assert!(decoded(&cache, 1) && decoded(&cache, 2) && decoded(&cache, 3));
        assert!(!decoded(&cache, 1) && !decoded(&cache, 3));
        assert!(decoded(&cache, 4));
        assert!(!decoded(&cache, 1) && !decoded(&cache, 3) && !decoded(&cache, 4));
        assert!(decoded(&cache, 2), "the one that was not used for longest");
        let small = ChunkCache::new(1);
        assert!(decoded(&small, 1));
        assert!(!decoded(&small, 1), "one is always kept");
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = ChunkCache::new(30);
        assert!(cache.get(id(1), || Err(io::ErrorKind::InvalidData.into())).is_err());
        assert!(decoded(&cache, 1));
    }

    #[test]
    fn nobody_waits_for_another_chunk_than_the_own() {
        let cache = ChunkCache::new(30);
        let (go, gone) = channel::<()>();
        let (started, begun) = channel::<()>();
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                let bytes = cache.get(id(1), move || {
                    started.send(()).unwrap();
                    gone.recv().unwrap();
                    Ok(vec![1; 10])
                });
                bytes.unwrap().len()
            });
            begun.recv().unwrap();
            assert!(decoded(&cache, 2), "while the other is being decoded");
            go.send(()).unwrap();
            assert_eq!(slow.join().unwrap(), 10);
            assert!(!decoded(&cache, 1));
        });
    }
}
