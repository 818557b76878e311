//! Btrfs, by the kernel and `btrfs`.
//!
//! How it behaves was measured with btrfs-progs 6.14 on Linux 6.18: `min-dev-size` is wrong both ways, chunks
//! that are nearly empty are moved before the rest fits, and below 256 MiB nothing is done.

use std::path::Path;
use std::process::Command;

use crate::progress::Cancel;
use crate::tool::{self, ToolError};

use super::error::ResizeError;
use super::mounted::MountedFilesystem;
use super::task::Shrink;

/// What fills a chunk to less than so many parts of a hundred is moved together first.
const NEARLY_EMPTY: [&str; 3] = ["5", "25", "60"];

/// Makes it smaller.
pub(super) fn shrink(file: &Path, task: &Shrink, cancel: &Cancel) -> Result<(), ResizeError> {
    // A balance that was stopped does not go on by itself; old bytes need not be discarded in a view.
    let mounted = MountedFilesystem::new(file, "btrfs", "loop,noatime,nodiscard,skip_balance")?;
    let folder = mounted.folder();
    for usage in NEARLY_EMPTY {
        let (data, metadata) = (format!("-dusage={usage}"), format!("-musage={usage}"));
        let mut command = btrfs(&["balance", "start", &data, &metadata])?;
        command.arg(folder);
        match tool::run_until(command, |status| status == 0, cancel) {
            // Without room for that it may still fit.
            Ok(_) | Err(ToolError::Failed { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut command = btrfs(&["filesystem", "resize", &task.size.to_string()])?;
    command.arg(folder);
    tool::run_until(command, |status| status == 0, cancel)?;
    mounted.end()
}

/// Gives it all of its device.
pub(super) fn grow(device: &Path) -> Result<(), ResizeError> {
    let mounted = MountedFilesystem::new(device, "btrfs", "noatime")?;
    let mut command = btrfs(&["filesystem", "resize", "max"])?;
    command.arg(mounted.folder());
    tool::run(command, |status| status == 0)?;
    mounted.end()
}

fn btrfs(words: &[&str]) -> Result<Command, ToolError> {
    let mut command = tool::command("btrfs")?;
    command.args(words);
    Ok(command)
}
