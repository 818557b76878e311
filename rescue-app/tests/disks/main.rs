//! Disks: what sysfs says of them, and what the kernel does with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod controllers;
mod devices;
mod names;
mod places;
mod sysfs;
