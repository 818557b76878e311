//! Every order of steps: clients that capture, prune and unlock run the code of this folder in
//! threads, and every step they take in the place of the repository waits until the explorer lets
//! it happen. The explorer tries all orders, time passing in between, one run after the other; what
//! leads to a state that was seen before is not followed again.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::super::{PUBLIC_PASSPHRASE, Repository, Snapshot, json_file};
use super::*;
use crate::store::{FileEntry, LocalStore, Result as StoreResult};

/// What one image needs, and the only pack there is.
const PACK: &str = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff";

/// The order found that loses data, as the steps taken.
type Trace = Vec<String>;

struct File {
    kind: FileKind,
    name: String,
    bytes: Vec<u8>,
    /// When it was written, in sleeps so far.
    written: u64,
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    Running,
    /// Waits to take its next step.
    Waiting,
    Ended,
}

/// What clients and explorer share.
struct World {
    files: Vec<File>,
    /// How often half an hour has passed.
    slept: u64,
    clients: Vec<Client>,
    /// The client whose turn it is.
    turn: Option<usize>,
    /// Nothing works any more: the run is of no more interest.
    is_over: bool,
    /// What makes each client what it is: how often it wrote, and what it has seen since it last
    /// wrote or listed something. What came before led it there and is of no more use to it.
    histories: Vec<DefaultHasher>,
    /// Who wrote a file, and how many before it: names differ from run to run.
    authors: HashMap<String, (usize, u64)>,
    written: Vec<u64>,
    trace: Trace,
    /// For each client a list of locks that it takes for the present one, if lists are outdated.
    remembered: Option<Vec<Option<Vec<String>>>>,
}

