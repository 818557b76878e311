//! Looking after a repository: checking its structure, repairing it, removing locks.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use serde::Serialize;

use crate::progress::{Cancelled, Control, Phase, Reporter, mixed_workers};
use crate::repository::{
    CheckEvent, CheckReport, ExclusiveLock, Progress, RebuiltIndex, RepairedPacks, Repository,
    Result as RepoResult, Unlocked,
};
use crate::store::FileKind;

use super::access::RepoAccess;
use super::error::{Doing, OperationError};

/// Checks the repository's structure: that all files are there and fit together, and that every
/// image has all it needs; with `read_data` also every byte of every pack.
///
/// # Errors
/// Only when the check itself is not possible; what it finds is in the report.
pub fn check(
    access: &RepoAccess,
    read_data: bool,
    control: Control<'_>,
) -> Result<CheckReport, OperationError> {
    let repo = access.open()?;
    let doing = || format!("checking {}", repo.location());
    let _lock = repo.lock_for_reading().doing(doing)?;
    run_check(&repo, read_data, control).doing(doing)
}

/// Checks a repository that is locked; tells what it finds.
pub(super) fn run_check(
    repo: &Repository,
    read_data: bool,
    control: Control<'_>,
) -> Result<CheckReport, OperationError> {
    let reporter = OnceLock::new();
    let report = repo.check(read_data, mixed_workers(), &|event| {
        let step = match event {
            CheckEvent::Begin { bytes, .. } => {
                reporter.get_or_init(|| Reporter::start(control, Phase::Verifying, bytes, 0));
                0
            }
            CheckEvent::Pack { bytes } => bytes,
            CheckEvent::Found(finding) if finding.is_damage => {
                control.warn(finding.text.clone());
                0
            }
            CheckEvent::Found(finding) => {
                control.info(finding.text.clone());
                0
            }
        };
        go_on(reporter.get().map_or(Ok(()), |reporter| reporter.advance(step, 0, 0)))
    })?;
    if let Some(reporter) = reporter.get() {
        reporter.finish();
    }
    Ok(report)
}

/// Whether the engine is to go on, as it asks.
fn go_on(advanced: Result<(), Cancelled>) -> ControlFlow<()> {
    match advanced {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// What is to be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The index, from the packs.
    Index,
    /// Damaged packs: what can be read of them is saved.
    Packs,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "repaired", rename_all = "lowercase")]
pub enum Repaired {
    /// To the index.
    Index(RebuiltIndex),
    /// To packs.
    Packs(RepairedPacks),
}

/// Repairs a repository. Interrupted it harms nothing; running it again completes it.
pub fn repair(
    access: &RepoAccess,
    what: Repair,
    control: Control<'_>,
) -> Result<Repaired, OperationError> {
    let repo = access.open()?;
    let doing = || format!("repairing {}", repo.location());
    let lock = repo.lock_exclusive().doing(doing)?;
    match what {
        Repair::Index => {
            with_progress(&repo, &lock, Repository::rebuild_index, control).map(Repaired::Index)
        }
        Repair::Packs => {
            with_progress(&repo, &lock, Repository::repair_packs, control).map(Repaired::Packs)
        }
    }
    .doing(doing)
}

fn with_progress<T>(
    repo: &Repository,
    lock: &ExclusiveLock,
    work: fn(&Repository, &ExclusiveLock, Progress<'_>) -> RepoResult<T>,
    control: Control<'_>,
) -> Result<T, OperationError> {
    let packs = repo.store().list(FileKind::Pack);
    let packs = packs.map_err(crate::repository::RepositoryError::from)?;
    let total = packs.iter().map(|pack| pack.size).sum();
    let reporter = Reporter::start(control, Phase::Verifying, total, 0);
    let report = work(repo, lock, &|bytes| go_on(reporter.advance(bytes, 0, 0)))?;
    reporter.finish();
    Ok(report)
}

/// Removes the locks of those who are certainly gone, or with `all` every lock.
pub fn unlock(access: &RepoAccess, all: bool) -> Result<Unlocked, OperationError> {
    let repo = access.open()?;
    repo.unlock(all).doing(|| format!("unlocking {}", repo.location()))
}
