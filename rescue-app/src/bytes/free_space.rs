//! Room where files are kept.

use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Bytes that can still be written in a folder, by whoever asks (statvfs(3), `f_bavail`).
///
/// # Errors
/// The system's answer.
pub fn free_space(folder: &Path) -> nix::Result<u64> {
    statvfs(folder).map(|stat| stat.blocks_available().saturating_mul(stat.fragment_size()))
}
