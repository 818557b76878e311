//! What matters to a repository of the filesystem that it lies on.

use std::path::Path;
use std::time::Duration;

use nix::sys::statfs::statfs;

/// The type of a filesystem, as `statfs` calls it (Linux `include/uapi/linux/magic.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilesystemType(i128);

/// Filesystems of this machine's own disks and memory: ext2, ext3 and ext4, XFS, Btrfs, F2FS, exFAT,
/// NTFS, overlay, tmpfs. Like FAT they show a new file to everybody at once.
const LOCAL: [i128; 8] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x2011_bab0,
    0x7366_746e,
    0x794c_7630,
    0x0102_1994,
];

/// NFS. A folder that has just changed is taken to stay as it is for the option `acdirmin`, 30 s
/// unless said otherwise (`nfs(5)`), which a server that counts time coarsely makes true even for
/// one's own changes.
const NFS: i128 = 0x6969;

/// The longest that a folder is remembered on NFS, with a second for the way.
const NFS_SETTLE: Duration = Duration::from_secs(31);

/// The same everywhere else: SMB remembers folders for the option `actimeo`, 1 s (`mount.cifs(8)`),
/// FUSE names for as long (libfuse's `entry_timeout`, and its filesystems forget a folder that is
/// written to), 9P nothing unless told to.
const OTHER_SETTLE: Duration = Duration::from_millis(1500);

impl FilesystemType {
    /// FAT of any width.
    pub(super) const FAT: Self = Self(0x4d44);

    /// Of the filesystem that holds `path`; unknown when that cannot be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        statfs(path).ok().map(|place| Self(place.filesystem_type().0.into()))
    }

    /// See [`super::Store::settle_time`]; the longest where the type is unknown.
    pub(super) fn settle_time(of: Option<Self>) -> Duration {
        match of {
            None | Some(Self(NFS)) => NFS_SETTLE,
            Some(Self::FAT) => Duration::ZERO,
            Some(Self(local)) if LOCAL.contains(&local) => Duration::ZERO,
            Some(_) => OTHER_SETTLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_given_time_to_show_what_is_new() {
        let settle = |number| FilesystemType::settle_time(Some(FilesystemType(number)));
        assert_eq!((settle(0xef53), settle(0x4d44)), (Duration::ZERO, Duration::ZERO));
        assert!(settle(NFS) > Duration::from_secs(30));
        for other in [0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 1] {
            assert!(settle(other) > Duration::from_secs(1), "{other:#x}");
        }
    }
}
