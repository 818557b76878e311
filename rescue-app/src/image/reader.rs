//! A captured disk read like a disk.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bytes::ReadAt;
use crate::repository::{BlobReader, Id, IndexedRepository};

use super::chunk_cache::ChunkCache;
use super::content::Placed;

/// Bytes of decoded chunks that are kept.
const CACHE: usize = 64 << 20;

/// The `disk.img` of an image: random access, by several threads at once.
pub struct ImageReader {
    repo: Arc<IndexedRepository>,
    placed: Arc<[Placed]>,
    size: u64,
    cache: ChunkCache,
    /// Decoders that nobody uses at the moment.
    idle: Mutex<Vec<BlobReader>>,
}

impl ImageReader {
    /// The disk whose blobs are `placed`, which must be in order and without gaps.
    pub fn new(repo: Arc<IndexedRepository>, placed: Arc<[Placed]>) -> Self {
        let size = placed.last().map_or(0, |last| last.offset + last.len);
        Self { repo, placed, size, cache: ChunkCache::new(CACHE), idle: Mutex::default() }
    }

    fn decode(&self, id: &Id) -> io::Result<Vec<u8>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut reader = taken.map_or_else(BlobReader::new, Ok).map_err(io::Error::other)?;
        let bytes = self.repo.read_blob(id, &mut reader).map(<[u8]>::to_vec);
        idle().push(reader);
        bytes.map_err(io::Error::other)
    }

    fn read_part(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let index = self.placed.partition_point(|blob| blob.offset + blob.len <= at);
        let blob = self.placed.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.cache.get(blob.id, || self.decode(&blob.id))?;
        let from = usize::try_from(at - blob.offset).map_err(io::Error::other)?;
        let part = bytes.get(from..).unwrap_or_default();
        let len = part.len().min(buf.len());
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        Ok(len)
    }
}

impl ReadAt for ImageReader {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let len = self.read_part(at, rest)?;
            at += len as u64;
            rest = rest.get_mut(len..).unwrap_or_default();
        }
        Ok(())
    }
}
