//! Adding to a repository under a lock: blobs into packs, packs into index files, snapshots last;
//! and removing files in an order that a power cut keeps.

mod adopt;
pub(super) mod index_files;
pub(super) mod open_pack;
mod pack_writer;
mod readback;
mod removal;
mod snapshots;
mod writer;

pub use adopt::Adopted;
pub use pack_writer::{PackWriter, Totals, Written};
pub use writer::{BlobWriter, Saved};
