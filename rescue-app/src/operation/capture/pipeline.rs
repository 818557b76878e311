//! One reader, several workers: from the used blocks of a disk to stored chunks.
//!
//! The reader fills a fixed set of buffers in disk order; workers hash, look up, compress and
//! encrypt. Nothing grows with the disk but the list of chunks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::bytes::{Extents, ReadAt};
use crate::image::chunks::{CHUNK_SIZE, Piece, pieces};
use crate::image::content::Slot;
use crate::image::manifest::Region;
use crate::operation::error::OperationError;
use crate::operation::parallel::{join, workers};
use crate::operation::reporter::Reporter;
use crate::repository::{BlobType, Id, Saver};

use super::read::ChunkReader;

/// A filled buffer on its way to a worker.
struct Job {
    slot: usize,
    used: u64,
    buffer: Vec<u8>,
}

/// What a run of the pipeline stored.
pub(super) struct Stored {
    /// The disk from first to last byte.
    pub(super) slots: Vec<Slot>,
    /// Used bytes read.
    pub(super) read: u64,
    /// Bytes of chunks the repository already had.
    pub(super) reused: u64,
    /// Chunks the repository did not have.
    pub(super) new: Vec<Id>,
    /// Bytes that could not be read and are stored as zeros.
    pub(super) unreadable: Extents,
}

/// What the pipeline works on.
pub(super) struct Input<'a> {
    pub(super) source: &'a dyn ReadAt,
    pub(super) sector_size: u32,
    pub(super) regions: &'a [Region],
    pub(super) saver: &'a Saver<'a>,
    pub(super) zstd_level: i32,
    pub(super) reporter: &'a Reporter<'a>,
}

/// What one worker did.
#[derive(Default)]
struct Worked {
    blobs: Vec<(usize, Id)>,
    new: Vec<Id>,
    reused: u64,
}

/// Stores the used chunks of all regions.
pub(super) fn run(input: &Input<'_>) -> Result<Stored, OperationError> {
    let workers = workers();
    let depth = workers + 2;
    let (full_in, full_out) = bounded::<Job>(depth);
    let (empty_in, empty_out) = bounded::<Vec<u8>>(depth + workers);
    for _ in 0..depth + workers {
        // Capacity only; the first use of each buffer sizes it.
        let _ = empty_in.try_send(Vec::new());
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let (jobs, empty) = (full_out.clone(), empty_in.clone());
                scope.spawn(|| stop_on_error(&stop, work(input, jobs, empty)))
            })
            .collect();
        drop((full_out, empty_in));
        let read = stop_on_error(&stop, read(input, &stop, &full_in, &empty_out));
        drop((full_in, empty_out));
        let worked: Result<Vec<_>, _> = handles.into_iter().map(join).collect();
        let mut stored = read?;
        for worked in worked? {
            stored.reused += worked.reused;
            stored.new.extend(worked.new);
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

fn read(
    input: &Input<'_>,
    stop: &AtomicBool,
    full: &Sender<Job>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Stored, OperationError> {
    let mut stored = Stored {
        slots: Vec::new(),
        read: 0,
        reused: 0,
        new: Vec::new(),
        unreadable: Extents::new(),
    };
    let mut reader = ChunkReader::new(input.source, input.sector_size);
    for region in input.regions {
        for piece in pieces(region.start, region.size, CHUNK_SIZE, &region.used) {
            let (start, len) = match piece {
                Piece::Hole { len, .. } => {
                    stored.slots.push(Slot { len, blob: None });
                    continue;
                }
                Piece::Chunk { start, len } => (start, len),
            };
            // A worker that failed has dropped its ends and reports the cause itself.
            let (false, Ok(mut buffer)) = (stop.load(Ordering::Acquire), empty.recv()) else {
                return Ok(stored);
            };
            let used = reader.fill(start, len, &region.used, &mut buffer)?;
            let slot = stored.slots.len();
            stored.slots.push(Slot { len, blob: None });
            stored.read += used;
            if full.send(Job { slot, used, buffer }).is_err() {
                return Ok(stored);
            }
        }
    }
    stored.unreadable = reader.into_unreadable();
    Ok(stored)
}

fn work(
    input: &Input<'_>,
    jobs: Receiver<Job>,
    empty: Sender<Vec<u8>>,
) -> Result<Worked, OperationError> {
    let mut writer = input.saver.worker()?;
    let mut worked = Worked::default();
    for job in jobs {
        let mut written = 0;
        if !is_zero(&job.buffer) {
            let saved = writer.save(BlobType::Data, None, &job.buffer, input.zstd_level)?;
            worked.blobs.push((job.slot, saved.id));
            written = saved.stored;
            if saved.new {
                worked.new.push(saved.id);
            } else {
                worked.reused += job.used;
            }
        }
        input.reporter.advance(job.used, written, 0)?;
        let _ = empty.try_send(job.buffer);
    }
    writer.finish()?;
    Ok(worked)
}

/// Whether every byte is zero; most chunks that are not say so in their first block.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|block| block.iter().fold(0, |any, byte| any | byte) == 0)
}
