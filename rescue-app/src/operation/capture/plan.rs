//! What a capture will read, before it stores anything.

use std::path::PathBuf;

use serde::Serialize;

use crate::bytes::{ReadAt, Window};
use crate::disk::{self, Disk, Source};
use crate::filesystem::{self, Filesystem, LogicalVolume};
use crate::image::chunks::ChunkSize;
use crate::image::layout::{self, Inspected, Selection};
use crate::image::manifest::{Region, Stored};
use crate::image::marker;
use crate::operation::access::{Compression, RepoAccess};
use crate::operation::clock;
use crate::operation::companions::MachineVolumes;
use crate::operation::error::OperationError;
use crate::operation::event::{Control, Phase};
use crate::operation::guard;
use crate::operation::survey::read_table;
use crate::operation::unlock::{Keys, name_of};
use crate::repository::Repository;
use crate::table::{self, Scheme, Table};

use super::identity;
use super::rescue::RescueOptions;
use super::space::Space;

/// A capture as it was asked for.
#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// Block device or image file.
    pub disk: PathBuf,
    /// Logical sector size of an image file, bytes.
    pub sector_size: Option<u32>,
    /// Where the image goes.
    pub repo: RepoAccess,
    /// Partition numbers; `None` for all.
    pub partitions: Option<Vec<u32>>,
    /// How hard to compress.
    pub compression: Compression,
    /// What the disk is cut into.
    pub chunk_size: ChunkSize,
    /// Every byte instead of the blocks in use.
    pub whole: bool,
    /// Leave out large stretches outside of all partitions, but for both their ends.
    pub skip_unpartitioned: bool,
    /// Encrypted containers that were opened, to store of them what is used.
    pub keys: Keys,
    /// Of NTFS that was not closed (marked dirty, hibernated, Fast Startup) what its tables call used,
    /// instead of everything.
    pub trusts_unclosed: bool,
    /// What to do about places that cannot be read.
    pub rescue: RescueOptions,
    /// Read back also what the repository held before.
    pub verify_all: bool,
    /// Whether the image may go where it is gone when the machine is switched off.
    pub in_memory: bool,
}

/// What a capture will do.
#[derive(Clone, Debug, Serialize)]
pub struct CapturePlan {
    /// The disk.
    pub disk: Disk,
    /// Its table.
    pub table: Table,
    /// Its regions with the bytes to store of each.
    pub regions: Vec<Region>,
    /// What the disk is cut into, bytes.
    pub chunk_size: ChunkSize,
    /// Bytes to read.
    pub read: u64,
    /// Bytes nothing uses, or that were not chosen.
    pub skipped: u64,
    /// What it takes where the repository is.
    pub space: Space,
    /// Reasons to think again.
    pub warnings: Vec<String>,
}

impl CapturePlan {
    /// Whether there is an NTFS that was not closed, of which a person may choose to store what is
    /// used only.
    pub fn has_unclosed_ntfs(&self) -> bool {
        let unclosed = Filesystem::is_unclosed_ntfs;
        let in_volume =
            |volume: &LogicalVolume| volume.filesystem.iter().chain(&volume.inside).any(unclosed);
        self.regions.iter().filter(|region| region.stored != Stored::Nothing).any(|region| {
            region.filesystem.iter().chain(&region.inside).any(unclosed)
                || region.logical_volumes.iter().any(in_volume)
        })
    }
}

/// Examines the disk and the repository and says what a capture would do; writes nothing, not
/// even a lock. Refuses a disk that is in use.
pub fn plan_capture(
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<CapturePlan, OperationError> {
    control.phase(Phase::Examining);
    let disk = disk::open(&request.disk, request.sector_size)?;
    guard::source_is_free(&disk, &request.repo.location)?;
    guard::place_lasts(&request.repo.location, request.in_memory)?;
    let source = Source::open(&disk.path)?;
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
    is_finished(&disk, source, 0)?;
    let table = read_table(source, disk.logical_sector)?;
    check_partitions(&table, request.partitions.as_deref())?;
    let chosen = |number| request.partitions.as_ref().is_none_or(|all| all.contains(&number));
    for partition in table.data_partitions().filter(|partition| chosen(partition.number)) {
        is_finished(&disk, source, partition.start)?;
    }
    let mut warnings = clock::doubts(&repo.snapshots()?);
    warnings.extend(table.notices.iter().cloned());
    let selection = Selection {
        partitions: request.partitions.clone(),
        whole: request.whole,
        skip_unpartitioned: request.skip_unpartitioned,
        keys: request.keys.iter().map(|(at, key)| (at.locked.uuid.clone(), key.clone())).collect(),
        trusts_unclosed: request.trusts_unclosed,
    };
    let regions = inspect_regions(&disk, source, &table, &selection, &mut warnings);
    let read = regions.iter().map(|region| region.used.total()).sum();
    let space = Space::estimate(&identity(&disk), &regions, request.chunk_size, repo)?;
    warnings.extend(space.warning());
    let skipped = disk.size.saturating_sub(read);
    let chunk_size = request.chunk_size;
    Ok(CapturePlan { disk, table, regions, chunk_size, read, skipped, space, warnings })
}

/// A disk, or a partition of it, that a restore left half written is no source: what is on it was
/// never anybody's.
fn is_finished(disk: &Disk, source: &Source, start: u64) -> Result<(), OperationError> {
    let left = source.size().saturating_sub(start);
    let Some(marker) = marker::read(&Window::new(source, start, left)) else { return Ok(()) };
    Err(OperationError::refused(
        format!("{} is not whole: {marker}", disk.identity()),
        "capture it afterwards",
    ))
}

fn check_partitions(table: &Table, chosen: Option<&[u32]>) -> Result<(), OperationError> {
    let known: Vec<u32> = table.partitions.iter().map(|partition| partition.number).collect();
    match chosen.into_iter().flatten().find(|number| !known.contains(number)) {
        None => Ok(()),
        Some(number) => Err(OperationError::refused(
            format!("the disk has no partition {number}, only {known:?}"),
            "look at it with `lifeboat disks`",
        )),
    }
}

fn inspect_regions(
    disk: &Disk,
    source: &Source,
    table: &Table,
    selection: &Selection,
    warnings: &mut Vec<String>,
) -> Vec<Region> {
    let metadata = (table.scheme != Scheme::None).then(|| {
        let around = filesystem::around_shown_array(source).unwrap_or_default();
        table::metadata_extents(source, table).union(&around)
    });
    let companions = MachineVolumes::new(disk, source, table);
    let spans = layout::spans(source.size(), table);
    let inspected = spans.into_iter().map(|span| {
        let Inspected { region, warnings: own } =
            layout::inspect(source, span, metadata.as_ref(), &companions, selection);
        let name = name_of(span.partition);
        warnings.extend(own.into_iter().map(|warning| format!("{name}: {warning}")));
        region
    });
    inspected.collect()
}
