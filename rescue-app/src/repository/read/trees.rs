//! Reading directories.

use super::BlobReader;
use crate::repository::IndexedRepository;
use crate::repository::error::{RepositoryError, Result};
use crate::repository::format::{BlobType, Id, Tree};

impl IndexedRepository {
    /// Reads a directory.
    pub fn read_tree(&self, id: &Id) -> Result<Tree> {
        if !self.index().contains(BlobType::Tree, id) {
            return Err(RepositoryError::MissingBlob { blob: *id });
        }
        let mut reader = BlobReader::new()?;
        let json = self.read_blob(id, &mut reader)?;
        Tree::parse(json).map_err(|problem| RepositoryError::DamagedTree { tree: *id, problem })
    }
}
