//! Writing a target: first the note over what makes the target usable, last of all
//! the table or the beginnings of the partitions.

use crate::bytes::{Extents, ReadAt};
use crate::disk::Target;
use crate::image::chunks::MIB;
use crate::operation::error::OperationError;
use crate::progress::{Control, Phase, Progress, Reporter};
use crate::transfer::{
    ChunkSource, ChunkTask, DeferredWrites, DiskSink, Put, ReadBack, Rewritten, first_difference,
    reading, tasks, writing,
};

use super::absent::Absent;
use super::plan::TargetPlan;
use super::unfinished;

/// What goes to the start of the target in one piece, first and last of all: the note or the
/// table's first sector is in it.
const FIRST_BLOCK: usize = 4096;

/// What is written, and where to.
pub(in crate::operation) struct Overwrite<'a> {
    pub(in crate::operation) source: &'a dyn ChunkSource,
    pub(in crate::operation) plan: &'a TargetPlan,
    pub(in crate::operation) target: &'a Target,
    /// What writing is called, and how many bytes it has to deal with.
    pub(in crate::operation) phase: (Phase, u64),
    pub(in crate::operation) control: Control<'a>,
}

/// What became of the used bytes.
pub(in crate::operation) struct Counts {
    /// Bytes written.
    pub(in crate::operation) written: u64,
    /// Bytes that were on the target already.
    pub(in crate::operation) unchanged: u64,
}

impl Overwrite<'_> {
    /// Writes all of the source.
    ///
    /// # Errors
    /// Those of source and target, with what is left of the target.
    pub(in crate::operation) fn run(&self) -> Result<Counts, OperationError> {
        self.write_all().map_err(|error| unfinished::told(self.plan, error))
    }

    fn write_all(&self) -> Result<Counts, OperationError> {
        let Self { plan, control, .. } = *self;
        let deferred = DeferredWrites::new(guards(plan), plan.patches.clone());
        let Progress { written: most, skipped, .. } = self.write(&deferred)?;
        control.phase(Phase::Finishing);
        self.finish(&deferred).inspect_err(|_| {
            // The table may be there by now, and must not be. A target that fails at this too
            // cannot be helped; the error that is told is the first one.
            let _ = self.wipe(&deferred);
        })?;
        let last = plan.written().intersection(deferred.ranges()).total();
        Ok(Counts { written: most + last, unchanged: skipped })
    }

    /// All but the deferred ranges, which hold the note until the end.
    fn write(&self, deferred: &DeferredWrites) -> Result<Progress, OperationError> {
        let Self { plan, target, source, control, phase } = *self;
        let reporter = Reporter::start(control, phase.0, phase.1, 0);
        self.wipe(deferred)?;
        erase_stale(target, plan)?;
        if !plan.only_changed {
            discard_unused(target, plan);
        }
        let sink = DiskSink {
            target,
            deferred,
            reporter: &reporter,
            only_changed: plan.only_changed,
            is_new: plan.creates_file,
        };
        let Put { places, zeros } = source.put_on(&sink)?;
        plan.rewritten.iter().try_for_each(|part| part.put_on(&sink))?;
        let tasks = tasks(&places);
        flush_written(&ReadBack { source, sink: &sink }, &tasks, &zeros)?;
        let progress = reporter.finish();
        if plan.read_back {
            let bytes = tasks.iter().map(ChunkTask::bytes).sum::<u64>() + zeros.total();
            let bytes = bytes + plan.rewritten_bytes();
            let reporter = Reporter::start(control, Phase::ReadingBack, bytes, 0);
            let sink = DiskSink { reporter: &reporter, ..sink };
            read_back(&ReadBack { source, sink: &sink }, &tasks, &zeros)?;
            read_back_rewritten(&sink, &plan.rewritten)?;
            reporter.finish();
        }
        Ok(progress)
    }

    /// Makes the target look like what it is until the end: not a usable disk, or partition; the
    /// note that it is unfinished goes to its start. A backup table at the end of the disk, of
    /// before or of the image, would bring partitions back. The block with the old table goes
    /// first of all: a power cut never leaves it in front of wiped ones.
    fn wipe(&self, deferred: &DeferredWrites) -> Result<(), OperationError> {
        for guard in deferred.guards().iter() {
            let len = usize::try_from(guard.len()).unwrap_or_default();
            let mut blank = vec![0; len];
            if !self.plan.scope.replaces_all() || guard.start == 0 {
                for (to, from) in blank.iter_mut().zip(self.plan.note.to_bytes()) {
                    *to = from;
                }
            }
            let (first, rest) = blank.split_at(len.min(FIRST_BLOCK));
            write_through(self.target, guard.start, first)?;
            write_through(self.target, guard.start + first.len() as u64, rest)?;
        }
        Ok(())
    }

    /// Writes the deferred ranges, the start of the disk last of all, and reads them back. The
    /// block with the table comes after the others are on the disk, whatever order its cache is
    /// written in.
    fn finish(&self, deferred: &DeferredWrites) -> Result<(), OperationError> {
        let finals = deferred.final_bytes();
        for (at, bytes) in &finals {
            let (first, rest) = bytes.split_at(bytes.len().min(FIRST_BLOCK));
            for (at, bytes) in [(*at + first.len() as u64, rest), (*at, first)] {
                write_through(self.target, at, bytes)?;
            }
        }
        if self.plan.read_back { compare(self.target, &finals) } else { Ok(()) }
    }
}

