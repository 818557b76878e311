//! Repositories on servers.
//!
//! Each kind of server is a [`Remote`]: one attempt at each thing. [`NetworkStore`] makes a
//! [`Store`] of it: what is temporary is tried again, and what was done twice counts as done once.

mod address;
mod client;
mod link;
mod options;
mod remote;
mod rest;
mod s3;
mod secret;
mod sftp;

use std::sync::Arc;
use std::time::Duration;

pub use address::{Address, Web};
pub use link::Link;
pub use options::{Login, NetworkOptions, S3Key};
pub use secret::{Secret, without_passwords};

use super::{FileEntry, FileKind, Result, Store, StoreError, valid_name};
use remote::{Attempt, Failure, Remote};

/// Requests that are under way at the same time (restic's `-o rest.connections`, 5 unless said
/// otherwise): each upload is held in memory.
const CONNECTIONS: usize = 4;

/// The most that is read of a configuration that may be another one's.
const CONFIG_LIMIT: u64 = 1 << 20;

/// A repository on a server.
pub struct NetworkStore {
    remote: Box<dyn Remote>,
    link: Arc<Link>,
}

impl NetworkStore {
    /// The store at `address`; nothing is asked of the server yet.
    ///
    /// # Errors
    /// When the options cannot be used: a certificate that is none, a login that is missing.
    pub fn open(address: &Address, options: &NetworkOptions) -> Result<Self> {
        let link = Arc::new(Link::new(options.patience));
        let remote: Box<dyn Remote> = match address {
            Address::Rest(web) => Box::new(rest::Rest::new(web, options)?),
            Address::S3 { server, bucket, prefix } => {
                Box::new(s3::S3::new(server, bucket, prefix, options)?)
            }
            Address::Sftp { host, port, folder } => {
                let location = address.to_string();
                Box::new(sftp::Sftp::new(location, (host, *port), folder, options))
            }
        };
        Ok(Self { remote, link })
    }

    /// Ends all waiting and all requests: what is under way fails with [`StoreError::Stopped`].
    pub fn stop(&self) {
        self.link.stop();
        self.remote.stop();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.link.is_stopped()
    }

    /// What a person should know of the way to the server, each once.
    pub fn take_notices(&self) -> Vec<String> {
        self.link.take_notices()
    }

    fn persist<T>(&self, attempt: impl FnMut() -> Attempt<T>) -> Attempt<T> {
        let done = self.link.persist(&self.remote.location(), attempt);
        // Connections that were ended fail in many ways.
        if self.link.is_stopped() { done.map_err(|_| StoreError::Stopped.into()) } else { done }
    }

    /// [`Self::persist`] for a file.
    fn on_file<T>(
        &self,
        kind: FileKind,
        name: &str,
        attempt: impl FnMut() -> Attempt<T>,
    ) -> Result<T> {
        if !valid_name(kind, name) {
            return Err(StoreError::InvalidName { kind, name: name.to_owned() });
        }
        self.persist(attempt).map_err(|failure| self.told(kind, name, failure))
    }

    /// What went wrong with a file, in the store's own words.
    fn told(&self, kind: FileKind, name: &str, failure: Failure) -> StoreError {
        let (name, location) = (name.to_owned(), self.location());
        match failure {
            Failure::Final(error) => error,
            Failure::Missing => StoreError::NotFound { kind, name, location },
            Failure::TooShort => StoreError::TooShort { kind, name, end: 0 },
            Failure::Exists => StoreError::Refused {
                location,
                why: format!("there is another {kind} {name}, and the server replaces none"),
                next: "remove it on the server if it is damaged".to_owned(),
            },
            Failure::Temporary { why, .. } => StoreError::Unreachable { location, why, seconds: 0 },
        }
    }

    /// Whether what is on the server under that name is what was to be written. Names are sums of
    /// what the files hold, but for the configuration.
    fn is_there(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Attempt<bool> {
        let size = match self.remote.size(kind, name) {
            Err(Failure::Missing) => return Ok(false),
            size => size?,
        };
        if size != bytes.len() as u64 || kind != FileKind::Config || size > CONFIG_LIMIT {
            return Ok(size == bytes.len() as u64);
        }
        let mut held = vec![0; bytes.len()];
        self.remote.read_range(kind, name, 0, &mut held, &mut 0)?;
        Ok(held == bytes)
    }
}

impl Store for NetworkStore {
    fn can_claim(&self) -> bool {
        false
    }

