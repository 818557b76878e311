//! One reader, several workers: the used blocks of a disk as chunks.
//!
//! The reader fills a fixed set of buffers, in disk order as long as the disk is healthy; workers
//! do with them what the [`ChunkSink`] is for. Nothing grows with the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::TransferError;
use crate::bytes::{AlignedBuffer, Extent, Extents, is_zero};
use crate::image::chunks::{ChunkSize, Piece, pieces};
use crate::image::damage::BadRange;
use crate::image::manifest::Region;
use crate::progress::{Reporter, join, workers};
use crate::repository::TOGETHER;

use super::chunk::Chunk;
use super::rescue::{Feed, Medium, Rescue, RescueOptions};
use super::zeros;

/// A chunk that was read.
pub(crate) struct Filled {
    /// Which of [`DiskSource::pieces`] it is.
    pub(crate) number: usize,
    /// Its first byte on the disk.
    pub(crate) start: u64,
    /// Number of used bytes that were read of it.
    pub(crate) used: u64,
    /// All of it, zero where nothing is used.
    pub(crate) buffer: AlignedBuffer,
}

/// Where the chunks of a disk go, in any order.
pub(crate) trait ChunkSink: Sync {
    /// What so many threads work with.
    fn workers(&self, count: usize) -> Result<Vec<Box<dyn ChunkWorker + '_>>, TransferError>;

    /// Bytes of the disk that are zero, or that nothing uses.
    fn zeros(&self, range: Extent) -> Result<(), TransferError>;
}

/// Takes back a buffer that is not needed any more.
pub(crate) type Done<'a> = dyn Fn(AlignedBuffer) + 'a;

/// A thread's share of a [`ChunkSink`].
pub(crate) trait ChunkWorker: Send {
    /// Takes some chunks, to hash them together; a buffer that is not needed any more goes back by
    /// `done`.
    fn take(&mut self, chunks: Vec<Filled>, done: &Done<'_>) -> Result<(), TransferError>;

    /// There are no more.
    fn finish(self: Box<Self>, done: &Done<'_>) -> Result<(), TransferError>;
}

/// What is known of a disk after it was read.
#[derive(Default)]
pub(crate) struct Read {
    /// Used bytes read.
    pub(crate) bytes: u64,
    /// Bytes that could not be read and count as zeros.
    pub(crate) unreadable: Vec<BadRange>,
    /// Why the map file is not what it should be.
    pub(crate) map_problem: Option<String>,
}

/// A disk that is read, and how.
pub(crate) struct DiskSource<'a> {
    pub(crate) medium: &'a dyn Medium,
    pub(crate) rescue: &'a RescueOptions,
    pub(crate) sector_size: u32,
    pub(crate) regions: &'a [Region],
    /// The bytes to read of each region; what else is used of it are holes of an image file.
    pub(crate) reads: &'a [Extents],
    pub(crate) chunk_size: ChunkSize,
}

impl DiskSource<'_> {
    /// The disk from first to last byte; each with the bytes that are read of its region.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (Piece, &Extents)> {
        self.regions.iter().zip(self.reads).flat_map(|(region, reads)| {
            let pieces = pieces(region.start, region.size, self.chunk_size.bytes(), reads);
            pieces.map(move |piece| (piece, reads))
        })
    }

    /// The chunks in ascending order.
    fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.pieces().enumerate().filter_map(|(slot, (piece, used))| match piece {
            Piece::Hole { .. } => None,
            Piece::Chunk { start, len } => {
                Some(Chunk { slot, range: Extent { start, end: start + len }, used })
            }
        })
    }

    /// Reads all used chunks, and hands them to `sink`.
    pub(crate) fn feed<S: ChunkSink>(
        &self,
        sink: &S,
        reporter: &Reporter<'_>,
    ) -> Result<Read, TransferError> {
        let workers = sink.workers(workers())?;
        // Workers get chunks in batches, to hash them together: a batch for each worker and one that
        // is being filled, which takes far less time than hashing one.
        let depth = (workers.len() + 1) * TOGETHER;
        let (full_in, full_out) = bounded::<Vec<Filled>>(workers.len());
        let (empty_in, empty_out) = bounded::<AlignedBuffer>(depth);
        for _ in 0..depth {
            // Capacity only; the first use of each buffer sizes it.
            let _ = empty_in.try_send(AlignedBuffer::default());
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let spawn = |worker| {
                let (full, empty, stop) = (full_out.clone(), empty_in.clone(), &stop);
                scope.spawn(move || stop_on_error(stop, work(worker, &full, &empty)))
            };
            let handles: Vec<_> = workers.into_iter().map(spawn).collect();
            drop((full_out, empty_in));
            let mut jobs = Jobs {
                full: full_in,
                empty: empty_out,
                batch: Vec::with_capacity(TOGETHER),
                spare: Vec::new(),
                zeros: &|range| sink.zeros(range),
                stop: &stop,
                reporter,
                read: 0,
                was_zero: false,
            };
            let read = stop_on_error(&stop, self.read(&mut jobs));
            drop(jobs);
            handles.into_iter().try_for_each(join)?;
            read
        })
    }

    fn read(&self, jobs: &mut Jobs<'_>) -> Result<Read, TransferError> {
        let mut rescue = Rescue::new(self.medium, self.sector_size, self.rescue, jobs.reporter)?;
        self.read_chunks(&mut rescue, jobs).inspect_err(|_| rescue.save_map())?;
        let bad = |region: &Region| rescue.bad(&region.used);
        Ok(Read {
            bytes: jobs.read,
            unreadable: self.regions.iter().flat_map(bad).collect(),
            map_problem: rescue.map_problem(),
        })
    }

    fn read_chunks(
        &self,
        rescue: &mut Rescue<'_>,
        jobs: &mut Jobs<'_>,
    ) -> Result<(), TransferError> {
        let mut late = Vec::new();
        let mut chunks = self.chunks().peekable();
        while let Some(chunk) = chunks.next() {
            late.extend(put_off([chunk], rescue, jobs)?);
            if jobs.was_zero {
                let plain = std::iter::from_fn(|| chunks.next_if(|chunk| rescue.is_plain(chunk)));
                let plain = plain.take(zeros::TOGETHER).collect();
                let filled = without_zeros(self.medium, plain, rescue, jobs)?;
                late.extend(put_off(filled, rescue, jobs)?);
            }
        }
        rescue.finish(late, jobs)?;
        jobs.flush()?;
        for (piece, _) in self.pieces() {
            if let Piece::Hole { start, len } = piece {
                (jobs.zeros)(Extent { start, end: start + len })?;
            }
        }
        Ok(())
    }
}