/// Warns of what a target that was written lacks, after the warnings `of_source`, and has the system
/// read the table of one that it may show; returns all of them.
pub(in crate::operation) fn warn_of_result(
    plan: &TargetPlan,
    target: Option<&Target>,
    of_source: Vec<String>,
    control: Control<'_>,
) -> Vec<String> {
    let missing = plan.missing().map(Absent::sentence);
    let seen = target.and_then(|target| re_read_table(plan, target));
    let told = of_source.into_iter().chain(missing).chain(seen);
    told.inspect(|warning| control.warn(warning.clone())).collect()
}

/// Has the system read the table of a target that was replaced; what to warn of where it cannot.
fn re_read_table(plan: &TargetPlan, target: &Target) -> Option<String> {
    let error = plan.scope.replaces_all().then(|| target.re_read_table().err())??;
    Some(format!(
        "the system still sees the old partitions: {error}; restart before using the disk"
    ))
}

/// What of the deferred ranges is on the target.
fn compare(target: &Target, finals: &[(u64, Vec<u8>)]) -> Result<(), OperationError> {
    drop_caches(target)?;
    for (at, bytes) in finals {
        let now = target.read_vec(*at, bytes.len()).map_err(|error| reading(*at, error))?;
        if now != *bytes {
            let first = *at + first_difference(bytes, &now);
            return Err(OperationError::ReadBack { first, bytes: bytes.len() as u64 });
        }
    }
    Ok(())
}

/// Compares what was written with the source.
fn read_back(
    now: &ReadBack<'_>,
    tasks: &[ChunkTask<'_>],
    zeros: &Extents,
) -> Result<(), OperationError> {
    drop_caches(now.sink.target)?;
    let found = now.all(tasks, zeros)?;
    let Some(at) = found.first else { return Ok(()) };
    let first = now.pinpoint(tasks, at).unwrap_or(at);
    Err(OperationError::ReadBack { first, bytes: found.bytes })
}

/// Compares what was written of smaller filesystems.
fn read_back_rewritten(sink: &DiskSink<'_>, parts: &[Rewritten]) -> Result<(), OperationError> {
    for part in parts {
        if let Some(first) = part.find_difference(sink)? {
            return Err(OperationError::ReadBack { first, bytes: part.parts.total() });
        }
    }
    Ok(())
}

/// What is wiped first and written last: both ends of a disk that is replaced, where tables are, or
/// the start of each restored partition.
fn guards(plan: &TargetPlan) -> Extents {
    if !plan.scope.replaces_all() {
        let heads = plan.transfers.iter().map(|transfer| (transfer.to, transfer.len.min(MIB)));
        return Extents::from(heads.collect::<Vec<_>>());
    }
    let size = plan.target.size;
    let mut ends = Extents::of(0, MIB.min(size));
    if size > 2 * MIB {
        ends.push(size - MIB, size);
    }
    ends.intersection(&plan.kept.gaps_within(0, size))
}

/// Zeros over signatures of before that the image would leave in place.
fn erase_stale(target: &Target, plan: &TargetPlan) -> Result<(), OperationError> {
    for part in plan.erased.iter() {
        let zeros = vec![0; usize::try_from(part.len()).unwrap_or_default()];
        target.write_at(part.start, &zeros).map_err(|error| writing(part.start, error))?;
    }
    Ok(())
}

/// Tells the device what will hold nothing. Only a hint: nothing relies on it.
fn discard_unused(target: &Target, plan: &TargetPlan) {
    let mut cover = Extents::new();
    for transfer in &plan.transfers {
        cover.push(transfer.to, transfer.to + transfer.len);
    }
    // What was erased on purpose must stay so, whatever the device makes of a discard.
    let keep = plan.written().union(&plan.erased);
    for range in cover.iter() {
        for gap in keep.gaps_within(range.start, range.end).iter().filter(|gap| gap.len() >= MIB) {
            target.discard(gap.start, gap.len());
        }
    }
}

/// Writes, and waits until it is on the device: a write error of the page cache shows only then.
fn write_through(target: &Target, at: u64, bytes: &[u8]) -> Result<(), OperationError> {
    let written = target.write_at(at, bytes).and_then(|()| target.flush());
    Ok(written.map_err(|error| writing(at, error))?)
}

/// Waits until all tasks are on the device. A failure tells no place: that is looked for.
fn flush_written(
    now: &ReadBack<'_>,
    tasks: &[ChunkTask<'_>],
    zeros: &Extents,
) -> Result<(), OperationError> {
    let target = now.sink.target;
    let Err(error) = target.flush() else { return Ok(()) };
    let found = match target.drop_caches() {
        Ok(()) => now.all(tasks, zeros).ok().and_then(|found| found.first),
        Err(_) => None,
    };
    Err(match found {
        Some(first) => writing(first, error).into(),
        None => OperationError::io("flushing the target", error),
    })
}

fn drop_caches(target: &Target) -> Result<(), OperationError> {
    target.drop_caches().map_err(|error| OperationError::io("emptying the target's cache", error))
}
