//! Filesystems that are given the room of a larger partition, by their own tools, once everything is
//! written and read back.

use std::path::PathBuf;

use serde::Serialize;

use crate::disk::{DiskKind, Target};
use crate::operation::error::OperationError;
use crate::progress::{Control, Phase};
use crate::resize;
use crate::tool;
use crate::volume::Kind;

use super::plan::TargetPlan;

/// A filesystem that is grown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// Number of its partition.
    pub number: u32,
    /// First byte of that.
    pub start: u64,
    /// Size of that in bytes.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// The program that grows it.
    pub tool: &'static str,
}

/// Grows what the plan says, on a target that is complete; what to warn of where that fails, since the
/// filesystem then has the size that it had.
pub(in crate::operation) fn grow(
    plan: &TargetPlan,
    target: Target,
    control: Control<'_>,
) -> Vec<String> {
    if plan.grows.is_empty() {
        return Vec::new();
    }
    control.phase(Phase::Finishing);
    // The tools open the disk themselves, while no target is open.
    let _lift = target.close();
    let grown = plan.grows.iter().filter_map(|growth| {
        let device = Partition::find(plan, growth);
        let error = device.and_then(|device| Ok(resize::grow(growth.kind, &device.path)?)).err()?;
        let warning = format!(
            "partition {}: its {} was not grown and has the size that it had: {error}",
            growth.number, growth.kind
        );
        control.warn(warning.clone());
        Some(warning)
    });
    grown.collect()
}

/// A partition of the target as a device of its own.
struct Partition {
    path: PathBuf,
    /// Whether it was made here, and has to go again.
    is_loop: bool,
}

impl Partition {
    /// The kernel's own device, or a loop device over that part of the disk where it shows none.
    fn find(plan: &TargetPlan, growth: &Growth) -> Result<Self, OperationError> {
        use std::os::unix::fs::FileTypeExt;
        let disk = &plan.target;
        let shown = disk.partition_path(growth.number).filter(|_| disk.kind == DiskKind::Device);
        let is_device =
            |path: &PathBuf| path.metadata().is_ok_and(|meta| meta.file_type().is_block_device());
        if let Some(path) = shown.filter(is_device) {
            return Ok(Self { path, is_loop: false });
        }
        let mut command = tool::command("losetup")?;
        command.args(["--find", "--show", "--offset", &growth.start.to_string()]);
        command.args(["--sizelimit", &growth.size.to_string()]).arg(&disk.path);
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
