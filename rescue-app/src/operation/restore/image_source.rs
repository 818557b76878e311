//! An image, as what is put on a target.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use crate::bytes::{AlignedBuffer, Extents, PAGE};
use crate::progress::{self, mixed_workers};
use crate::repository::{BlobReader, Id, IndexedRepository, TOGETHER};
use crate::transfer::{
    Again, ChunkPlace, ChunkSource, ChunkTask, Comparison, DiskSink, Put, ReadBack, Scratch,
    TransferError, tasks,
};

/// Size of the reads of packs, and the unwanted bytes between two chunks that are read along
/// rather than skipped.
const RUN_SIZE: u64 = 8 << 20;
const PACK_READ_ALONG: u64 = 256 << 10;

/// The chunks of an image that are wanted, and their places.
pub(super) struct ImageSource<'a> {
    pub(super) repo: &'a IndexedRepository,
    /// Those of one chunk beside each other.
    pub(super) places: Vec<ChunkPlace<'a>>,
}

impl ChunkSource for ImageSource<'_> {
    /// Chunks that are on the target already were read from it to know that, and are not read back.
    fn put_on<'s>(&'s self, sink: &DiskSink<'_>) -> Result<Put<'s>, TransferError> {
        let all = tasks(&self.places);
        if !sink.only_changed {
            self.write(sink, &all)?;
            return Ok(Put { places: Cow::Borrowed(&self.places), zeros: Extents::new() });
        }
        let changed = self.changed(sink, &all)?;
        self.write(sink, &changed)?;
        let places = changed.iter().flat_map(|task| task.places).copied().collect();
        Ok(Put { places: Cow::Owned(places), zeros: Extents::new() })
    }

    fn plain<'b>(
        &self,
        task: &ChunkTask<'_>,
        again: &'b mut Again,
    ) -> Result<&'b [u8], TransferError> {
        Ok(self.repo.read_blob(task.id(), &mut again.reader)?)
    }
}

impl ImageSource<'_> {
    /// Writes the tasks. Chunks are fetched in the order in which they lie in the repository; of those
    /// that turn out damaged there, other copies are tried.
    fn write(&self, sink: &DiskSink<'_>, tasks: &[ChunkTask<'_>]) -> Result<(), TransferError> {
        let mut wanted = tasks.to_vec();
        wanted.sort_unstable_by_key(ChunkTask::id);
        let plan = self.repo.plan_reads(wanted.iter().map(ChunkTask::id))?;
        let put = |id: &Id, plain: &[u8], scratch: &mut Scratch| {
            let found = wanted.binary_search_by_key(&id, ChunkTask::id).ok();
            for place in found.and_then(|at| wanted.get(at)).into_iter().flat_map(|it| it.places) {
                sink.put(place, plain, place.used_bytes(), scratch)?;
            }
            Ok::<_, TransferError>(())
        };
        let runs = plan.runs(RUN_SIZE, PACK_READ_ALONG);
        progress::for_each(mixed_workers(), runs, Buffers::new, |run, buffers| {
            let Buffers { reader, sealed, plain: copy, scratch } = buffers;
            let read = self.repo.read_run(&run, sealed).is_ok();
            let mut damaged = Vec::new();
            for (id, location) in &run.blobs {
                let sealed = run.sealed(sealed, location).filter(|_| read);
                let opened = sealed.map(|sealed| self.repo.open_blob(id, location, sealed, reader));
                match opened {
                    Some(Ok(plain)) => put(id, aligned(plain, copy), scratch)?,
                    _ => damaged.push(id),
                }
            }
            for id in damaged {
                put(id, aligned(self.repo.read_blob(id, reader)?, copy), scratch)?;
            }
            Ok(())
        })
    }

    /// The tasks that the target does not hold yet.
    fn changed<'t>(
        &self,
        sink: &DiskSink<'_>,
        tasks: &[ChunkTask<'t>],
    ) -> Result<Vec<ChunkTask<'t>>, TransferError> {
        // Deferred bytes were wiped, so a chunk that reaches into them is always fetched.
        let (mut wanted, there): (Vec<ChunkTask<'_>>, Vec<ChunkTask<'_>>) =
            tasks.iter().partition(|task| sink.is_deferred(task));
        let missing = Mutex::new(Vec::new());
        let now = ReadBack { source: self, sink };
        let there = there.chunks(TOGETHER);
        progress::for_each(mixed_workers(), there, Comparison::new, |tasks, scratch| {
            let mut held = [true; TOGETHER];
            now.compare(tasks, scratch, |number, _, holds| {
                held[number] &= holds;
                Ok(())
            })?;
            for (task, held) in tasks.iter().zip(held) {
                match held {
                    true => sink.reporter.advance(task.bytes(), 0, task.bytes())?,
                    false => missing.lock().unwrap_or_else(PoisonError::into_inner).push(*task),
                }
            }
            Ok(())
        })?;
        wanted.append(&mut missing.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(wanted)
    }
}

/// Buffers of one thread.
struct Buffers {
    reader: BlobReader,
    sealed: AlignedBuffer,
    plain: AlignedBuffer,
    scratch: Scratch,
}

impl Buffers {
    fn new() -> Result<Self, TransferError> {
        Ok(Self {
            reader: BlobReader::new()?,
            sealed: AlignedBuffer::default(),
            plain: AlignedBuffer::default(),
            scratch: Scratch::default(),
        })
    }
}

/// The bytes where a device can take them from: a chunk stored without compression lies in the
/// middle of its pack, at no particular place in memory.
fn aligned<'b>(plain: &'b [u8], copy: &'b mut AlignedBuffer) -> &'b [u8] {
    if plain.as_ptr().align_offset(PAGE) == 0 {
        return plain;
    }
    copy.set_len(plain.len());
    copy.copy_from_slice(plain);
    copy
}
