//! The files of what is on a volume.

use super::recognition;
use crate::bytes::ReadAt;
use crate::volume::{FileError, FileTree, Scrutiny};

/// The files of what is on a volume.
///
/// # Errors
/// With the reason, when nothing is recognised on it, when its files are not read by this version,
/// and when there is a doubt that `scrutiny` does not put up with: a log that was not replayed, a
/// feature that is not known, other devices that belong to it.
pub fn files(volume: &dyn ReadAt, scrutiny: Scrutiny) -> Result<Box<dyn FileTree + '_>, FileError> {
    let (format, _) = recognition::found_on(volume)
        .ok_or_else(|| FileError::unsupported("no known filesystem was recognised"))?;
    Ok(format.files(volume, scrutiny)?)
}
