//! What can go wrong with a disk, said so that a person knows what to do next.

use std::io;
use std::path::PathBuf;

/// An error of the `disk` layer.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Nothing is found at the path.
    #[error(
        "{path}: there is no such disk or image file; `lifeboat disks` shows the disks present"
    )]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// The path names a partition.
    #[error(
        "{path} is a partition of {disk}; name the whole disk {disk} and choose partitions of it"
    )]
    IsPartition {
        /// The partition.
        path: PathBuf,
        /// The disk it lies on.
        disk: PathBuf,
    },
    /// The path names a directory, a pipe, a character device or the like.
    #[error("{path} is neither a block device nor a plain file")]
    NotADisk {
        /// The path asked for.
        path: PathBuf,
    },
    /// A `/dev/disk/by-id`-like name that more than one disk answers to.
    #[error("{name} names more than one disk ({disks}); detach one or name the device itself")]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// The device paths it fits.
        disks: String,
    },
    /// A sector size that no disk has, or not the one the device has.
    #[error("{path}: sector size {asked} is not possible here: {why}")]
    SectorSize {
        /// The disk or image file.
        path: PathBuf,
        /// The sector size asked for, in bytes.
        asked: u32,
        /// What would be possible.
        why: String,
    },
    /// The disk must not be written to.
    #[error("{disk} is not written to: {why}")]
    Refused {
        /// Identity or path of the disk.
        disk: String,
        /// Why, and what to do about it.
        why: String,
    },
    /// Something in this system holds the device.
    #[error(
        "{path} is in use: something in this system, perhaps in another mount namespace, has it or a \
         partition of it mounted, mapped or open for itself"
    )]
    Claimed {
        /// The device.
        path: PathBuf,
    },
    /// Another disk than the one agreed to answers at the path.
    #[error(
        "{path} was {expected} and is now {found}; nothing was written to it: look at the list of \
         disks again and agree anew"
    )]
    Changed {
        /// The device path.
        path: PathBuf,
        /// What was agreed to.
        expected: String,
        /// What is there now.
        found: String,
    },
    /// A file that should be created is there already.
    #[error("{path} exists already; choose another name or leave out the size to write into it")]
    Exists {
        /// The image file.
        path: PathBuf,
    },
    /// A filesystem kind that is not mounted.
    #[error("a {kind} filesystem on {device} cannot be mounted {how}")]
    CannotMount {
        /// The block device.
        device: PathBuf,
        /// The filesystem's name.
        kind: String,
        /// "read-only" or "for writing".
        how: &'static str,
    },
    /// Disks belong to root.
    #[error("{what} {path}: not permitted; run this as root, or as the owner of the file")]
    NotPermitted {
        /// What was being done.
        what: &'static str,
        /// The file or device.
        path: PathBuf,
    },
    /// An operation of the kernel failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was being done, as a verb: "opening", "reading".
        what: &'static str,
        /// The file or device.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl DiskError {
    /// Whether a rule that protects data said no, before anything was written.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Claimed { .. }
                | Self::Changed { .. }
                | Self::Exists { .. }
        )
    }

    /// Wraps the kernel's answer with what was being done to which path.
    pub(crate) fn io<E: Into<io::Error>>(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::PermissionDenied => Self::NotPermitted { what, path },
                _ => Self::Io { what, path, source },
            }
        }
    }
}
