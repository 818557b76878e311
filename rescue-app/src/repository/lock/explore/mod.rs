//! Every order of steps: clients that capture, prune and unlock run the code of this folder, and
//! every step they take in the place of the repository may come before or after any step of the
//! others, time passing in between. All states that this leads to are visited, each once.

mod clients;
mod place;
mod search;

use super::*;
use crate::repository::Repository;
use crate::repository::format::{Snapshot, json_file};
use crate::store::Store;

use place::PACK;
use search::Explorer;

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

impl Work {
    fn run(self, repo: &Repository, place: &dyn Store) -> Result<()> {
        match self {
            Self::Capture(fault) => capture(repo, place, fault),
            Self::Prune(fault) => prune(repo, place, fault),
            Self::Unlock => repo.unlock(true).map(drop),
        }
    }
}

/// Confirms a lock as the clients of before did.
fn confirm_blindly(place: &dyn Store, lock: &Lock) -> Result<()> {
    let new = lock.held.locks().save(lock.held.exclusive)?;
    if let Some(old) = lock.held.name().replace(new) {
        let _ = place.remove(FileKind::Lock, &old.to_string());
    }
    Ok(())
}

/// Stores the pack if it is not there, and an image that needs it.
fn capture(repo: &Repository, place: &dyn Store, fault: Fault) -> Result<()> {
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
fn prune(repo: &Repository, place: &dyn Store, fault: Fault) -> Result<()> {
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

const CAPTURE: Work = Work::Capture(Fault::None);
const PRUNE: Work = Work::Prune(Fault::None);

#[track_caller]
fn assert_nothing_is_lost(works: &[Work], sleeps: bool) {
    let mut explorer = Explorer::new(works, sleeps);
    let lost = explorer.find_loss();
    println!("{} states", explorer.seen.len());
    assert_eq!(lost, None);
    assert!(explorer.seen.len() > 100, "hardly anything was tried");
}

#[track_caller]
fn assert_loss_is_found(works: &[Work], sleeps: bool) {
    let mut explorer = Explorer::new(works, sleeps);
    assert!(explorer.find_loss().is_some(), "{} states", explorer.seen.len());
}

#[test]
fn two_clients_lose_nothing_however_often_they_sleep() {
    assert_nothing_is_lost(&[CAPTURE, PRUNE], true);
}

#[test]
fn nothing_is_lost_when_a_person_removes_locks_that_are_alive() {
    assert_nothing_is_lost(&[CAPTURE, PRUNE, Work::Unlock], true);
}

#[test]
fn three_clients_lose_nothing_however_often_they_sleep() {
    assert_nothing_is_lost(&[CAPTURE, PRUNE, PRUNE], true);
    assert_nothing_is_lost(&[CAPTURE, CAPTURE, PRUNE], true);
}

#[test]
fn less_careful_clients_are_found_out() {
    for fault in [Fault::NoSecondLook, Fault::BlindRefresh] {
        assert_loss_is_found(&[Work::Capture(fault), PRUNE], true);
        assert_loss_is_found(&[Work::Capture(fault), PRUNE, Work::Unlock], false);
        assert_loss_is_found(&[CAPTURE, Work::Prune(fault)], true);
    }
    // Lists that are not those of the moment: what the time to settle is for.
    let mut explorer = Explorer::new(&[CAPTURE, PRUNE], false);
    explorer.lists_late = true;
    assert!(explorer.find_loss().is_some(), "{} states", explorer.seen.len());
}
