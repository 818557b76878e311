//! NTFS, by `ntfsresize`, and by our own hand where that refuses.
//!
//! How it behaves was measured with ntfs-3g 2022.10.3: only of a size in plain bytes that is a multiple of the
//! sector size it writes the backup of the boot sector, into the last sector; the volume itself ends a
//! cluster before that. It marks the volume, so that Windows checks it at its next start, and then
//! refuses to look at it unless it is told to.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use crate::bytes::{WriteAt, le16, le32};
use crate::filesystem;
use crate::progress::Cancel;
use crate::tool::{self, ToolError};

use super::error::ResizeError;
use super::task::Shrink;
use super::view::View;

/// "Hidden sectors" of a boot sector, and its size.
const HIDDEN: usize = 28;
const SECTOR: usize = 512;

/// Makes it smaller on a view that `show` makes, and gives that back.
pub(super) fn shrink(
    show: impl Fn() -> Result<View, ResizeError>,
    task: &Shrink,
    cancel: &Cancel,
) -> Result<View, ResizeError> {
    let view = show()?;
    match by_tool(view.file(), task, cancel) {
        Err(ResizeError::Tool(refused @ ToolError::Failed { .. })) => {
            // What it did before it gave up is forgotten.
            drop(view.end());
            let view = show()?;
            by_hand(&view, task, cancel, refused)?;
            Ok(view)
        }
        done => done.map(|()| view),
    }
}

fn by_tool(file: &Path, task: &Shrink, cancel: &Cancel) -> Result<(), ResizeError> {
    ntfsresize(file, &["--size", &task.size.to_string()], cancel)?;
    cut(file, task.size)?;
    Ok(ntfsresize(file, &["--info"], cancel)?)
}

/// Moves the clusters ourselves; the tool then judges what became of it.
fn by_hand(
    view: &View,
    task: &Shrink,
    cancel: &Cancel,
    refused: ToolError,
) -> Result<(), ResizeError> {
    if let Err(doubt) = filesystem::ntfs::shrink(view.bytes(), task.size, cancel) {
        return Err(match cancel.is_requested() {
            true => ToolError::Cancelled.into(),
            false => ResizeError::NeitherWay { refused, why: doubt.to_string() },
        });
    }
    cut(view.file(), task.size)?;
    Ok(ntfsresize(view.file(), &["--info"], cancel)?)
}

fn cut(file: &Path, size: u64) -> Result<(), ResizeError> {
    let cut = OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(size));
    cut.map_err(|error| ResizeError::io("cutting the view", error))
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
