//! Putting chunks on the target and reading them back, by several threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::bytes::{AlignedBuffer, Extents, PAGE, ReadAt, is_zero};
use crate::disk::Target;
use crate::operation::error::OperationError;
use crate::operation::parallel;
use crate::operation::reporter::Reporter;
use crate::repository::{BlobReader, Id, Repository, TOGETHER};

use super::reserved::Reserved;
use super::tasks::{Place, Task};

/// Unit of comparison with `--only-changed`, bytes: what a filesystem changes at least.
const BLOCK: usize = 4096;

/// Size of the reads of packs, and the unwanted bytes between two chunks that are read along
/// rather than skipped.
const RUN_SIZE: u64 = 8 << 20;
const PACK_READ_ALONG: u64 = 256 << 10;

/// Unused stretches of a chunk up to this size are read from the target, and written to it as
/// the zeros they are in the image, along with what is around them: one large transfer costs
/// less than two small ones.
const READ_ALONG: u64 = 128 << 10;
const WRITE_ALONG: u64 = 64 << 10;

/// What the threads share.
pub(super) struct Work<'a> {
    pub(super) repo: &'a Repository,
    pub(super) target: &'a Target,
    pub(super) reserved: &'a Reserved,
    pub(super) reporter: &'a Reporter<'a>,
    pub(super) only_changed: bool,
    /// Whether the target is a new file, in which all that is not written is a hole.
    pub(super) is_new: bool,
}

/// Bytes that a read-back found different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    pub(super) bytes: u64,
    pub(super) first: Option<u64>,
}

/// Writes the tasks, except to reserved ranges, whose bytes are kept for later. Chunks are
/// fetched in the order in which they lie in the repository; of those that turn out damaged there,
/// other copies are tried.
pub(super) fn write(work: &Work<'_>, tasks: &[Task<'_>]) -> Result<(), OperationError> {
    let mut wanted = tasks.to_vec();
    wanted.sort_unstable_by_key(Task::id);
    let task = |id: &Id| wanted.get(wanted.binary_search_by_key(&id, Task::id).ok()?);
    let plan = work.repo.plan_reads(wanted.iter().map(Task::id))?;
    parallel::for_each(plan.runs(RUN_SIZE, PACK_READ_ALONG), Scratch::new, |run, scratch| {
        let read = work.repo.read_run(&run, &mut scratch.sealed).is_ok();
        let mut damaged = Vec::new();
        for (id, location) in &run.blobs {
            let sealed = run.sealed(&mut scratch.sealed, location).filter(|_| read);
            let opened =
                sealed.map(|sealed| work.repo.open_blob(id, location, sealed, &mut scratch.reader));
            match opened {
                Some(Ok(plain)) => {
                    let plain = aligned(plain, &mut scratch.plain);
                    place(work, task(id), plain, &mut scratch.current)?;
                }
                _ => damaged.push(id),
            }
        }
        for id in damaged {
            let plain = work.repo.read_blob(id, &mut scratch.reader)?;
            let plain = aligned(plain, &mut scratch.plain);
            place(work, task(id), plain, &mut scratch.current)?;
        }
        Ok(())
    })
}

