//! One reader, several workers: from the used blocks of a disk to stored chunks.
//!
//! The reader fills a fixed set of buffers, in disk order as long as the disk is healthy; workers
//! hash, look up, compress and encrypt. Nothing grows with the disk but the list of chunks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::bytes::{AlignedBuffer, Extent, Extents, is_zero};
use crate::image::chunks::{ChunkSize, Piece, pieces};
use crate::image::content::Slot;
use crate::image::damage::BadRange;
use crate::image::manifest::Region;
use crate::operation::error::OperationError;
use crate::operation::parallel::{join, workers};
use crate::operation::reporter::Reporter;
use crate::repository::{BlobType, BlobWriter, Id, Saver, TOGETHER};

use super::read::Chunk;
use super::rescue::{Feed, Medium, Rescue, RescueOptions};
use super::zeros;

/// A filled buffer on its way to a worker.
struct Job {
    slot: usize,
    used: u64,
    buffer: AlignedBuffer,
}

/// A chunk whose name is known, on its way to whoever stores it.
struct Named {
    job: Job,
    id: Id,
}

/// A worker's ends of the pipeline.
struct Ends {
    jobs: Receiver<Vec<Job>>,
    /// Has room for all chunks there are.
    named_in: Sender<Named>,
    named_out: Receiver<Named>,
    empty: Sender<AlignedBuffer>,
}

/// What a run of the pipeline stored.
pub(super) struct Stored {
    /// The disk from first to last byte.
    pub(super) slots: Vec<Slot>,
    /// Used bytes read.
    pub(super) read: u64,
    /// Bytes of chunks the repository already had.
    pub(super) reused: u64,
    /// Bytes that could not be read and are stored as zeros.
    pub(super) unreadable: Vec<BadRange>,
    /// Why the map file is not what it should be.
    pub(super) map_problem: Option<String>,
}

/// What the pipeline works on.
pub(super) struct Input<'a> {
    pub(super) medium: &'a dyn Medium,
    pub(super) rescue: &'a RescueOptions,
    pub(super) sector_size: u32,
    pub(super) regions: &'a [Region],
    /// The bytes to read of each region; what else is stored of it are holes of an image file.
    pub(super) reads: &'a [Extents],
    pub(super) chunk_size: ChunkSize,
    pub(super) saver: &'a Saver<'a>,
    pub(super) zstd_level: i32,
    pub(super) reporter: &'a Reporter<'a>,
}

/// What one worker did.
#[derive(Default)]
struct Worked {
    blobs: Vec<(usize, Id)>,
    reused: u64,
}

/// Stores the used chunks of all regions.
pub(super) fn run(input: &Input<'_>) -> Result<Stored, OperationError> {
    let workers = workers();
    // Workers get chunks in batches, to hash them together: a batch for each worker and one that is
    // being filled, which takes far less time than hashing one.
    let depth = (workers + 1) * TOGETHER;
    let (full_in, full_out) = bounded::<Vec<Job>>(workers);
    let (named_in, named_out) = bounded::<Named>(depth);
    let (empty_in, empty_out) = bounded::<AlignedBuffer>(depth);
    for _ in 0..depth {
        // Capacity only; the first use of each buffer sizes it.
        let _ = empty_in.try_send(AlignedBuffer::default());
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let ends = Ends {
                    jobs: full_out.clone(),
                    named_in: named_in.clone(),
                    named_out: named_out.clone(),
                    empty: empty_in.clone(),
                };
                scope.spawn(|| stop_on_error(&stop, work(input, ends)))
            })
            .collect();
        drop((full_out, named_in, named_out, empty_in));
        let mut jobs = Jobs {
            full: full_in,
            empty: empty_out,
            batch: Vec::with_capacity(TOGETHER),
            spare: Vec::new(),
            stop: &stop,
            reporter: input.reporter,
            read: 0,
            was_zero: false,
        };
        let read = stop_on_error(&stop, read(input, &mut jobs));
        drop(jobs);
        let worked: Result<Vec<_>, _> = handles.into_iter().map(join).collect();
        let worked = worked?;
        let mut stored = read?;
        for worked in worked {
            stored.reused += worked.reused;
            for (slot, id) in worked.blobs {
                if let Some(slot) = stored.slots.get_mut(slot) {
                    slot.blob = Some(id);
                }
            }
        }
        Ok(stored)
    })
}

