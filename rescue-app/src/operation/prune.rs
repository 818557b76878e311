//! Freeing the space that no image uses.

use std::collections::HashSet;

use crate::progress::Control;
use crate::repository::{PruneOptions, PruneReport};

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
    repo.prune(&lock, &options, control).doing(doing)
}
