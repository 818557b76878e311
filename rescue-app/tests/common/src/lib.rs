//! What several integration tests need: tools of others, chance that can be repeated, volumes that no tool makes, disks that
//! QEMU exports, a machine with another kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod bitlocker_images;
pub mod bitlocker_maker;
pub mod exfat_maker;
mod exported;
mod guest;
pub mod hfsplus_maker;
mod loops;
mod random;
mod tool;

use std::path::{Path, PathBuf};

pub use exported::Exported;
pub use guest::Guest;
pub use loops::Loop;
pub use random::{Random, noise};
pub use tool::{command, output_of, restic, stdout_of, succeeds, tool, tool_with_input};

/// 1 MiB.
pub const MIB: u64 = 1 << 20;

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}
