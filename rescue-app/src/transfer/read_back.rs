//! Reading a target back, and comparing it with what was put there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::TransferError;
use crate::bytes::{AlignedBuffer, Extents, ReadAt, is_same};
use crate::progress::{self, mixed_workers};
use crate::repository::{Id, TOGETHER};

use super::disk_sink::DiskSink;
use super::tasks::{ChunkPlace, ChunkTask};
use super::{Again, ChunkSource};

/// Unused stretches of a chunk up to this size are read from the target along with what is around
/// them: one large transfer costs less than two small ones.
const READ_ALONG: u64 = 128 << 10;

/// Zeros that are compared at once, bytes.
const ZEROS: usize = 4 << 20;

/// Bytes that a read-back found different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    pub(crate) bytes: u64,
    pub(crate) first: Option<u64>,
}

/// A target that is held against what was put on it.
pub(crate) struct ReadBack<'a> {
    pub(crate) source: &'a dyn ChunkSource,
    pub(crate) sink: &'a DiskSink<'a>,
}

/// Buffers of one thread that compares.
pub(crate) struct Comparison {
    bufs: Vec<AlignedBuffer>,
    part: AlignedBuffer,
    again: Again,
}

impl Comparison {
    pub(crate) fn new() -> Result<Self, TransferError> {
        let mut bufs = Vec::new();
        bufs.resize_with(TOGETHER, AlignedBuffer::default);
        Ok(Self { bufs, part: AlignedBuffer::default(), again: Again::new()? })
    }
}

