//! Writing an image to a disk.

mod absent;
mod notices;
mod others;
mod picture;
mod pipeline;
mod plan;
mod reserved;
mod scope;
mod sources;
mod stale;
mod target;
mod tasks;
mod volume;

use std::time::Instant;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt};
use crate::disk::{self, Target, create_image_file};
use crate::image::chunks::MIB;
use crate::image::content::Placed;
use crate::image::marker::Marker;

use super::error::{Doing, OperationError};
use super::event::{Control, Phase};
use super::reporter::Reporter;

pub use absent::{Absent, Remains};
pub use picture::LayoutEntry;
pub(super) use picture::all_lost;
use pipeline::{Work, reading, writing};
pub use plan::{RestorePlan, RestoreRequest, With, plan_restore};
use reserved::Reserved;
use sources::Sources;
use tasks::Task;

/// What goes to the start of the target in one piece, first and last of all: the note or the
/// table's first sector is in it.
const FIRST_BLOCK: usize = 4096;

/// What a restore achieved.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// Bytes written.
    pub written: u64,
    /// Bytes that were on the target already.
    pub unchanged: u64,
    /// Bytes read back and found right.
    pub read_back: u64,
    /// Bytes restored as zeros, because the captured disk did not give them.
    pub unreadable: u64,
    /// Partitions that the restored table names and the image does not hold: nothing of use is in
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u32>,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// Everything that lessens the result.
    pub warnings: Vec<String>,
}

