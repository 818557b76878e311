//! The folders of what is on a volume.

use super::recognition;
use crate::bytes::ReadAt;
use crate::volume::FileTree;

/// The folders of what is on a volume. `None` when they are not read by this version, and whenever
/// there is a doubt: a log that was not replayed, a feature that is not known, other devices that
/// belong to it.
pub fn files(volume: &dyn ReadAt) -> Option<Box<dyn FileTree + '_>> {
    let (format, _) = recognition::found_on(volume)?;
    format.files(volume)
}
