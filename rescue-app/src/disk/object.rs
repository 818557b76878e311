//! What a path leads to, whatever it is called: hard links, symbolic links and bind mounts are names
//! of one thing, and the kernel's numbers tell that it is one.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::stat::{major, makedev, minor};

/// A block device, or a file or folder of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// A block device by its number (`st_rdev`); its nodes may lie anywhere.
    Device(u64),
    /// Anything else.
    File {
        /// The filesystem it lies on (`st_dev`).
        device: u64,
        /// Its number there (`st_ino`).
        inode: u64,
    },
}

impl Object {
    /// What the metadata are of.
    pub fn of(meta: &Metadata) -> Self {
        match meta.file_type().is_block_device() {
            true => Self::Device(meta.rdev()),
            false => Self::File { device: meta.dev(), inode: meta.ino() },
        }
    }

    /// What is at `path`; links are followed.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(number) => write!(f, "device {}:{}", major(*number), minor(*number)),
            Self::File { device, inode } => {
                write!(f, "inode {inode} on {}:{}", major(*device), minor(*device))
            }
        }
    }
}

/// A device number as sysfs and mountinfo write it: `8:1`.
pub(super) fn device_number(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}