/// Puts a chunk everywhere it belongs.
fn place(
    work: &Work<'_>,
    task: Option<&Task<'_>>,
    plain: &[u8],
    current: &mut AlignedBuffer,
) -> Result<(), OperationError> {
    for place in task.into_iter().flat_map(|task| task.places) {
        let Put { written, there } = put(work, place, plain, current)?;
        work.reporter.advance(place.used_bytes(), written, there)?;
    }
    Ok(())
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

/// The tasks that the target does not hold yet.
pub(super) fn changed<'t>(
    work: &Work<'_>,
    tasks: &[Task<'t>],
) -> Result<Vec<Task<'t>>, OperationError> {
    // Reserved bytes were wiped, so a chunk that reaches into them is always fetched.
    let (mut wanted, there): (Vec<Task<'_>>, Vec<Task<'_>>) =
        tasks.iter().partition(|task| is_reserved(work, task));
    let missing = Mutex::new(Vec::new());
    parallel::for_each(there.chunks(TOGETHER), Comparison::new, |tasks, scratch| {
        let mut held = [true; TOGETHER];
        compare(work, tasks, scratch, |number, _, holds| {
            held[number] &= holds;
            Ok(())
        })?;
        for (task, held) in tasks.iter().zip(held) {
            match held {
                true => work.reporter.advance(task.bytes(), 0, task.bytes())?,
                false => missing.lock().unwrap_or_else(PoisonError::into_inner).push(*task),
            }
        }
        Ok(())
    })?;
    wanted.append(&mut missing.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(wanted)
}

/// Compares the tasks with what the target now holds.
pub(super) fn read_back(
    work: &Work<'_>,
    tasks: &[Task<'_>],
) -> Result<Differences, OperationError> {
    let bytes = AtomicU64::new(0);
    let first = AtomicU64::new(u64::MAX);
    parallel::for_each(tasks.chunks(TOGETHER), Comparison::new, |tasks, scratch| {
        compare(work, tasks, scratch, |_, place, holds| {
            if !holds {
                bytes.fetch_add(place.used_bytes(), Ordering::Relaxed);
                let at = place.runs().next().map_or(0, |(at, _)| at);
                first.fetch_min(at, Ordering::Relaxed);
            }
            work.reporter.advance(place.used_bytes(), 0, 0)
        })
    })?;
    let first = first.into_inner();
    Ok(Differences { bytes: bytes.into_inner(), first: (first != u64::MAX).then_some(first) })
}

/// The byte that differs in the place that a read-back found different, whose used bytes begin at
/// `at`. The place is read once more; when it turns out right this time, its begin has to do.
pub(super) fn pinpoint(
    work: &Work<'_>,
    tasks: &[Task<'_>],
    at: u64,
) -> Result<u64, OperationError> {
    let begins_there =
        |place: &&Place<'_>| place.runs().next().is_some_and(|(begin, _)| begin == at);
    let mut found =
        tasks.iter().filter_map(|task| Some((task, task.places.iter().find(begins_there)?)));
    let Some((task, place)) = found.next() else { return Ok(at) };
    let mut reader = BlobReader::new()?;
    let plain = work.repo.read_blob(task.id(), &mut reader)?;
    let exactly = difference(work, place, plain, &mut AlignedBuffer::default())?;
    Ok(exactly.unwrap_or(at))
}

/// Buffers of one thread.
struct Scratch {
    reader: BlobReader,
    sealed: AlignedBuffer,
    plain: AlignedBuffer,
    current: AlignedBuffer,
}

impl Scratch {
    fn new() -> Result<Self, OperationError> {
        Ok(Self {
            reader: BlobReader::new()?,
            sealed: AlignedBuffer::default(),
            plain: AlignedBuffer::default(),
            current: AlignedBuffer::default(),
        })
    }
}

/// Whether a task reaches into reserved ranges.
fn is_reserved(work: &Work<'_>, task: &Task<'_>) -> bool {
    task.places.iter().flat_map(Place::runs).any(|(at, range)| {
        work.reserved.ranges().within(at, at + range.len() as u64).next().is_some()
    })
}

/// Buffers of one thread that compares.
struct Comparison {
    bufs: Vec<AlignedBuffer>,
    part: AlignedBuffer,
    reader: BlobReader,
}

impl Comparison {
    fn new() -> Result<Self, OperationError> {
        let mut bufs = Vec::new();
        bufs.resize_with(TOGETHER, AlignedBuffer::default);
        Ok(Self { bufs, part: AlignedBuffer::default(), reader: BlobReader::new()? })
    }
}

/// Tells of every place of the tasks whether the target holds the chunk there, the unused bytes
/// taken as zero; `each` gets the number of the task among those given.
fn compare(
    work: &Work<'_>,
    tasks: &[Task<'_>],
    scratch: &mut Comparison,
    mut each: impl FnMut(usize, &Place<'_>, bool) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    let Comparison { bufs, part, reader } = scratch;
    let (in_parts, numbered): (Vec<_>, Vec<_>) =
        tasks.iter().enumerate().partition(|(_, task)| task.in_parts());
    for (number, task) in in_parts {
        let plain = work.repo.read_blob(task.id(), reader)?;
        for place in task.places {
            each(number, place, difference(work, place, plain, part)?.is_none())?;
        }
    }
    let numbered = numbered.into_iter();
    let places: Vec<_> = numbered
        .flat_map(|(number, task)| task.places.iter().map(move |place| (number, task, place)))
        .collect();
    for places in places.chunks(TOGETHER) {
        for ((_, task, place), buf) in places.iter().zip(bufs.iter_mut()) {
            load(work, place, task.len(), buf)?;
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
    work: &Work<'_>,
    place: &Place<'_>,
    plain: &[u8],
    current: &mut AlignedBuffer,
) -> Result<Option<u64>, OperationError> {
    for (at, range) in place.runs() {
        current.set_len(range.len());
        work.target.read_at(at, current).map_err(|error| reading(at, error))?;
        work.reserved.substitute(at, current);
        let wanted = plain.get(range).ok_or_else(bad_range)?;
        if wanted != &**current {
            return Ok(Some(at + first_difference(wanted, current)));
        }
    }
    Ok(None)
}

/// How many bytes are the same before the first that is not.
pub(super) fn first_difference(wanted: &[u8], found: &[u8]) -> u64 {
    wanted.iter().zip(found).take_while(|(wanted, found)| wanted == found).count() as u64
}

/// Reads what the target holds at a chunk's place, zero where the chunk is unused.
fn load(
    work: &Work<'_>,
    place: &Place<'_>,
    len: usize,
    current: &mut AlignedBuffer,
) -> Result<(), OperationError> {
    current.set_len(len);
    for (at, range) in place.spans(READ_ALONG) {
        let part = current.get_mut(range).ok_or_else(bad_range)?;
        work.target.read_at(at, part).map_err(|error| reading(at, error))?;
    }
    let mut zeroed_to = 0;
    for (at, range) in place.runs() {
        current.get_mut(zeroed_to..range.start).ok_or_else(bad_range)?.fill(0);
        zeroed_to = range.end;
        work.reserved.substitute(at, current.get_mut(range).ok_or_else(bad_range)?);
    }
    current.get_mut(zeroed_to..).ok_or_else(bad_range)?.fill(0);
    Ok(())
}

/// What became of a chunk's used bytes outside of reserved ranges.
struct Put {
    /// Bytes written.
    written: u64,
    /// Bytes that the target held already.
    there: u64,
}

/// Puts a chunk's used bytes where they belong.
fn put(
    work: &Work<'_>,
    place: &Place<'_>,
    plain: &[u8],
    current: &mut AlignedBuffer,
) -> Result<Put, OperationError> {
    let mut used = 0;
    for (at, range) in place.runs() {
        work.reserved.keep(at, plain.get(range.clone()).ok_or_else(bad_range)?);
        used += work.reserved.ranges().gaps_within(at, at + range.len() as u64).total();
    }
    let mut written = 0;
    for (at, range) in place.spans(if work.only_changed { 0 } else { WRITE_ALONG }) {
        let bytes = plain.get(range).ok_or_else(bad_range)?;
        let end = at + bytes.len() as u64;
        if work.reserved.ranges().within(at, end).next().is_none() {
            written += write_part(work, at, bytes, current)?;
            continue;
        }
        for part in work.reserved.ranges().gaps_within(at, end).iter() {
            let from = usize::try_from(part.start - at).unwrap_or(usize::MAX);
            let to = usize::try_from(part.end - at).unwrap_or(usize::MAX);
            let bytes = bytes.get(from..to).ok_or_else(bad_range)?;
            written += write_part(work, part.start, bytes, current)?;
        }
    }
    // The unused bytes written along do not count.
    let written = written.min(used);
    Ok(Put { written, there: used - written })
}

fn write_part(
    work: &Work<'_>,
    at: u64,
    bytes: &[u8],
    current: &mut AlignedBuffer,
) -> Result<u64, OperationError> {
    match work.only_changed {
        true => write_changed(work.target, at, bytes, current),
        false if work.is_new && is_zero(bytes) => Ok(0),
        false => write_all(work.target, at, bytes),
    }
}

fn write_all(target: &Target, at: u64, bytes: &[u8]) -> Result<u64, OperationError> {
    target.write_at(at, bytes).map_err(|error| writing(at, error))?;
    Ok(bytes.len() as u64)
}

/// Writes the blocks that differ from what the target holds.
fn write_changed(
    target: &Target,
    at: u64,
    bytes: &[u8],
    current: &mut AlignedBuffer,
) -> Result<u64, OperationError> {
    current.set_len(bytes.len());
    target.read_at(at, current).map_err(|error| reading(at, error))?;
    let mut changed = Extents::new();
    for (index, (new, old)) in bytes.chunks(BLOCK).zip(current.chunks(BLOCK)).enumerate() {
        if new != old {
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

fn bad_range() -> OperationError {
    OperationError::io("a used block outside its chunk", std::io::ErrorKind::InvalidData.into())
}

pub(super) fn writing(at: u64, error: std::io::Error) -> OperationError {
    OperationError::io(format!("writing the target at byte {at}"), error)
}

pub(super) fn reading(at: u64, error: std::io::Error) -> OperationError {
    OperationError::io(format!("reading the target at byte {at}"), error)
}
