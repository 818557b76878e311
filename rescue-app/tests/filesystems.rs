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

#[path = "support/bitlocker_images.rs"]
mod bitlocker_images;
#[path = "support/bitlocker_maker.rs"]
mod bitlocker_maker;
#[path = "support/btrfs_tools.rs"]
mod btrfs_tools;
#[path = "support/exported.rs"]
mod exported;
#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/foreign_counts.rs"]
mod foreign_counts;
#[path = "support/fs_beside.rs"]
mod fs_beside;
#[path = "support/fs_bitlocker.rs"]
mod fs_bitlocker;
#[path = "support/fs_btrfs.rs"]
mod fs_btrfs;
#[path = "support/fs_btrfs_damage.rs"]
mod fs_btrfs_damage;
#[path = "support/fs_damage.rs"]
mod fs_damage;
#[path = "support/fs_exfat.rs"]
mod fs_exfat;
#[path = "support/fs_ext.rs"]
mod fs_ext;
#[path = "support/fs_f2fs.rs"]
mod fs_f2fs;
#[path = "support/fs_fat.rs"]
mod fs_fat;
#[path = "support/fs_firmware_raid.rs"]
mod fs_firmware_raid;
#[path = "support/fs_folders.rs"]
mod fs_folders;
#[path = "support/fs_foreign.rs"]
mod fs_foreign;
#[path = "support/fs_guest.rs"]
mod fs_guest;
#[path = "support/fs_guest_owners.rs"]
mod fs_guest_owners;
#[path = "support/fs_hfsplus.rs"]
mod fs_hfsplus;
#[path = "support/fs_hostile.rs"]
mod fs_hostile;
#[path = "support/fs_large.rs"]
mod fs_large;
#[path = "support/fs_layers.rs"]
mod fs_layers;
#[path = "support/fs_luks.rs"]
mod fs_luks;
#[path = "support/fs_luks_inside.rs"]
mod fs_luks_inside;
#[path = "support/fs_lvm.rs"]
mod fs_lvm;
#[path = "support/fs_lvm_doubt.rs"]
mod fs_lvm_doubt;
#[path = "support/fs_lvm_restore.rs"]
mod fs_lvm_restore;
#[path = "support/fs_lvm_several.rs"]
mod fs_lvm_several;
#[path = "support/fs_mdraid.rs"]
mod fs_mdraid;
#[path = "support/fs_mdraid_spread.rs"]
mod fs_mdraid_spread;
#[path = "support/fs_ntfs.rs"]
mod fs_ntfs;
#[path = "support/fs_owners.rs"]
mod fs_owners;
#[path = "support/fs_program.rs"]
mod fs_program;
#[path = "support/fs_recognition.rs"]
mod fs_recognition;
#[path = "support/fs_signatures.rs"]
mod fs_signatures;
#[path = "support/fs_system.rs"]
mod fs_system;
#[path = "support/fs_system_others.rs"]
mod fs_system_others;
#[path = "support/fs_tools.rs"]
mod fs_tools;
#[path = "support/fs_xfs.rs"]
mod fs_xfs;
#[path = "support/fs_xfs_log.rs"]
mod fs_xfs_log;
#[path = "support/guest.rs"]
mod guest;
#[path = "support/hfsplus_maker.rs"]
mod hfsplus_maker;
#[path = "support/lvm_devices.rs"]
mod lvm_devices;
