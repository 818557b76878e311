//! Filesystems that are given the room of a larger partition, by their own tools, once everything is
//! written and read back.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::disk::{DiskKind, Target};
use crate::operation::error::OperationError;
use crate::progress::{Control, Phase};
use crate::resize::{MountedFilesystem, ResizeError};
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

impl Growth {
    /// The program that grows a filesystem which is not mounted, if there is one.
    pub(super) fn tool_for(kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => Some("resize2fs"),
            Kind::Ntfs => Some("ntfsresize"),
            Kind::Btrfs => Some("btrfs"),
            Kind::Xfs => Some("xfs_growfs"),
            _ => None,
        }
    }

    /// Grows it in its partition at `device`, checked before and after.
    fn run(&self, device: &Path) -> Result<(), ResizeError> {
        let of = |name: &str, args: &[&str], most: i32| {
            let mut command = tool::command(name)?;
            command.args(args).arg(device);
            Ok::<_, ResizeError>(
                tool::run(command, |status| (0..=most).contains(&status)).map(drop)?,
            )
        };
        match self.kind {
            Kind::Ntfs => {
                // Twice: without its question. It has Windows check the volume (`chkdsk`) at its next
                // start, and refuses to look at it until then, unless it is told to.
                of("ntfsresize", &["--force", "--force", "--no-progress-bar"], 0)?;
                of("ntfsresize", &["--info", "--force", "--no-progress-bar"], 0)
            }
            Kind::Btrfs => mounted(device, "btrfs", &["btrfs", "filesystem", "resize", "max"]),
            Kind::Xfs => mounted(device, "xfs", &["xfs_growfs"]),
            _ => {
                // resize2fs refuses what was mounted since its last check; status 1 is "corrected".
                of("e2fsck", &["-f", "-p"], 1)?;
                of("resize2fs", &[], 0)?;
                of("e2fsck", &["-f", "-n"], 0)
            }
        }
    }
}

/// Has the kernel mount what is on a device, and a program with these words work on it.
fn mounted(device: &Path, kind: &str, words: &[&str]) -> Result<(), ResizeError> {
    // Beside a disk with the same identity, whose copy it is, XFS is not mounted otherwise.
    let options = if kind == "xfs" { "nouuid" } else { "noatime" };
    let mounted = MountedFilesystem::new(device, kind, options)?;
    let (name, rest) = words.split_first().unwrap_or((&"", &[]));
    let mut command = tool::command(name)?;
    command.args(rest).arg(mounted.folder());
    tool::run(command, |status| status == 0)?;
    mounted.end()
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
        let error = device.and_then(|device| Ok(growth.run(&device.path)?)).err()?;
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
        let mut command = losetup();
        command.args(["--find", "--show", "--offset", &growth.start.to_string()]);
        command.args(["--sizelimit", &growth.size.to_string()]).arg(&disk.path);
        let made = tool::run(command, |status| status == 0)?;
        Ok(Self { path: made.trim().into(), is_loop: true })
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if self.is_loop {
            let mut command = losetup();
            command.arg("--detach").arg(&self.path);
            // Nothing is left to do when this fails: the device goes with the next restart.
            let _ = tool::run(command, |status| status == 0);
        }
    }
}

fn losetup() -> Command {
    Command::new(tool::find("losetup").unwrap_or_else(|| "losetup".into()))
}
