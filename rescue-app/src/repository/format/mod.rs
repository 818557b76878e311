//! What is on disk: how each kind of file is laid out, compressed and sealed, and nothing about
//! when it is read or written.

pub(super) mod compression;
pub(super) mod crypto;
pub(super) mod hasher;
mod id;
pub(super) mod identity;
pub(super) mod index;
pub(super) mod json_file;
pub(super) mod key_file;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub(super) mod pack;
pub(super) mod polynomial;
pub(super) mod readme;
mod snapshot;
mod tree;

pub use hasher::{IdHasher, TOGETHER};
pub use id::{Id, NotAnId};
pub use identity::Identity;
pub use index::{BlobLocation, Held};
pub use pack::BlobType;
pub use readme::PUBLIC_PASSPHRASE;
pub use snapshot::{Snapshot, SnapshotFile, Summary};
pub use tree::{Node, NodeType, Tree};
