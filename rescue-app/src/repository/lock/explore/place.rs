//! The place of a repository as the explorer's clients see it: in memory, one step at a time.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::Trace;
use crate::store::{FileEntry, FileKind, Result as StoreResult, Store, StoreError};

/// What one image needs, and the only pack there is.
pub(super) const PACK: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff";

pub(super) struct File {
    pub(super) kind: FileKind,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// When it was written, in sleeps so far.
    pub(super) written: u64,
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Client {
    Running,
    /// Waits to take its next step.
    Waiting,
    Ended,
}

/// What clients and explorer share.
pub(super) struct World {
    pub(super) files: Vec<File>,
    /// How often half an hour has passed.
    pub(super) slept: u64,
    pub(super) clients: Vec<Client>,
    /// The client whose turn it is.
    pub(super) turn: Option<usize>,
    /// Nothing works any more: the run is of no more interest.
    pub(super) is_over: bool,
    /// What makes each client what it is: how often it wrote, and what it has seen since it last
    /// wrote or listed something. What came before led it there and is of no more use to it.
    pub(super) histories: Vec<DefaultHasher>,
    /// Who wrote a file, and how many before it: names differ from run to run.
    pub(super) authors: HashMap<String, (usize, u64)>,
    pub(super) written: Vec<u64>,
    pub(super) trace: Trace,
    /// For each client a list of locks that it takes for the present one, if lists are outdated.
    pub(super) remembered: Option<Vec<Option<Vec<String>>>>,
}

impl World {
    pub(super) fn new(clients: usize, lists_late: bool) -> Self {
        Self {
            files: vec![File {
                kind: FileKind::Pack,
                name: PACK.to_owned(),
                bytes: vec![1],
                written: 0,
            }],
            slept: 0,
            clients: vec![Client::Running; clients],
            turn: None,
            is_over: false,
            histories: vec![DefaultHasher::new(); clients],
            authors: HashMap::new(),
            written: vec![0; clients],
            trace: Vec::new(),
            remembered: lists_late.then(|| vec![None; clients]),
        }
    }

    fn author(&self, name: &str) -> (usize, u64) {
        self.authors.get(name).copied().unwrap_or_default()
    }

    /// Equal for states from which everything that follows is equal.
    pub(super) fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in &self.files {
            (file.kind, self.author(&file.name), self.is_old(file)).hash(&mut hasher);
        }
        self.slept.hash(&mut hasher);
        self.histories.iter().for_each(|seen| seen.finish().hash(&mut hasher));
        self.clients.iter().for_each(|client| (*client == Client::Ended).hash(&mut hasher));
        hasher.finish()
    }

    /// Whether the file is a lock that others take for stale.
    pub(super) fn is_old(&self, file: &File) -> bool {
        file.kind == FileKind::Lock && file.written < self.slept
    }

    pub(super) fn has(&self, kind: FileKind) -> bool {
        self.files.iter().any(|file| file.kind == kind)
    }

    fn names(&self, kind: FileKind) -> Vec<String> {
        let files = self.files.iter().filter(|file| file.kind == kind);
        files.map(|file| file.name.clone()).collect()
    }

    fn list(&mut self, client: usize, kind: FileKind) -> Vec<String> {
        let now = self.names(kind);
        if kind != FileKind::Lock {
            return now;
        }
        let Some(remembered) = self.remembered.as_mut().map(|all| &mut all[client]) else {
            return now;
        };
        match remembered.take() {
            // One's own files show.
            Some(before) => {
                let own = |name: &String| self.authors.get(name).is_some_and(|by| by.0 == client);
                now.into_iter().filter(|name| own(name) || before.contains(name)).collect()
            }
            None => remembered.insert(now).clone(),
        }
    }
}

/// A run: the world, what wakes each client, and what wakes the explorer.
pub(super) struct Stage {
    pub(super) world: Mutex<World>,
    pub(super) clients: Vec<Condvar>,
    pub(super) explorer: Condvar,
}

/// The place as one client sees it.
pub(super) struct Place {
    pub(super) stage: Arc<Stage>,
    pub(super) client: usize,
}

