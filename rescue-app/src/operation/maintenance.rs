//! Looking after a repository: checking its structure, repairing it, removing locks.

use serde::Serialize;

use crate::progress::{Control, mixed_workers};
use crate::repository::{CheckReport, RebuiltIndex, RepairedPacks, Unlocked};

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
    repo.check(read_data, mixed_workers(), control).doing(doing)
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
        Repair::Index => repo.rebuild_index(&lock, control).map(Repaired::Index),
        Repair::Packs => repo.repair_packs(&lock, control).map(Repaired::Packs),
    }
    .doing(doing)
}

/// Removes the locks of those who are certainly gone, or with `all` every lock.
pub fn unlock(access: &RepoAccess, all: bool) -> Result<Unlocked, OperationError> {
    let repo = access.open()?;
    repo.unlock(all).doing(|| format!("unlocking {}", repo.location()))
}
