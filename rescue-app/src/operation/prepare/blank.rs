//! What is written around a filesystem that a disk is given, step by step: for all that erases a disk
//! to make it something new.

use std::path::PathBuf;

use crate::bytes::{Extent, Extents, Window};
use crate::disk::{Agreement, Disk, Target};
use crate::operation::error::OperationError;
use crate::signature;

/// What goes to the start of the disk last of all: with it the table begins to count.
pub(in crate::operation) const FIRST_BLOCK: usize = 4096;

/// The device node of a partition, where the kernel shows one.
pub(in crate::operation) fn partition_device(disk: &Disk, number: u32) -> Option<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let is_device = |meta: std::fs::Metadata| meta.file_type().is_block_device();
    disk.partition_path(number).filter(|path| path.metadata().is_ok_and(is_device))
}

/// Erases what a stretch of the disk (first byte, bytes) could be taken for, but for what lies in `kept`.
pub(in crate::operation) fn erase_signatures(
    target: &Target,
    (start, size): (u64, u64),
    kept: &Extents,
) -> Result<(), OperationError> {
    let found = signature::find(&Window::new(target, start, size))
        .map_err(|error| OperationError::io("looking for what was on the disk before", error))?;
    for found in found {
        let place = Extent { start: start + found.offset, end: start + found.end() };
        for gap in kept.gaps_within(place.start, place.end).iter() {
            write(target, gap.start, &vec![0; usize::try_from(gap.len()).unwrap_or_default()])?;
        }
    }
    Ok(())
}

/// Opens the disk again after it was written: a refusal is then none that left it as it was.
pub(in crate::operation) fn reopen(
    disk: &Disk,
    agreed: &Agreement,
) -> Result<Target, OperationError> {
    Target::open(disk, agreed).map_err(|error| {
        OperationError::io("opening the disk again", std::io::Error::other(error.to_string()))
    })
}

pub(in crate::operation) fn not_kept(what: &str) -> OperationError {
    let cause = "the disk returns other bytes than were written; do not use it";
    OperationError::io(format!("reading {what} back"), std::io::Error::other(cause))
}

pub(in crate::operation) fn write(
    target: &Target,
    at: u64,
    bytes: &[u8],
) -> Result<(), OperationError> {
    target
        .write_at(at, bytes)
        .map_err(|error| OperationError::io(format!("writing at byte {at}"), error))
}

pub(in crate::operation) fn flush(target: &Target) -> Result<(), OperationError> {
    target.flush().map_err(|error| OperationError::io("flushing the disk", error))
}
