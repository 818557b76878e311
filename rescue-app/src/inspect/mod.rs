//! What a volume holds, whatever it is: which reader it belongs to, and what lies in volumes within it.
//!
//! [`recognise`] reads superblocks only and serves the disk list. [`inspect`] reads the
//! filesystem's own allocation records and says which bytes have to be stored. Its one rule: never
//! leave out a used block. Whatever is doubtful makes the answer "the whole volume", with the reason
//! in words.
//!
//! `registry::FORMATS` lists the readers in the order of recognition. [`owners`] says which files
//! lie in given bytes. [`files`] reads files without mounting anything. [`system`] names the
//! operating system. [`unlock`] opens encrypted containers, [`unlock_in`] those in other containers,
//! for [`inspect_unlocked`] to look into them.
//! Nothing here writes, and nothing here panics on any bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod files;
mod foreign;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod head_cache;
mod nested;
mod opened;
mod owners;
mod recognition;
mod registry;
mod system;
mod unlock;

pub use files::files;
pub use foreign::owner_of_disk;
pub use owners::owners;
pub use recognition::{
    around_shown_array, container_over_table, inspect, inspect_among, inspect_trusting,
    inspect_unlocked, least_size, locate, recognise, volumes,
};
#[cfg(any(test, fuzzing))]
pub(crate) use system::windows_version;
pub use system::{OwnDrivers, own_drivers, system};
pub use unlock::{locked_containers, unlock, unlock_in};
