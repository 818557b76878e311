//! A captured disk read like a disk.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::bytes::ReadAt;
use crate::repository::{BlobReader, Id, Repository, RepositoryError};

use super::content::Placed;

/// The `disk.img` of an image: random access, one blob cached.
pub struct DiskImage<'r> {
    repo: &'r Repository,
    placed: &'r [Placed],
    size: u64,
    cache: Mutex<Cache>,
}

struct Cache {
    id: Option<Id>,
    bytes: Vec<u8>,
    reader: BlobReader,
}

impl<'r> DiskImage<'r> {
    /// The disk whose blobs are `placed`, which must be in order and without gaps.
    ///
    /// # Errors
    /// When there is no memory for the decoder.
    pub fn new(repo: &'r Repository, placed: &'r [Placed]) -> Result<Self, RepositoryError> {
        let size = placed.last().map_or(0, |last| last.offset + last.len);
        let cache = Cache { id: None, bytes: Vec::new(), reader: BlobReader::new()? };
        Ok(Self { repo, placed, size, cache: Mutex::new(cache) })
    }

    fn read_part(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let index = self.placed.partition_point(|blob| blob.offset + blob.len <= at);
        let blob = self.placed.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut guard = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = &mut *guard;
        if cache.id != Some(blob.id) {
            cache.id = None;
            let bytes = self.repo.read_blob(&blob.id, &mut cache.reader);
            cache.bytes.clear();
            cache.bytes.extend_from_slice(bytes.map_err(io::Error::other)?);
            cache.id = Some(blob.id);
        }
        let from = usize::try_from(at - blob.offset).map_err(io::Error::other)?;
        let part = cache.bytes.get(from..).unwrap_or_default();
        let len = part.len().min(buf.len());
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        Ok(len)
    }
}

impl ReadAt for DiskImage<'_> {
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
