//! Lifeboat captures, restores, clones and verifies whole disks.
//!
//! Dependencies point downwards only; a lower layer never names an upper one.
//!
//! ```text
//!  tui/  command/  boot/      the menu, the command line, the boot medium's own start-up
//!       \    |    /
//!          job              what can be asked for: one definition of each verb, and its command line
//!           |
//!        operation            capture · restore · clone · verify · list · forget; typed Events
//!            |
//!    export  |                an image as files; resize: filesystems made smaller on a view of it
//!         transfer            from where chunks are read to where they go
//!            |
//!          layout             where partitions go on a disk of another size
//!            |
//!          image              what a captured disk is: manifest, chunks, writer and reader
//!        /       \
//!  repository   inspect         what a volume holds: recognition, volumes in volumes, unlocking,
//!  (restic         |            lost files, systems
//!   format;     filesystem · container · encryption
//!   knows no       |            readers: used-block maps · volume groups, arrays · LUKS, BitLocker
//!   disks)      volume          the words and traits they share
//!       |
//!     store                   where repository files live: a local folder
//!
//!  disk · table · firmware    below image: block devices and ioctls · GPT/MBR · UEFI variables, boot entries
//!  import                     below operation: files and folders that hold a disk, read as that disk
//!  virtual_disk               below export and import: disk files of virtual machines, read and written
//!  virtual_machine            below operation: QEMU, and what is seen of it
//!  signature                  below table and inspect: what libblkid knows volumes by
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
pub mod container;
pub mod disk;
pub mod encryption;
pub mod export;
pub mod filesystem;
pub mod firmware;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod image;
pub mod import;
pub mod inspect;
pub mod job;
pub mod layout;
pub mod operation;
pub mod progress;
pub mod repository;
pub mod resize;
pub mod signature;
pub mod store;
pub mod table;
pub mod tool;
pub mod transfer;
pub mod tui;
pub mod virtual_disk;
pub mod virtual_machine;
pub mod volume;
