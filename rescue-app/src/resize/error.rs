//! Why a filesystem was not made smaller.

use std::io;

use crate::export::FuseError;
use crate::tool::ToolError;

/// Why a filesystem was not made smaller.
#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// The view could not be shown.
    #[error(transparent)]
    Fuse(#[from] FuseError),
    /// A program is not there, or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file or folder of the view could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The program refused, and what it refused was not done without it either.
    #[error(
        "{refused}; without it that is not possible either: {why}; run chkdsk in Windows, or choose a larger disk"
    )]
    NeitherWay {
        /// What the program said.
        refused: ToolError,
        /// What is in the way.
        why: String,
    },
    /// It was not possible to move its clusters ourselves.
    #[error("{0}; have it checked (chkdsk in Windows, fsck), or choose a larger disk")]
    InTheWay(String),
    /// What the program left is not understood.
    #[error(
        "what {tool} made of it is not believed ({why}); choose a larger disk, or give it more room with --size-of"
    )]
    NotBelieved {
        /// The program.
        tool: &'static str,
        /// The doubt.
        why: String,
    },
}

impl ResizeError {
    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
