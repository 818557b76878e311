//! A disk that is written chunk by chunk.

use super::TransferError;
use crate::bytes::{AlignedBuffer, Extent, Extents, ReadAt, is_same, is_zero};
use crate::disk::Target;
use crate::progress::Reporter;

use super::deferred::DeferredWrites;
use super::read_back::{bad_range, reading};
use super::tasks::{ChunkPlace, ChunkTask};

/// Unit of comparison with `--only-changed`, bytes: what a filesystem changes at least.
const BLOCK: usize = 4096;

/// Unused stretches of a chunk up to this size are written to the target as the zeros they are in the
/// source, along with what is around them: one large transfer costs less than two small ones.
const WRITE_ALONG: u64 = 64 << 10;

/// Zeros that are written at once, bytes.
const ZEROS: usize = 4 << 20;

/// What the threads that write share.
pub(crate) struct DiskSink<'a> {
    pub(crate) target: &'a Target,
    pub(crate) deferred: &'a DeferredWrites,
    pub(crate) reporter: &'a Reporter<'a>,
    pub(crate) only_changed: bool,
    /// Whether the target is a new file, in which all that is not written is a hole.
    pub(crate) is_new: bool,
}

/// Buffers of one thread that writes.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What the target holds.
    current: AlignedBuffer,
    /// Zeros, once they are needed.
    zeros: AlignedBuffer,
}

impl DiskSink<'_> {
    /// Puts a chunk in its place, but for deferred ranges; it counts as `done` bytes of progress.
    pub(crate) fn put(
        &self,
        place: &ChunkPlace<'_>,
        plain: &[u8],
        done: u64,
        scratch: &mut Scratch,
    ) -> Result<(), TransferError> {
        let PutBytes { written, there } = put(self, place, plain, &mut scratch.current)?;
        Ok(self.reporter.advance(done, written, there)?)
    }

    /// Puts bytes in their place, but for deferred ranges.
    pub(crate) fn put_bytes(
        &self,
        at: u64,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), TransferError> {
        self.deferred.keep(at, bytes);
        let end = at + bytes.len() as u64;
        let used = self.deferred.ranges().gaps_within(at, end).total();
        let written = write_around(self, at, bytes, &mut scratch.current)?;
        Ok(self.reporter.advance(bytes.len() as u64, written, used - written)?)
    }

    /// Zeros a range, but for deferred parts of it, which are zero until the end as it is.
    pub(crate) fn zero(&self, range: Extent, scratch: &mut Scratch) -> Result<(), TransferError> {
        let Scratch { current, zeros } = scratch;
        if zeros.is_empty() {
            zeros.set_len(ZEROS);
            zeros.fill(0);
        }
        for part in self.deferred.ranges().gaps_within(range.start, range.end).iter() {
            for start in (part.start..part.end).step_by(ZEROS) {
                let len = usize::try_from(part.end - start).unwrap_or(ZEROS).min(ZEROS);
                let zeros = zeros.get(..len).ok_or_else(bad_range)?;
                let written = write_part(self, start, zeros, current)?;
                self.reporter.advance(0, written, len as u64 - written)?;
            }
        }
        Ok(())
    }

    /// Whether a task reaches into deferred ranges.
    pub(crate) fn is_deferred(&self, task: &ChunkTask<'_>) -> bool {
        task.places.iter().flat_map(ChunkPlace::runs).any(|(at, range)| {
            self.deferred.ranges().within(at, at + range.len() as u64).next().is_some()
        })
    }
}

/// What became of a chunk's used bytes outside of deferred ranges.
struct PutBytes {
    /// Bytes written.
    written: u64,
    /// Bytes that the target held already.
    there: u64,
}

/// Puts a chunk's used bytes where they belong.
fn put(
    sink: &DiskSink<'_>,
    place: &ChunkPlace<'_>,
    plain: &[u8],
    current: &mut AlignedBuffer,
) -> Result<PutBytes, TransferError> {
    let mut used = 0;
    for (at, range) in place.runs() {
        sink.deferred.keep(at, plain.get(range.clone()).ok_or_else(bad_range)?);
        used += sink.deferred.ranges().gaps_within(at, at + range.len() as u64).total();
    }
    let mut written = 0;
    for (at, range) in place.spans(if sink.only_changed { 0 } else { WRITE_ALONG }) {
        written += write_around(sink, at, plain.get(range).ok_or_else(bad_range)?, current)?;
    }
    // The unused bytes written along do not count.
    let written = written.min(used);
    Ok(PutBytes { written, there: used - written })
}

/// Writes bytes, but for deferred ranges.
fn write_around(
    sink: &DiskSink<'_>,
    at: u64,
    bytes: &[u8],
    current: &mut AlignedBuffer,
) -> Result<u64, TransferError> {
    let end = at + bytes.len() as u64;
    if sink.deferred.ranges().within(at, end).next().is_none() {
        return write_part(sink, at, bytes, current);
    }
    let mut written = 0;
    for part in sink.deferred.ranges().gaps_within(at, end).iter() {
        let from = usize::try_from(part.start - at).unwrap_or(usize::MAX);
        let to = usize::try_from(part.end - at).unwrap_or(usize::MAX);
        let bytes = bytes.get(from..to).ok_or_else(bad_range)?;
        written += write_part(sink, part.start, bytes, current)?;
    }
    Ok(written)
}

fn write_part(
    sink: &DiskSink<'_>,
    at: u64,
    bytes: &[u8],
    current: &mut AlignedBuffer,
) -> Result<u64, TransferError> {
    match sink.only_changed {
        true => write_changed(sink.target, at, bytes, current),
        false if sink.is_new && is_zero(bytes) => Ok(0),
        false => write_all(sink.target, at, bytes),
    }
}

fn write_all(target: &Target, at: u64, bytes: &[u8]) -> Result<u64, TransferError> {
    target.write_at(at, bytes).map_err(|error| writing(at, error))?;
    Ok(bytes.len() as u64)
}

/// Writes the blocks that differ from what the target holds.
fn write_changed(
    target: &Target,
    at: u64,
    bytes: &[u8],
    current: &mut AlignedBuffer,
) -> Result<u64, TransferError> {
    current.set_len(bytes.len());
    target.read_at(at, current).map_err(|error| reading(at, error))?;
    let mut changed = Extents::new();
    for (index, (new, old)) in bytes.chunks(BLOCK).zip(current.chunks(BLOCK)).enumerate() {
        if !is_same(new, old) {
            let start = (index * BLOCK) as u64;
            changed.push(start, start + new.len() as u64);
        }
    }
    for run in changed.iter() {
        let range = usize::try_from(run.start).unwrap_or(usize::MAX)
            ..usize::try_from(run.end).unwrap_or(usize::MAX);
        write_all(target, at + run.start, bytes.get(range).ok_or_else(bad_range)?)?;
    }
    Ok(changed.total())
}

/// For a write that failed.
pub(crate) fn writing(at: u64, error: std::io::Error) -> TransferError {
    TransferError::io(format!("writing the target at byte {at}"), error)
}
