//! Creating and opening a repository.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{RepositoryError, Result};
use super::format::crypto::{Key, fill_random};
use super::format::identity::Identity;
use super::format::key_file::{KeyFile, WORK_LIMIT};
use super::format::{Id, PUBLIC_PASSPHRASE, json_file, polynomial, readme};
use crate::store::{FileEntry, FileKind, Store, StoreError};

/// The format version written, and the newest one read.
const VERSION: u64 = 2;

/// restic looks at no more keys than this either.
const KEYS_TRIED: usize = 20;

/// Why a key file is not tried.
const TOO_COSTLY: &str = "the work for it and for those before it is more than is done to open one \
                          repository; remove keys that nobody uses (`lifeboat key remove`)";

/// The largest config or key file accepted, in bytes.
pub(super) const SMALL_FILE_LIMIT: u64 = 1 << 20;

/// The `config` file.
#[derive(Clone, Serialize, Deserialize)]
struct Config {
    version: u64,
    id: Id,
    chunker_polynomial: String,
}

/// The master key of a repository, as one of its key files gave it.
#[derive(Clone)]
pub struct OpenedKey {
    key: Arc<Key>,
    /// The file it came from.
    file: Id,
    public: bool,
}

impl fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenedKey(hidden)")
    }
}

/// An opened repository, without its index ([`Self::load_index`]). Threads may share it; a clone is
/// the same repository.
#[derive(Clone)]
pub struct Repository {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Arc<Key>,
    /// The key file that it was opened with.
    pub(super) key_file: Id,
    pub(super) identity: Identity,
    config: Config,
    public: bool,
}

impl fmt::Debug for Repository {
    /// No keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").finish_non_exhaustive()
    }
}

impl Repository {
    /// Creates a repository and opens it. The empty passphrase is refused, for older restic
    /// cannot open such repositories; [`PUBLIC_PASSPHRASE`] is for images that are no secret.
    pub fn init(store: Arc<dyn Store>, passphrase: &str) -> Result<Self> {
        if passphrase.is_empty() {
            return Err(RepositoryError::EmptyPassphrase);
        }
        refuse_existing(&*store)?;
        store.refuse_links()?;
        let claim = store.claim()?;
        make_room(&*store)?;
        store.create_layout()?;
        let (identity, key) = (Identity::of_this_process(), Key::random()?);
        let key_json = json_file::to_json(&KeyFile::create(&key, passphrase, &identity)?)?;
        let config = new_config()?;
        let sealed_config = key.seal(&json_file::to_json(&config)?)?;
        let public = passphrase == PUBLIC_PASSPHRASE;
        let key_file = Id::of(&key_json);
        let key_name = key_file.to_string();
        store.write(FileKind::Key, &key_name, &key_json)?;
        if store.takes_notes() {
            store.write_note(readme::NAME, &readme::text(public))?;
        }
        // Last: only with its config a folder is a repository.
        if let Err(error) = store.write(FileKind::Config, "config", &sealed_config) {
            if matches!(error, StoreError::BeingCreated { .. }) {
                let _ = store.remove(FileKind::Key, &key_name);
            }
            return Err(error.into());
        }
        if !store.can_claim() {
            remove_keys_but(&*store, Some(&key_name))?;
        }
        drop(claim);
        Ok(Self { store, key: Arc::new(key), key_file, identity, config, public })
    }

    /// Opens a repository.
    pub fn open(store: Arc<dyn Store>, passphrase: &str) -> Result<Self> {
        require_config(&*store)?;
        let (key, file) = find_key(&*store, passphrase)?;
        let public = passphrase == PUBLIC_PASSPHRASE;
        Self::with_key(store, OpenedKey { key: Arc::new(key), file, public })
    }

    /// Opens a repository again, without deriving its key anew.
    pub fn open_with(store: Arc<dyn Store>, opened: OpenedKey) -> Result<Self> {
        require_config(&*store)?;
        Self::with_key(store, opened)
    }

