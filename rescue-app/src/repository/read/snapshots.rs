//! Finding snapshots and reading them.

use crate::repository::Repository;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::{Id, SnapshotFile, json_file};
use crate::store::FileKind;

/// The most paths and tags that all snapshots together may have.
const TEXTS_LIMIT: usize = 1_000_000;

/// What [`Repository::snapshots`] found.
#[derive(Debug, Default)]
pub struct SnapshotList {
    /// Oldest first.
    pub snapshots: Vec<SnapshotFile>,
    /// Snapshot files that cannot be used, and why.
    pub damaged: Vec<(Id, RepositoryError)>,
}

impl Repository {
    /// All snapshots.
    pub fn snapshots(&self) -> Result<SnapshotList> {
        let mut list = SnapshotList::default();
        let mut room = TEXTS_LIMIT;
        for id in self.ids(FileKind::Snapshot)? {
            match self.load_snapshot(id).and_then(|file| fits(file, &mut room)) {
                Ok(file) => list.snapshots.push(file),
                Err(error) if error.is_out_of_reach() => return Err(error),
                Err(error) => list.damaged.push((id, error)),
            }
        }
        list.snapshots.sort_by_key(|file| (file.snapshot.time, file.id));
        Ok(list)
    }

    /// The snapshot whose name starts with `wanted`.
    pub fn snapshot(&self, wanted: &str) -> Result<SnapshotFile> {
        self.load_snapshot(self.find_snapshot(wanted)?)
    }

    /// The name of that snapshot; unlike [`Self::snapshot`] it also finds a damaged one.
    pub fn find_snapshot(&self, wanted: &str) -> Result<Id> {
        let ids = self.ids(FileKind::Snapshot)?;
        let fits = |id: &&Id| !wanted.is_empty() && id.to_string().starts_with(wanted);
        let found: Vec<&Id> = ids.iter().filter(fits).collect();
        match found[..] {
            [] => Err(no_such(wanted)),
            [id] => Ok(*id),
            _ => {
                let (wanted, count) = (wanted.to_owned(), found.len());
                Err(RepositoryError::AmbiguousSnapshot { wanted, count })
            }
        }
    }

    /// Reads a snapshot by its whole name.
    pub fn load_snapshot(&self, id: Id) -> Result<SnapshotFile> {
        let snapshot = json_file::load(&*self.store, &self.key, FileKind::Snapshot, &id)?;
        Ok(SnapshotFile { id, snapshot })
    }
}

/// Counts the paths and tags of one more snapshot.
fn fits(file: SnapshotFile, room: &mut usize) -> Result<SnapshotFile> {
    let texts = file.snapshot.paths.len() + file.snapshot.tags.len();
    *room = room.checked_sub(texts).ok_or_else(|| {
        let problem = "with it the snapshots name more paths than fit into memory";
        RepositoryError::damaged(FileKind::Snapshot, file.id, problem)
    })?;
    Ok(file)
}

fn no_such(wanted: &str) -> RepositoryError {
    RepositoryError::NoSuchSnapshot { wanted: wanted.to_owned() }
}
