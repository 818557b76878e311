//! Readers of encrypted containers: their headers, their keys and their decrypted content.
//!
//! Nothing here writes, and nothing here panics on any bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod aes_sectors;
pub(crate) mod bitlocker;
mod decrypted;
pub(crate) mod luks;