    fn with_key(store: Arc<dyn Store>, OpenedKey { key, file, public }: OpenedKey) -> Result<Self> {
        let config = read_config(&*store, &key)?;
        if config.version > VERSION {
            let (location, version) = (store.location(), config.version);
            return Err(RepositoryError::TooNew { location, version });
        }
        let identity = Identity::of_this_process();
        Ok(Self { store, key, key_file: file, identity, config, public })
    }

    /// What [`Self::open_with`] takes.
    pub fn opened_key(&self) -> OpenedKey {
        OpenedKey { key: Arc::clone(&self.key), file: self.key_file, public: self.public }
    }

    /// The same repository as somebody else opens it.
    #[cfg(test)]
    pub(super) fn opened_by(&self, store: Arc<dyn Store>, identity: Identity) -> Self {
        Self { store, identity, ..self.clone() }
    }

    /// The repository's own id, which tells it from others.
    pub fn id(&self) -> Id {
        self.config.id
    }

    /// Whether it was opened with the passphrase that everybody knows.
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// The place in words.
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// The place itself.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Refuses repositories that can only be read.
    pub(super) fn require_writable(&self) -> Result<()> {
        if self.config.version < VERSION {
            return Err(RepositoryError::TooOld { location: self.location() });
        }
        Ok(())
    }

    /// Names of all files of a kind.
    pub(super) fn ids(&self, kind: FileKind) -> Result<Vec<Id>> {
        let files = self.store.list(kind)?;
        Ok(files.iter().filter_map(|file| file.name.parse().ok()).collect())
    }
}

fn refuse_existing(store: &dyn Store) -> Result<()> {
    if store.exists(FileKind::Config, "config")? {
        return Err(RepositoryError::AlreadyARepository { location: store.location() });
    }
    Ok(())
}

/// Makes sure that nothing is in the way of a new repository, in a place that is claimed. Key files
/// alone are what an interrupted creation leaves behind; with another master key they would only
/// confuse.
fn make_room(store: &dyn Store) -> Result<()> {
    refuse_existing(store)?;
    for kind in [FileKind::Snapshot, FileKind::Index, FileKind::Pack] {
        if !store.list(kind)?.is_empty() {
            let problem = "it is missing, but other files of a repository are there";
            return Err(RepositoryError::damaged(FileKind::Config, "config", problem));
        }
    }
    // Where it cannot be claimed they may be of somebody who is creating one at this moment, and go
    // once it is known whose repository it is.
    if store.can_claim() { remove_keys_but(store, None) } else { Ok(()) }
}

/// Removes the key files of creations that came to nothing.
fn remove_keys_but(store: &dyn Store, own: Option<&str>) -> Result<()> {
    for key in store.list(FileKind::Key)? {
        if own != Some(key.name.as_str()) {
            store.remove(FileKind::Key, &key.name)?;
        }
    }
    Ok(())
}

fn new_config() -> Result<Config> {
    let mut id = [0; Id::LEN];
    fill_random(&mut id)?;
    let chunker_polynomial = format!("{:x}", polynomial::random()?);
    Ok(Config { version: VERSION, id: Id::from_bytes(id), chunker_polynomial })
}

/// Refuses what is no repository, and one whose folders lead elsewhere.
fn require_config(store: &dyn Store) -> Result<()> {
    match store.exists(FileKind::Config, "config")? {
        true => Ok(store.refuse_links()?),
        false => Err(RepositoryError::NotARepository { location: store.location() }),
    }
}

