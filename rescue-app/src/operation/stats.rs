//! How much a repository holds.

use serde::Serialize;

use super::access::RepoAccess;
use super::catalog::Catalog;
use super::error::OperationError;

/// What a repository holds, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Number of images, incomplete ones among them.
    pub images: u64,
    /// Number of disks that they are of.
    pub disks: u64,
    /// Bytes that the images hold of their disks, all of them added up.
    pub held: u64,
    /// Pack files that the index names.
    pub packs: u64,
    /// Chunks of disks, and what describes the images, each once.
    pub blobs: u64,
    /// Bytes of them before they were compressed.
    pub plain: u64,
    /// Bytes of them as they are stored.
    pub stored: u64,
    /// Free bytes of the place, where that can be told.
    pub free: Option<u64>,
}

/// Counts what a repository holds; reads the index and the descriptions of the images, and no data.
///
/// # Errors
/// When the repository cannot be opened or listed.
pub fn repository_stats(access: &RepoAccess) -> Result<Stats, OperationError> {
    let repo = access.open()?.load_index()?;
    let images = Catalog::read(&repo)?.images;
    let mut disks: Vec<usize> = images.iter().map(|image| image.disk).collect();
    disks.sort_unstable();
    disks.dedup();
    let totals = repo.totals();
    Ok(Stats {
        images: images.len() as u64,
        disks: disks.len() as u64,
        held: images.iter().map(|image| image.summary.used).sum(),
        packs: totals.packs,
        blobs: totals.blobs,
        plain: totals.plain,
        stored: totals.stored,
        free: repo.store().free_space(),
    })
}
