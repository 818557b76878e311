//! Writing an image to a disk.

mod absent;
mod notices;
mod others;
mod overwrite;
mod picture;
mod pipeline;
mod plan;
mod reserved;
mod scope;
mod sources;
mod stale;
mod target;
mod tasks;
mod unfinished;
mod volume;

use std::collections::HashSet;
use std::time::Instant;

use serde::Serialize;

use crate::disk::Target;
use crate::image::content::Placed;
use crate::repository::Id;

use super::error::{Doing, OperationError};
use super::event::{Control, Phase};
use super::images::OpenImage;
use super::verify;

pub use absent::{Absent, Remains};
use overwrite::Overwrite;
pub use picture::LayoutEntry;
pub(super) use picture::all_lost;
pub use plan::{RestorePlan, RestoreRequest, With, plan_restore};
use sources::Sources;
use tasks::Task;

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
            "say --erase with the serial number of the target, or the word that --plan shows",
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
    let places = tasks::places(&placed, &plan.transfers);
    drop(placed);
    let tasks = tasks::tasks(&places);
    if request.verify_first {
        prove(image, &tasks, control)?;
    }
    let target = Target::open(&plan.target, &plan.agreement)?;
    let read_back = request.read_back;
    let overwrite =
        Overwrite { repo: image.repo, plan, target: &target, note: &plan.note, read_back, control };
    let counts = overwrite.run(tasks).map_err(|error| unfinished::told(plan, error))?;
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
        written: counts.written,
        unchanged: counts.unchanged,
        read_back: if read_back { plan.writes } else { 0 },
        unreadable,
        missing: missing.map(|absent| absent.number).collect(),
        seconds: 0.0,
        warnings,
    })
}

/// Reads all that is needed of the image and proves it, so that nothing is wiped for one that
/// cannot be read to its end.
fn prove(
    image: &OpenImage<'_>,
    tasks: &[Task<'_>],
    control: Control<'_>,
) -> Result<(), OperationError> {
    let found = verify::blobs(image.repo, tasks.iter().map(Task::id), control)?;
    let Some((first, error)) = found.damaged.first() else { return Ok(()) };
    let bad: HashSet<&Id> = found.damaged.iter().map(|(id, _)| id).collect();
    let lacking = tasks.iter().filter(|task| bad.contains(task.id())).copied();
    let why = format!("the first of them {first}, cannot be read ({error})");
    Err(plan::incomplete(image, &lacking.collect::<Vec<_>>(), &why))
}
