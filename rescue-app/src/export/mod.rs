//! An image shown to other programs as if it were files.

mod files;
mod fuse;
mod pieces;

pub(crate) use files::{ExportedDisk, VolumeOnDisk, files};
pub use files::{ExportedFile, FileBytes};
pub use fuse::{FuseError, Mounted};
