//! An image shown to other programs: as if it were files, and as network block devices.

mod files;
mod fuse;
mod nbd;
mod pieces;

pub(crate) use files::{ExportedDisk, VolumeOnDisk, files};
pub use files::{ExportedFile, FileBytes};
pub use fuse::{FuseError, Mounted};
pub use nbd::{NbdAddress, NbdServer, ServedImage};
