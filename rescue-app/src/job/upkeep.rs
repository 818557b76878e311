//! What is done to a repository as a whole.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::operation::{PruneRequest, RepoAccess};

use super::repository::{RepoArgs, WorkArgs};

/// Unused data that may stay in a repository, in percent of the used data: restic's own default.
const MAX_UNUSED: u8 = 5;

/// How thorough pruning is.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnusedArgs {
    /// Unused data that may stay in partly used packs, in percent of the used data; less means
    /// more copying.
    #[arg(long, value_name = "PERCENT", default_value_t = MAX_UNUSED)]
    pub max_unused: u8,
}

impl Default for UnusedArgs {
    fn default() -> Self {
        Self { max_unused: MAX_UNUSED }
    }
}

/// Arguments of `prune`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneArgs {
    /// Only print what would be freed.
    #[arg(long, short = 'n', visible_alias = "plan")]
    #[serde(default)]
    pub dry_run: bool,
    /// How much to free.
    #[command(flatten)]
    #[serde(flatten)]
    pub unused: UnusedArgs,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}

impl PruneArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> PruneRequest {
        PruneRequest { repo, max_unused: self.unused.max_unused, dry_run: self.dry_run }
    }
}

/// Arguments of `check`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckArgs {
    /// Read every byte of every pack too.
    #[arg(long)]
    #[serde(default)]
    pub read_data: bool,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub work: WorkArgs,
}

/// Arguments of `repair`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairArgs {
    /// What to repair.
    #[command(subcommand)]
    #[serde(flatten)]
    pub target: RepairTarget,
}

/// What can be repaired.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepairTarget {
    /// Writes the index anew, from the lists that the packs contain.
    Index(WorkArgs),
    /// Reads all packs, saves what is good in damaged ones, and removes these.
    ///
    /// Afterwards nothing relies on a damaged copy any more: capturing a disk again stores anew what
    /// is lost and still on it, for all images that need it.
    Packs(WorkArgs),
}

/// Arguments of `unlock`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockArgs {
    /// Remove all locks, also of those who seem to be at work.
    #[arg(long)]
    #[serde(default)]
    pub all: bool,
    /// The repository.
    #[command(flatten)]
    #[serde(flatten)]
    pub repo: RepoArgs,
}
