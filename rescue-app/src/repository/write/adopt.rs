//! Packs that no index names: what an interrupted capture had stored after its last index file,
//! or all of them when index files were lost.

use std::collections::BTreeSet;

use super::index_files::IndexFiles;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::index::{Index, IndexFile, IndexedPack};
use crate::repository::format::{Id, pack};
use crate::repository::lock::Lock;
use crate::repository::{IndexedRepository, Repository};
use crate::store::{FileEntry, FileKind};

/// What [`IndexedRepository::adopt_packs`] did.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Packs taken into the index.
    pub packs: u64,
    /// Their names.
    pub ids: BTreeSet<Id>,
    /// Blobs in them.
    pub blobs: u64,
    /// Bytes of these packs.
    pub bytes: u64,
    /// Packs that cannot be used, and why. They do no harm; pruning removes them.
    pub damaged: Vec<(Id, RepositoryError)>,
}

impl IndexedRepository {
    /// Takes those `packs` that no index file names into the index, so that an interrupted capture
    /// goes on from where it was, and lost index files are made again. Each pack is read whole first:
    /// nothing else vouches for it.
    ///
    /// Does nothing when others were at work when `lock` was taken: such packs may be theirs,
    /// with the index file still to come.
    pub fn adopt_packs(&self, lock: &Lock, packs: &[(Id, FileEntry)]) -> Result<Adopted> {
        let mut adopted = Adopted::default();
        if !lock.is_alone() {
            return Ok(adopted);
        }
        self.require_writable()?;
        let index = self.index();
        let mut proven = Vec::new();
        for (id, file) in packs {
            if index.contains_pack(id) {
                continue;
            }
            match self.proven_blobs(id, file) {
                Ok(pack) => {
                    adopted.packs += 1;
                    adopted.ids.insert(*id);
                    adopted.blobs += pack.blobs.len() as u64;
                    adopted.bytes += file.size;
                    proven.push(pack);
                }
                Err(error) if error.is_out_of_reach() => return Err(error),
                Err(error) => adopted.damaged.push((*id, error)),
            }
        }
        if !proven.is_empty() {
            // Whoever wrote them may have been stopped before their names were on the disk.
            self.store.sync_names(FileKind::Pack)?;
            let mut files = IndexFiles::new(self);
            proven.iter().try_for_each(|pack| files.add(pack.clone()))?;
            files.finish()?;
            self.set_index(Index::clone(&index).with([IndexFile { packs: proven }]));
        }
        Ok(adopted)
    }
}

impl Repository {
    /// All pack files there are.
    pub fn packs_with_sizes(&self) -> Result<Vec<(Id, FileEntry)>> {
        let files = self.store.list(FileKind::Pack)?;
        Ok(files.into_iter().filter_map(|file| Some((file.name.parse().ok()?, file))).collect())
    }

    /// The blobs of a pack whose bytes have the sum that is its name.
    pub(super) fn proven_blobs(&self, id: &Id, file: &FileEntry) -> Result<IndexedPack> {
        let entries = pack::read_header(&*self.store, &self.key, id, file.size)?;
        self.prove_pack(id, &|_| Ok(()))?;
        Ok(IndexedPack { id: *id, blobs: entries.iter().map(Into::into).collect() })
    }
}
