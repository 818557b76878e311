//! Opening the repository an operation works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::repository::{PUBLIC_PASSPHRASE, Repository};
use crate::store::{LocalStore, Store};

use super::error::OperationError;
use super::guard;

/// Which repository, and how it opens.
#[derive(Clone, Debug)]
pub struct RepoAccess {
    /// Its folder.
    pub location: PathBuf,
    /// Its passphrase; `None` for the public word of repositories without one.
    pub passphrase: Option<String>,
}

impl RepoAccess {
    /// The place of its files.
    pub(super) fn store(&self) -> Arc<LocalStore> {
        Arc::new(LocalStore::new(&self.location))
    }

    fn passphrase(&self) -> &str {
        self.passphrase.as_deref().unwrap_or(PUBLIC_PASSPHRASE)
    }

    /// Whether the repository is there and opens with this passphrase.
    ///
    /// # Errors
    /// Says which of the two it is; see [`OperationError::needs_passphrase`].
    pub fn try_open(&self) -> Result<(), OperationError> {
        self.open().map(drop)
    }

    /// Opens the repository without its index.
    pub(super) fn open(&self) -> Result<Repository, OperationError> {
        self.open_in(self.store())
    }

    /// [`Self::open`], its files reached through `store`.
    pub(super) fn open_in(&self, store: Arc<dyn Store>) -> Result<Repository, OperationError> {
        Ok(Repository::open(store, self.passphrase())?)
    }
}

/// How hard a capture compresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// For fast disks and slow processors.
    Fast,
    /// A good size at the speed of a usual disk.
    #[default]
    Balanced,
    /// The smallest image, several times slower.
    Small,
}

impl Compression {
    /// The level handed to zstd.
    pub fn zstd_level(self) -> i32 {
        match self {
            Self::Fast => 1,
            Self::Balanced => 4,
            Self::Small => 12,
        }
    }
}

/// Creates an empty repository in a folder, which is made when missing.
///
/// # Errors
/// Refuses a place that is gone when the machine is switched off, unless `in_memory`.
pub fn create_repository(access: &RepoAccess, in_memory: bool) -> Result<(), OperationError> {
    guard::place_lasts(&access.location, in_memory)?;
    Repository::init(access.store(), access.passphrase())?;
    Ok(())
}

/// Whether `folder` looks like a repository from outside.
pub fn is_repository(folder: &Path) -> bool {
    folder.join("config").is_file()
        && ["data", "index", "keys", "snapshots"].iter().all(|name| folder.join(name).is_dir())
}
