//! Why a map is not to be trusted.

use std::io;

use super::kind::Kind;

/// Why a map is not to be trusted, so that the volume is captured whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Doubt {
    /// Recognised only.
    #[error("used blocks of {0} are not mapped by this version")]
    NoMap(Kind),
    /// Files are not looked up.
    #[error("files of {0} are not looked up by this version")]
    NoNames(Kind),
    /// The device failed.
    #[error("{what} cannot be read: {source}")]
    Read {
        /// The structure.
        what: &'static str,
        /// The failure.
        source: io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Because(String),
}

impl Doubt {
    /// A doubt in words.
    pub(crate) fn because(words: impl Into<String>) -> Self {
        Self::Because(words.into())
    }

    /// Something tells of more bytes than the volume has.
    pub(crate) fn larger(kind: Kind, bytes: u64, volume: u64) -> Self {
        Self::because(format!("the {kind} has {bytes} bytes and the partition only {volume}"))
    }

    /// For `map_err`: a failure to read the structure named `what`.
    pub(crate) fn reading(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { what, source }
    }
}
