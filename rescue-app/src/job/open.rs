//! Images that are open disks for other programs.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::{NbdAddress, RepoAccess, ServeRequest, ThrowAway};

use super::images::FromArgs;

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

/// Arguments of `serve`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeArgs {
    /// The images: the starts of their ids, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// A socket in the file system, for its owner alone. It must not be there yet, and is removed at the
    /// end.
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    #[serde(default, with = "os_text::option")]
    pub socket: Option<PathBuf>,
    /// An address of this machine and a port. Whoever reaches it reads the images, and 127.0.0.1 is
    /// reached by every user of this machine: there is no password and no encryption.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10809")]
    #[serde(default = "usual_address")]
    pub listen: SocketAddr,
    /// Whether they can be written.
    #[command(flatten)]
    #[serde(flatten)]
    pub layer: LayerArgs,
    /// The repository, and whose images.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
}

/// The port is the protocol's own (IANA, `nbd`).
fn usual_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10809))
}

impl ServeArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> ServeRequest {
        ServeRequest {
            images: self.images.iter().map(|image| self.from.reference(image)).collect(),
            repo,
            address: match &self.socket {
                Some(path) => NbdAddress::Socket(path.clone()),
                None => NbdAddress::Port(self.listen),
            },
            layer: self.layer.layer(),
        }
    }
}
