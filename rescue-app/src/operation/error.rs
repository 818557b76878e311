//! Why an operation did not succeed.

use std::io;

use crate::disk::DiskError;
use crate::export::FuseError;
use crate::image::ImageError;
use crate::image::manifest::ManifestError;
use crate::import::ImportError;
use crate::progress::{Cancelled, Shortage};
use crate::repository::{Id, RepositoryError};
use crate::resize::ResizeError;
use crate::store::StoreError;
use crate::table::TableError;
use crate::tool::ToolError;
use crate::transfer::TransferError;

use super::format::size;

/// The one error of this layer; its text reads as a chain from what was attempted to the cause.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// A disk could not be opened, read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A folder could not be mounted or unmounted.
    #[error(transparent)]
    Fuse(#[from] FuseError),
    /// A file was not read as the disk that it holds.
    #[error(transparent)]
    Import(ImportError),
    /// A filesystem could not be made smaller.
    #[error(transparent)]
    Resize(ResizeError),
    /// A partition table could not be read or fitted.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The repository refused or failed.
    #[error(transparent)]
    Repository(RepositoryError),
    /// The image's manifest is unusable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The image's content is unusable.
    #[error(transparent)]
    Image(ImageError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, "writing at 12.3 GiB".
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// What was attempted around the cause.
    #[error("{doing}: {cause}")]
    During {
        /// "capturing Samsung SSD 870 (S5Y1NJ0R)".
        doing: String,
        /// What went wrong.
        cause: Box<OperationError>,
    },
    /// A rule that protects data said no, before anything was written.
    #[error("{why}; {next}")]
    Refused {
        /// The rule.
        why: String,
        /// What the person can do.
        next: String,
    },
    /// Bytes did not get from the source to where they go.
    #[error(transparent)]
    Transfer(TransferError),
    /// The target returned other bytes than were written.
    #[error(
        "reading back found {bytes} bytes that differ from what was written, the first at byte {first}; \
         the target does not keep what is written to it: do not use it"
    )]
    ReadBack {
        /// Offset of the first difference.
        first: u64,
        /// Size of the chunks that differ.
        bytes: u64,
    },
    /// What the repository held before is damaged.
    #[error(
        "pack {pack}, which the repository held before and this image needs too, is damaged; run \
         'lifeboat repair packs', then the same capture again: it stores anew what is lost"
    )]
    ReusedWrong {
        /// The pack file.
        pack: Id,
    },
    /// Stored data is damaged or missing.
    #[error(
        "{} problem(s) found:\n  {}\nimages that do not need the damaged data are still good: verify \
         them one by one, and capture the others again",
        findings.len(), findings.join("\n  ")
    )]
    Damaged {
        /// Everything that is wrong.
        findings: Vec<String>,
    },
    /// The place of the repository filled up.
    #[error(
        "{} is full: {} still to be stored at most, {} free; free some space there or use another \
         place, then run the same command again: what was stored so far is kept and used",
        shortage.location, size(shortage.needed), free_text(shortage.free)
    )]
    Full {
        /// What is missing where.
        shortage: Shortage,
    },
    /// A restore broke off after its first write.
    #[error(
        "{cause}\n{left}; the same command again carries on where this one stopped, and any other \
         onto it begins anew"
    )]
    Unfinished {
        /// Why it broke off.
        cause: Box<OperationError>,
        /// What the target is now.
        left: String,
    },
    /// The person asked to stop.
    #[error("stopped on request; running the same command again carries on")]
    Cancelled,
}

impl OperationError {
    /// Wraps an I/O error with what was attempted.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// A refusal with its reason and the way on.
    pub fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), next: next.into() }
    }

    /// The innermost error.
    fn root(&self) -> &Self {
        match self {
            Self::During { cause, .. } | Self::Unfinished { cause, .. } => cause.root(),
            other => other,
        }
    }

    /// Whether the person asked for the stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.root(), Self::Cancelled)
    }

    /// Whether nothing was written because a rule said no.
    pub fn is_refusal(&self) -> bool {
        match self.root() {
            Self::Refused { .. } => true,
            Self::Disk(error) => error.is_refusal(),
            Self::Repository(RepositoryError::Store(error)) => {
                matches!(error, StoreError::Link { .. })
            }
            _ => false,
        }
    }

    /// Whether the place of the repository has no room for what is to be stored.
    pub fn is_full(&self) -> bool {
        matches!(
            self.root(),
            Self::Full { .. }
                | Self::Import(ImportError::NoRoom { .. })
                | Self::Repository(RepositoryError::Store(StoreError::Full { .. }))
        )
    }

    /// Whether there is no repository in the place that was named.
    pub fn is_no_repository(&self) -> bool {
        matches!(self.root(), Self::Repository(RepositoryError::NotARepository { .. }))
    }

    /// Whether somebody else is at work on the repository.
    pub fn is_locked(&self) -> bool {
        matches!(self.root(), Self::Repository(RepositoryError::Locked { .. }))
    }

    /// Whether the repository has a passphrase of its own that is missing or wrong.
    pub fn needs_passphrase(&self) -> bool {
        matches!(self.root(), Self::Repository(RepositoryError::WrongPassphrase { .. }))
    }
}

impl From<ImageError> for OperationError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Repository(error) => error.into(),
            ImageError::Manifest(error) => error.into(),
            error => Self::Image(error),
        }
    }
}

impl From<TransferError> for OperationError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Repository(error) => error.into(),
            TransferError::Io { what, source } => Self::Io { what, source },
            TransferError::Refused { why, next } => Self::Refused { why, next },
            TransferError::Cancelled => Self::Cancelled,
            gone @ TransferError::SourceGone { .. } => Self::Transfer(gone),
        }
    }
}

impl From<ImportError> for OperationError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Disk(error) => Self::Disk(error),
            ImportError::Refused { why, next } => Self::Refused { why, next },
            ImportError::Io { what, source } => Self::Io { what, source },
            ImportError::Cancelled => Self::Cancelled,
            told @ (ImportError::Damaged { .. } | ImportError::NoRoom { .. }) => Self::Import(told),
        }
    }
}

impl From<Cancelled> for OperationError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<ResizeError> for OperationError {
    fn from(error: ResizeError) -> Self {
        match error {
            ResizeError::Fuse(error) => Self::Fuse(error),
            ResizeError::Tool(error) => error.into(),
            ResizeError::Io { what, source } => Self::Io { what, source },
            told @ (ResizeError::NotBelieved { .. }
            | ResizeError::InTheWay(_)
            | ResizeError::NeitherWay { .. }) => Self::Resize(told),
        }
    }
}

impl From<ToolError> for OperationError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Missing(_) => Self::refused(error.to_string(), "install it"),
            ToolError::Failed { name, source } => Self::io(format!("running {name}"), source),
            ToolError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<RepositoryError> for OperationError {
    /// The repository breaks off only because a person asked for it.
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Cancelled | RepositoryError::Store(StoreError::Stopped) => {
                Self::Cancelled
            }
            error => Self::Repository(error),
        }
    }
}

fn free_text(free: Option<u64>) -> String {
    free.map_or_else(|| "an unknown number of bytes".to_owned(), size)
}

/// Adds what was attempted to an error.
pub trait Doing<T> {
    /// `doing` reads "capturing X", "restoring image Y to Z".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, OperationError>;
}

impl<T, E: Into<OperationError>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, OperationError> {
        self.map_err(|cause| match cause.into() {
            cancelled if cancelled.is_cancelled() => cancelled,
            refused @ OperationError::Refused { .. } => refused,
            cause => OperationError::During { doing: doing(), cause: Box::new(cause) },
        })
    }
}
