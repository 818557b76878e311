//! The firmware of a UEFI machine: its variables, the boot entries among them, and which programs it starts.
//!
//! Sources: UEFI specification 2.10, chapters 3 (boot manager), 10 (device paths) and 32 (secure boot); Linux
//! `Documentation/filesystems/efivarfs.rst`.

mod certificate;
mod der;
mod device_path;
mod load_option;
pub mod program;
mod secure_boot;
mod signature_list;
mod variables;

pub use device_path::{HardDrive, PartitionId};
pub use load_option::{BootEntry, LoadOption, Loader};
pub use secure_boot::{Refusal, SecureBoot};
pub use variables::{Variable, Variables};

#[cfg(test)]
mod samples;
