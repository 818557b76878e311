//! Packs that no index names: what an interrupted capture had stored after its last index file,
//! or all of them when index files were lost.

use super::error::{RepositoryError, Result, WRONG_SUM};
use super::id::IdHasher;
use super::index::{Index, IndexFile, IndexedPack};
use super::{Id, Lock, Repository, json_file, pack};
use crate::store::{FileEntry, FileKind};

/// An index file is written after this many blobs.
const INDEX_BLOBS: usize = 50_000;

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

/// What [`Repository::adopt_packs`] did.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Packs taken into the index.
    pub packs: u64,
    /// Blobs in them.
    pub blobs: u64,
    /// Bytes of these packs.
    pub bytes: u64,
    /// Packs that cannot be used, and why. They do no harm; pruning removes them.
    pub damaged: Vec<(Id, RepositoryError)>,
}

impl Repository {
    /// Takes packs that no index file names into the index (which must be loaded), so that an
    /// interrupted capture goes on from where it was, and lost index files are made again. Each
    /// pack is read whole first: nothing else vouches for it.
    ///
    /// Does nothing when others were at work when `lock` was taken: such packs may be theirs,
    /// with the index file still to come.
    pub fn adopt_packs(&self, lock: &Lock) -> Result<Adopted> {
        let mut adopted = Adopted::default();
        if !lock.is_alone() {
            return Ok(adopted);
        }
        self.require_writable()?;
        let index = self.index();
        let mut proven = Vec::new();
        for (id, file) in self.packs_with_sizes()? {
            if index.contains_pack(&id) {
                continue;
            }
            match self.prove_pack(&id, &file) {
                Ok(pack) => {
                    adopted.packs += 1;
                    adopted.blobs += pack.blobs.len() as u64;
                    adopted.bytes += file.size;
                    proven.push(pack);
                }
                Err(error) => adopted.damaged.push((id, error)),
            }
        }
        if !proven.is_empty() {
            let files = index_files(proven);
            for file in &files {
                json_file::save(&*self.store, &self.key, FileKind::Index, file)?;
            }
            self.set_index(Index::clone(&index).with(files));
        }
        Ok(adopted)
    }

    /// All pack files there are.
    pub(super) fn packs_with_sizes(&self) -> Result<Vec<(Id, FileEntry)>> {
        let files = self.store.list(FileKind::Pack)?;
        Ok(files.into_iter().filter_map(|file| Some((file.name.parse().ok()?, file))).collect())
    }

    /// The blobs of a pack whose bytes have the sum that is its name.
    fn prove_pack(&self, id: &Id, file: &FileEntry) -> Result<IndexedPack> {
        let entries = pack::read_header(&*self.store, &self.key, id, file.size)?;
        let mut hasher = IdHasher::default();
        self.hash_pack(id, 0, file.size, &mut hasher)?;
        if hasher.finish() != *id {
            return Err(RepositoryError::damaged(FileKind::Pack, id, WRONG_SUM));
        }
        Ok(IndexedPack { id: *id, blobs: entries.iter().map(Into::into).collect() })
    }

    /// Feeds the bytes `start..end` of a pack to the hasher.
    pub(super) fn hash_pack(
        &self,
        id: &Id,
        start: u64,
        end: u64,
        hasher: &mut IdHasher,
    ) -> Result<()> {
        let mut buf = Vec::new();
        let mut at = start;
        while at < end {
            let len = usize::try_from(STEP.min(end - at)).unwrap_or(usize::MAX);
            buf.resize(len, 0);
            self.read_pack_range(id, at, &mut buf)?;
            hasher.update(&buf);
            at += len as u64;
        }
        Ok(())
    }
}

/// The packs shared out to index files of bearable size.
fn index_files(packs: Vec<IndexedPack>) -> Vec<IndexFile> {
    let mut files: Vec<IndexFile> = Vec::new();
    let mut blobs = 0;
    for pack in packs {
        blobs += pack.blobs.len();
        match files.last_mut() {
            Some(file) if blobs < INDEX_BLOBS => file.packs.push(pack),
            _ => {
                blobs = pack.blobs.len();
                files.push(IndexFile { packs: vec![pack] });
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::BlobType;
    use crate::repository::pack::PackEntry;

    #[test]
    fn many_packs_make_several_index_files_and_lose_none() {
        let entry = PackEntry {
            id: Id::of(b"blob"),
            kind: BlobType::Data,
            offset: 0,
            length: 100,
            uncompressed: None,
        };
        let blobs = vec![(&entry).into(); 20_000];
        let pack = |n: u8| IndexedPack { id: Id::of(&[n]), blobs: blobs.clone() };
        let packs: Vec<_> = (0..7).map(pack).collect();
        let files = index_files(packs.clone());
        assert!(files.iter().all(|file| file.packs.len() <= 2));
        let again: Vec<_> = files.into_iter().flat_map(|file| file.packs).collect();
        assert_eq!(again, packs);
    }
}
