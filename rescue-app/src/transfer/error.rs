//! Why bytes did not get from where they are read to where they go.

use std::io;

use crate::progress::Cancelled;
use crate::repository::RepositoryError;

/// An error of this layer. What was attempted around it is added by the operation.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The repository refused or failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, "writing the target at byte 512".
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// What was asked for does not fit, as was found before anything was written.
    #[error("{why}; {next}")]
    Refused {
        /// What does not fit.
        why: String,
        /// What the person can do.
        next: String,
    },
    /// The source disk is no longer there, or answers nothing any more.
    #[error(
        "the disk disappeared while byte {at} was read ({source}); connect it again, with another \
         cable or port if it keeps happening, and run the same command again: what was stored is \
         used again"
    )]
    SourceGone {
        /// What was read when it was noticed, byte of the disk.
        at: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// The person asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl TransferError {
    /// Wraps an I/O error with what was attempted.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// A refusal with its reason and the way on.
    pub(crate) fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), next: next.into() }
    }
}

impl From<Cancelled> for TransferError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}
