//! Who can open a repository: its key files, each with the same master key behind a passphrase of its
//! own (restic `doc/070_encryption.rst`; `cmd/restic/cmd_key_*.go`).

use serde::Serialize;
use time::OffsetDateTime;

use super::error::{RepositoryError, Result};
use super::format::key_file::KeyFile;
use super::format::{Id, PUBLIC_PASSPHRASE, json_file, readme};
use super::lock::ExclusiveLock;
use super::repo::{Repository, SMALL_FILE_LIMIT};
use crate::store::FileKind;

/// What is known of a key without its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyNote {
    /// Its name, 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Who made it.
    pub username: String,
    /// On which machine.
    pub hostname: String,
    /// Whether the repository was opened with it now.
    pub current: bool,
}

impl Repository {
    /// The keys, by the time they were made.
    ///
    /// # Errors
    /// When one cannot be read or is no key.
    pub fn keys(&self) -> Result<Vec<KeyNote>> {
        let mut keys = Vec::new();
        for id in self.ids(FileKind::Key)? {
            let name = id.to_string();
            let json = self.store.read(FileKind::Key, &name, SMALL_FILE_LIMIT)?;
            let file: KeyFile = serde_json::from_slice(&json)
                .map_err(|error| RepositoryError::damaged(FileKind::Key, &name, error))?;
            keys.push(file.note(name, id == self.key_file));
        }
        keys.sort_by_key(|key| (key.created, key.id.clone()));
        Ok(keys)
    }

    /// Adds a key with another passphrase and proves that it opens the repository; returns its name.
    ///
    /// # Errors
    /// Refuses the empty passphrase, which older restic does not take.
    pub fn add_key(&self, _lock: &ExclusiveLock, passphrase: &str) -> Result<Id> {
        if passphrase.is_empty() {
            return Err(RepositoryError::EmptyPassphrase);
        }
        let file = KeyFile::create(&self.key, passphrase, &self.identity)?;
        let json = json_file::to_json(&file)?;
        let id = Id::of(&json);
        let name = id.to_string();
        self.store.write(FileKind::Key, &name, &json)?;
        let stored = self.store.read(FileKind::Key, &name, SMALL_FILE_LIMIT)?;
        let stored: Option<KeyFile> = serde_json::from_slice(&stored).ok();
        match stored.and_then(|file| file.open(passphrase).ok()).flatten() {
            Some(_) => Ok(id),
            None => {
                let problem = "it does not open with the passphrase it was made with";
                Err(RepositoryError::damaged(FileKind::Key, name, problem))
            }
        }
    }

    /// Removes the key whose name begins so; returns its name.
    ///
    /// # Errors
    /// Refuses the key that the repository was opened with, so that one always stays, and beginnings
    /// that no key or several have.
    pub fn remove_key(&self, _lock: &ExclusiveLock, beginning: &str) -> Result<Id> {
        let is_meant = |id: &Id| !beginning.is_empty() && id.to_string().starts_with(beginning);
        let mut meant = self.ids(FileKind::Key)?.into_iter().filter(is_meant);
        let refused =
            |problem| Err(RepositoryError::KeyRefused { key: beginning.to_owned(), problem });
        match (meant.next(), meant.next()) {
            (None, _) => refused("there is no such key; 'lifeboat key list' shows those there are"),
            (Some(_), Some(_)) => refused("several keys begin so; give more digits"),
            (Some(id), None) if id == self.key_file => refused(
                "the repository was opened with it now; open it with the passphrase of another",
            ),
            (Some(id), None) => {
                self.store.remove(FileKind::Key, &id.to_string())?;
                self.store.sync_names(FileKind::Key)?;
                Ok(id)
            }
        }
    }

    /// Puts a key with another passphrase in the place of the one that the repository was opened with;
    /// returns its name. Interrupted, both are there.
    ///
    /// # Errors
    /// Those of [`Self::add_key`].
    pub fn change_key(&self, lock: &ExclusiveLock, passphrase: &str) -> Result<Id> {
        let id = self.add_key(lock, passphrase)?;
        self.store.remove(FileKind::Key, &self.key_file.to_string())?;
        self.store.sync_names(FileKind::Key)?;
        let public = passphrase == PUBLIC_PASSPHRASE;
        if public != self.is_public() && self.store.takes_notes() {
            self.store.write_note(readme::NAME, &readme::text(public))?;
        }
        Ok(id)
    }
}
