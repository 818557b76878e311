//! A disk, as what is put on another one.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::TransferError;
use crate::bytes::{Extent, Extents};
use crate::image::content::Placed;
use crate::repository::Id;

use super::disk_sink::{DiskSink, Scratch};
use super::disk_source::{ChunkSink, ChunkWorker, DiskSource, Done, Filled, Read};
use super::read_back::bad_range;
use super::tasks::{self, ChunkPlace, ChunkTask};
use super::{Again, ChunkSource, Put, Transfer};

/// What of a disk goes where on another one.
pub(crate) struct DiskCopy<'a> {
    source: DiskSource<'a>,
    transfers: &'a [Transfer],
    read: OnceLock<Read>,
}

impl<'a> DiskCopy<'a> {
    pub(crate) fn new(source: DiskSource<'a>, transfers: &'a [Transfer]) -> Self {
        Self { source, transfers, read: OnceLock::new() }
    }

    /// What is known of the disk after it was read.
    pub(crate) fn into_read(self) -> Read {
        self.read.into_inner().unwrap_or_default()
    }

    /// What of a range of the disk is used, as ranges of the target.
    fn used_on_target(&self, range: Extent) -> impl Iterator<Item = Extent> + '_ {
        self.transfers.iter().flat_map(move |transfer| {
            let used = transfer.used.within(range.start, range.end);
            used.map(|part| transfer.on_target(part))
        })
    }
}

impl ChunkSource for DiskCopy<'_> {
    fn put_on<'s>(&'s self, sink: &DiskSink<'_>) -> Result<Put<'s>, TransferError> {
        let copying =
            Copying { copy: self, sink, placed: Mutex::default(), zeros: Mutex::default() };
        let read = self.source.feed(&copying, sink.reporter)?;
        let _ = self.read.set(read);
        let mut placed = copying.placed.into_inner().unwrap_or_else(PoisonError::into_inner);
        placed.sort_unstable_by_key(|chunk| chunk.offset);
        let zeros = copying.zeros.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Put {
            places: Cow::Owned(tasks::places(&placed, self.transfers)),
            zeros: Extents::from(zeros.ranges),
        })
    }

    fn plain<'b>(
        &self,
        task: &ChunkTask<'_>,
        again: &'b mut Again,
    ) -> Result<&'b [u8], TransferError> {
        let (start, buffer) = (task.offset(), &mut again.buffer);
        buffer.set_len(task.len());
        buffer.fill(0);
        let medium = self.source.medium;
        let end = start + task.len() as u64;
        for part in self.source.reads.iter().flat_map(|reads| reads.within(start, end)) {
            let at = |byte: u64| usize::try_from(byte - start).unwrap_or(usize::MAX);
            let into = buffer.get_mut(at(part.start)..at(part.end)).ok_or_else(bad_range)?;
            let read = medium.read(part.start, into);
            read.map_err(|error| TransferError::io("reading the source again", error))?;
        }
        Ok(buffer)
    }
}

/// A disk that is being written from another one.
struct Copying<'a> {
    copy: &'a DiskCopy<'a>,
    sink: &'a DiskSink<'a>,
    /// The chunks that were written, by their hashes.
    placed: Mutex<Vec<Placed>>,
    zeros: Mutex<Zeros>,
}

/// What was zeroed.
#[derive(Default)]
struct Zeros {
    /// Ranges of the target, first byte and length.
    ranges: Vec<(u64, u64)>,
    scratch: Scratch,
}

impl ChunkSink for Copying<'_> {
    fn workers(&self, count: usize) -> Result<Vec<Box<dyn ChunkWorker + '_>>, TransferError> {
        let worker = |_| -> Box<dyn ChunkWorker + '_> {
            let scratch = Scratch::default();
            Box::new(CopyingWorker { all: self, scratch, placed: Vec::new() })
        };
        Ok((0..count).map(worker).collect())
    }

    fn zeros(&self, range: Extent) -> Result<(), TransferError> {
        let mut zeros = self.zeros.lock().unwrap_or_else(PoisonError::into_inner);
        for part in self.copy.used_on_target(range) {
            self.sink.zero(part, &mut zeros.scratch)?;
            zeros.ranges.push((part.start, part.len()));
        }
        Ok(())
    }
}

/// Hashes chunks and writes them.
struct CopyingWorker<'w> {
    all: &'w Copying<'w>,
    scratch: Scratch,
    placed: Vec<Placed>,
}

impl ChunkWorker for CopyingWorker<'_> {
    fn take(&mut self, chunks: Vec<Filled>, done: &Done<'_>) -> Result<(), TransferError> {
        let plains: Vec<&[u8]> = chunks.iter().map(|chunk| &*chunk.buffer).collect();
        let ids = Id::of_all(&plains);
        for (chunk, id) in chunks.into_iter().zip(ids) {
            let placed = Placed { offset: chunk.start, len: chunk.buffer.len() as u64, id };
            if let Some(place) = ChunkPlace::find(placed, self.all.copy.transfers) {
                self.all.sink.put(&place, &chunk.buffer, chunk.used, &mut self.scratch)?;
            }
            self.placed.push(placed);
            done(chunk.buffer);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _done: &Done<'_>) -> Result<(), TransferError> {
        let mut placed = self.all.placed.lock().unwrap_or_else(PoisonError::into_inner);
        placed.append(&mut self.placed);
        Ok(())
    }
}
