//! Capturing a disk into a repository.

mod earlier;
mod plan;
mod repository_sink;
mod space;

use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;

use crate::image::left_out::LeftOut;
use crate::image::stored::TAG;
use crate::image::writer;
use crate::progress::{Control, Phase, Reporter};
use crate::repository::{
    Adopted, Dropped, IndexedRepository, PackWriter, RepositoryError, SharedLock, Written,
};

use super::error::{Doing, OperationError};
use super::format::size;
use super::images::ImageSummary;
use super::shortage::{Pausing, pausing_when_full};
use super::source::{SourcePlan, without_zeros};
use super::timed::Timed;
use super::{order, verify};
use crate::transfer::DiskMedium;

pub use plan::{CaptureOutlook, CapturePlan, CaptureRequest, map_name, plan_capture};
use repository_sink::RepositorySink;
pub use space::Space;

/// What a capture achieved.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureReport {
    /// The image.
    pub image: ImageSummary,
    /// Bytes read from the disk.
    pub read: u64,
    /// Bytes not read; see [`SourceSummary::skipped`](super::SourceSummary::skipped).
    pub skipped: u64,
    /// Bytes that a filesystem's map calls unused.
    pub unused: u64,
    /// Files that were left out but for their beginnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Bytes added to the repository.
    pub added: u64,
    /// Bytes read that the repository had already.
    pub reused: u64,
    /// Bytes that were in the repository without an image that vouches for them, from an
    /// interrupted capture or one forgotten; this one read them back.
    pub resumed: u64,
    /// Stored bytes read back and checked.
    pub verified: u64,
    /// Bytes of the disk that could not be read.
    pub unreadable: u64,
    /// Whether a part of the partition table could not be read.
    pub table_unreadable: bool,
    /// Everything that lessens the result.
    pub warnings: Vec<String>,
}

