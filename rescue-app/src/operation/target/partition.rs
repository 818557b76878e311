//! A partition of a target as a device of its own, for the programs and drivers that work on it.

use std::path::PathBuf;

use crate::bytes::Extent;
use crate::disk::{Disk, DiskKind};
use crate::operation::error::OperationError;
use crate::tool;

/// A partition of the target as a device of its own.
pub(super) struct Partition {
    pub(super) path: PathBuf,
    /// Whether it was made here, and has to go again.
    is_loop: bool,
}

impl Partition {
    /// The kernel's own device of partition `number`, or of the disk where that has no table, or a loop device
    /// over its `place` on the disk where it shows none.
    pub(super) fn find(
        disk: &Disk,
        number: Option<u32>,
        place: Extent,
    ) -> Result<Self, OperationError> {
        use std::os::unix::fs::FileTypeExt;
        let shown = match number {
            Some(number) => disk.partition_path(number),
            None => Some(disk.path.clone()),
        };
        let shown = shown.filter(|_| disk.kind == DiskKind::Device);
        let is_device =
            |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.file_type().is_block_device());
        if let Some(path) = shown.filter(is_device) {
            return Ok(Self { path, is_loop: false });
        }
        let mut command = tool::command("losetup")?;
        command.args(["--find", "--show", "--offset", &place.start.to_string()]);
        command.args(["--sizelimit", &place.len().to_string()]).arg(&disk.path);
        let made = tool::run(command, |status| status == 0)?;
        Ok(Self { path: made.trim().into(), is_loop: true })
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if self.is_loop {
            // Nothing is left to do when this fails: the device goes with the next restart.
            let _ = tool::command("losetup").and_then(|mut command| {
                command.arg("--detach").arg(&self.path);
                tool::run(command, |status| status == 0)
            });
        }
    }
}
