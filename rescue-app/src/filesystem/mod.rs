//! Readers of filesystems: recognition by magic, and maps of the blocks in use.
//!
//! One file or folder per filesystem, each behind the trait `volume::Format`. Their one
//! rule: never leave out a used block. Whatever is doubtful (a read error, a checksum, a count, an
//! unknown feature, an unreplayed log) makes the answer a doubt, with the reason in words, and the
//! volume is captured whole. Readers know nothing of each other, and not what else may be on a volume.
//! Nothing here panics on any bytes, and nothing writes but what makes a volume smaller (`shrink/`), on a view of it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub(crate) mod btrfs;
pub(crate) mod exfat;
pub(crate) mod ext;
pub(crate) mod f2fs;
pub(crate) mod fat;
pub(crate) mod hfsplus;
mod moving;
pub(crate) mod ntfs;
pub(crate) mod recognised;
mod space;
pub(crate) mod swap;
pub(crate) mod xfs;