/// A worker's life.
fn work(
    mut worker: Box<dyn ChunkWorker + '_>,
    full: &Receiver<Vec<Filled>>,
    empty: &Sender<AlignedBuffer>,
) -> Result<(), TransferError> {
    let done = |buffer| {
        let _ = empty.try_send(buffer);
    };
    for chunks in full {
        worker.take(chunks, &done)?;
    }
    worker.finish(&done)
}

fn stop_on_error<T>(
    stop: &AtomicBool,
    result: Result<T, TransferError>,
) -> Result<T, TransferError> {
    if result.is_err() {
        stop.store(true, Ordering::Release);
    }
    result
}

/// The reader's end of the pipeline.
struct Jobs<'a> {
    full: Sender<Vec<Filled>>,
    /// What will be sent together.
    batch: Vec<Filled>,
    empty: Receiver<AlignedBuffer>,
    /// Buffers that were taken and not needed.
    spare: Vec<AlignedBuffer>,
    /// Takes ranges of zeros.
    zeros: &'a dyn Fn(Extent) -> Result<(), TransferError>,
    stop: &'a AtomicBool,
    reporter: &'a Reporter<'a>,
    /// Used bytes read so far.
    read: u64,
    /// Whether the last chunk was all zero.
    was_zero: bool,
}

/// A worker that failed has dropped its ends. It reports the cause itself; the reader's error is
/// not looked at then.
pub(crate) fn no_workers() -> TransferError {
    TransferError::Cancelled
}

