//! Who can open a repository.

use serde::Serialize;

use crate::repository::KeyNote;

use super::access::{Passphrase, RepoAccess};
use super::error::{Doing, OperationError};

/// What is done to the keys of a repository.
#[derive(Clone, Debug)]
pub enum KeyWork {
    /// Another passphrase opens it too.
    Add(Passphrase),
    /// Another passphrase opens it in place of the one that it was opened with.
    Change(Passphrase),
    /// The passphrase of the key whose name begins so opens it no longer.
    Remove(String),
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct KeyReport {
    /// The key that was added or removed, 64 hexadecimal digits.
    pub key: String,
    /// Whether whoever has the files can still open them, with the word that everybody knows.
    pub is_public: bool,
}

/// The keys of a repository, by the time they were made.
///
/// # Errors
/// When one of them cannot be read.
pub fn list_keys(access: &RepoAccess) -> Result<Vec<KeyNote>, OperationError> {
    let repo = access.open()?;
    repo.keys().doing(|| format!("reading the keys of {}", repo.location()))
}

/// Changes who can open a repository. What is stored stays as it is: whoever knew a passphrase may have
/// kept the key that was behind it.
///
/// # Errors
/// When others are at work on the repository, or the key is not there, or in use.
pub fn change_keys(access: &RepoAccess, work: &KeyWork) -> Result<KeyReport, OperationError> {
    let repo = access.open()?;
    let doing = || format!("changing the keys of {}", repo.location());
    let lock = repo.lock_exclusive().doing(doing)?;
    let key = match work {
        KeyWork::Add(word) => repo.add_key(&lock, word.reveal()),
        KeyWork::Change(word) => repo.change_key(&lock, word.reveal()),
        KeyWork::Remove(beginning) => repo.remove_key(&lock, beginning),
    };
    let key = key.doing(doing)?.to_string();
    let is_public = access.is_public() && !matches!(work, KeyWork::Change(_));
    Ok(KeyReport { key, is_public })
}