impl Place {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.stage.world.lock().unwrap()
    }

    /// Waits for the explorer to let the next step happen.
    fn step(&self, what: &str, kind: FileKind) -> StoreResult<MutexGuard<'_, World>> {
        let mut world = self.world();
        world.clients[self.client] = Client::Waiting;
        self.stage.explorer.notify_one();
        while world.turn != Some(self.client) && !world.is_over {
            world = self.stage.clients[self.client].wait(world).unwrap();
        }
        world.clients[self.client] = Client::Running;
        if world.is_over {
            let (action, path) = ("exploring", String::new());
            return Err(StoreError::Io { action, path, source: std::io::Error::other("over") });
        }
        world.turn = None;
        world.trace.push(format!("{}: {what} {kind}", self.client));
        Ok(world)
    }

    /// Remembers what the client learned.
    fn learns<T: Hash>(&self, world: &mut World, seen: T) {
        seen.hash(&mut world.histories[self.client]);
    }

    /// Forgets what the client learned, but for how often it wrote.
    pub(super) fn forgets(&self, world: &mut World) {
        world.histories[self.client] = DefaultHasher::new();
        self.learns(world, world.written[self.client]);
    }

    fn file(&self, kind: FileKind, name: &str) -> StoreResult<Vec<u8>> {
        let mut world = self.step("reads", kind)?;
        let author = world.author(name);
        let found = world.files.iter().find(|file| file.kind == kind && file.name == name);
        let bytes = found.map(|file| file.bytes.clone());
        self.learns(&mut world, ("read", author, bytes.is_some()));
        bytes.ok_or_else(|| self.missing(kind, name))
    }

    fn missing(&self, kind: FileKind, name: &str) -> StoreError {
        StoreError::NotFound { kind, name: name.to_owned(), location: self.location() }
    }
}

impl Store for Place {
    fn create_layout(&self) -> StoreResult<()> {
        Ok(())
    }

    fn list(&self, kind: FileKind) -> StoreResult<Vec<FileEntry>> {
        let mut world = self.step("lists", kind)?;
        let names = world.list(self.client, kind);
        self.forgets(&mut world);
        let authors: Vec<_> = names.iter().map(|name| world.author(name)).collect();
        self.learns(&mut world, ("list", kind, authors));
        drop(world);
        Ok(names.into_iter().map(|name| FileEntry { name, size: 1 }).collect())
    }

    fn size(&self, kind: FileKind, name: &str) -> StoreResult<u64> {
        self.file(kind, name).map(|bytes| bytes.len() as u64)
    }

    fn read(&self, kind: FileKind, name: &str, _: u64) -> StoreResult<Vec<u8>> {
        self.file(kind, name)
    }

    fn read_range(&self, kind: FileKind, name: &str, at: u64, buf: &mut [u8]) -> StoreResult<()> {
        let (bytes, at) = (self.file(kind, name)?, usize::try_from(at).unwrap());
        buf.copy_from_slice(&bytes[at..at + buf.len()]);
        Ok(())
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> StoreResult<()> {
        let mut world = self.step("writes", kind)?;
        let (number, written) = (world.written[self.client], world.slept);
        world.written[self.client] += 1;
        if kind != FileKind::Pack {
            world.authors.insert(name.to_owned(), (self.client, number + 1));
        }
        world.files.retain(|file| (file.kind, file.name.as_str()) != (kind, name));
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        world.files.push(File { kind, name, bytes, written });
        self.forgets(&mut world);
        Ok(())
    }

    fn remove(&self, kind: FileKind, name: &str) -> StoreResult<()> {
        let mut world = self.step("removes", kind)?;
        let (author, before) = (world.author(name), world.files.len());
        world.files.retain(|file| (file.kind, file.name.as_str()) != (kind, name));
        let is_removed = world.files.len() < before;
        self.learns(&mut world, ("remove", kind, author, is_removed));
        if is_removed { Ok(()) } else { Err(self.missing(kind, name)) }
    }

    fn sync_names(&self, _: FileKind) -> StoreResult<()> {
        Ok(())
    }

    fn age(&self, kind: FileKind, name: &str) -> StoreResult<Option<Duration>> {
        let mut world = self.world();
        let file = world.files.iter().find(|file| file.kind == kind && file.name == name);
        let sleeps = file.map(|file| world.slept - file.written);
        self.learns(&mut world, ("age", sleeps));
        let sleeps = sleeps.ok_or_else(|| self.missing(kind, name))?;
        Ok(Some(Duration::from_secs(31 * 60) * u32::try_from(sleeps).unwrap()))
    }

    fn remove_leftovers_older_than(&self, _: FileKind, _: &str) -> StoreResult<u64> {
        Ok(0)
    }

    fn write_note(&self, _: &str, _: &str) -> StoreResult<()> {
        Ok(())
    }

    fn settle_time(&self) -> Duration {
        Duration::ZERO
    }

    fn free_space(&self) -> Option<u64> {
        None
    }

    fn location(&self) -> String {
        "the place".to_owned()
    }
}
