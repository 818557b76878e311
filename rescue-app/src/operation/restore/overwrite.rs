//! The part of a restore that writes: first the note over what makes the target usable, last of all
//! the table or the beginnings of the partitions.

use crate::bytes::{Extents, ReadAt};
use crate::disk::Target;
use crate::image::chunks::MIB;
use crate::image::marker::Marker;
use crate::operation::error::OperationError;
use crate::operation::event::{Control, Phase, Progress};
use crate::operation::reporter::Reporter;
use crate::repository::Repository;

use super::pipeline::{self, Work, reading, writing};
use super::plan::RestorePlan;
use super::reserved::Reserved;
use super::scope;
use super::tasks::Task;

/// What goes to the start of the target in one piece, first and last of all: the note or the
/// table's first sector is in it.
const FIRST_BLOCK: usize = 4096;

/// What is written, and where to.
pub(super) struct Overwrite<'a> {
    pub(super) repo: &'a Repository,
    pub(super) plan: &'a RestorePlan,
    pub(super) target: &'a Target,
    /// What says on the target that it is unfinished.
    pub(super) note: &'a Marker,
    /// Whether the target is read back after writing.
    pub(super) read_back: bool,
    pub(super) control: Control<'a>,
}

/// What became of the used bytes.
pub(super) struct Counts {
    /// Bytes written.
    pub(super) written: u64,
    /// Bytes that were on the target already.
    pub(super) unchanged: u64,
}

impl Overwrite<'_> {
    /// Writes the tasks.
    pub(super) fn run(&self, tasks: Vec<Task<'_>>) -> Result<Counts, OperationError> {
        let Self { plan, control, .. } = *self;
        let reserved = Reserved::new(guards(plan), plan.patches.clone());
        let Progress { written, skipped, .. } = self.write(&reserved, tasks)?;
        control.phase(Phase::Finishing);
        self.finish(&reserved).inspect_err(|_| {
            // The table may be there by now, and must not be. A target that fails at this too
            // cannot be helped; the error that is told is the first one.
            let _ = self.wipe(&reserved);
        })?;
        let last = scope::written(&plan.transfers).intersection(reserved.ranges()).total();
        Ok(Counts { written: written + last, unchanged: skipped })
    }

    /// All but the reserved ranges, which hold the note until the end.
    fn write(&self, reserved: &Reserved, tasks: Vec<Task<'_>>) -> Result<Progress, OperationError> {
        let Self { plan, target, control, .. } = *self;
        let reporter = Reporter::start(control, Phase::Restoring, plan.writes, 0);
        self.wipe(reserved)?;
        erase_stale(target, plan)?;
        if !plan.only_changed {
            discard_unused(target, plan);
        }
        let work = Work {
            repo: self.repo,
            target,
            reserved,
            reporter: &reporter,
            only_changed: plan.only_changed,
            is_new: plan.creates_file,
        };
        // Chunks that are on the target already were read from it to know that.
        let tasks = if plan.only_changed { pipeline::changed(&work, &tasks)? } else { tasks };
        pipeline::write(&work, &tasks)?;
        flush_written(&work, &tasks)?;
        let progress = reporter.finish();
        if self.read_back {
            let bytes = tasks.iter().map(Task::bytes).sum();
            let reporter = Reporter::start(control, Phase::ReadingBack, bytes, 0);
            read_back(&Work { reporter: &reporter, ..work }, &tasks)?;
            reporter.finish();
        }
        Ok(progress)
    }

    /// Makes the target look like what it is until the end: not a usable disk, or partition; the
    /// note that it is unfinished goes to its start. A backup table at the end of the disk, of
    /// before or of the image, would bring partitions back. The block with the old table goes
    /// first of all: a power cut never leaves it in front of wiped ones.
    fn wipe(&self, reserved: &Reserved) -> Result<(), OperationError> {
        for guard in reserved.guards().iter() {
            let len = usize::try_from(guard.len()).unwrap_or_default();
            let mut blank = vec![0; len];
            if !self.plan.scope.replaces_all() || guard.start == 0 {
                for (to, from) in blank.iter_mut().zip(self.note.to_bytes()) {
                    *to = from;
                }
            }
            let (first, rest) = blank.split_at(len.min(FIRST_BLOCK));
            write_through(self.target, guard.start, first)?;
            write_through(self.target, guard.start + first.len() as u64, rest)?;
        }
        Ok(())
    }

    /// Writes the reserved ranges, the start of the disk last of all, and reads them back. The
    /// block with the table comes after the others are on the disk, whatever order its cache is
    /// written in.
    fn finish(&self, reserved: &Reserved) -> Result<(), OperationError> {
        let finals = reserved.final_bytes();
        for (at, bytes) in &finals {
            let (first, rest) = bytes.split_at(bytes.len().min(FIRST_BLOCK));
            for (at, bytes) in [(*at + first.len() as u64, rest), (*at, first)] {
                write_through(self.target, at, bytes)?;
            }
        }
        if self.read_back { compare(self.target, &finals) } else { Ok(()) }
    }
}

