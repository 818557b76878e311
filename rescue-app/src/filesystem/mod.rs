//! What a partition holds: recognition by magic, and maps of the blocks in use.
//!
//! [`recognise`] reads superblocks only and serves the disk list. [`inspect`] reads the
//! filesystem's own allocation records and says which bytes have to be stored. Its one rule: never
//! leave out a used block. Whatever is doubtful (a read error, a checksum, a count, an unknown
//! feature, an unreplayed log) makes the answer "the whole volume", with the reason in words.
//!
//! One file or folder per filesystem, each behind the `Format` trait; `format::FORMATS` lists
//! them in the order of recognition. [`owners`] says which files lie in given bytes.
//! [`files`] reads folders without mounting anything. [`system`] names the operating system. [`unlock`] opens encrypted containers, [`unlock_in`] those
//! in other containers, for [`inspect_unlocked`] to look into them.
//! Nothing here writes, and nothing here panics on any bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod aes_sectors;
mod checksum;
mod companions;
mod container;
mod decrypted;
mod description;
mod encryption;
mod files;
mod foreign;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod head_cache;
mod kind;
mod last_use;
mod logical_volume;
mod opened;
mod owners;
mod path;
mod placement;
mod probe;
mod recognition;
mod text;
mod used_map;

mod apfs;
mod bitlocker;
mod btrfs;
mod exfat;
mod ext;
mod f2fs;
mod fat;
mod firmware_raid;
mod hfsplus;
mod iso9660;
mod luks;
mod lvm;
mod mdraid;
mod ntfs;
mod refs;
mod squashfs;
mod swap;
mod system;
mod xfs;
mod zfs;

#[cfg(any(test, fuzzing))]
pub(crate) use checksum::crc32c;
pub use companions::{Alone, Companions};
pub use description::{Coverage, Filesystem, Inspection, State};
pub use encryption::{
    Effort, LockedContainer, UnlockError, VolumeKey, VolumeKeys, locked_containers, unlock,
    unlock_in,
};
pub use files::{EachEntry, EntryKind, FileId, FileTree, FolderEntry, files};
pub use foreign::owner_of_disk;
pub use kind::Kind;
pub use last_use::LastUse;
pub use logical_volume::{Fragment, Located, LogicalVolume, Obstacle, Place};
pub use lvm::{PhysicalVolume, VolumeGroup, physical_volume};
pub use owners::{Owner, Owners, owners};
pub use recognition::{
    around_shown_array, container_over_table, inspect, inspect_among, inspect_trusting,
    inspect_unlocked, least_size, locate, recognise, volumes,
};
pub use system::system;
#[cfg(any(test, fuzzing))]
pub(crate) use system::windows_version;
