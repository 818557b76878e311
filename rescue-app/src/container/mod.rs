//! Readers of what deals out its bytes to other volumes: logical volumes and arrays.
//!
//! A reader says which volumes a container holds and where their bytes lie (`volume::Content`); what
//! is in those is not its business. Nothing here writes, and nothing here panics on any bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub(crate) mod firmware_raid;
pub(crate) mod lvm;
pub(crate) mod mdraid;

pub use lvm::{PhysicalVolume, VolumeGroup, physical_volume};
