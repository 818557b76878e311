//! An image for other programs: as if it were files, as network block devices, and as disk files of virtual machines.

mod disk_file;
mod files;
mod fuse;
mod nbd;
mod new_file;
mod pieces;

pub(crate) use disk_file::{DiskFile, Pieces, writing};
pub(crate) use files::{ExportedDisk, VolumeOnDisk, files};
pub use files::{ExportedFile, FileBytes};
pub use fuse::{FuseError, Mounted};
pub use nbd::{NbdAddress, NbdServer, ServedImage};
pub(crate) use new_file::{NewFile, Standing};