/// Captures a disk. Data and index are written as they come, so an interrupted capture is
/// continued by running it again; the image exists only once all of it was read back.
///
/// # Errors
/// Refuses a disk in use; otherwise any failure to read the disk's structure, to write the
/// repository, or to read back what was written. Unreadable sectors are not an error: they are
/// stored as zeros, recorded and warned of.
pub fn capture(
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<Timed<CaptureReport>, OperationError> {
    Timed::run(|| {
        control.phase(Phase::Examining);
        run(plan::look(request, control)?, request, control)
    })
}

impl CapturePlan {
    /// Captures the disk as it was planned, without reading its maps again; see [`capture`].
    ///
    /// # Errors
    /// As [`capture`]; refuses a disk that is not as it was when it was planned.
    pub fn run(
        &self,
        request: &CaptureRequest,
        control: Control<'_>,
    ) -> Result<Timed<CaptureReport>, OperationError> {
        Timed::run(|| {
            self.source.still_holds(&request.source)?;
            run(self.source.clone(), request, control)
        })
    }
}

fn run(
    source: SourcePlan,
    request: &CaptureRequest,
    control: Control<'_>,
) -> Result<CaptureReport, OperationError> {
    let doing = format!("capturing {}", source.disk.identity());
    let work = |pausing: &Pausing<'_>| plan_and_store(source, request, pausing);
    pausing_when_full(request.repo.store(), control, work).doing(|| doing)
}

fn plan_and_store(
    source: SourcePlan,
    request: &CaptureRequest,
    pausing: &Pausing<'_>,
) -> Result<CaptureReport, OperationError> {
    let control = pausing.control;
    let into = Destination::open(request, pausing)?;
    let plan = CapturePlan::of(source, request, &into.repo)?;
    for warning in &plan.outlook.warnings {
        control.warn(warning.clone());
    }
    if into.adopted.packs > 0 {
        control.info(format!(
            "this goes on with an interrupted capture: {} that it stored last were read back",
            size(into.adopted.bytes)
        ));
    }
    if let Some(unpartitioned) = &plan.source.summary.unpartitioned {
        control.info(unpartitioned.sentence());
    }
    if let Some(kept) = plan.source.summary.kept_boot_entries() {
        control.info(kept);
    }
    control.info(plan.outlook.space.sentence());
    let stored = store(&into, plan, request, pausing);
    match into.lock.ensure_held() {
        // What others do after they took the lock away shows in many ways.
        Err(lost @ RepositoryError::LockLost { .. })
            if stored.as_ref().is_err_and(|error| !error.is_cancelled()) =>
        {
            Err(lost.into())
        }
        _ => stored,
    }
}

/// The repository that a capture goes into, and what was found there.
struct Destination {
    repo: IndexedRepository,
    lock: SharedLock,
    /// What an interrupted capture had stored last.
    adopted: Adopted,
    /// Packs that are not there whole and not relied on.
    bad_packs: u64,
}

impl Destination {
    fn open(request: &CaptureRequest, pausing: &Pausing<'_>) -> Result<Self, OperationError> {
        let repo = request.repo.open_in(Arc::clone(&pausing.store))?;
        let lock = pausing.retry_when_freed(|| repo.lock_shared())?;
        let repo = repo.load_index()?;
        let packs = repo.packs_with_sizes()?;
        let adopted = repo.adopt_packs(&lock, &packs)?;
        let bad_packs = repo.distrust_bad_packs(&packs);
        if bad_packs > 0 {
            pausing.control.warn(format!(
                "{bad_packs} pack file(s) of the repository are missing or cut short: what this \
                 disk needs of them is stored again; 'lifeboat verify' tells which images lack \
                 something"
            ));
        }
        Ok(Self { repo, lock, adopted, bad_packs })
    }

    /// After what was needed of bad packs is stored again: lets the index name only that.
    fn drop_bad_packs(&self, control: Control<'_>) -> Result<(), OperationError> {
        let repair = "run 'lifeboat repair packs' to mend the repository";
        match self.repo.drop_bad_packs(&self.lock) {
            Ok(Dropped::AllBut(0)) => control.info("the index names no bad pack files any more"),
            Ok(Dropped::AllBut(left)) => control.warn(format!(
                "{left} pack file(s) that are cut short hold data that are nowhere else: {repair}"
            )),
            Ok(Dropped::InUse) => control.warn(format!(
                "others are using the repository, so its index still names bad pack files: {repair}"
            )),
            Err(error @ RepositoryError::LockLost { .. }) => return Err(error.into()),
            // The image does not depend on it.
            Err(error) => {
                control.warn(format!("the index still names bad pack files: {error}; {repair}"))
            }
        }
        Ok(())
    }
}

fn store(
    into: &Destination,
    mut plan: CapturePlan,
    request: &CaptureRequest,
    pausing: &Pausing<'_>,
) -> Result<CaptureReport, OperationError> {
    let control = pausing.control;
    let repo = &into.repo;
    let started = OffsetDateTime::now_utc();
    let mut pack_writer = PackWriter::new(repo, &into.lock)?;
    let opened = Arc::clone(&plan.source.source);
    let medium = DiskMedium::new(&opened, plan.source.disk.logical_sector);
    let zstd_level = request.compression.zstd_level();
    let rescue = request.rescue(&plan.source.disk);
    let chunks = plan.source.chunks(&medium, &rescue, plan.chunk_size);
    let reporter = Reporter::start(
        control,
        Phase::Capturing,
        plan.source.summary.read,
        plan.source.summary.skipped,
    );
    let sink = RepositorySink::new(&pack_writer, zstd_level, &reporter);
    let read = chunks.feed(&sink, &reporter)?;
    let (slots, reused) = sink.into_slots(&chunks);
    reporter.finish();

    control.phase(Phase::Finishing);
    let mut warnings = plan.outlook.warnings.clone();
    let damage = plan.source.damage(&medium, read.unreadable);
    for warning in damage.warnings() {
        control.warn(warning.clone());
        warnings.push(warning);
    }
    let SourcePlan { table, regions, reads, .. } = &mut plan.source;
    let written = (slots.as_slice(), plan.chunk_size.bytes());
    without_zeros(table, regions, reads, written, &damage.bytes());
    let manifest = plan.source.manifest(plan.chunk_size, damage, warnings.clone());
    // Was told when it happened, and says nothing of the image.
    warnings.extend(read.map_problem);
    let images = repo.snapshots()?.snapshots;
    let blobs = slots.iter().filter_map(|slot| slot.blob);
    let mut unproven_before = earlier::unproven_packs(repo, blobs, &images);
    unproven_before.retain(|pack| !into.adopted.ids.contains(pack));
    let folder = earlier::folder(repo, &manifest, &images);
    let needed = slots.iter().filter_map(|slot| slot.blob).filter(|_| request.verify_all);
    let reused_packs = verify::packs_of(repo, needed);
    let tree = writer::save_tree(&pack_writer, (&folder, &manifest), slots, zstd_level)?;
    let Written { unproven, proven_bytes } = pack_writer.written()?;
    let mut verified = proven_bytes + verify::stored(repo, &unproven, control)?;
    let totals = pack_writer.finish()?;
    let mut resumed = into.adopted.bytes;
    if request.verify_all {
        verified += verify::reused(repo, &reused_packs, control)?;
    } else if !unproven_before.is_empty() {
        control.info(
            "this goes on with what was stored without an image, by an interrupted capture or one \
             forgotten: it is read back",
        );
        let bytes = verify::reused(repo, &unproven_before, control)?;
        resumed += bytes;
        verified += bytes;
    }
    if into.bad_packs > 0 {
        into.drop_bad_packs(control)?;
    }
    let mut tags = vec![TAG.to_owned(), order::next_tag(&images)];
    tags.extend(request.label.to_tags());
    let snapshot = writer::snapshot((&folder, &manifest), tags, tree, &totals, started);
    let id = repo.save_snapshot(&into.lock, &snapshot)?;
    Ok(CaptureReport {
        image: ImageSummary::new(id, &snapshot, &manifest),
        read: read.bytes,
        skipped: plan.source.summary.skipped,
        unused: plan.source.summary.unused,
        left_out: plan.source.summary.left_out.clone(),
        added: totals.stored_bytes,
        reused,
        resumed,
        verified,
        unreadable: manifest.unreadable.total(),
        table_unreadable: manifest.table.unreadable,
        warnings,
    })
}
