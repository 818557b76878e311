//! What can go wrong with the place a repository lives in.

use std::io;

use super::FileKind;

/// An error of a [`super::Store`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place is full.
    #[error(
        "{location} is full: free some space there, then run the same command again; \
         what was stored so far is kept and used"
    )]
    Full {
        /// The store.
        location: String,
    },
    /// The place cannot be written to.
    #[error("{location} is read-only or belongs to someone else: nothing can be stored there")]
    ReadOnly {
        /// The store.
        location: String,
    },
    /// Somebody else is making a repository of the same place.
    #[error(
        "a repository is being created in {location} by somebody else at this moment; use that one"
    )]
    BeingCreated {
        /// The store.
        location: String,
    },
    /// The file is not there.
    #[error("{kind} {name} is missing from {location}")]
    NotFound {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        name: String,
        /// The store.
        location: String,
    },
    /// The file ends before the range that was asked for.
    #[error("{kind} {name} is cut short: it ends before byte {end}")]
    TooShort {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        name: String,
        /// End of the range asked for, in bytes from the start.
        end: u64,
    },
    /// The file is larger than anything the format's writers make.
    #[error("{kind} {name} has {size} bytes, which is more than the {limit} a sane one can have")]
    TooLarge {
        /// Its kind.
        kind: FileKind,
        /// Its name.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The largest size accepted, in bytes.
        limit: u64,
    },
    /// A folder of the repository is a symbolic link.
    #[error(
        "{path} is a link: a folder of a repository that leads elsewhere is not used; put the folder \
         itself in its place, or mount what it leads to there"
    )]
    Link {
        /// The folder.
        path: String,
    },
    /// Not a name for a file of that kind.
    #[error("{name:?} cannot be the name of a {kind}")]
    InvalidName {
        /// The kind asked for.
        kind: FileKind,
        /// The refused name.
        name: String,
    },
    /// A server did not answer for as long as it was waited for.
    #[error(
        "{location} cannot be reached: {why}; it was tried for {seconds} s. Look at the address and \
         the network, then run the same command again: what was stored so far is kept and used"
    )]
    Unreachable {
        /// The store.
        location: String,
        /// What happened at last.
        why: String,
        /// How long it was tried.
        seconds: u64,
    },
    /// A server does not do what it was asked for.
    #[error("{location}: {why}; {next}")]
    Refused {
        /// The store.
        location: String,
        /// What it says.
        why: String,
        /// What a person can do.
        next: String,
    },
    /// A server that removes nothing.
    #[error(
        "{location} lets nobody remove a {kind} from here: it only takes what is new \
         (append-only). Remove images on the server itself, or by an address that may"
    )]
    KeepsAll {
        /// The store.
        location: String,
        /// What was to be removed.
        kind: FileKind,
    },
    /// The person asked to stop.
    #[error("stopped on request")]
    Stopped,
    /// The operating system reported an error.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was being done, such as `writing`.
        action: &'static str,
        /// Full path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the place was not reached, which says nothing of what it holds.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::Stopped)
    }
}
