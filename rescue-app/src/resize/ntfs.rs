//! NTFS, by `ntfsresize`.
//!
//! How it behaves was measured with ntfs-3g 2022.10.3: only of a size in plain bytes that is a multiple of the
//! sector size it writes the backup of the boot sector, into the last sector; the volume itself ends a
//! cluster before that. It marks the volume, so that Windows checks it at its next start, and then
//! refuses to look at it unless it is told to.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use crate::bytes::{WriteAt, le16, le32};
use crate::progress::Cancel;
use crate::tool::{self, ToolError};

use super::error::ResizeError;
use super::task::Shrink;

/// "Hidden sectors" of a boot sector, and its size.
const HIDDEN: usize = 28;
const SECTOR: usize = 512;

/// Makes it smaller.
pub(super) fn shrink(file: &Path, task: &Shrink, cancel: &Cancel) -> Result<(), ResizeError> {
    ntfsresize(file, &["--size", &task.size.to_string()], cancel)?;
    let cut = OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(task.size));
    cut.map_err(|error| ResizeError::io("cutting the view", error))?;
    Ok(ntfsresize(file, &["--info"], cancel)?)
}

/// Gives it all of its device.
pub(super) fn grow(device: &Path) -> Result<(), ToolError> {
    let cancel = Cancel::new();
    ntfsresize(device, &[], &cancel)?;
    ntfsresize(device, &["--info"], &cancel)
}

fn ntfsresize(file: &Path, more: &[&str], cancel: &Cancel) -> Result<(), ToolError> {
    let mut command = tool::command("ntfsresize")?;
    // Twice: without its question.
    command.args(["--force", "--force", "--no-progress-bar"]).args(more).arg(file);
    tool::run_until(command, |status| status == 0, cancel).map(drop)
}

/// Writes the sector where its partition begins into both boot sectors, where they told the old one.
pub(super) fn tell_its_place(
    bytes: &dyn WriteAt,
    task: &Shrink,
    (old, new): (u64, u64),
) -> io::Result<()> {
    let Ok(new) = u32::try_from(new) else { return Ok(()) };
    for place in [0, task.size.saturating_sub(SECTOR as u64)] {
        let sector = bytes.read_vec(place, SECTOR)?;
        let is_boot_sector = le16(&sector, 510) == Some(0xaa55);
        if is_boot_sector && le32(&sector, HIDDEN).map(u64::from) == Some(old) {
            bytes.write_at(place + HIDDEN as u64, &new.to_le_bytes())?;
        }
    }
    Ok(())
}
