//! XFS, by the kernel and `xfs_growfs`. It does not get smaller.

use std::path::Path;

use crate::tool;

use super::error::ResizeError;
use super::mounted::MountedFilesystem;

/// Gives it all of its device.
pub(super) fn grow(device: &Path) -> Result<(), ResizeError> {
    // Beside a disk with the same identity, whose copy it is, it is not mounted otherwise.
    let mounted = MountedFilesystem::new(device, "xfs", "nouuid")?;
    let mut command = tool::command("xfs_growfs")?;
    command.arg(mounted.folder());
    tool::run(command, |status| status == 0)?;
    mounted.end()
}
