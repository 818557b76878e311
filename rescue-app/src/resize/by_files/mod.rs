//! Filesystems that cannot get smaller: made anew with the same identity and features, and filled with the files.

mod tree;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{OverlayRoom, ReadAt, Window};
use crate::filesystem::xfs::{self, Recipe};
use crate::progress::Cancel;
use crate::tool;
use crate::volume::Doubt;

use super::error::ResizeError;
use super::mounted::MountedFilesystem;
use super::task::Shrink;
use super::view::View;
use tree::TreeCopy;

/// Neither is another filesystem with the same identity in the way, nor is there anything to discard in a view.
const OPTIONS: &str = "loop,nouuid,noatime,nodiscard";
/// What was captured has nothing in its log.
const READ_ONLY: &str = "loop,nouuid,ro,norecovery";

/// Makes an XFS of `task.size` bytes with the files of the one that `source` shows; what to warn of.
pub(super) fn xfs(
    source: View,
    disk: &dyn ReadAt,
    task: &Shrink,
    room: OverlayRoom,
    cancel: &Cancel,
) -> Result<(View, Option<String>), ResizeError> {
    let before = Window::new(disk, task.start, task.from);
    let Recipe { options, has_quotas } = xfs::recipe(&before).map_err(|doubt| refused(&doubt))?;
    let made = View::show(Arc::new(Nothing(task.size)), 0, task.size, room)?;
    let mut command = tool::command(task.tool)?;
    command.args(options).arg(made.file());
    tool::run_until(command, |status| status == 0, cancel)?;
    fill(source.file(), made.file(), cancel)?;
    source.end()?;
    let mut command = tool::command("xfs_repair")?;
    command.args(["-n", "-f"]).arg(made.file());
    tool::run_until(command, |status| status == 0, cancel)?;
    if xfs::has_more_features(made.bytes(), &before).map_err(|doubt| refused(&doubt))? {
        let why = "it has features that the one before had not".to_owned();
        return Err(ResizeError::NotBelieved { tool: task.tool, why });
    }
    let warning = has_quotas.then(|| {
        format!(
            "the limits of quotas of {} are lost, since it was made anew: set them again",
            task.name()
        )
    });
    Ok((made, warning))
}

fn refused(doubt: &Doubt) -> ResizeError {
    ResizeError::io("reading how it was made", io::Error::other(doubt.to_string()))
}

/// Copies all files of the filesystem in one file into the one in another.
fn fill(from: &Path, to: &Path, cancel: &Cancel) -> Result<(), ResizeError> {
    let from = MountedFilesystem::new(from, "xfs", READ_ONLY)?;
    let to = MountedFilesystem::new(to, "xfs", OPTIONS)?;
    TreeCopy::new(from.folder(), to.folder(), cancel).run()?;
    to.end()?;
    from.end()
}

/// Zeros.
struct Nothing(u64);

impl ReadAt for Nothing {
    fn size(&self) -> u64 {
        self.0
    }

    fn read_at(&self, _: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        Ok(())
    }
}