impl Feed for Jobs<'_> {
    fn buffer(&mut self) -> Result<AlignedBuffer, TransferError> {
        if self.stop.load(Ordering::Acquire) {
            return Err(no_workers());
        }
        match self.spare.pop() {
            Some(buffer) => Ok(buffer),
            None => self.empty.recv().map_err(|_| no_workers()),
        }
    }

    /// Of the buffers that came from the pool no more are out at once. Others, of chunks that were
    /// put together from pieces, are not needed.
    fn keep(&mut self, buffer: AlignedBuffer) {
        if self.spare.len() < zeros::READERS {
            self.spare.push(buffer);
        }
    }

    /// Chunks of zeros need no worker.
    fn send(&mut self, chunk: &Chunk<'_>, buffer: AlignedBuffer) -> Result<(), TransferError> {
        let used = chunk.used_bytes();
        self.read += used;
        self.was_zero = is_zero(&buffer);
        if self.was_zero {
            self.keep(buffer);
            (self.zeros)(chunk.range)?;
            return Ok(self.reporter.advance(used, 0, 0)?);
        }
        let (number, start) = (chunk.slot, chunk.range.start);
        self.batch.push(Filled { number, start, used, buffer });
        if self.batch.len() < TOGETHER { Ok(()) } else { self.flush() }
    }
}

impl Jobs<'_> {
    /// Sends what waits for its batch to be full.
    fn flush(&mut self) -> Result<(), TransferError> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(TOGETHER));
        self.full.send(batch).map_err(|_| no_workers())
    }
}

/// Reads chunks and sends them; returns those that are better read later.
fn put_off<'c>(
    chunks: impl IntoIterator<Item = Chunk<'c>>,
    rescue: &mut Rescue<'_>,
    jobs: &mut Jobs<'_>,
) -> Result<Vec<Chunk<'c>>, TransferError> {
    let mut late = Vec::new();
    for chunk in chunks {
        if !rescue.offer(&chunk, jobs)? {
            late.push(chunk);
        }
    }
    Ok(late)
}

/// Settles those of some chunks that are zero; returns the others.
fn without_zeros<'c>(
    medium: &dyn Medium,
    chunks: Vec<Chunk<'c>>,
    rescue: &mut Rescue<'_>,
    jobs: &mut Jobs<'_>,
) -> Result<Vec<Chunk<'c>>, TransferError> {
    let mut buffers = Vec::new();
    for _ in 0..zeros::READERS {
        buffers.push(jobs.buffer()?);
    }
    let found = zeros::find(medium, &chunks, &mut buffers, jobs.reporter)?;
    buffers.into_iter().for_each(|buffer| jobs.keep(buffer));
    if let Some(chunk) = found.failed.and_then(|index| chunks.get(index)) {
        rescue.distrust(chunk.range);
    }
    let (zero, filled): (Vec<_>, Vec<_>) =
        chunks.into_iter().zip(found.zero).partition(|(_, zero)| *zero);
    for (chunk, _) in zero {
        rescue.settled(chunk.range);
        (jobs.zeros)(chunk.range)?;
        jobs.read += chunk.range.len();
    }
    Ok(filled.into_iter().map(|(chunk, _)| chunk).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Cancel, Control, Phase};

    #[test]
    fn buffers_of_zero_chunks_that_are_nobody_s_are_not_collected() {
        let (full, _jobs) = bounded(1);
        let (_empty, empty) = bounded(1);
        let (stop, cancel) = (AtomicBool::new(false), Cancel::new());
        let control = Control { sink: &|_| (), cancel: &cancel, resume: None };
        let reporter = Reporter::start(control, Phase::Capturing, 100 << 12, 0);
        let mut jobs = Jobs {
            full,
            batch: Vec::new(),
            empty,
            spare: Vec::new(),
            zeros: &|_| Ok(()),
            stop: &stop,
            reporter: &reporter,
            read: 0,
            was_zero: false,
        };
        let used = Extents::of(0, 100 << 12);
        for slot in 0..100 {
            let start = slot as u64 * 4096;
            let chunk = Chunk { slot, range: Extent { start, end: start + 4096 }, used: &used };
            let mut buffer = AlignedBuffer::default();
            chunk.size(&mut buffer).unwrap();
            jobs.send(&chunk, buffer).unwrap();
        }
        assert_eq!((jobs.read, jobs.spare.len()), (100 << 12, zeros::READERS));
    }
}
