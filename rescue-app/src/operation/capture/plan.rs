//! What a capture will read, before it stores anything.

use std::path::PathBuf;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt, Window};
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
use super::unpartitioned::Unpartitioned;

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
    /// Capture an image file although a program may write to it meanwhile.
    pub in_use: bool,
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
    /// Bytes that are not read: nothing uses them, they were not chosen, or they are holes of an
    /// image file.
    pub skipped: u64,
    /// Of those what a filesystem's map calls unused.
    pub unused: u64,
    /// Large stretches outside of partitions.
    pub unpartitioned: Option<Unpartitioned>,
    /// What it takes where the repository is.
    pub space: Space,
    /// Reasons to think again.
    pub warnings: Vec<String>,
    /// Whether one of them is that this machine's clock can hardly be right.
    pub clock_is_doubted: bool,
    /// Of each region the bytes to read: what is stored of it, but for holes of an image file.
    #[serde(skip)]
    pub(super) reads: Vec<Extents>,
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
    guard::source_is_free(&disk, &request.repo.location, request.in_use)?;
    guard::place_lasts(&request.repo.location, request.in_memory)?;
    let source = guard::open_source(&disk, request.in_use)?;
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
    check_partitions(&table, request.partitions.as_deref().unwrap_or_default())?;
    let chosen = |number| request.partitions.as_ref().is_none_or(|all| all.contains(&number));
    for partition in table.data_partitions().filter(|partition| chosen(partition.number)) {
        is_finished(&disk, source, partition.start)?;
    }
    let mut warnings = clock::doubts(&repo.snapshots()?);
    let clock_is_doubted = !warnings.is_empty();
    warnings.extend(guard::source_in_use(&disk));
    warnings.extend(table.remarks().cloned());
    warnings.extend(guard::remark_on_source(&disk));
    let selection = Selection {
        partitions: request.partitions.clone(),
        whole: request.whole,
        skip_unpartitioned: request.skip_unpartitioned,
        keys: request.keys.iter().map(|(at, key)| (at.locked.uuid.clone(), key.clone())).collect(),
        trusts_unclosed: request.trusts_unclosed,
    };
    let regions = inspect_regions(&disk, source, &table, &selection, &mut warnings);
    let data = source.data();
    let reads: Vec<Extents> =
        regions.iter().map(|region| region.used.intersection(&data)).collect();
    let read = reads.iter().map(Extents::total).sum();
    let unpartitioned = Unpartitioned::sample(source, &table, &regions, &data);
    let zeros = unpartitioned.as_ref().map_or(0, Unpartitioned::likely_zero);
    let stored = (regions.as_slice(), reads.as_slice(), zeros);
    let space = Space::estimate(&identity(&disk), stored, request.chunk_size, repo)?;
    warnings.extend(space.warning());
    Ok(CapturePlan {
        skipped: disk.size.saturating_sub(read),
        unused: regions.iter().map(unused).sum(),
        chunk_size: request.chunk_size,
        clock_is_doubted,
        disk,
        table,
        regions,
        read,
        unpartitioned,
        space,
        warnings,
        reads,
    })
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

/// Bytes that the map of what is in a region calls unused.
fn unused(region: &Region) -> u64 {
    let mapped =
        region.filesystem.is_some() && matches!(region.stored, Stored::Used | Stored::Header);
    if mapped { region.size.saturating_sub(region.used.total()) } else { 0 }
}

/// Only what is surely one partition with a content of its own can be chosen.
fn check_partitions(table: &Table, chosen: &[u32]) -> Result<(), OperationError> {
    let separate: Vec<u32> = table.separate_partitions().iter().map(|p| p.number).collect();
    let Some(number) = chosen.iter().find(|number| !separate.contains(number)) else {
        return Ok(());
    };
    let known: Vec<u32> = table.partitions.iter().map(|partition| partition.number).collect();
    Err(match table.logical_partitions_in(*number) {
        Some(inside) if inside.is_empty() => OperationError::refused(
            format!("partition {number} is an extended one, and no partition is in it"),
            "capture the whole disk, or another partition; see `lifeboat disks`",
        ),
        Some(inside) => {
            let list: Vec<String> = inside.iter().map(u32::to_string).collect();
            OperationError::refused(
                format!("partition {number} is an extended one and has no content of its own"),
                format!("name the partitions that are in it: --partitions {}", list.join(",")),
            )
        }
        None if known.contains(number) => OperationError::refused(
            format!("partition {number} and another one lie over each other"),
            "capture the whole disk: without --partitions all of it is stored",
        ),
        None => OperationError::refused(
            format!("the disk has no partition {number}, only {known:?}"),
            "look at it with `lifeboat disks`",
        ),
    })
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
    let mut told = Vec::new();
    let inspected = spans.into_iter().map(|span| {
        let Inspected { region, warnings: own } =
            layout::inspect(source, span, metadata.as_ref(), &companions, selection);
        told.extend(own.into_iter().map(|warning| (span.partition, warning)));
        region
    });
    let regions = inspected.collect();
    warnings.extend(summed_up(told));
    regions
}

/// The warnings with the names of their partitions; what is said of several is said once.
fn summed_up(told: Vec<(Option<u32>, String)>) -> Vec<String> {
    let mut said: Vec<(String, Vec<Option<u32>>)> = Vec::new();
    for (partition, warning) in told {
        match said.iter_mut().find(|(text, _)| *text == warning) {
            Some((_, partitions)) => partitions.push(partition),
            None => said.push((warning, vec![partition])),
        }
    }
    let line = |(text, partitions): (String, Vec<Option<u32>>)| {
        let numbers: Vec<String> = partitions.iter().flatten().map(u32::to_string).collect();
        match numbers.as_slice() {
            [] | [_] => format!("{}: {text}", name_of(partitions.into_iter().flatten().next())),
            _ => format!("partitions {}: {text}", numbers.join(", ")),
        }
    };
    said.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_several_partitions_is_said_once() {
        let told = [(Some(1), "odd"), (Some(3), "even"), (None, "all"), (Some(5), "odd")];
        let told = told.map(|(partition, warning)| (partition, warning.to_owned()));
        let lines = ["partitions 1, 5: odd", "partition 3: even", "the disk: all"];
        assert_eq!(summed_up(told.to_vec()), lines);
    }
}
