//! Opening the repository an operation works on.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};

use serde::{Deserialize, Serialize};

use crate::progress::Control;
use crate::repository::{OpenedKey, PUBLIC_PASSPHRASE, Repository, RepositoryError};
use crate::store::{LocalStore, Location, NetworkOptions, NetworkStore, Store};
use crate::volume::EntryKind;

use super::error::OperationError;
use super::guard;
use super::places::{self, OpenPlace, Place, Want};

pub use crate::store::Secret as Passphrase;

/// How often whoever waits for a server is asked whether to go on, and what is to be told of it.
const ATTENTION: Duration = Duration::from_millis(100);

/// What a repository is reached through.
#[derive(Clone)]
enum Reach {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A server.
    Server(Arc<NetworkStore>),
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
            Self::Server(server) => f.debug_tuple("Server").field(&server.location()).finish(),
        }
    }
}

/// Which repository, and how it opens.
#[derive(Clone, Debug)]
pub struct RepoAccess {
    /// Where it is.
    location: Location,
    /// What it can be reached through now.
    reach: Reach,
    /// What is mounted for it, for as long as anybody uses it.
    _place: Option<Arc<OpenPlace>>,
    passphrase: Option<Passphrase>,
    /// What the passphrase opened: deriving the key takes long on purpose, and is done once.
    key: Arc<OnceLock<OpenedKey>>,
}

impl RepoAccess {
    /// A repository in a folder and its passphrase; `None` for the public word of those without one.
    pub fn new(folder: impl Into<PathBuf>, passphrase: Option<Passphrase>) -> Self {
        let folder = folder.into();
        let location = Location::Folder(folder.clone());
        let reach = Reach::Folder(folder);
        Self { location, reach, _place: None, passphrase, key: Arc::default() }
    }

    /// The repository at `location`; what has to be mounted for what is wanted is, until nobody uses it
    /// any more.
    ///
    /// # Errors
    /// When the partition is not there, or the kernel does not mount it so; when what is needed to use
    /// a server is missing.
    pub fn at(
        location: &Location,
        want: Want,
        passphrase: Option<Passphrase>,
        network: &NetworkOptions,
    ) -> Result<Self, OperationError> {
        match location {
            Location::Network(address) => {
                let store = NetworkStore::open(address, network);
                let reach = Reach::Server(Arc::new(store.map_err(RepositoryError::from)?));
                let (location, key) = (location.clone(), Arc::default());
                Ok(Self { location, reach, _place: None, passphrase, key })
            }
            Location::Folder(folder) => Ok(Self::new(folder, passphrase)),
            Location::Partition { device, folder } => {
                Self::on(&places::place_on(device)?, folder, want, passphrase)
            }
            Location::Stick(folder) => {
                let on = Self::on(&places::place_on_stick()?, folder, want, passphrase)?;
                Ok(Self { location: location.clone(), ..on })
            }
        }
    }

    /// [`Self::at`] for a folder of a place that was found already.
    ///
    /// # Errors
    /// When the disk is gone, or the kernel mounts it not so.
    pub fn on(
        place: &Place,
        folder: &Path,
        want: Want,
        passphrase: Option<Passphrase>,
    ) -> Result<Self, OperationError> {
        let open = places::open_place(place, want)?;
        // A folder without a name would end the path with a separator.
        let root = open.root();
        let reached = match folder.as_os_str().is_empty() {
            true => root.to_owned(),
            false => root.join(folder),
        };
        let location =
            Location::Partition { device: place.device.clone(), folder: folder.to_owned() };
        let key = Arc::default();
        let reach = Reach::Folder(reached);
        Ok(Self { location, reach, _place: Some(Arc::new(open)), passphrase, key })
    }

    /// The same with another passphrase.
    #[must_use]
    pub fn with_passphrase(self, passphrase: Passphrase) -> Self {
        Self { passphrase: Some(passphrase), key: Arc::default(), ..self }
    }

    /// The same with the word that everybody knows.
    #[must_use]
    pub fn without_passphrase(self) -> Self {
        Self { passphrase: None, key: Arc::default(), ..self }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The folder that it can be reached in now; none of what is on a server.
    pub fn folder(&self) -> Option<&Path> {
        match &self.reach {
            Reach::Folder(folder) => Some(folder),
            Reach::Server(_) => None,
        }
    }

    /// Whether it opens with the word that everybody knows.
    pub fn is_public(&self) -> bool {
        self.passphrase.is_none()
    }

    /// The place of its files.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match &self.reach {
            Reach::Folder(folder) => Arc::new(LocalStore::new(folder)),
            Reach::Server(server) => Arc::clone(server) as Arc<dyn Store>,
        }
    }

    /// Does `work`, which may have to wait for a server: `control` is told so, and ends the waiting.
    ///
    /// # Errors
    /// Those of `work`; whatever fails after the person asked to stop is [`OperationError::Cancelled`].
    pub fn attended<T>(
        &self,
        control: Control<'_>,
        work: impl FnOnce(Control<'_>) -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        let Reach::Server(server) = &self.reach else { return work(control) };
        let result = thread::scope(|scope| {
            // Dropped when the work has ended, whichever way.
            let (_end, ended) = bounded::<()>(0);
            scope.spawn(move || {
                while ended.recv_timeout(ATTENTION) == Err(RecvTimeoutError::Timeout) {
                    if control.cancel.is_requested() && !server.is_stopped() {
                        server.stop();
                    }
                    server.take_notices().into_iter().for_each(|notice| control.info(notice));
                }
            });
            work(control)
        });
        match result {
            Err(error) if server.is_stopped() && !error.is_cancelled() => {
                Err(OperationError::Cancelled)
            }
            result => result,
        }
    }

    fn passphrase(&self) -> &str {
        self.passphrase.as_ref().map_or(PUBLIC_PASSPHRASE, Passphrase::reveal)
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
        if let Some(key) = self.key.get() {
            return Ok(Repository::open_with(store, key.clone())?);
        }
        let repo = Repository::open(store, self.passphrase())?;
        let _ = self.key.set(repo.opened_key());
        Ok(repo)
    }
}

/// How hard a capture compresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
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
    /// Its word on the command line and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Small => "small",
        }
    }

    /// The level handed to zstd.
    pub fn zstd_level(self) -> i32 {
        match self {
            Self::Fast => 1,
            Self::Balanced => 3,
            Self::Small => 12,
        }
    }
}

/// Creates an empty repository in a folder, which is made when missing.
///
/// # Errors
/// Refuses a place that is gone when the machine is switched off, unless `in_memory`.
pub fn create_repository(access: &RepoAccess, in_memory: bool) -> Result<(), OperationError> {
    access.folder().map_or(Ok(()), |folder| guard::place_lasts(folder, in_memory))?;
    Repository::init(access.store(), access.passphrase())?;
    Ok(())
}

/// What a repository consists of.
pub(super) const REPOSITORY: [(&str, EntryKind); 5] = [
    ("config", EntryKind::File),
    ("data", EntryKind::Folder),
    ("index", EntryKind::Folder),
    ("keys", EntryKind::Folder),
    ("snapshots", EntryKind::Folder),
];

/// Whether a folder looks like a repository from outside; `kind` says what has a name in it.
pub(super) fn is_repository(kind: impl Fn(&str) -> Option<EntryKind>) -> bool {
    REPOSITORY.iter().all(|(name, expected)| kind(name) == Some(*expected))
}
