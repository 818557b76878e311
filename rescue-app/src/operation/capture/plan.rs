//! What a capture will read and store, before it stores anything.

use serde::Serialize;

use crate::disk::{self, Disk, Source};
use crate::image::chunks::ChunkSize;
use crate::operation::access::{Compression, RepoAccess};
use crate::operation::clock;
use crate::operation::error::OperationError;
use crate::operation::event::{Control, Phase};
use crate::operation::guard;
use crate::operation::source::{SourcePlan, SourceRequest, Unpartitioned};
use crate::repository::Repository;

use super::space::Space;

/// A capture as it was asked for.
#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// What is captured.
    pub source: SourceRequest,
    /// Where the image goes.
    pub repo: RepoAccess,
    /// How hard to compress.
    pub compression: Compression,
    /// What the disk is cut into.
    pub chunk_size: ChunkSize,
    /// Read back also what the repository held before.
    pub verify_all: bool,
    /// Whether the image may go where it is gone when the machine is switched off.
    pub in_memory: bool,
}

/// What a capture will do.
#[derive(Clone, Debug, Serialize)]
pub struct CapturePlan {
    /// The disk, and what will be read of it.
    #[serde(flatten)]
    pub source: SourcePlan,
    /// What the disk is cut into, bytes.
    pub chunk_size: ChunkSize,
    /// What it takes where the repository is.
    pub space: Space,
    /// Whether one of the warnings is that this machine's clock can hardly be right.
    pub clock_is_doubted: bool,
}

/// Examines the disk and the repository and says what a capture would do; writes nothing, not
/// even a lock. Refuses a disk that is in use.
pub fn plan_capture(
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<CapturePlan, OperationError> {
    control.phase(Phase::Examining);
    let SourceRequest { disk, sector_size, in_use, .. } = &request.source;
    let disk = disk::open(disk, *sector_size)?;
    guard::source_is_free(&disk, Some(&request.repo.location), *in_use)?;
    guard::place_lasts(&request.repo.location, request.in_memory)?;
    let source = guard::open_source(&disk, *in_use)?;
    let repo = request.repo.open()?;
    repo.load_index()?;
    examine(disk, &source, request, &repo)
}

/// [`plan_capture`] on an open source, the repository's index loaded.
pub(super) fn examine(
    disk: Disk,
    source: &Source,
    request: &CaptureRequest,
    repo: &Repository,
) -> Result<CapturePlan, OperationError> {
    let mut source = SourcePlan::examine(disk, source, &request.source)?;
    let doubts = clock::doubts(&repo.snapshots()?);
    let clock_is_doubted = !doubts.is_empty();
    source.warnings.splice(0..0, doubts);
    let zeros = source.unpartitioned.as_ref().map_or(0, Unpartitioned::likely_zero);
    let stored = (source.regions.as_slice(), source.reads.as_slice(), zeros);
    let space = Space::estimate(&source.identity(), stored, request.chunk_size, repo)?;
    source.warnings.extend(space.warning());
    Ok(CapturePlan { source, chunk_size: request.chunk_size, space, clock_is_doubted })
}
