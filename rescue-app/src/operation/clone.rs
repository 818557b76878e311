//! Writing a disk to another one, without an image in between.

use std::time::Instant;

use serde::Serialize;

use crate::bytes::Extents;
use crate::disk::{self, Disk, Source, Target};
use crate::image::chunks::ChunkSize;
use crate::image::damage::Damage;
use crate::image::marker::Marker;

use super::consent::Words;
use super::error::{Doing, OperationError};
use super::event::{Control, Phase};
use super::guard;
use super::source::{SourcePlan, SourceRequest};
use super::target::{Absent, Aim, Content, Overwrite, TargetPlan, TargetRequest, re_read_table};
use super::transfer::{DiskCopy, DiskMedium, DiskSource};

/// A clone as it was asked for.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// What is cloned.
    pub source: SourceRequest,
    /// Where it goes; its partitions are those of the source.
    pub target: TargetRequest,
}

/// What a clone will do.
#[derive(Clone, Debug, Serialize)]
pub struct ClonePlan {
    /// The disk to clone, and what will be read of it.
    pub source: SourcePlan,
    /// What is done to the target.
    #[serde(flatten)]
    pub onto: TargetPlan,
}

/// What a clone achieved.
#[derive(Clone, Debug, Serialize)]
pub struct CloneReport {
    /// Bytes read from the source.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Bytes that were on the target already.
    pub unchanged: u64,
    /// Bytes read back and found right.
    pub read_back: u64,
    /// Bytes written as zeros, because the source did not give them.
    pub unreadable: u64,
    /// Whether a part of the partition table could not be read.
    pub table_unreadable: bool,
    /// Partitions that the target's table names and that were not cloned: nothing of use is in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u32>,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// Everything that lessens the result.
    pub warnings: Vec<String>,
}

/// Says what a clone would do, after checking every rule that could forbid it.
///
/// # Errors
/// Refuses what the rules forbid, and a source that cannot be read.
pub fn plan_clone(
    request: &CloneRequest,
    control: Control<'_>,
) -> Result<ClonePlan, OperationError> {
    control.phase(Phase::Examining);
    let (disk, source) = open(request)?;
    examine(disk, &source, request)
}

/// Writes a disk to another one, as [`plan_clone`] said.
///
/// # Errors
/// Refuses before the first write what the rules forbid; afterwards any failure to write the target,
/// or a difference found by reading back. Unreadable sectors of the source are not an error: they are
/// zeros on the target, and warned of. After a failure the target does not look like a usable disk;
/// cloning again completes it.
pub fn clone(request: &CloneRequest, control: Control<'_>) -> Result<CloneReport, OperationError> {
    let started = Instant::now();
    request.target.refuse_unnamed()?;
    control.phase(Phase::Examining);
    let (disk, source) = open(request)?;
    let doing = format!("cloning {}", disk.identity());
    source.advise_sequential();
    let plan = examine(disk, &source, request)?;
    let mut report = execute(request, &source, &plan, control).doing(|| doing)?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// The source, free to be read.
fn open(request: &CloneRequest) -> Result<(Disk, Source), OperationError> {
    let SourceRequest { disk, sector_size, in_use, .. } = &request.source;
    let disk = disk::open(disk, *sector_size)?;
    guard::source_is_free(&disk, None, *in_use)?;
    let source = guard::open_source(&disk, *in_use)?;
    Ok((disk, source))
}

fn examine(
    disk: Disk,
    source: &Source,
    request: &CloneRequest,
) -> Result<ClonePlan, OperationError> {
    let mut plan = SourcePlan::examine(disk, source, &request.source)?;
    let manifest = plan.manifest(ChunkSize::default(), Damage::default(), Vec::new());
    let note = Marker {
        disk: manifest.disk.name(),
        partitions: request.target.partitions.clone(),
        is_clone: true,
        ..Marker::default()
    };
    let notices = plan.warnings.iter().map(|warning| format!("source: {warning}")).collect();
    let content = Content { manifest: &manifest, disk: source, volume: None, note, notices };
    let consent = request.target.erase.as_deref();
    let may_be_erased = |target: &Disk, words: &Words| {
        guard::is_another_disk(target, &plan.disk)?;
        guard::disk_is_expendable(target, words, consent)
    };
    let onto = Aim::take(&request.target, content, may_be_erased)?.plan()?;
    plan.read_only(|region| onto.transfers.iter().any(|transfer| transfer.from == region.start));
    Ok(ClonePlan { source: plan, onto })
}

fn execute(
    request: &CloneRequest,
    source: &Source,
    plan: &ClonePlan,
    control: Control<'_>,
) -> Result<CloneReport, OperationError> {
    let ClonePlan { source: from, onto } = plan;
    for warning in &from.warnings {
        control.warn(warning.clone());
    }
    let sector_size = from.disk.logical_sector;
    let medium = DiskMedium::new(source, sector_size);
    let chunks = DiskSource {
        medium: &medium,
        rescue: &request.source.rescue,
        sector_size,
        regions: &from.regions,
        reads: &from.reads,
        chunk_size: ChunkSize::default(),
    };
    let copy = DiskCopy::new(chunks, &onto.transfers);
    let target = Target::open(&onto.target, &onto.agreement)?;
    let phase = (Phase::Cloning, from.read);
    let overwrite = Overwrite { source: &copy, plan: onto, target: &target, phase, control };
    let counts = overwrite.run()?;
    let read = copy.into_read();
    let (bytes, ranges, map_problem) =
        read.map_or_else(Default::default, |read| (read.bytes, read.unreadable, read.map_problem));
    let damage = from.damage(&medium, ranges);
    let mut told = damage.warnings();
    told.extend(onto.missing().map(Absent::sentence));
    for warning in &told {
        control.warn(warning.clone());
    }
    told.extend(re_read_table(onto, &target, control));
    // Was told when it happened.
    told.extend(map_problem);
    let unreadable: Extents = damage.bytes();
    Ok(CloneReport {
        read: bytes,
        written: counts.written,
        unchanged: counts.unchanged,
        read_back: onto.bytes_read_back(),
        unreadable: onto.lacking(&unreadable),
        table_unreadable: from.table.unreadable,
        missing: onto.missing().map(|absent| absent.number).collect(),
        seconds: 0.0,
        warnings: from.warnings.iter().cloned().chain(told).collect(),
    })
}