/// The master key that the passphrase gives access to, and its key file. Key files are tried in the order of the work
/// they take, as far as all of it together is no more than [`WORK_LIMIT`].
fn find_key(store: &dyn Store, passphrase: &str) -> Result<(Key, Id)> {
    let keys = store.list(FileKind::Key)?;
    if keys.is_empty() {
        return Err(RepositoryError::damaged(FileKind::Key, "(any)", "there is none"));
    }
    let (mut files, mut problem) = (Vec::new(), None);
    for FileEntry { name, .. } in keys.into_iter().take(KEYS_TRIED) {
        let json = store.read(FileKind::Key, &name, SMALL_FILE_LIMIT)?;
        let parsed = serde_json::from_slice::<KeyFile>(&json).map_err(|error| error.to_string());
        match parsed.and_then(|file| Ok((file.work()?, name.clone(), file))) {
            Ok(file) => files.push(file),
            Err(error) => problem = Some(RepositoryError::damaged(FileKind::Key, name, error)),
        }
    }
    files.sort_by_key(|(work, ..)| *work);
    let mut left = WORK_LIMIT;
    for (work, name, file) in files {
        let Some(rest) = left.checked_sub(work) else {
            problem = Some(RepositoryError::damaged(FileKind::Key, name, TOO_COSTLY));
            break;
        };
        left = rest;
        match file.open(passphrase) {
            Ok(Some(key)) => match name.parse() {
                Ok(file) => return Ok((key, file)),
                Err(_) => problem = Some(RepositoryError::Internal("the name of a key file")),
            },
            Ok(None) => {}
            Err(error) => problem = Some(RepositoryError::damaged(FileKind::Key, name, error)),
        }
    }
    Err(problem.unwrap_or_else(|| RepositoryError::WrongPassphrase { location: store.location() }))
}

fn read_config(store: &dyn Store, key: &Key) -> Result<Config> {
    let mut sealed = store.read(FileKind::Config, "config", SMALL_FILE_LIMIT)?;
    json_file::parse(key, &mut sealed)
        .map_err(|problem| RepositoryError::damaged(FileKind::Config, "config", problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::format::index::IndexFile;
    use crate::store::LocalStore;

    fn folder() -> (tempfile::TempDir, Arc<LocalStore>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        (dir, store)
    }

    #[test]
    fn each_way_of_not_opening_says_its_own_thing() {
        let (_dir, store) = folder();
        let open = |passphrase| Repository::open(store.clone(), passphrase);
        assert!(matches!(open("a"), Err(RepositoryError::NotARepository { .. })));
        assert!(matches!(
            Repository::init(store.clone(), ""),
            Err(RepositoryError::EmptyPassphrase)
        ));
        let id = Repository::init(store.clone(), "a").unwrap().id();
        assert_eq!(open("a").unwrap().id(), id);
        assert!(matches!(open("b"), Err(RepositoryError::WrongPassphrase { .. })));
        let again = Repository::init(store.clone(), "a");
        assert!(matches!(again, Err(RepositoryError::AlreadyARepository { .. })));
    }

    #[test]
    fn later_formats_are_refused_and_the_old_one_only_read() {
        let (_dir, store) = folder();
        let mut repo = Repository::init(store.clone(), "a").unwrap();
        for (version, too_new) in [(3, true), (1, false)] {
            repo.config.version = version;
            let sealed = repo.key.seal(&json_file::to_json(&repo.config).unwrap()).unwrap();
            store.write(FileKind::Config, "config", &sealed).unwrap();
            match Repository::open(store.clone(), "a") {
                Err(RepositoryError::TooNew { version: 3, .. }) => assert!(too_new),
                Ok(repo) => assert!(!too_new && repo.require_writable().is_err()),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn an_interrupted_creation_is_repeated_cleanly() {
        let (_dir, store) = folder();
        Repository::init(store.clone(), "a").unwrap();
        store.remove(FileKind::Config, "config").unwrap();
        Repository::init(store.clone(), "b").unwrap();
        assert_eq!(store.list(FileKind::Key).unwrap().len(), 1);
        assert!(Repository::open(store.clone(), "b").is_ok());
    }

    #[test]
    fn a_lost_config_is_not_papered_over() {
        let (_dir, store) = folder();
        let repo = Repository::init(store.clone(), "a").unwrap();
        json_file::save(&*store, &repo.key, FileKind::Index, &IndexFile::default()).unwrap();
        store.remove(FileKind::Config, "config").unwrap();
        let refused = Repository::init(store.clone(), "a");
        assert!(matches!(refused, Err(RepositoryError::Damaged { .. })));
    }
}
