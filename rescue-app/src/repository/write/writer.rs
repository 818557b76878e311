//! Storing blobs: what each thread has for itself.

use std::sync::Arc;

use super::open_pack::{ClosedPack, OpenPack};
use super::pack_writer::Shared;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::compression::{Packer, TEXT_LEVEL};
use crate::repository::format::{BlobType, Id, Tree};

/// What became of a blob given to [`BlobWriter::save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its name.
    pub id: Id,
    /// Whether it was not there before.
    pub new: bool,
    /// Bytes it takes in the pack; 0 when it was there before.
    pub stored: u64,
}

/// One thread's way to store blobs: a compressor and an open pack for each type of blob. Nothing
/// is allocated per blob once the buffers have their size.
///
/// Call [`Self::finish`] also when stopping early: it keeps what was stored for the next run.
pub struct BlobWriter {
    shared: Arc<Shared>,
    packer: Packer,
    data: Option<OpenPack>,
    /// A pack that waits to be hashed along with the next chunks.
    closed: Option<ClosedPack>,
    trees: Option<OpenPack>,
}

impl BlobWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self> {
        Ok(Self { shared, packer: Packer::new()?, data: None, closed: None, trees: None })
    }

    /// Stores a blob unless it is there already or another thread is storing it. `id` saves
    /// hashing it again when the caller knows its sum; `level` is zstd's.
    pub fn save(
        &mut self,
        kind: BlobType,
        id: Option<Id>,
        plain: &[u8],
        level: i32,
    ) -> Result<Saved> {
        self.shared.check()?;
        let id = id.unwrap_or_else(|| Id::of(plain));
        if !self.shared.claim(kind, &id, plain.len() as u64) {
            return Ok(Saved { id, new: false, stored: 0 });
        }
        let stored = self.add((kind, id, plain), level).inspect_err(|_| self.shared.mark_lost())?;
        self.shared.count_stored(stored);
        Ok(Saved { id, new: true, stored: u64::from(stored) })
    }

    /// The names of several plain texts, for [`Self::save`]. Hashing them together, and the open
    /// pack along with them, takes about half as long as one after the other.
    pub fn name_all(&mut self, plains: &[&[u8]]) -> Result<Vec<Id>> {
        let closed = self.closed.as_mut().map(ClosedPack::unhashed);
        let packs = closed.into_iter().chain(self.data.as_mut().map(OpenPack::unhashed));
        let names = Id::of_all_along(plains, packs);
        self.pass_on()?;
        Ok(names)
    }

    /// Stores a directory; returns the name of its blob.
    pub fn save_tree(&mut self, tree: &Tree) -> Result<Id> {
        let json = tree.to_json()?;
        Ok(self.save(BlobType::Tree, None, &json, TEXT_LEVEL)?.id)
    }

    /// Passes the open packs on to be written, however full they are.
    pub fn finish(mut self) -> Result<()> {
        for kind in [BlobType::Data, BlobType::Tree] {
            self.close(kind)?;
        }
        self.pass_on()?;
        self.shared.check()
    }

    fn open_pack(&mut self, kind: BlobType) -> &mut Option<OpenPack> {
        match kind {
            BlobType::Data => &mut self.data,
            BlobType::Tree => &mut self.trees,
        }
    }

    fn add(&mut self, blob: (BlobType, Id, &[u8]), level: i32) -> Result<u32> {
        let kind = blob.0;
        for _ in 0..2 {
            let mut pack = match self.open_pack(kind).take() {
                Some(pack) => pack,
                None => OpenPack::new(self.shared.buffer()),
            };
            let added = pack.add(blob, level, &mut self.packer, &self.shared.key);
            let full = pack.is_full() || matches!(added, Ok(None));
            *self.open_pack(kind) = Some(pack);
            let added = added?;
            if full {
                self.close(kind)?;
            }
            if let Some(stored) = added {
                return Ok(stored);
            }
        }
        Err(RepositoryError::Internal("a blob does not fit into an empty pack"))
    }

    fn close(&mut self, kind: BlobType) -> Result<()> {
        let Some(pack) = self.open_pack(kind).take().filter(|pack| !pack.is_empty()) else {
            return Ok(());
        };
        self.pass_on()?;
        let closed = pack.close(&self.shared.key).inspect_err(|_| self.shared.mark_lost())?;
        self.closed = Some(closed);
        Ok(())
    }

    /// Passes the closed pack on to be written.
    fn pass_on(&mut self) -> Result<()> {
        let Some(closed) = self.closed.take() else { return Ok(()) };
        self.shared.enqueue(closed.name()).inspect_err(|_| self.shared.mark_lost())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let packs = [&self.data, &self.trees];
        if self.closed.is_some() || packs.into_iter().flatten().any(|pack| !pack.is_empty()) {
            self.shared.mark_lost();
        }
    }
}
