//! Finding and reading what a repository holds: blobs one by one or in runs,
//! directories, snapshots, and the proof that all of it can be read.

mod reader;
mod snapshots;
mod trees;
pub(super) mod verify;

pub use reader::{BlobReader, PackRun, ReadPlan};
pub use snapshots::SnapshotList;
pub use verify::Verified;
