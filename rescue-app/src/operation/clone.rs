//! Writing a disk to another one, without an image in between.

use std::sync::Arc;

use serde::Serialize;

use crate::bytes::ReadAt;
use crate::disk::{Disk, Source, Target};
use crate::image::chunks::ChunkSize;
use crate::image::damage::Damage;
use crate::image::marker::Marker;
use crate::progress::{Control, Phase};

use super::consent::Words;
use super::error::{Doing, OperationError};
use super::guard;
use super::source::{SourcePlan, SourceRequest};
use super::target::{
    Afterwards, Aim, Content, Overwrite, TargetPlan, TargetRequest, finish, refuse_misnamed,
    warn_of_result,
};
use super::timed::Timed;
use crate::transfer::DiskCopy;

/// A clone as it was asked for.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// What is cloned.
    pub source: SourceRequest,
    /// Where it goes.
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
    /// What was done so that the target starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub booting: Vec<String>,
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
    refuse_misnamed(&request.target)?;
    control.phase(Phase::Examining);
    let source = SourcePlan::make(&request.source, |_| Ok(()), (None, control))?;
    let manifest = source.manifest(ChunkSize::default(), Damage::default(), Vec::new());
    let note = Marker {
        disk: manifest.disk.name(),
        partitions: request.source.partitions.clone(),
        is_clone: true,
        ..Marker::default()
    };
    let notices = source.warnings.iter().map(|warning| format!("source: {warning}")).collect();
    let disk: &Source = &source.source;
    let partitions = request.source.partitions.as_deref();
    let content = Content {
        manifest: &manifest,
        disk,
        partitions,
        volume: None,
        images: None,
        note,
        notices,
    };
    let consent = request.target.erase.as_deref();
    let may_be_erased = |target: &Disk, words: &Words| {
        guard::is_another_disk(target, &source.disk)?;
        guard::disk_is_expendable(target, words, consent)
    };
    let onto = Aim::take(&request.target, content, may_be_erased)?.plan()?;
    let source = source.for_transfers(&onto.transfers);
    Ok(ClonePlan { source, onto })
}

impl ClonePlan {
    /// Writes the disk to the other one, as it was planned.
    ///
    /// # Errors
    /// Refuses before the first write disks that are not as they were when it was planned, and a
    /// request without consent; afterwards any failure to write the target, or a difference found by
    /// reading back. Unreadable sectors of the source are not an error: they are zeros on the target,
    /// and warned of. After a failure the target does not look like a usable disk; cloning again
    /// completes it.
    pub fn run(
        &self,
        request: &CloneRequest,
        control: Control<'_>,
    ) -> Result<Timed<CloneReport>, OperationError> {
        request.target.refuse_unnamed()?;
        Timed::run(|| {
            self.source.still_holds(&request.source)?;
            let doing = || format!("cloning {}", self.source.disk.identity());
            execute(request, self, control).doing(doing)
        })
    }
}

fn execute(
    request: &CloneRequest,
    plan: &ClonePlan,
    control: Control<'_>,
) -> Result<CloneReport, OperationError> {
    for warning in &plan.source.warnings {
        control.warn(warning.clone());
    }
    let disk = || Arc::clone(&plan.source.source) as Arc<dyn ReadAt>;
    let onto = &*plan.onto.with_smaller(disk, control)?;
    let from = &plan.source.for_transfers(&onto.transfers);
    let medium = from.medium();
    let chunks = from.chunks(&medium, &request.source.rescue, ChunkSize::default());
    let copy = DiskCopy::new(chunks, &onto.transfers);
    let target = Target::open(&onto.target, &onto.agreement)?;
    let phase = (Phase::Cloning, from.summary.read + onto.rewritten_bytes());
    let overwrite = Overwrite { source: &copy, plan: onto, target: &target, phase, control };
    let counts = overwrite.run()?;
    let read = copy.into_read();
    let damage = from.damage(&medium, read.unreadable);
    let mut told = onto.smaller_warnings.clone();
    told.extend(warn_of_result(onto, Some(&target), damage.warnings(), control));
    let Afterwards { booting, warnings: of_end } = finish(onto, target, control);
    told.extend(of_end);
    // Was told when it happened.
    told.extend(read.map_problem);
    Ok(CloneReport {
        read: read.bytes,
        written: counts.written,
        unchanged: counts.unchanged,
        read_back: onto.bytes_read_back(),
        unreadable: onto.lacking(&damage.bytes()),
        table_unreadable: from.table.unreadable,
        missing: onto.missing().map(|absent| absent.number).collect(),
        booting,
        warnings: from.warnings.iter().cloned().chain(told).collect(),
    })
}
