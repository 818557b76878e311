//! What can go wrong with a repository.

use time::OffsetDateTime;

use super::format::Id;
use crate::progress::Cancelled;
use crate::store::{FileKind, StoreError};

/// What the repository's functions return.
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// What is wrong with bytes that another sum than their name's comes from.
pub(super) const WRONG_SUM: &str = "its contents do not have the sum that is its name";

/// An error of the repository layer.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The place itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no `config` file.
    #[error(
        "{location} holds no image repository: give the folder of an existing one, \
         or create one there with 'lifeboat init'"
    )]
    NotARepository {
        /// The place looked at.
        location: String,
    },
    /// Creating one where there is one already.
    #[error(
        "{location} already holds an image repository: use it as it is, or name another folder"
    )]
    AlreadyARepository {
        /// The place.
        location: String,
    },
    /// No key opens with this passphrase.
    #[error("the passphrase does not open the repository in {location}")]
    WrongPassphrase {
        /// The place.
        location: String,
    },
    /// restic refuses empty passphrases, so nobody could open it elsewhere.
    #[error("the passphrase is empty: give one, or create the repository without passphrase")]
    EmptyPassphrase,
    /// A key that is not removed.
    #[error("key {key:?} is not removed: {problem}")]
    KeyRefused {
        /// As it was named.
        key: String,
        /// Why not, and what to do.
        problem: &'static str,
    },
    /// A repository of a later format.
    #[error(
        "the repository in {location} has format version {version}, but this Lifeboat knows \
         versions up to 2: use a newer Lifeboat"
    )]
    TooNew {
        /// The place.
        location: String,
        /// The version found.
        version: u64,
    },
    /// Writing into a repository of the old format without compression.
    #[error(
        "the repository in {location} has the old format version 1, which can be read but not \
         added to: upgrade it with 'restic migrate upgrade_repo_v2'"
    )]
    TooOld {
        /// The place.
        location: String,
    },
    /// A file is not what it should be.
    #[error("{kind} {name} is damaged: {problem}")]
    Damaged {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A blob is not what it should be.
    #[error("blob {blob:?} in pack file {pack} is damaged: {problem}")]
    DamagedBlob {
        /// The blob.
        blob: Id,
        /// The pack it lies in.
        pack: Id,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The place returned other bytes than were stored.
    #[error(
        "reading back what was stored found pack {pack} different from what was written; the \
         place of the repository does not keep what is written to it: store images elsewhere"
    )]
    StoredWrong {
        /// The pack file.
        pack: Id,
    },
    /// A pack is gone that was stored only just now.
    #[error(
        "pack file {pack} was stored in {location} and is gone: somebody removes files there, or \
         the place does not keep what is written to it; run the same command again"
    )]
    StoredGone {
        /// The pack file.
        pack: Id,
        /// The place.
        location: String,
    },
    /// A tree blob whose contents make no sense.
    #[error("directory {tree:?} is damaged: {problem}")]
    DamagedTree {
        /// The tree blob.
        tree: Id,
        /// What is wrong with it.
        problem: String,
    },
    /// A blob that no index knows.
    #[error(
        "blob {blob:?} is in no index: the image that needs it is incomplete; \
         run 'lifeboat verify' to see what is affected"
    )]
    MissingBlob {
        /// The blob.
        blob: Id,
    },
    /// What is needed cannot be told from what is not.
    #[error(
        "{problem}; so it cannot be told what is still needed, and nothing was removed. \
         Run 'lifeboat check'; try 'lifeboat repair index', capture the disk again, or forget the \
         damaged image"
    )]
    Unprunable {
        /// What is wrong.
        problem: String,
    },
    /// No snapshot goes by that name.
    #[error("there is no image {wanted:?}: 'lifeboat images' lists those there are")]
    NoSuchSnapshot {
        /// What was asked for.
        wanted: String,
    },
    /// A prefix that fits several snapshots.
    #[error("{wanted:?} could be any of {count} images: give more digits")]
    AmbiguousSnapshot {
        /// What was asked for.
        wanted: String,
        /// How many it fits.
        count: usize,
    },
    /// Someone else holds a lock that excludes ours.
    #[error(
        "the repository is in use by {who} (process {pid}, since {since}): wait until that has \
         ended; if it is certainly gone, run 'lifeboat unlock --all', or wait until its lock is 30 minutes old"
    )]
    Locked {
        /// User and host.
        who: String,
        /// Its process id there.
        pid: u32,
        /// When the lock was last confirmed.
        since: OffsetDateTime,
    },
    /// Our lock is gone.
    #[error(
        "the lock on {location} was removed by someone else, who may have pruned what was just \
         stored: run the same command again"
    )]
    LockLost {
        /// The place.
        location: String,
    },
    /// A name or blob that cannot be stored.
    #[error("cannot store {what}: {problem}")]
    Refused {
        /// What was to be stored.
        what: String,
        /// Why not.
        problem: &'static str,
    },
    /// Storing failed earlier in another thread.
    #[error("storing stopped: {0}")]
    Stopped(String),
    /// The caller broke off.
    #[error("cancelled")]
    Cancelled,
    /// The kernel's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(String),
    /// A defect of this program.
    #[error("internal error: {0}; please report it")]
    Internal(&'static str),
}

impl From<Cancelled> for RepositoryError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl RepositoryError {
    /// Whether stored data is not what it should be, as opposed to a place that fails.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::DamagedBlob { .. }
            | Self::DamagedTree { .. }
            | Self::MissingBlob { .. } => true,
            Self::Store(error) => matches!(
                error,
                StoreError::NotFound { .. }
                    | StoreError::TooShort { .. }
                    | StoreError::TooLarge { .. }
            ),
            _ => false,
        }
    }

    /// Whether the place was not reached, which says nothing of what is stored there.
    pub(super) fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_out_of_reach())
    }

    /// An error about a file with a problem described in words.
    pub(super) fn damaged(kind: FileKind, name: impl ToString, problem: impl ToString) -> Self {
        Self::Damaged { kind, name: name.to_string(), problem: problem.to_string() }
    }
}
