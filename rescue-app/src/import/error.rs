//! Why a file was not read as the disk that it holds.

use std::io;
use std::path::{Path, PathBuf};

use crate::console;
use crate::disk::DiskError;
use crate::progress::Cancelled;

/// An error of this layer.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or folder could not be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What is not read, or not in this way.
    #[error("{why}; {next}")]
    Refused {
        /// What it is, with the file's name.
        why: String,
        /// What the person can do.
        next: String,
    },
    /// A file is not as its format has it.
    #[error(
        "{} is damaged or cut short at byte {at}: {why}; copy it anew from where it came from, nothing \
         was stored",
        console::path(file)
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it reading had come to, bytes.
        at: u64,
        /// What was found.
        why: String,
    },
    /// There is no room to unpack it.
    #[error(
        "{} has no room for what is unpacked: {written} bytes are written{}; name a folder with more room: \
         --scratch DIR",
        console::path(folder),
        free.map_or_else(String::new, |free| format!(", {free} are free"))
    )]
    NoRoom {
        /// Where it was unpacked.
        folder: PathBuf,
        /// Bytes that were written so far.
        written: u64,
        /// Bytes that are free now.
        free: Option<u64>,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the file's name.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The person asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl ImportError {
    /// A refusal with its reason and the way on.
    pub(super) fn refused(why: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), next: next.into() }
    }

    /// The system's answer to reading `file`.
    pub(super) fn reading(file: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("reading {}", console::path(file));
        move |source| Self::Io { what, source }
    }
}

impl From<Cancelled> for ImportError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}
