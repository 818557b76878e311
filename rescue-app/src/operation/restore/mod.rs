//! Writing an image to a disk.

mod image_source;
mod others;
mod plan;
mod sources;
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
use super::target::{Absent, Overwrite, re_read_table};
use super::transfer::{Task, places, tasks};
use super::verify;

use image_source::ImageSource;
pub use plan::{RestorePlan, RestoreRequest, With, plan_restore};
use sources::Sources;

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
    request.target.refuse_unnamed()?;
    control.phase(Phase::Examining);
    let repo = request.repo.open()?;
    let _lock = repo.lock_for_reading()?;
    let (sources, placed) = plan::find(&repo, request)?;
    let plan = plan::plan(request, &sources, &placed)?;
    let id = sources.image.short_id();
    let doing = || format!("restoring image {id} to {}", plan.onto.target.identity());
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
    let (image, onto) = (&sources.image, &plan.onto);
    let source = ImageSource { repo: image.repo, places: places(&placed, &onto.transfers) };
    drop(placed);
    if request.verify_first {
        prove(image, &tasks(&source.places), control)?;
    }
    let target = Target::open(&onto.target, &onto.agreement)?;
    let phase = (Phase::Restoring, onto.writes);
    let overwrite = Overwrite { source: &source, plan: onto, target: &target, phase, control };
    let counts = overwrite.run()?;
    let mut warnings = sources.damage();
    warnings.extend(onto.missing().map(Absent::sentence));
    for warning in &warnings {
        control.warn(warning.clone());
    }
    warnings.extend(re_read_table(onto, &target, control));
    Ok(RestoreReport {
        written: counts.written,
        unchanged: counts.unchanged,
        read_back: onto.bytes_read_back(),
        unreadable: onto.lacking(&sources.unreadable()),
        missing: onto.missing().map(|absent| absent.number).collect(),
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