impl World {
    fn new(clients: usize, lists_late: bool) -> Self {
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
    fn key(&self) -> u64 {
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
    fn is_old(&self, file: &File) -> bool {
        file.kind == FileKind::Lock && file.written < self.slept
    }

    fn has(&self, kind: FileKind) -> bool {
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
struct Stage {
    world: Mutex<World>,
    clients: Vec<Condvar>,
    explorer: Condvar,
}

/// The place as one client sees it.
struct Place {
    stage: Arc<Stage>,
    client: usize,
}

impl Place {
    fn world(&self) -> MutexGuard<'_, World> {
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
    fn forgets(&self, world: &mut World) {
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

/// How a client is less careful than it has to be.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Not at all.
    None,
    /// Does not look for its lock after what counts.
    NoSecondLook,
    /// Writes a new lock without having seen the old one.
    BlindRefresh,
}

/// What a client does.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Capture(Fault),
    Prune(Fault),
    /// A person removes all locks.
    Unlock,
}

/// Confirms a lock as the clients of before did.
fn confirm_blindly(place: &Place, lock: &Lock) -> Result<()> {
    let new = lock.held.locks().save(lock.is_exclusive())?;
    if let Some(old) = lock.held.name().replace(new) {
        let _ = place.remove(FileKind::Lock, &old.to_string());
    }
    Ok(())
}

/// Stores the pack if it is not there, and an image that needs it.
fn capture(repo: &Repository, place: &Place, fault: Fault) -> Result<()> {
    let lock = repo.lock_shared()?;
    if !place.exists(FileKind::Pack, PACK)? {
        place.write(FileKind::Pack, PACK, &[1])?;
    }
    let snapshot = Snapshot::of_nothing();
    match fault {
        Fault::BlindRefresh => {
            confirm_blindly(place, &lock)?;
            repo.save_snapshot(&lock, &snapshot).map(drop)
        }
        Fault::NoSecondLook => {
            lock.confirm()?;
            json_file::save(place, &repo.key, FileKind::Snapshot, &snapshot).map(drop)
        }
        Fault::None => repo.save_snapshot(&lock, &snapshot).map(drop),
    }
}

/// Removes the pack unless there is an image.
fn prune(repo: &Repository, place: &Place, fault: Fault) -> Result<()> {
    let lock = repo.lock_exclusive()?;
    if !repo.ids(FileKind::Snapshot)?.is_empty() {
        return Ok(());
    }
    match fault {
        Fault::BlindRefresh => confirm_blindly(place, &lock)?,
        Fault::None | Fault::NoSecondLook => lock.confirm()?,
    }
    match fault {
        Fault::NoSecondLook => {
            let _ = place.remove(FileKind::Pack, PACK);
            Ok(())
        }
        Fault::None | Fault::BlindRefresh => {
            repo.remove_packs(&lock, &[PACK.parse().unwrap()], |_| Ok(()))
        }
    }
}

/// Runs clients in all orders.
struct Explorer {
    repo: Repository,
    clients: Vec<Work>,
    sleeps: u64,
    lists_late: bool,
    seen: HashSet<u64>,
    runs: u64,
}

/// One thing that can happen next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Step(usize),
    Sleep,
}

impl Explorer {
    fn new(clients: &[Work], sleeps: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalStore::new(dir.path().join("images")));
        let repo = Repository::init(store, PUBLIC_PASSPHRASE).unwrap();
        let clients = clients.to_vec();
        Self { repo, clients, sleeps, lists_late: false, seen: HashSet::new(), runs: 0 }
    }

    /// The first order in which an image lacks its data though all went well for who removed them.
    fn find_loss(&mut self) -> Option<Trace> {
        // For each step of the run: which of the things that can happen next, and how many there are.
        let mut path: Vec<(usize, usize)> = Vec::new();
        loop {
            self.runs += 1;

            if let Some(trace) = self.run(&mut path) {
                return Some(trace);
            }
            while let Some((way, ways)) = path.pop() {
                if way + 1 < ways {
                    path.push((way + 1, ways));
                    break;
                }
            }
            if path.is_empty() {
                return None;
            }
        }
    }

    /// One run along `path` and on from there, to the end or to a state that was seen before.
    fn run(&mut self, path: &mut Vec<(usize, usize)>) -> Option<Trace> {
        let count = self.clients.len();
        let stage = Arc::new(Stage {
            world: Mutex::new(World::new(count, self.lists_late)),
            clients: (0..count).map(|_| Condvar::new()).collect(),
            explorer: Condvar::new(),
        });
        let places = (0..count).map(|client| Place { stage: Arc::clone(&stage), client });
        let places: Vec<Arc<Place>> = places.map(Arc::new).collect();
        let repos: Vec<Repository> = places.iter().map(|place| self.open(place)).collect();
        let works = self.clients.clone();
        let results: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (works.iter().zip(&repos).zip(&places))
                .map(|((work, repo), place)| scope.spawn(|| work_through(*work, repo, place)))
                .collect();
            self.direct(&stage, path);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut world = stage.world.lock().unwrap();
        let pruned = |(work, result): (&Work, &Result<()>)| {
            !matches!(work, Work::Prune(_)) || result.is_ok()
        };
        let lost = world.has(FileKind::Snapshot) && !world.has(FileKind::Pack);
        let is_fault = !world.is_over && lost && works.iter().zip(&results).all(pruned);
        is_fault.then(|| std::mem::take(&mut world.trace))
    }

    fn open(&self, place: &Arc<Place>) -> Repository {
        let hostname = format!("machine {}", place.client);
        let identity = Identity { hostname, ..self.repo.identity.clone() };
        self.repo.opened_by(Arc::clone(place) as Arc<dyn Store>, identity)
    }

    /// Lets one thing after the other happen.
    fn direct(&mut self, stage: &Stage, path: &mut Vec<(usize, usize)>) {
        let mut depth = 0;
        loop {
            let mut world = stage.world.lock().unwrap();
            while world.turn.is_some() || world.clients.contains(&Client::Running) {
                world = stage.explorer.wait(world).unwrap();
            }
            let nexts = self.nexts(&world);
            if nexts.is_empty() {
                return;
            }
            if depth == path.len() {
                if !self.seen.insert(world.key()) {
                    world.is_over = true;
                    stage.clients.iter().for_each(Condvar::notify_one);
                    return;
                }
                path.push((0, nexts.len()));
            }
            match nexts[path[depth].0] {
                Next::Step(client) => {
                    world.turn = Some(client);
                    stage.clients[client].notify_one();
                }
                Next::Sleep => {
                    world.slept += 1;
                    world.trace.push("half an hour passes".to_owned());
                }
            }
            depth += 1;
        }
    }

    /// Half an hour makes a difference to locks only, and only the first one.
    fn nexts(&self, world: &World) -> Vec<Next> {
        let clients = world.clients.iter().enumerate();
        let waiting = clients.filter(|(_, client)| **client == Client::Waiting);
        let mut nexts: Vec<Next> = waiting.map(|(client, _)| Next::Step(client)).collect();
        let is_new = |file: &File| file.kind == FileKind::Lock && !world.is_old(file);
        if !nexts.is_empty() && world.slept < self.sleeps && world.files.iter().any(is_new) {
            nexts.push(Next::Sleep);
        }
        nexts
    }
}

fn work_through(work: Work, repo: &Repository, place: &Place) -> Result<()> {
    let result = match work {
        Work::Capture(fault) => capture(repo, place, fault),
        Work::Prune(fault) => prune(repo, place, fault),
        Work::Unlock => repo.unlock(true).map(drop),
    };
    let mut world = place.world();
    world.trace.push(format!("{}: ends, {result:?}", place.client));
    world.clients[place.client] = Client::Ended;
    world.written[place.client] = u64::from(result.is_ok());
    place.forgets(&mut world);
    place.stage.explorer.notify_one();
    result
}

const CAPTURE: Work = Work::Capture(Fault::None);
const PRUNE: Work = Work::Prune(Fault::None);

#[track_caller]
fn assert_nothing_is_lost(clients: &[Work], sleeps: u64) {
    let mut explorer = Explorer::new(clients, sleeps);
    let lost = explorer.find_loss();
    println!("{} states, {} runs", explorer.seen.len(), explorer.runs);
    assert_eq!(lost, None);
    assert!(explorer.seen.len() > 100, "hardly anything was tried");
}

#[track_caller]
fn assert_loss_is_found(clients: &[Work], sleeps: u64) {
    let mut explorer = Explorer::new(clients, sleeps);
    assert!(explorer.find_loss().is_some(), "{} runs", explorer.runs);
}

#[test]
fn two_clients_lose_nothing_however_often_they_sleep() {
    assert_nothing_is_lost(&[CAPTURE, PRUNE], 2);
}

#[test]
fn nothing_is_lost_when_a_person_removes_locks_that_are_alive() {
    assert_nothing_is_lost(&[CAPTURE, PRUNE, Work::Unlock], 0);
}

/// With sleep there are some hundred thousand orders: tried when more is asked for.
#[test]
fn three_clients_lose_nothing() {
    let sleeps = u64::from(std::env::var_os("LIFEBOAT_TEST_POINTS").is_some());
    assert_nothing_is_lost(&[CAPTURE, PRUNE, PRUNE], sleeps);
    assert_nothing_is_lost(&[CAPTURE, CAPTURE, PRUNE], sleeps);
}

#[test]
fn less_careful_clients_are_found_out() {
    for fault in [Fault::NoSecondLook, Fault::BlindRefresh] {
        assert_loss_is_found(&[Work::Capture(fault), PRUNE], 1);
        assert_loss_is_found(&[Work::Capture(fault), PRUNE, Work::Unlock], 0);
        assert_loss_is_found(&[CAPTURE, Work::Prune(fault)], 1);
    }
    // Lists that are not those of the moment: what the time to settle is for.
    let mut explorer = Explorer::new(&[CAPTURE, PRUNE], 0);
    explorer.lists_late = true;
    assert!(explorer.find_loss().is_some(), "{} runs", explorer.runs);
}