fn stop_on_error<T>(
    stop: &AtomicBool,
    result: Result<T, OperationError>,
) -> Result<T, OperationError> {
    if result.is_err() {
        stop.store(true, Ordering::Release);
    }
    result
}

/// The reader's end of the pipeline.
struct Jobs<'a> {
    full: Sender<Vec<Job>>,
    /// What will be sent together.
    batch: Vec<Job>,
    empty: Receiver<AlignedBuffer>,
    /// Buffers that were taken and not needed.
    spare: Vec<AlignedBuffer>,
    stop: &'a AtomicBool,
    reporter: &'a Reporter<'a>,
    /// Used bytes read so far.
    read: u64,
    /// Whether the last chunk was all zero.
    was_zero: bool,
}

/// A worker that failed has dropped its ends. It reports the cause itself; the reader's error is
/// not looked at then.
fn no_workers() -> OperationError {
    OperationError::Cancelled
}

impl Feed for Jobs<'_> {
    fn buffer(&mut self) -> Result<AlignedBuffer, OperationError> {
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

    /// Chunks of zeros need no name and no worker.
    fn send(&mut self, chunk: &Chunk<'_>, buffer: AlignedBuffer) -> Result<(), OperationError> {
        let used = chunk.used_bytes();
        self.read += used;
        self.was_zero = is_zero(&buffer);
        if self.was_zero {
            self.keep(buffer);
            return self.reporter.advance(used, 0, 0);
        }
        self.batch.push(Job { slot: chunk.slot, used, buffer });
        if self.batch.len() < TOGETHER { Ok(()) } else { self.flush() }
    }
}

impl Jobs<'_> {
    /// Sends what waits for its batch to be full.
    fn flush(&mut self) -> Result<(), OperationError> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(TOGETHER));
        self.full.send(batch).map_err(|_| no_workers())
    }
}

fn read(input: &Input<'_>, jobs: &mut Jobs<'_>) -> Result<Stored, OperationError> {
    let mut rescue = Rescue::new(input.medium, input.sector_size, input.rescue, input.reporter)?;
    let read = read_chunks(input, &mut rescue, jobs);
    if read.is_err() {
        rescue.save_map();
    }
    let bad = |region: &Region| rescue.bad(&region.used);
    Ok(Stored {
        slots: read?,
        read: jobs.read,
        reused: 0,
        unreadable: input.regions.iter().flat_map(bad).collect(),
        map_problem: rescue.map_problem(),
    })
}

fn read_chunks(
    input: &Input<'_>,
    rescue: &mut Rescue<'_>,
    jobs: &mut Jobs<'_>,
) -> Result<Vec<Slot>, OperationError> {
    let mut slots = Vec::new();
    let mut late = Vec::new();
    let mut chunks = chunks(input, &mut slots).peekable();
    while let Some(chunk) = chunks.next() {
        late.extend(put_off([chunk], rescue, jobs)?);
        if jobs.was_zero {
            let plain = std::iter::from_fn(|| chunks.next_if(|chunk| rescue.is_plain(chunk)));
            let plain = plain.take(zeros::TOGETHER).collect();
            let filled = without_zeros(input, plain, rescue, jobs)?;
            late.extend(put_off(filled, rescue, jobs)?);
        }
    }
    drop(chunks);
    rescue.finish(late, jobs)?;
    jobs.flush()?;
    Ok(slots)
}

