//! What differs between images.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::operation::{DiffRequest, RepoAccess};

use super::images::FromArgs;

/// Arguments of `diff`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffArgs {
    /// The earlier image, or a volume, folder or file of it, as for `ls`.
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// The later image. Without a volume, that of BEFORE is meant.
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// The repository, and whose image.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
    /// One JSON object a line instead of text.
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl DiffArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> DiffRequest {
        DiffRequest {
            before: self.from.place(&self.before),
            after: self.from.place(&self.after),
            repo,
        }
    }
}
