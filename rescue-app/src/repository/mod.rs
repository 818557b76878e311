//! An image repository in restic's format, version 2; knows blobs and trees, not disks.
//!
//! The format is restic's `doc/design.rst`; this is our own implementation of it. Bytes take
//! this way in, and the same way backwards out:
//!
//! ```text
//! plain text ─ Id::of ─ known already? ─ compress ─ seal ─┐
//!            BlobWriter (one per thread)                  pack (16 MiB) ─ PackWriter's threads ─ store
//!                                                                                 └ index files
//! ```
//!
//! Where to look, each folder resting only on those above it:
//!
//! | | |
//! |---|---|
//! | `format` | what is on disk: ids, packs, index files, trees, snapshots, keys, compression, sealing |
//! | `repo.rs`, `indexed.rs` | the repository as it is open: its place and its key; with its index in memory |
//! | `keys.rs` | who can open it |
//! | `lock` | who is working on it |
//! | `read` | finding and reading blobs, trees and snapshots, and proving that they can be read |
//! | `write` | storing them, and removing files |
//! | `prune` | which images to keep, and freeing the space that no image uses |
//! | `check` | checking a whole repository, and repairing it |
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

mod check;
mod error;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod hostile;
mod indexed;
mod keys;
mod lock;
mod prune;
mod read;
mod repo;
mod write;

pub use check::{CheckReport, Dropped, Finding, RebuiltIndex, RepairedPacks};
pub use error::{RepositoryError, Result};
pub use format::{
    BlobLocation, BlobType, Held, Id, IdHasher, Identity, Node, NodeType, NotAnId,
    PUBLIC_PASSPHRASE, Snapshot, SnapshotFile, Summary, TOGETHER, Tree,
};
pub use indexed::IndexedRepository;
pub use keys::KeyNote;
pub use lock::{ExclusiveLock, Lock, SharedLock, Unlocked};
pub use prune::{Choice, KeepRules, KeptAs, PruneOptions, PruneReport, Within};
pub use read::{BlobReader, PackRun, ReadPlan, SnapshotList, Verified};
pub use repo::{OpenedKey, Repository};
pub use write::{Adopted, BlobWriter, PackWriter, Saved, Totals, Written};
