//! Lock files, and who looks at them.

use std::time::Duration as StdDuration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::repository::crypto::Key;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::identity::Identity;
use crate::repository::{Id, json_file};
use crate::store::{FileKind, Store, StoreError};

/// A lock not confirmed for so long belongs to nobody.
const STALE_AFTER: Duration = Duration::minutes(30);

/// After creating a lock one looks again: of two that came at the same time, one at least then
/// sees the other. Where a new file takes a while to show, one waits this long before.
const SETTLE: StdDuration = StdDuration::from_millis(200);

/// A lock file; fields in restic's order.
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
        }
    }

    /// Whether its owner is certainly gone. A lock from the future is alive: the clocks of
    /// rescue environments are often wrong.
    pub(super) fn is_stale(&self, identity: &Identity) -> bool {
        let age = OffsetDateTime::now_utc() - self.time;
        age > STALE_AFTER || self.hostname == identity.hostname && !is_running(self.pid)
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

    /// To be called between creating a lock and looking again.
    pub(super) fn settle(&self) {
        if !self.store.lists_at_once() {
            std::thread::sleep(SETTLE);
        }
    }

    /// Fails if someone's lock excludes ours; removes stale locks. Tells whether there is no
    /// lock but `ours`.
    pub(super) fn refuse_conflicts(&self, exclusive: bool, ours: Option<Id>) -> Result<bool> {
        let mut alone = true;
        let files = self.store.list(FileKind::Lock)?;
        for id in files.iter().filter_map(|file| file.name.parse().ok()) {
            if Some(id) == ours {
                continue;
            }
            let lock: LockFile = match json_file::load(self.store, self.key, FileKind::Lock, &id) {
                Ok(lock) => lock,
                // Given back between listing and reading.
                Err(RepositoryError::Store(StoreError::NotFound { .. })) => continue,
                Err(RepositoryError::Damaged { kind, name, problem }) => {
                    let problem = format!(
                        "{problem}; if nobody uses the repository, run 'lifeboat unlock --all'"
                    );
                    return Err(RepositoryError::Damaged { kind, name, problem });
                }
                Err(error) => return Err(error),
            };
            if lock.is_stale(self.identity) {
                self.remove_stale(&id)?;
                continue;
            }
            if exclusive || lock.exclusive {
                return Err(lock.conflict());
            }
            alone = false;
        }
        Ok(alone)
    }

    pub(super) fn remove_stale(&self, id: &Id) -> Result<()> {
        match self.store.remove(FileKind::Lock, &id.to_string()) {
            // Already removed by someone else, or nobody can remove it: it holds no one up.
            Ok(()) | Err(StoreError::NotFound { .. } | StoreError::ReadOnly { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
