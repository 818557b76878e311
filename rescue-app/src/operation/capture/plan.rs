//! What a capture will read and store, before it stores anything.

use serde::Serialize;

use crate::disk::Disk;
use crate::image::chunks::ChunkSize;
use crate::image::manifest::file_name;
use crate::operation::access::{Compression, RepoAccess};
use crate::operation::clock;
use crate::operation::error::OperationError;
use crate::operation::guard;
use crate::operation::label::Label;
use crate::operation::source::{SourcePlan, SourceRequest, Unpartitioned};
use crate::progress::{Control, Phase};
use crate::repository::IndexedRepository;
use crate::transfer::RescueOptions;

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
    /// Keep the map of what was read beside the images, named by [`map_name`].
    pub keep_map: bool,
    /// Read back also what the repository held before.
    pub verify_all: bool,
    /// What is said of it.
    pub label: Label,
    /// Whether the image may go where it is gone when the machine is switched off.
    pub in_memory: bool,
}

impl CaptureRequest {
    /// What is done about places of `disk` that cannot be read.
    pub(super) fn rescue(&self, disk: &Disk) -> RescueOptions {
        let beside = self.repo.folder().filter(|_| self.keep_map);
        let beside = beside.map(|folder| folder.join(map_name(&disk.identity())));
        let map_file = beside.or_else(|| self.source.rescue.map_file.clone());
        RescueOptions { map_file, ..self.source.rescue }
    }
}

/// The file beside the images that keeps the map of what was read of a disk, by what the disk is called.
pub fn map_name(disk: &str) -> String {
    format!("{}.map", file_name(disk))
}

/// What a capture will do.
#[derive(Clone, Debug, Serialize)]
pub struct CapturePlan {
    /// The disk, and what will be read of it.
    #[serde(flatten)]
    pub source: SourcePlan,
    /// What the disk is cut into, bytes.
    pub chunk_size: ChunkSize,
    /// What it takes, and what to think of before.
    #[serde(flatten)]
    pub outlook: CaptureOutlook,
}

/// What a capture takes, and what a person should think of before it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureOutlook {
    /// What it takes where the repository is.
    pub space: Space,
    /// Whether one of the warnings is that this machine's clock can hardly be right.
    pub clock_is_doubted: bool,
    /// Reasons to think again.
    pub warnings: Vec<String>,
}

/// Examines the disk and the repository and says what a capture would do; writes nothing, not
/// even a lock. Refuses a disk that is in use.
pub fn plan_capture(
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<CapturePlan, OperationError> {
    control.phase(Phase::Examining);
    let source = look(request, control)?;
    let repo = request.repo.open()?.load_index()?;
    CapturePlan::of(source, request, &repo)
}

/// Looks at the disk, once the repository opens: that is told before anything takes long.
pub(super) fn look(
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<SourcePlan, OperationError> {
    let folder = request.repo.folder();
    let is_allowed = |disk: &Disk| {
        match folder {
            Some(folder) => {
                guard::repository_is_elsewhere(disk, folder)?;
                guard::place_lasts(folder, request.in_memory)?;
            }
            None if request.keep_map => {
                return Err(OperationError::refused(
                    format!("{} takes only what is in images", request.repo.location()),
                    "keep the map of what was read in a file of this machine: --map FILE",
                ));
            }
            None => {}
        }
        request.repo.try_open()
    };
    SourcePlan::make(&request.source, is_allowed, (folder, control))
}

impl CapturePlan {
    /// The plan for a disk that was looked at.
    pub(super) fn of(
        source: SourcePlan,
        request: &CaptureRequest,
        repo: &IndexedRepository,
    ) -> Result<Self, OperationError> {
        let mut warnings = clock::doubts(&repo.snapshots()?);
        let clock_is_doubted = !warnings.is_empty();
        warnings.extend(source.warnings.iter().cloned());
        let zeros = source.summary.unpartitioned.as_ref().map_or(0, Unpartitioned::likely_zero);
        let stored = (source.regions.as_slice(), source.reads.as_slice(), zeros);
        let space = Space::estimate(&source.identity(), stored, request.chunk_size, repo)?;
        warnings.extend(space.warning());
        let outlook = CaptureOutlook { space, clock_is_doubted, warnings };
        Ok(Self { source, chunk_size: request.chunk_size, outlook })
    }
}
