//! Writing an image to a disk.

mod export;
mod group_images;
mod image_source;
mod plan;
mod sources;
mod volume;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt};
use crate::disk::Target;
use crate::export::VolumeOnDisk;
use crate::image::content::known_zeros;
use crate::image::reader::ImageReader;
use crate::image::stored::OpenImage;
use crate::progress::{Control, Phase, mixed_workers};
use crate::repository::{Id, IndexedRepository};
use crate::transfer::{ChunkPlace, ChunkTask, places, tasks};

use super::error::{Doing, OperationError};
use super::target::{Afterwards, Overwrite, TargetPlan, VirtualDisk, finish, warn_of_result};
use super::timed::Timed;

use image_source::ImageSource;
pub use plan::{RestorePlan, RestoreRequest, What, With, plan_restore};
use sources::Sources;

/// An image again, and those of its logical volumes all of whose bytes are in it, with their places on
/// its `disk`.
pub(super) fn volumes_of(
    repo: Arc<IndexedRepository>,
    image: OpenImage,
    disk: &ImageReader,
) -> (OpenImage, Vec<VolumeOnDisk>) {
    let sources = Sources { repo, image, with: Vec::new(), doubts: Vec::new() };
    let listed = sources.image.manifest.regions.iter().flat_map(|region| &region.logical_volumes);
    let found = listed.filter(|volume| volume.complete && volume.plain).filter_map(|volume| {
        let transfers = volume::transfers(&sources, disk, &volume.to_string())?;
        Some((volume.clone(), transfers))
    });
    let found = found.collect();
    (sources.image, found)
}

/// What a restore achieved.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// Bytes written.
    pub written: u64,
    /// Bytes that were on the target already.
    pub unchanged: u64,
    /// Bytes read back and found right.
    pub read_back: u64,
    /// Bytes restored as zeros, because the captured disk did not give them.
    pub unreadable: u64,
    /// Partitions that the restored table names and the image does not hold: nothing of use is in
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u32>,
    /// What was done so that the target starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub booting: Vec<String>,
    /// Bytes of the file in a format of virtual machines, holes included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// Whether `qemu-img`, which is not everywhere, found that in order too.
    pub judged: bool,
    /// Everything that lessens the result.
    pub warnings: Vec<String>,
}

impl RestorePlan {
    /// Writes the image to the disk, as it was planned.
    ///
    /// # Errors
    /// Refuses before the first write a request without consent, a target that is not as it was when
    /// it was planned, and images of which something is gone since; afterwards any failure to read the
    /// image, to write the target, or a difference found by reading back. After a failure the target
    /// does not look like a usable disk; restoring again completes it.
    pub fn run(
        &self,
        request: &RestoreRequest,
        control: Control<'_>,
    ) -> Result<Timed<RestoreReport>, OperationError> {
        request.target.refuse_unnamed()?;
        Timed::run(|| {
            let _lock = self.sources.repo.lock_for_reading()?;
            let needed = places(&self.placed, self.onto.needed());
            // Somebody may have freed space since, and moved what is needed.
            plan::refuse_incomplete(&self.sources, &tasks(&needed))?;
            let id = self.sources.image.short_id();
            let doing = || format!("restoring image {id} to {}", self.onto.target.identity());
            execute(request, self, needed, control).doing(doing)
        })
    }
}

fn execute(
    request: &RestoreRequest,
    plan: &RestorePlan,
    needed: Vec<ChunkPlace<'_>>,
    control: Control<'_>,
) -> Result<RestoreReport, OperationError> {
    let RestorePlan { sources, placed, onto, .. } = plan;
    if request.verify_first {
        prove(sources, &tasks(&needed), control)?;
    }
    let reader = || ImageReader::new(Arc::clone(&sources.repo), Arc::clone(placed));
    let onto = onto.with_smaller(|| Arc::new(reader()), control)?;
    let places = match &onto {
        // All that is needed is written.
        Cow::Borrowed(_) => needed,
        Cow::Owned(onto) => places(placed, &onto.transfers),
    };
    let onto = &*onto;
    if let Some(file) = &onto.virtual_disk {
        let disk = (Arc::new(reader()) as Arc<dyn ReadAt>, &known_zeros(placed));
        return export(sources, (onto, file), disk, control);
    }
    let source = &ImageSource { repo: &sources.repo, places };
    let target = Target::open(&onto.target, &onto.agreement)?;
    let phase = (Phase::Restoring, onto.preview.writes);
    let overwrite = Overwrite { source, plan: onto, target: &target, phase, control };
    let counts = overwrite.run()?;
    let mut warnings = onto.smaller_warnings.clone();
    warnings.extend(warn_of_result(onto, Some(&target), sources.damage(), control));
    let Afterwards { booting, warnings: of_end } = finish(onto, target, control);
    warnings.extend(of_end);
    Ok(RestoreReport {
        written: counts.written,
        unchanged: counts.unchanged,
        read_back: onto.bytes_read_back(),
        unreadable: onto.lacking(&sources.unreadable()),
        missing: onto.missing().map(|absent| absent.number).collect(),
        booting,
        file_size: None,
        judged: false,
        warnings,
    })
}

/// Writes the image to a file in a format of virtual machines.
fn export(
    sources: &Sources,
    (onto, file): (&TargetPlan, &VirtualDisk),
    disk: (Arc<dyn ReadAt>, &Extents),
    control: Control<'_>,
) -> Result<RestoreReport, OperationError> {
    let done = export::execute(onto, file, disk, control)?;
    let mut warnings = onto.smaller_warnings.clone();
    warnings.extend(done.warnings);
    warnings.extend(warn_of_result(onto, None, sources.damage(), control));
    Ok(RestoreReport {
        written: done.written,
        unchanged: 0,
        read_back: if onto.reads_back() { done.written } else { 0 },
        unreadable: onto.lacking(&sources.unreadable()),
        missing: onto.missing().map(|absent| absent.number).collect(),
        booting: Vec::new(),
        file_size: Some(done.file_size),
        judged: done.judged,
        warnings,
    })
}

/// Reads all that is needed of the image and proves it, so that nothing is wiped for one that
/// cannot be read to its end.
fn prove(
    sources: &Sources,
    tasks: &[ChunkTask<'_>],
    control: Control<'_>,
) -> Result<(), OperationError> {
    let wanted = tasks.iter().map(ChunkTask::id);
    let found = sources.repo.verify_blobs(wanted, mixed_workers(), control)?;
    let Some((first, error)) = found.damaged.first() else { return Ok(()) };
    let bad: HashSet<&Id> = found.damaged.iter().map(|(id, _)| id).collect();
    let lacking = tasks.iter().filter(|task| bad.contains(task.id())).copied();
    let why = format!("the first of them {first}, cannot be read ({error})");
    Err(plan::incomplete(&sources.image, &lacking.collect::<Vec<_>>(), &why))
}
