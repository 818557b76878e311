//! Lifeboat captures, restores, clones and verifies whole disks.
//!
//! Dependencies point downwards only; a lower layer never names an upper one.
//!
//! ```text
//!  tui/  command/  boot/      the menu, the command line, the boot medium's own start-up
//!       \    |    /
//!        operation            capture · restore · verify · list · forget; each emits typed Events
//!            |
//!          image              what a captured disk is: manifest, chunk plan, restore plan
//!        /       \
//!  repository   disk · table · filesystem · signature
//!  (restic      (block devices and ioctls · GPT/MBR · recognise + used-block maps · what blkid
//!   format;      would find)
//!   knows no disks)
//!       |
//!     store                   where repository files live: a local folder
//!
//!  signature                  below table and filesystem: what libblkid knows volumes by
//!  bytes · console            below everything: positioned reads, extents, checked integer fields ·
//!                             the one way out to a terminal
//! ```
//!
//! Parsers of foreign bytes (tables, filesystems, packs, JSON) are pure functions over
//! [`bytes::ReadAt`]: no I/O policy, no panics on any input.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod boot;
pub mod bytes;
pub mod command;
pub mod console;
pub mod disk;
pub mod filesystem;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod image;
pub mod operation;
pub mod repository;
pub mod signature;
pub mod store;
pub mod table;
pub mod tui;