    fn create_layout(&self) -> Result<()> {
        self.persist(|| self.remote.create())
            .map_err(|failure| self.told(FileKind::Config, "config", failure))
    }

    fn list(&self, kind: FileKind) -> Result<Vec<FileEntry>> {
        let mut files = match self.persist(|| self.remote.list(kind)) {
            Err(Failure::Missing) => Vec::new(),
            files => files.map_err(|failure| self.told(kind, "(any)", failure))?,
        };
        files.retain(|file| valid_name(kind, &file.name));
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }

    fn size(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.on_file(kind, name, || self.remote.size(kind, name))
    }

    fn read_range(&self, kind: FileKind, name: &str, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        let mut filled = 0;
        let read = self.on_file(kind, name, || {
            let before = filled;
            let read = match filled < buf.len() {
                true => self.remote.read_range(kind, name, offset, buf, &mut filled),
                // No server gives a part without bytes.
                false => match self.remote.size(kind, name)? {
                    size if size < end => Err(Failure::TooShort),
                    _ => Ok(()),
                },
            };
            read.map_err(|failure| match failure {
                Failure::Temporary { why, wait, .. } => {
                    Failure::Temporary { why, wait, moved: filled > before }
                }
                other => other,
            })
        });
        read.map_err(|error| match error {
            StoreError::TooShort { kind, name, .. } => StoreError::TooShort { kind, name, end },
            other => other,
        })
    }

    /// A file whose writing was cut off may be there all the same; one that is refused because it is
    /// there, is.
    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Result<()> {
        let mut in_doubt = false;
        self.on_file(kind, name, || {
            if in_doubt && self.is_there(kind, name, bytes)? {
                return Ok(());
            }
            match self.remote.write(kind, name, bytes) {
                Err(Failure::Exists) if self.is_there(kind, name, bytes)? => Ok(()),
                Err(Failure::Exists) if kind == FileKind::Config => {
                    Err(StoreError::BeingCreated { location: self.location() }.into())
                }
                written => {
                    in_doubt = matches!(written, Err(Failure::Temporary { .. }));
                    written
                }
            }
        })
    }

    /// Servers do not tell whether there was something to remove, so that is looked for before; after
    /// an attempt that was cut off, it may have been that one.
    fn remove(&self, kind: FileKind, name: &str) -> Result<()> {
        let mut in_doubt = false;
        self.on_file(kind, name, || {
            let removed = match kind {
                // Nobody asks whether it was there.
                FileKind::Pack => self.remote.remove(kind, name),
                _ => self.remote.size(kind, name).and_then(|_| {
                    let removed = self.remote.remove(kind, name);
                    in_doubt |= matches!(removed, Err(Failure::Temporary { .. }));
                    removed
                }),
            };
            match removed {
                Err(Failure::Missing) if in_doubt => Ok(()),
                removed => removed,
            }
        })
    }

    /// A server that says that something is done has done it.
    fn sync_names(&self, _: FileKind) -> Result<()> {
        Ok(())
    }

    fn age(&self, kind: FileKind, name: &str) -> Result<Option<Duration>> {
        self.on_file(kind, name, || self.remote.age(kind, name))
    }

    fn remove_leftovers_older_than(&self, kind: FileKind, name: &str) -> Result<u64> {
        self.on_file(kind, name, || self.remote.remove_leftovers(kind, name))
    }

    fn takes_notes(&self) -> bool {
        self.remote.takes_notes()
    }

    fn write_note(&self, name: &str, text: &str) -> Result<()> {
        self.persist(|| self.remote.write_note(name, text))
            .map_err(|failure| self.told(FileKind::Config, name, failure))
    }

    fn settle_time(&self) -> Duration {
        Duration::ZERO
    }

    fn free_space(&self) -> Option<u64> {
        self.remote.free_space()
    }

    fn connections(&self) -> usize {
        CONNECTIONS
    }

    fn location(&self) -> String {
        self.remote.location()
    }
}