/// All chunks of the disk in ascending order; each piece of it gets a slot as it is come to.
fn chunks<'a>(
    input: &'a Input<'_>,
    slots: &'a mut Vec<Slot>,
) -> impl Iterator<Item = Chunk<'a>> + 'a {
    let regions = input.regions.iter().zip(input.reads);
    let pieces = regions.flat_map(|(region, reads)| {
        let pieces = pieces(region.start, region.size, input.chunk_size.bytes(), reads);
        pieces.map(move |piece| (piece, reads))
    });
    pieces.filter_map(|(piece, used)| {
        let (Piece::Hole { len, .. } | Piece::Chunk { len, .. }) = piece;
        let slot = slots.len();
        slots.push(Slot { len, blob: None });
        match piece {
            Piece::Hole { .. } => None,
            Piece::Chunk { start, len } => {
                Some(Chunk { slot, range: Extent { start, end: start + len }, used })
            }
        }
    })
}

/// Reads chunks and sends them; returns those that are better read later.
fn put_off<'c>(
    chunks: impl IntoIterator<Item = Chunk<'c>>,
    rescue: &mut Rescue<'_>,
    jobs: &mut Jobs<'_>,
) -> Result<Vec<Chunk<'c>>, OperationError> {
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
    input: &Input<'_>,
    chunks: Vec<Chunk<'c>>,
    rescue: &mut Rescue<'_>,
    jobs: &mut Jobs<'_>,
) -> Result<Vec<Chunk<'c>>, OperationError> {
    let mut buffers = Vec::new();
    for _ in 0..zeros::READERS {
        buffers.push(jobs.buffer()?);
    }
    let found = zeros::find(input.medium, &chunks, &mut buffers, input.reporter)?;
    buffers.into_iter().for_each(|buffer| jobs.keep(buffer));
    if let Some(chunk) = found.failed.and_then(|index| chunks.get(index)) {
        rescue.distrust(chunk.range);
    }
    let (zero, filled): (Vec<_>, Vec<_>) =
        chunks.into_iter().zip(found.zero).partition(|(_, zero)| *zero);
    for (chunk, _) in zero {
        rescue.settled(chunk.range);
        jobs.read += chunk.range.len();
    }
    Ok(filled.into_iter().map(|(chunk, _)| chunk).collect())
}

/// A worker's life: batches are hashed as long as there are any, and between them the chunks that
/// any worker has named are stored, so that at the end none is left with more of them than others.
fn work(input: &Input<'_>, ends: Ends) -> Result<Worked, OperationError> {
    let Ends { jobs, named_in, named_out, empty } = ends;
    let mut writer = input.saver.worker()?;
    let mut worked = Worked::default();
    let mut save = |named, writer: &mut BlobWriter| {
        store(input, &named, writer, &mut worked)?;
        let _ = empty.try_send(named.job.buffer);
        Ok::<_, OperationError>(())
    };
    for jobs in jobs {
        for named in name_together(jobs, &mut writer)? {
            named_in.send(named).map_err(|_| no_workers())?;
        }
        for named in named_out.try_iter() {
            save(named, &mut writer)?;
        }
    }
    drop(named_in);
    for named in named_out {
        save(named, &mut writer)?;
    }
    writer.finish()?;
    Ok(worked)
}

/// Names some chunks.
fn name_together(
    jobs: Vec<Job>,
    writer: &mut BlobWriter,
) -> Result<impl Iterator<Item = Named>, OperationError> {
    let plains: Vec<&[u8]> = jobs.iter().map(|job| &*job.buffer).collect();
    let names = writer.name_all(&plains)?;
    Ok(jobs.into_iter().zip(names).map(|(job, id)| Named { job, id }))
}

fn store(
    input: &Input<'_>,
    Named { job, id }: &Named,
    writer: &mut BlobWriter,
    worked: &mut Worked,
) -> Result<(), OperationError> {
    let saved = writer.save(BlobType::Data, Some(*id), &job.buffer, input.zstd_level)?;
    worked.blobs.push((job.slot, *id));
    if !saved.new {
        worked.reused += job.used;
    }
    input.reporter.advance(job.used, saved.stored, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::event::{Cancel, Control, Phase};

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
