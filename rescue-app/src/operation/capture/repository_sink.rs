//! A repository, as where the chunks of a disk go: workers hash, look up, compress and encrypt.

use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::bytes::{AlignedBuffer, Extent};
use crate::image::chunks::Piece;
use crate::image::content::ChunkSlot;
use crate::progress::Reporter;
use crate::repository::{BlobType, BlobWriter, Id, PackWriter, TOGETHER};
use crate::transfer::{
    ChunkSink, ChunkWorker, DiskSource, Done, Filled, TransferError, no_workers,
};

/// Stores chunks.
pub(super) struct RepositorySink<'a> {
    pack_writer: &'a PackWriter<'a>,
    zstd_level: i32,
    reporter: &'a Reporter<'a>,
    stored: Mutex<Stored>,
}

/// What was stored.
#[derive(Default)]
struct Stored {
    /// Which piece of the disk became which blob.
    blobs: Vec<(usize, Id)>,
    /// Bytes of chunks the repository already had.
    reused: u64,
}

impl<'a> RepositorySink<'a> {
    pub(super) fn new(
        pack_writer: &'a PackWriter<'a>,
        zstd_level: i32,
        reporter: &'a Reporter<'a>,
    ) -> Self {
        Self { pack_writer, zstd_level, reporter, stored: Mutex::default() }
    }

    /// The disk from first to last byte, and the bytes of chunks the repository already had.
    pub(super) fn into_slots(self, source: &DiskSource<'_>) -> (Vec<ChunkSlot>, u64) {
        let slots = source.pieces().map(|(piece, _)| {
            let (Piece::Hole { len, .. } | Piece::Chunk { len, .. }) = piece;
            ChunkSlot { len, blob: None }
        });
        let mut slots: Vec<ChunkSlot> = slots.collect();
        let stored = self.stored.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (number, id) in stored.blobs {
            if let Some(slot) = slots.get_mut(number) {
                slot.blob = Some(id);
            }
        }
        (slots, stored.reused)
    }
}

impl ChunkSink for RepositorySink<'_> {
    fn workers(&self, count: usize) -> Result<Vec<Box<dyn ChunkWorker + '_>>, TransferError> {
        // Room for all chunks there are.
        let (named_in, named_out) = bounded((count + 1) * TOGETHER);
        let worker = |_| -> Result<Box<dyn ChunkWorker + '_>, TransferError> {
            Ok(Box::new(StoringWorker {
                sink: self,
                writer: self.pack_writer.blob_writer()?,
                named_in: named_in.clone(),
                named_out: named_out.clone(),
                stored: Stored::default(),
            }))
        };
        (0..count).map(worker).collect()
    }

    /// They need no name: the list of chunks tells them by their length.
    fn zeros(&self, _range: Extent) -> Result<(), TransferError> {
        Ok(())
    }
}

/// A chunk whose name is known, on its way to whoever stores it.
struct Named {
    chunk: Filled,
    id: Id,
}

/// Names chunks, and stores those that any worker has named between two batches, so that at the end
/// none is left with more of them than others.
pub(super) struct StoringWorker<'w> {
    sink: &'w RepositorySink<'w>,
    writer: BlobWriter,
    named_in: Sender<Named>,
    named_out: Receiver<Named>,
    stored: Stored,
}

impl ChunkWorker for StoringWorker<'_> {
    fn take(&mut self, chunks: Vec<Filled>, done: &Done<'_>) -> Result<(), TransferError> {
        let plains: Vec<&[u8]> = chunks.iter().map(|chunk| &*chunk.buffer).collect();
        let names = self.writer.name_all(&plains)?;
        for (chunk, id) in chunks.into_iter().zip(names) {
            self.named_in.send(Named { chunk, id }).map_err(|_| no_workers())?;
        }
        let Self { sink, writer, named_out, stored, .. } = self;
        for named in named_out.try_iter() {
            done(store(sink, named, writer, stored)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, done: &Done<'_>) -> Result<(), TransferError> {
        let Self { sink, mut writer, named_in, named_out, mut stored } = *self;
        drop(named_in);
        for named in named_out {
            done(store(sink, named, &mut writer, &mut stored)?);
        }
        writer.finish()?;
        let mut all = sink.stored.lock().unwrap_or_else(PoisonError::into_inner);
        all.blobs.append(&mut stored.blobs);
        all.reused += stored.reused;
        Ok(())
    }
}

/// Stores a chunk; its buffer is free then.
fn store(
    sink: &RepositorySink<'_>,
    Named { chunk, id }: Named,
    writer: &mut BlobWriter,
    stored: &mut Stored,
) -> Result<AlignedBuffer, TransferError> {
    let saved = writer.save(BlobType::Data, Some(id), &chunk.buffer, sink.zstd_level)?;
    stored.blobs.push((chunk.number, id));
    if !saved.new {
        stored.reused += chunk.used;
    }
    sink.reporter.advance(chunk.used, saved.stored, 0)?;
    Ok(chunk.buffer)
}