/// Writes an image to a disk, as [`plan_restore`] said.
///
/// # Errors
/// Refuses before the first write what the rules forbid; afterwards any failure to read the
/// image, to write the target, or a difference found by reading back. After a failure the target
/// does not look like a usable disk; restoring again completes it.
pub fn restore(
    request: &RestoreRequest,
    control: Control<'_>,
) -> Result<RestoreReport, OperationError> {
    let started = Instant::now();
    if request.erase.is_none() {
        return Err(OperationError::refused(
            "nothing is overwritten without the name of the disk",
            "say --erase with the serial number of the target",
        ));
    }
    control.phase(Phase::Examining);
    let repo = request.repo.open()?;
    let _lock = repo.lock_for_reading()?;
    let (sources, placed) = plan::find(&repo, request)?;
    let plan = plan::plan(request, &sources, &placed)?;
    let id = sources.image.short_id();
    let doing = || format!("restoring image {id} to {}", plan.target.identity());
    let mut report = execute(request, &sources, &plan, placed, control).doing(doing)?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn execute(
    request: &RestoreRequest,
    sources: &Sources<'_>,
    plan: &RestorePlan,
    placed: Vec<Placed>,
    control: Control<'_>,
) -> Result<RestoreReport, OperationError> {
    let image = &sources.image;
    let note = plan::note(request, image);
    let reserved = Reserved::new(guards(plan), plan.patches.clone());
    let places = tasks::places(&placed, &plan.transfers);
    drop(placed);
    let tasks = tasks::tasks(&places);
    let target = open_target(plan)?;
    let reporter = Reporter::start(control, Phase::Restoring, plan.writes, 0);
    wipe(&target, plan, &reserved, &note)?;
    erase_stale(&target, plan)?;
    if !plan.only_changed {
        discard_unused(&target, plan);
    }

    let work = Work {
        repo: image.repo,
        target: &target,
        reserved: &reserved,
        reporter: &reporter,
        only_changed: plan.only_changed,
        is_new: plan.creates_file,
    };
    // Chunks that are on the target already were read from it to know that.
    let tasks = if plan.only_changed { pipeline::changed(&work, &tasks)? } else { tasks };
    pipeline::write(&work, &tasks)?;
    flush_written(&work, &tasks)?;
    let progress = reporter.finish();

    if request.read_back {
        let bytes = tasks.iter().map(Task::bytes).sum();
        let reporter = Reporter::start(control, Phase::ReadingBack, bytes, 0);
        drop_caches(&target)?;
        let work = Work { reporter: &reporter, ..work };
        let found = pipeline::read_back(&work, &tasks)?;
        reporter.finish();
        if let Some(at) = found.first {
            let first = pipeline::pinpoint(&work, &tasks, at).unwrap_or(at);
            return Err(OperationError::ReadBack { first, bytes: found.bytes });
        }
    }
    control.phase(Phase::Finishing);
    finish(&target, &reserved, request.read_back).inspect_err(|_| {
        // The table may be there by now, and must not be. A target that fails at this too cannot
        // be helped; the error that is told is the first one.
        let _ = wipe(&target, plan, &reserved, &note);
    })?;
    let last = scope::written(&plan.transfers).intersection(reserved.ranges()).total();
    let unreadable = plan.lacking(&sources.unreadable());
    let mut warnings = sources.damage();
    let missing = plan.absent.iter().filter(|absent| absent.is_missing());
    warnings.extend(missing.clone().map(|it| format!("partition {}: {}", it.number, it.text())));
    for warning in &warnings {
        control.warn(warning.clone());
    }
    if plan.scope.replaces_all()
        && let Err(error) = target.re_read_table()
    {
        let warning = format!(
            "the system still sees the old partitions: {error}; restart before using the disk"
        );
        control.warn(warning.clone());
        warnings.push(warning);
    }
    Ok(RestoreReport {
        written: progress.written + last,
        unchanged: progress.skipped,
        read_back: if request.read_back { plan.writes } else { 0 },
        unreadable,
        missing: missing.map(|absent| absent.number).collect(),
        seconds: 0.0,
        warnings,
    })
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

fn open_target(plan: &RestorePlan) -> Result<Target, OperationError> {
    if plan.creates_file {
        create_image_file(&plan.target.path, plan.target.size)?;
        let disk = disk::open(&plan.target.path, Some(plan.target.logical_sector))?;
        return Ok(Target::open(&disk)?);
    }
    Ok(Target::open(&plan.target)?)
}

/// Makes the target look like what it is until the end: not a usable disk, or partition; the note
/// that it is unfinished goes to its start. A backup table at the end of the disk, of before or of
/// the image, would bring partitions back. The block with the old table goes first of all: a power
/// cut never leaves it in front of wiped ones.
fn wipe(
    target: &Target,
    plan: &RestorePlan,
    reserved: &Reserved,
    note: &Marker,
) -> Result<(), OperationError> {
    for guard in reserved.guards().iter() {
        let len = usize::try_from(guard.len()).unwrap_or_default();
        let mut blank = vec![0; len];
        if !plan.scope.replaces_all() || guard.start == 0 {
            for (to, from) in blank.iter_mut().zip(note.to_bytes()) {
                *to = from;
            }
        }
        let (first, rest) = blank.split_at(len.min(FIRST_BLOCK));
        write_through(target, guard.start, first)?;
        write_through(target, guard.start + first.len() as u64, rest)?;
    }
    Ok(())
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

/// Writes the reserved ranges, the start of the disk last of all, and reads them back. The block
/// with the table comes after the others are on the disk, whatever order its cache is written in.
fn finish(target: &Target, reserved: &Reserved, read_back: bool) -> Result<(), OperationError> {
    let finals = reserved.final_bytes();
    for (at, bytes) in &finals {
        let (first, rest) = bytes.split_at(bytes.len().min(FIRST_BLOCK));
        for (at, bytes) in [(*at + first.len() as u64, rest), (*at, first)] {
            write_through(target, at, bytes)?;
        }
    }
    if read_back {
        drop_caches(target)?;
        for (at, bytes) in &finals {
            let now = target.read_vec(*at, bytes.len()).map_err(|error| reading(*at, error))?;
            if now != *bytes {
                let first = *at + pipeline::first_difference(bytes, &now);
                return Err(OperationError::ReadBack { first, bytes: bytes.len() as u64 });
            }
        }
    }
    Ok(())
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
