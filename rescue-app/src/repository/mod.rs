//! An image repository in restic's format, version 2; knows blobs and trees, not disks.
//!
//! The format is restic's `doc/design.rst`; this is our own implementation of it. Bytes take
//! this way in, and the same way backwards out:
//!
//! ```text
//! plain text ─ Id::of ─ known already? ─ compress ─ seal ─┐
//!            BlobWriter (one per thread)                  pack (16 MiB) ─ Saver's writers ─ store
//!                                                                              └ index files
//! ```
//!
//! Write order is packs, index, snapshot, each file whole and synced before the next kind names
//! it; whatever is interrupted leaves nothing but packs and index files that nobody refers to.
//!
//! Who may work at the same time (rows hold, columns want):
//!
//! | | list, restore | capture | restic backup | forget, check, prune |
//! |---|---|---|---|---|
//! | list, restore (shared) | yes | yes | yes | no |
//! | capture (shared) | yes | yes | yes | no |
//! | restic backup (shared) | yes | yes | yes | no |
//! | forget, check, prune (exclusive) | no | no | no | no |

mod adopt;
mod check;
mod compression;
mod crypto;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hasher;
#[cfg(test)]
mod hostile;
mod id;
mod identity;
mod index;
mod index_files;
mod json_file;
mod keep;
mod key_file;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod lock;
mod open_pack;
mod pack;
mod polynomial;
mod prune;
mod readback;
mod reader;
mod readme;
mod removal;
mod repair;
mod repo;
mod saver;
mod snapshot;
mod tree;
mod verify;
mod writer;

pub use adopt::Adopted;
pub use check::{CheckEvent, CheckReport, CheckSink, Finding};
pub use error::{RepositoryError, Result};
pub use hasher::{IdHasher, TOGETHER};
pub use id::{Id, NotAnId};
pub use identity::Identity;
pub use index::BlobLocation;
pub use keep::{Choice, KeepRules, KeptAs};
pub use lock::{Lock, Unlocked};
pub use pack::BlobType;
pub use prune::{PruneEvent, PruneOptions, PruneReport, PruneSink};
pub use reader::{BlobReader, ReadPlan, Run};
pub use repair::{Dropped, RebuiltIndex, RepairedPacks};
pub use repo::{IndexSummary, OpenedKey, Repository};
pub use saver::{Saver, Totals, Written};
pub use snapshot::{Snapshot, SnapshotFile, SnapshotList, Summary};
pub use tree::{Node, NodeType, Tree};
pub use verify::{Progress, Verified};
pub use writer::{BlobWriter, Saved};

/// The passphrase of repositories whose images are no secret. It is written in `README.txt`
/// beside them.
pub const PUBLIC_PASSPHRASE: &str = "lifeboat";