impl ReadBack<'_> {
    /// Compares the tasks with what the target now holds; `zeros` of it have to be zero.
    pub(crate) fn all(
        &self,
        tasks: &[ChunkTask<'_>],
        zeros: &Extents,
    ) -> Result<Differences, TransferError> {
        let found = SharedDifferences::default();
        let tasks = tasks.chunks(TOGETHER);
        progress::for_each(mixed_workers(), tasks, Comparison::new, |tasks, scratch| {
            self.compare(tasks, scratch, |_, place, holds| {
                if !holds {
                    let at = place.runs().next().map_or(0, |(at, _)| at);
                    found.differs(at, place.used_bytes());
                }
                Ok(self.sink.reporter.advance(place.used_bytes(), 0, 0)?)
            })
        })?;
        let pieces = zeros.iter().flat_map(|range| {
            let starts = (range.start..range.end).step_by(ZEROS);
            starts.map(move |start| (start, range.end.min(start + ZEROS as u64)))
        });
        progress::for_each(
            mixed_workers(),
            pieces,
            || Ok::<_, TransferError>(AlignedBuffer::default()),
            |(start, end), buffer| {
                buffer.set_len(usize::try_from(end - start).unwrap_or(ZEROS));
                self.sink.target.read_at(start, buffer).map_err(|error| reading(start, error))?;
                self.sink.deferred.substitute(start, buffer);
                if let Some(other) = buffer.iter().position(|byte| *byte != 0) {
                    found.differs(start + other as u64, end - start);
                }
                Ok(self.sink.reporter.advance(end - start, 0, 0)?)
            },
        )?;
        Ok(found.into_differences())
    }

    /// The byte that differs in the place that [`Self::all`] found different, whose used bytes begin
    /// at `at`. The place is read once more; when it turns out right this time, its begin has to do.
    pub(crate) fn pinpoint(&self, tasks: &[ChunkTask<'_>], at: u64) -> Result<u64, TransferError> {
        let begins_there =
            |place: &&ChunkPlace<'_>| place.runs().next().is_some_and(|(begin, _)| begin == at);
        let mut found =
            tasks.iter().filter_map(|task| Some((task, task.places.iter().find(begins_there)?)));
        let Some((task, place)) = found.next() else { return Ok(at) };
        let mut again = Again::new()?;
        let plain = self.source.plain(task, &mut again)?;
        let exactly = self.difference(place, plain, &mut AlignedBuffer::default())?;
        Ok(exactly.unwrap_or(at))
    }

    /// Tells of every place of the tasks whether the target holds the chunk there, the unused bytes
    /// taken as zero; `each` gets the number of the task among those given.
    pub(crate) fn compare(
        &self,
        tasks: &[ChunkTask<'_>],
        scratch: &mut Comparison,
        mut each: impl FnMut(usize, &ChunkPlace<'_>, bool) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let Comparison { bufs, part, again } = scratch;
        let (in_parts, numbered): (Vec<_>, Vec<_>) =
            tasks.iter().enumerate().partition(|(_, task)| task.in_parts());
        for (number, task) in in_parts {
            let plain = self.source.plain(task, again)?;
            for place in task.places {
                each(number, place, self.difference(place, plain, part)?.is_none())?;
            }
        }
        let numbered = numbered.into_iter();
        let places: Vec<_> = numbered
            .flat_map(|(number, task)| task.places.iter().map(move |place| (number, task, place)))
            .collect();
        for places in places.chunks(TOGETHER) {
            for ((_, task, place), buf) in places.iter().zip(bufs.iter_mut()) {
                self.load(place, task.len(), buf)?;
            }
            let found = bufs.iter().take(places.len()).map(|buf| &**buf).collect::<Vec<_>>();
            for ((number, task, place), id) in places.iter().zip(Id::of_all(&found)) {
                each(*number, place, id == *task.id())?;
            }
        }
        Ok(())
    }

    /// The first used byte of a place where the target holds another than the chunk.
    fn difference(
        &self,
        place: &ChunkPlace<'_>,
        plain: &[u8],
        current: &mut AlignedBuffer,
    ) -> Result<Option<u64>, TransferError> {
        for (at, range) in place.runs() {
            current.set_len(range.len());
            self.sink.target.read_at(at, current).map_err(|error| reading(at, error))?;
            self.sink.deferred.substitute(at, current);
            let wanted = plain.get(range).ok_or_else(bad_range)?;
            if !is_same(wanted, current) {
                return Ok(Some(at + first_difference(wanted, current)));
            }
        }
        Ok(None)
    }

    /// Reads what the target holds at a chunk's place, zero where the chunk is unused.
    fn load(
        &self,
        place: &ChunkPlace<'_>,
        len: usize,
        current: &mut AlignedBuffer,
    ) -> Result<(), TransferError> {
        current.set_len(len);
        for (at, range) in place.spans(READ_ALONG) {
            let part = current.get_mut(range).ok_or_else(bad_range)?;
            self.sink.target.read_at(at, part).map_err(|error| reading(at, error))?;
        }
        let mut zeroed_to = 0;
        for (at, range) in place.runs() {
            current.get_mut(zeroed_to..range.start).ok_or_else(bad_range)?.fill(0);
            zeroed_to = range.end;
            let part = current.get_mut(range).ok_or_else(bad_range)?;
            self.sink.deferred.substitute(at, part);
        }
        current.get_mut(zeroed_to..).ok_or_else(bad_range)?.fill(0);
        Ok(())
    }
}

/// What several threads found different.
#[derive(Default)]
struct SharedDifferences {
    bytes: AtomicU64,
    first: Mutex<Option<u64>>,
}

impl SharedDifferences {
    fn differs(&self, at: u64, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(first.map_or(at, |first| first.min(at)));
    }

    fn into_differences(self) -> Differences {
        let first = self.first.into_inner().unwrap_or_else(PoisonError::into_inner);
        Differences { bytes: self.bytes.into_inner(), first }
    }
}

/// How many bytes are the same before the first that is not.
pub(crate) fn first_difference(wanted: &[u8], found: &[u8]) -> u64 {
    wanted.iter().zip(found).take_while(|(wanted, found)| wanted == found).count() as u64
}

/// For a map that does not fit its chunk.
pub(super) fn bad_range() -> TransferError {
    TransferError::io("a used block outside its chunk", std::io::ErrorKind::InvalidData.into())
}

/// For a read that failed.
pub(crate) fn reading(at: u64, error: std::io::Error) -> TransferError {
    TransferError::io(format!("reading the target at byte {at}"), error)
}
