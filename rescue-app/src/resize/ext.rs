//! ext2, ext3 and ext4, by `e2fsck` and `resize2fs`.
//!
//! How they behave was measured with e2fsprogs 1.47.2: `resize2fs` wants a full check after any mount, and
//! refuses sizes below its own estimate, which with `flex_bg` is far above what is needed, unless it is
//! given `-f`. It cuts a file to the new size.

use std::cell::Cell;
use std::path::Path;

use crate::progress::Cancel;
use crate::tool::{self, ToolError};

use super::task::Shrink;

/// "File system errors corrected" (e2fsck(8)).
const CORRECTED: i32 = 1;

/// Makes it smaller; what to warn of.
pub(super) fn shrink(
    file: &Path,
    task: &Shrink,
    cancel: &Cancel,
) -> Result<Option<String>, ToolError> {
    let blocks = task.size / u64::from(task.block.max(1));
    let mended = check(file, "-y", cancel)?;
    let mut command = tool::command("resize2fs")?;
    command.arg("-f").arg(file).arg(blocks.to_string());
    tool::run_until(command, |status| status == 0, cancel)?;
    check(file, "-n", cancel)?;
    Ok(mended.then(|| {
        format!(
            "e2fsck corrected {} before it was made smaller: look into lost+found there",
            task.name()
        )
    }))
}

/// Gives it all of its device.
pub(super) fn grow(device: &Path) -> Result<(), ToolError> {
    let cancel = Cancel::new();
    check(device, "-p", &cancel)?;
    let mut command = tool::command("resize2fs")?;
    command.arg(device);
    tool::run(command, |status| status == 0)?;
    check(device, "-n", &cancel).map(drop)
}

/// A full check; whether something was corrected.
fn check(file: &Path, answer: &str, cancel: &Cancel) -> Result<bool, ToolError> {
    let mut command = tool::command("e2fsck")?;
    command.args(["-f", answer]).arg(file);
    let corrected = Cell::new(false);
    let succeeds = |status| {
        corrected.set(status == CORRECTED);
        status == 0 || (status == CORRECTED && answer != "-n")
    };
    tool::run_until(command, succeeds, cancel)?;
    Ok(corrected.get())
}
