//! Used-block maps against independent judges: filesystems made by their own tools on a medium
//! full of old bytes, filled and churned; then every byte that the map calls unused is overwritten
//! and the filesystem's own checker and every file's hash have to stay the same.
//!
//! Needs root, loop devices, FUSE and: e2fsprogs, ntfs-3g, dosfstools, mtools, btrfs-progs,
//! xfsprogs, lvm2, mdadm, cryptsetup-bin, qemu-system-common; for recognition also exfatprogs,
//! f2fs-tools, xorriso, squashfs-tools and util-linux; dislocker, and the images that
//! `scripts/fetch-foreign-images` brings. What runs in a guest needs QEMU and the kernel that
//! `make iso` unpacks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beside;
mod bitlocker;
mod btrfs;
mod btrfs_damage;
mod btrfs_tools;
mod contents;
mod damage;
mod exfat;
mod ext;
mod f2fs;
mod fat;
mod firmware_raid;
mod folders;
mod foreign;
mod foreign_counts;
mod foreign_images;
mod guest;
mod guest_owners;
mod hfsplus;
mod hostile;
mod large;
mod layers;
mod luks;
mod luks_inside;
mod lvm;
mod lvm_devices;
mod lvm_doubt;
mod lvm_restore;
mod lvm_several;
mod lvm_sizes;
mod mdraid;
mod mdraid_spread;
mod ntfs;
mod owners;
mod program;
mod recognition;
mod signatures;
mod system;
mod system_others;
mod tools;
mod xfs;
mod xfs_log;
