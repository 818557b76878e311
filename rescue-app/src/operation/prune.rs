//! Freeing the space that no image uses.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use crate::progress::{Control, Phase, Reporter};
use crate::repository::{ExclusiveLock, PruneEvent, PruneOptions, PruneReport, Repository};

use super::access::RepoAccess;
use super::error::{Doing, OperationError};

/// How to prune.
#[derive(Clone, Debug)]
pub struct PruneRequest {
    /// The repository.
    pub repo: RepoAccess,
    /// Share of unused bytes that may stay, in percent of the used ones; see [`PruneOptions`].
    pub max_unused: u8,
    /// Only calculate.
    pub dry_run: bool,
}

/// Removes what no image uses. Stopped or interrupted anywhere it harms no image, and running it
/// again completes it.
///
/// # Errors
/// Nothing is removed when an image is incomplete or others are at work.
pub fn prune(request: &PruneRequest, control: Control<'_>) -> Result<PruneReport, OperationError> {
    let repo = request.repo.open()?;
    let doing = || format!("freeing space in {}", repo.location());
    let lock = repo.lock_exclusive().doing(doing)?;
    let PruneRequest { max_unused, dry_run, .. } = *request;
    let options = PruneOptions { max_unused, dry_run, without: HashSet::new() };
    run(&repo, &lock, &options, control).doing(doing)
}

/// Prunes as if the snapshots `without` were not there.
pub(super) fn run(
    repo: &Repository,
    lock: &ExclusiveLock,
    options: &PruneOptions,
    control: Control<'_>,
) -> Result<PruneReport, OperationError> {
    control.phase(Phase::Examining);
    let reporter = OnceLock::new();
    let report = repo.prune(lock, options, &|event| {
        let step = match event {
            PruneEvent::Begin { bytes } => {
                reporter.get_or_init(|| Reporter::start(control, Phase::Pruning, bytes, 0));
                0
            }
            PruneEvent::Step { bytes } => bytes,
            PruneEvent::Warning(text) => {
                control.warn(text);
                0
            }
        };
        let advanced = match reporter.get() {
            Some(reporter) => reporter.advance(step, 0, 0).is_ok(),
            None => !control.cancel.is_requested(),
        };
        if advanced { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if let Some(reporter) = reporter.get() {
        reporter.finish();
    }
    Ok(report)
}
