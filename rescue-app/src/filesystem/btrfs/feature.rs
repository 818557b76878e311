//! Feature words: what is understood, and what must not be guessed at.
//!
//! Source: Linux `include/uapi/linux/btrfs.h` and `btrfs_tree.h`.

use super::superblock::Superblock;
use crate::volume::Doubt;

/// `incompat_flags`.
pub(super) mod incompat {
    /// Tree blocks carry `metadata_uuid` in place of `fsid`.
    pub(in crate::filesystem::btrfs) const METADATA_UUID: u64 = 1 << 10;

    /// Mixed back references, default subvolume, mixed block groups, LZO, Zstandard, large
    /// metadata, extended inode references, RAID5/6, skinny metadata, no holes, metadata UUID,
    /// RAID1C3/4. Not among them: zones (12), extent tree version 2 (13), RAID stripe tree (14),
    /// simple quotas (16), remap tree (17), all of which say otherwise what is used or where it is.
    pub(super) const KNOWN: u64 = 0xfff;
}

/// `compat_ro_flags`.
pub(super) mod compat_ro {
    /// Block group items have a tree of their own.
    pub(in crate::filesystem::btrfs) const BLOCK_GROUP_TREE: u64 = 1 << 3;

    /// Free space tree, the same valid, fs-verity, block group tree.
    pub(super) const KNOWN: u64 = 0xf;
}

/// Superblock `flags`.
mod flag {
    /// Set in every superblock that was written.
    pub(super) const WRITTEN: u64 = 1;
    /// The kernel met errors.
    pub(super) const ERROR: u64 = 1 << 2;
    /// A seed, which other filesystems build upon.
    pub(super) const SEEDING: u64 = 1 << 32;
}

/// Whether the map of a filesystem with these features can be read.
pub(super) fn check(superblock: &Superblock) -> Result<(), Doubt> {
    let unknown = superblock.incompat & !incompat::KNOWN;
    if unknown != 0 {
        return Err(Doubt::because(format!("unknown incompatible features {unknown:#x}")));
    }
    let unknown = superblock.compat_ro & !compat_ro::KNOWN;
    if unknown != 0 {
        return Err(Doubt::because(format!("unknown read-only compatible features {unknown:#x}")));
    }
    if superblock.flags & flag::SEEDING != 0 {
        return Err(Doubt::because("it is a seed device"));
    }
    if superblock.flags & flag::ERROR != 0 {
        return Err(Doubt::because(
            "the kernel met errors in it; only a check can tell of what kind",
        ));
    }
    if superblock.flags != flag::WRITTEN {
        let flags = superblock.flags;
        return Err(Doubt::because(format!("its superblock has unusual flags {flags:#x}")));
    }
    if superblock.device.id == 0 {
        return Err(Doubt::because("it is the unfinished replacement of another device"));
    }
    Ok(())
}
