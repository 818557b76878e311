//! Lock files, and who looks at them.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::crypto::Key;
use crate::repository::format::identity::{Identity, Origin};
use crate::repository::format::{Id, json_file};
use crate::store::{FileKind, Store, StoreError};

/// A lock not confirmed for so long belongs to nobody.
const STALE_AFTER: Duration = Duration::from_secs(30 * 60);

/// A lock file; fields in restic's order, and one of our own, which restic's JSON decoder ignores
/// (Go `encoding/json`, `Unmarshal`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LockFile {
    #[serde(with = "time::serde::rfc3339")]
    pub(super) time: OffsetDateTime,
    pub(super) exclusive: bool,
    #[serde(default)]
    pub(super) hostname: String,
    #[serde(default)]
    pub(super) username: String,
    #[serde(default)]
    pub(super) pid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) gid: u32,
    #[serde(default, rename = "lifeboat_origin", skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
}

/// What is known of the process that owns a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// It has ended.
    Gone,
    /// It exists.
    Alive,
    /// It cannot be looked at from here.
    OutOfSight,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(id: &u32) -> bool {
    *id == 0
}

impl LockFile {
    pub(super) fn new(identity: &Identity, exclusive: bool) -> Self {
        Self {
            time: OffsetDateTime::now_utc(),
            exclusive,
            hostname: identity.hostname.clone(),
            username: identity.username.clone(),
            pid: identity.pid,
            uid: identity.uid,
            gid: identity.gid,
            origin: identity.origin.clone(),
        }
    }

    /// What can be told of its owner, from the place of `identity`, without any clock.
    fn owner(&self, identity: &Identity) -> Owner {
        if self.hostname != identity.hostname {
            return Owner::OutOfSight;
        }
        match (&self.origin, &identity.origin) {
            (Some(theirs), Some(ours)) if theirs.boot == ours.boot => {
                match (theirs.processes == ours.processes, is_running(self.pid)) {
                    (true, true) => Owner::Alive,
                    (true, false) => Owner::Gone,
                    (false, _) => Owner::OutOfSight,
                }
            }
            // This machine before it was started anew.
            (Some(theirs), Some(ours)) if theirs.machine == ours.machine => {
                if ours.machine.is_some() { Owner::Gone } else { Owner::OutOfSight }
            }
            (Some(_), Some(_)) => Owner::OutOfSight,
            // Stock restic's lock tells no more than the host's name, by which restic judges too.
            _ if is_running(self.pid) => Owner::OutOfSight,
            _ => Owner::Gone,
        }
    }

    pub(super) fn conflict(&self) -> RepositoryError {
        let who = format!("{} on {}", self.username, self.hostname);
        RepositoryError::Locked { who, pid: self.pid, since: self.time }
    }
}

/// Whether a process of this number exists on this machine.
fn is_running(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// The lock files of a repository, and who looks at them.
pub(super) struct Locks<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) key: &'a Key,
    pub(super) identity: &'a Identity,
}

impl Locks<'_> {
    /// Writes a new lock file of ours.
    pub(super) fn save(&self, exclusive: bool) -> Result<Id> {
        let file = LockFile::new(self.identity, exclusive);
        json_file::save(self.store, self.key, FileKind::Lock, &file)
    }

    /// To be called between creating a lock and looking again: of two that came at the same time,
    /// one at least then sees the other.
    pub(super) fn settle(&self) {
        std::thread::sleep(self.store.settle_time());
    }

    /// Fails if someone's lock excludes ours, or one of `ours` is not there; removes stale locks.
    /// Tells whether there is no lock but `ours`.
    pub(super) fn refuse_conflicts(&self, exclusive: bool, ours: &[Id]) -> Result<bool> {
        loop {
            if let Some(alone) = self.look(exclusive, ours)? {
                return Ok(alone);
            }
        }
    }

    /// One look; `None` when a lock vanished meanwhile: its owner may have confirmed it, which
    /// gave it another name that was not seen.
    fn look(&self, exclusive: bool, ours: &[Id]) -> Result<Option<bool>> {
        let files = self.store.list(FileKind::Lock)?;
        let there: Vec<Id> = files.iter().filter_map(|file| file.name.parse().ok()).collect();
        if !ours.iter().all(|id| there.contains(id)) {
            return Err(RepositoryError::LockLost { location: self.store.location() });
        }
        let mut alone = true;
        for id in there.iter().filter(|id| !ours.contains(id)) {
            let Some((lock, is_stale)) = self.examine(id)? else { return Ok(None) };
            if is_stale && !self.remove_stale(id)? {
                return Ok(None);
            }
            if !is_stale && (exclusive || lock.exclusive) {
                return Err(lock.conflict());
            }
            alone &= is_stale;
        }
        Ok(Some(alone))
    }

    /// A lock, and whether its owner is certainly gone; `None` if it has vanished.
    pub(super) fn examine(&self, id: &Id) -> Result<Option<(LockFile, bool)>> {
        let lock: LockFile = match json_file::load(self.store, self.key, FileKind::Lock, id) {
            Err(RepositoryError::Store(StoreError::NotFound { .. })) => return Ok(None),
            Err(RepositoryError::Damaged { kind, name, problem }) => {
                let problem = format!(
                    "{problem}; if nobody uses the repository, run 'lifeboat unlock --all'"
                );
                return Err(RepositoryError::Damaged { kind, name, problem });
            }
            lock => lock?,
        };
        match self.is_stale(id, &lock) {
            Err(RepositoryError::Store(StoreError::NotFound { .. })) => Ok(None),
            is_stale => Ok(Some((lock, is_stale?))),
        }
    }

    /// Whether a lock's owner is certainly gone. What time the owner believed it was says nothing:
    /// machines whose clock runs in local time are hours off.
    fn is_stale(&self, id: &Id, lock: &LockFile) -> Result<bool> {
        match lock.owner(self.identity) {
            Owner::Gone => Ok(true),
            Owner::Alive => Ok(false),
            Owner::OutOfSight => {
                let age = self.store.age(FileKind::Lock, &id.to_string())?;
                Ok(age.is_some_and(|age| age > STALE_AFTER))
            }
        }
    }

    /// Removes a stale lock; `false` if it had vanished.
    fn remove_stale(&self, id: &Id) -> Result<bool> {
        match self.store.remove(FileKind::Lock, &id.to_string()) {
            Err(StoreError::NotFound { .. }) => Ok(false),
            // Nobody can remove it: it holds no one up.
            Ok(()) | Err(StoreError::ReadOnly { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}
