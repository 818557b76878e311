//! Every order of steps: clients that capture, prune and unlock run the code of this folder in
//! threads, and every step they take in the place of the repository waits until the explorer lets
//! it happen. The explorer tries all orders, time passing in between, one run after the other; what
//! leads to a state that was seen before is not followed again.

mod place;

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};

use super::super::{PUBLIC_PASSPHRASE, Repository, Snapshot, json_file};
use super::*;
use crate::store::LocalStore;

use place::{Client, File, PACK, Place, Stage, World};

/// The steps taken in an order that loses data.
type Trace = Vec<String>;

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

/// With sleep, and with two captures, there are some hundred thousand orders: tried when more is
/// asked for.
#[test]
fn three_clients_lose_nothing() {
    let sleeps = u64::from(std::env::var_os("LIFEBOAT_TEST_POINTS").is_some());
    assert_nothing_is_lost(&[CAPTURE, PRUNE, PRUNE], sleeps);
    if sleeps > 0 {
        assert_nothing_is_lost(&[CAPTURE, CAPTURE, PRUNE], sleeps);
    }
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
