//! A captured disk read like a disk.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bytes::{AlignedBuffer, ReadAt};
use crate::repository::{BlobReader, Id, IndexedRepository};

use super::chunk_cache::ChunkCache;
use super::content::Placed;

/// Bytes of decoded chunks that are kept.
pub(super) const CACHE: usize = 64 << 20;

/// The `disk.img` of an image: random access, by several threads at once.
pub struct ImageReader {
    repo: Arc<IndexedRepository>,
    placed: Arc<[Placed]>,
    size: u64,
    cache: ChunkCache<AlignedBuffer>,
    /// Decoders that nobody uses at the moment.
    idle: Mutex<Vec<BlobReader>>,
}

impl ImageReader {
    /// The disk whose blobs are `placed`, which must be in order and without gaps.
    pub fn new(repo: Arc<IndexedRepository>, placed: Arc<[Placed]>) -> Self {
        let size = placed.last().map_or(0, |last| last.offset + last.len);
        Self { repo, placed, size, cache: ChunkCache::new(CACHE), idle: Mutex::default() }
    }

    /// Decodes a blob, so that it is there when it is read.
    ///
    /// # Errors
    /// Those of reading it.
    pub(super) fn prefetch(&self, number: usize) -> io::Result<()> {
        let Some(blob) = self.placed.get(number) else { return Ok(()) };
        self.cache.get(blob.id, || self.decode(&blob.id)).map(|_| ())
    }

    /// The blobs that begin in `start..end`: the number and the end of each.
    pub(super) fn blobs_from(
        &self,
        start: u64,
        end: u64,
    ) -> impl Iterator<Item = (usize, u64)> + '_ {
        let first = self.placed.partition_point(|blob| blob.offset < start);
        let within = self.placed.iter().enumerate().skip(first);
        let within = within.take_while(move |(_, blob)| blob.offset < end);
        within.map(|(number, blob)| (number, blob.offset + blob.len))
    }

    fn decode(&self, id: &Id) -> io::Result<AlignedBuffer> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut reader = taken.map_or_else(BlobReader::new, Ok).map_err(io::Error::other)?;
        let bytes = self.repo.read_blob_to_keep(id, &mut reader);
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
        match (buf.get_mut(..len), part.get(..len)) {
            (Some(to), Some(part)) if len > 0 => to.copy_from_slice(part),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
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
