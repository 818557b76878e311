//! Block devices and image files: who they are, what uses them, how they are read and written.
//!
//! * [`list`] and [`open`] say which disks there are ([`Disk`]); there is no udev to ask, so
//!   everything comes from sysfs and procfs ([`Sysfs`]).
//! * [`Source`] reads a disk and can do nothing else, [`DirectSource`] does so around the page
//!   cache; [`Target`] is the only thing in the program that writes to one, once it was found to be
//!   what a person agreed to ([`Agreement`]).
//! * [`mount`] mounts without replaying journals, [`remount`] makes a mount of others
//!   writable, [`pci`] explains why no disk is seen.

mod agreement;
mod attributes;
mod boot_medium;
mod description;
mod direct;
mod ends;
mod error;
mod file_users;
mod identity;
pub mod ioctl;
mod loops;
pub mod mount;
mod namespaces;
mod object;
pub mod pci;
mod protection;
pub mod remount;
mod source;
mod stack;
mod sysfs;
mod target;
mod timeout;
pub mod uevent;
mod uses;

use std::path::Path;

pub use agreement::{Agreement, Hold};
pub use boot_medium::PARAMETER as MEDIUM_PARAMETER;
pub use description::{Busy, DEFAULT_SECTOR_SIZE, Disk, DiskKind, Transport, Use};
pub use direct::DirectSource;
pub use ends::Ends;
pub use error::DiskError;
pub use object::Object;
pub use protection::{WriteLift, set_read_only};
pub use source::{Source, View, data_of_file};
pub use sysfs::Sysfs;
pub use target::{Target, create_image_file};
pub use timeout::ShortTimeout;

/// The whole disks of this machine, in the kernel's order of names. RAM disks, device mapper, md,
/// loop devices without a file or under the medium's own programs, card readers without a card and
/// optical drives are left out; a disc can still be named by its device node.
///
/// # Errors
/// When sysfs cannot be read at all; a disk that vanishes meanwhile is left out.
pub fn list() -> Result<Vec<Disk>, DiskError> {
    Sysfs::host().list()
}

/// Looks at one disk, named by device node, by a name as under `/dev/disk/by-id`, or by the path
/// of an image file. `sector_size` says what an image file's partition table counts in.
///
/// # Errors
/// When nothing or something else than a whole disk is there, or the sector size does not fit.
pub fn open(path: &Path, sector_size: Option<u32>) -> Result<Disk, DiskError> {
    Sysfs::host().open(path, sector_size)
}
