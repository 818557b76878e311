//! What a captured disk is: its manifest, its chunks, and the plan that puts it back.

mod chunk_cache;
pub mod chunks;
pub mod content;
pub mod damage;
pub mod disk_volumes;
pub mod identity;
pub mod layout;
pub mod left_out;
pub mod manifest;
pub mod marker;
pub mod read_ahead;
pub mod reader;
pub mod stored;
pub mod writer;

use crate::repository::{Id, RepositoryError};

use manifest::ManifestError;

/// Why the content of an image is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Its manifest is unusable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A blob of the image is in no index.
    #[error(
        "the image needs data that is missing from the repository (blob {0}); \
         run `lifeboat verify` and capture the disk again"
    )]
    MissingBlob(Id),
    /// The blobs do not add up to the disk.
    #[error("the image's data are {stored} bytes, its disk has {expected}; run `lifeboat verify`")]
    WrongSize {
        /// Sum of the blobs.
        stored: u64,
        /// Size recorded for the file.
        expected: u64,
    },
    /// The snapshot is not one of a disk.
    #[error(
        "snapshot {0} is not an image of a disk (no disk.img and manifest.json in its folder); \
         it was made by another program: use that to restore it"
    )]
    NotADisk(String),
}