/// What of the reserved ranges is on the target.
fn compare(target: &Target, finals: &[(u64, Vec<u8>)]) -> Result<(), OperationError> {
    drop_caches(target)?;
    for (at, bytes) in finals {
        let now = target.read_vec(*at, bytes.len()).map_err(|error| reading(*at, error))?;
        if now != *bytes {
            let first = *at + pipeline::first_difference(bytes, &now);
            return Err(OperationError::ReadBack { first, bytes: bytes.len() as u64 });
        }
    }
    Ok(())
}

/// Compares what was written with the image.
fn read_back(work: &Work<'_>, tasks: &[Task<'_>]) -> Result<(), OperationError> {
    drop_caches(work.target)?;
    let found = pipeline::read_back(work, tasks)?;
    let Some(at) = found.first else { return Ok(()) };
    let first = pipeline::pinpoint(work, tasks, at).unwrap_or(at);
    Err(OperationError::ReadBack { first, bytes: found.bytes })
}

/// What is wiped first and written last: both ends of a disk that is replaced, where tables are, or
/// the start of each restored partition.
fn guards(plan: &RestorePlan) -> Extents {
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
fn erase_stale(target: &Target, plan: &RestorePlan) -> Result<(), OperationError> {
    for part in plan.erased.iter() {
        let zeros = vec![0; usize::try_from(part.len()).unwrap_or_default()];
        target.write_at(part.start, &zeros).map_err(|error| writing(part.start, error))?;
    }
    Ok(())
}

/// Tells the device what will hold nothing. Only a hint: nothing relies on it.
fn discard_unused(target: &Target, plan: &RestorePlan) {
    let mut cover = Extents::new();
    for transfer in &plan.transfers {
        cover.push(transfer.to, transfer.to + transfer.len);
    }
    // What was erased on purpose must stay so, whatever the device makes of a discard.
    let keep = scope::written(&plan.transfers).union(&plan.erased);
    for range in cover.iter() {
        for gap in keep.gaps_within(range.start, range.end).iter().filter(|gap| gap.len() >= MIB) {
            target.discard(gap.start, gap.len());
        }
    }
}

/// Writes, and waits until it is on the device: a write error of the page cache shows only then.
fn write_through(target: &Target, at: u64, bytes: &[u8]) -> Result<(), OperationError> {
    target.write_at(at, bytes).and_then(|()| target.flush()).map_err(|error| writing(at, error))
}

/// Waits until all tasks are on the device. A failure tells no place: that is looked for.
fn flush_written(work: &Work<'_>, tasks: &[Task<'_>]) -> Result<(), OperationError> {
    let Err(error) = work.target.flush() else { return Ok(()) };
    let found = match work.target.drop_caches() {
        Ok(()) => pipeline::read_back(work, tasks).ok().and_then(|found| found.first),
        Err(_) => None,
    };
    Err(match found {
        Some(first) => writing(first, error),
        None => OperationError::io("flushing the target", error),
    })
}

fn drop_caches(target: &Target) -> Result<(), OperationError> {
    target.drop_caches().map_err(|error| OperationError::io("emptying the target's cache", error))
}
