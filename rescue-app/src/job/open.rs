//! Images that are open disks for other programs.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::ThrowAway;

/// Whether an image can be written, without being changed.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerArgs {
    /// Let it be written: what is written is kept apart, in memory, and is gone at the end. The image stays
    /// as it is.
    #[arg(long)]
    #[serde(default)]
    pub writable: bool,
    /// A folder for what is written and does not fit a quarter of the free memory, in a file that is gone
    /// at the end.
    #[arg(long, value_name = "DIR", requires = "writable")]
    #[serde(default, with = "os_text::option")]
    pub changes: Option<PathBuf>,
}

impl LayerArgs {
    /// The layer that takes what is written.
    pub fn layer(&self) -> Option<ThrowAway> {
        self.writable.then(|| ThrowAway { folder: self.changes.clone() })
    }
}
