//! An image shown to other programs as if it were files.

mod files;
mod fuse;

pub use files::{ExportedFile, FileBytes};
pub(crate) use files::{VolumeOnDisk, files};
pub use fuse::{FuseError, Mounted};
