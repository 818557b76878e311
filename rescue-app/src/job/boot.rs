//! Images that are started in a virtual machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::operation::{BootRequest, Firmware, RepoAccess, Screen, ThrowAway};

use super::images::FromArgs;
use super::values::parse_size;

/// The machine that an image is started in.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineArgs {
    /// What it starts with; what the captured machine had when absent.
    #[arg(long, value_name = "KIND", value_enum)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// Its memory, such as `4G`; half of what is free, from 1G to 4G, when absent.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// A folder for what it writes and does not fit a quarter of the free memory, in a file that is gone at
    /// the end.
    #[arg(long, value_name = "DIR")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "os_text::option")]
    pub changes: Option<PathBuf>,
}

impl MachineArgs {
    /// What is asked of the operations for an image.
    pub fn request(&self, image: String, repo: RepoAccess) -> BootRequest {
        BootRequest {
            image,
            repo,
            firmware: self.firmware,
            memory: self.memory,
            layer: ThrowAway { folder: self.changes.clone() },
        }
    }
}

/// Arguments of `boot`.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootArgs {
    /// The image: the start of its id, `latest`, or `latest:NAME` as with --disk.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// This terminal is its serial line, instead of a window; Ctrl-A X ends it.
    #[arg(long)]
    #[serde(default)]
    pub serial: bool,
    /// The machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineArgs,
    /// The repository, and whose images.
    #[command(flatten)]
    #[serde(flatten)]
    pub from: FromArgs,
}

impl BootArgs {
    /// What is asked of the operations.
    pub fn request(&self, repo: RepoAccess) -> BootRequest {
        self.machine.request(self.from.reference(&self.image), repo)
    }

    /// Where one sees it.
    pub fn screen(&self) -> Screen {
        if self.serial { Screen::Terminal } else { Screen::Window }
    }
}

/// Whether `verify` starts an image, and in what.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTestArgs {
    /// Start the image in a virtual machine instead, without a network and without changing it, and watch its
    /// screen and its serial line until they settle. The result is shown by `images`. It needs QEMU.
    #[arg(long, requires = "image")]
    #[serde(default)]
    pub boot: bool,
    /// How long it may take to settle, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, requires = "boot")]
    #[serde(default = "usual_timeout")]
    pub boot_timeout: u64,
    /// The machine.
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineArgs,
}

impl Default for BootTestArgs {
    fn default() -> Self {
        Self { boot: false, boot_timeout: usual_timeout(), machine: MachineArgs::default() }
    }
}

impl BootTestArgs {
    /// How long it may take to settle.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.boot_timeout)
    }
}

fn usual_timeout() -> u64 {
    300
}
