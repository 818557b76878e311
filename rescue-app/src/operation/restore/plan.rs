//! What a restore will write, decided and checked before it writes anything.

use std::path::PathBuf;

use serde::Serialize;

use crate::bytes::{Extent, Extents};
use crate::disk::{Agreement, Disk, Hold};
use crate::image::content::Placed;
use crate::image::manifest::{Manifest, Region};
use crate::image::marker::Marker;
use crate::image::reader::DiskImage;
use crate::operation::access::RepoAccess;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::guard;
use crate::operation::images::{ImageSummary, OpenImage};
use crate::repository::Repository;
use crate::signature::Signature;
use crate::table::{self, Patch, TableError};

use super::absent::Absent;
use super::notices::Facts;
use super::picture::{LayoutEntry, after, before, lost, volume_entry};
use super::scope::{self, Scope, Transfer};
use super::sources::Sources;
use super::stale::{self, Stale};
use super::target::{TargetState, check_sectors, check_size};
use super::tasks::{self, Task};
use super::volume::{self, FoundVolume};

/// A restore as it was asked for.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// Start of the image's id, or `latest`.
    pub image: String,
    /// Block device or image file to overwrite; a missing file is created.
    pub disk: PathBuf,
    /// Logical sector size of an image file, bytes.
    pub sector_size: Option<u32>,
    /// Size of a new image file, bytes; that of the captured disk when `None`.
    pub size: Option<u64>,
    /// Where the image is.
    pub repo: RepoAccess,
    /// Serial number, WWN, path of a file, or the word of the plan: the consent to erase the target.
    pub erase: Option<String>,
    /// What was agreed to when a plan was shown: the target must still be that.
    pub agreed: Option<Agreement>,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The one logical volume (`group/name`) to restore, to the start of the target; `None` for
    /// disks and partitions.
    pub volume: Option<String>,
    /// The images of other disks that the logical volume lies on besides.
    pub with: With,
    /// Write only what differs.
    pub only_changed: bool,
    /// Read and prove all that is needed of the image before the first write.
    pub verify_first: bool,
    /// Read the target back after writing.
    pub read_back: bool,
    /// Write a damaged copy of the GPT anew from the other one, also on a disk of the same size.
    pub mend_table: bool,
}

impl RestoreRequest {
    /// Whether the target is a file that does not exist yet.
    pub(super) fn creates_file(&self) -> bool {
        !self.disk.exists() && !self.disk.starts_with("/dev")
    }
}

/// Images of other disks that a logical volume lies on besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum With {
    /// Those whose ids start so.
    Named(Vec<String>),
    /// Those that the volume needs, as far as the repository has any that fit.
    Searched,
}

/// What a restore will do.
#[derive(Clone, Debug, Serialize)]
pub struct RestorePlan {
    /// The image.
    pub image: ImageSummary,
    /// The images of other disks that are taken along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<ImageSummary>,
    /// The disk to overwrite.
    pub target: Disk,
    /// What `--erase` has to say for it.
    pub erase: String,
    /// What is agreed to with this plan.
    #[serde(skip)]
    pub agreement: Agreement,
    /// Keeps the target open for as long as the plan counts; `None` for a file that is to be made.
    #[serde(skip)]
    pub hold: Option<Hold>,
    /// Whether the target is a file that does not exist yet.
    pub creates_file: bool,
    /// The target as it is.
    pub before: Vec<LayoutEntry>,
    /// The target as it will be.
    pub after: Vec<LayoutEntry>,
    /// Bytes in use that will be written, or compared with `--only-changed`.
    pub writes: u64,
    /// What the target loses.
    pub lost: Vec<String>,
    /// Partitions of the image's table that are not restored, and what will be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Signatures of before that are erased, by their places on the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<Signature>,
    /// Whether only what differs is written: as it was asked for, or because this restore was begun
    /// before.
    pub only_changed: bool,
    /// What a person should know.
    pub notices: Vec<String>,
    /// Which bytes of the image go where.
    #[serde(skip)]
    pub(super) transfers: Vec<Transfer>,
    /// What of the target is replaced.
    #[serde(skip)]
    pub(super) scope: Scope,
    /// What the target says of itself until the restore has finished.
    #[serde(skip)]
    pub(super) note: Marker,
    /// Partitions the image leaves out: their place on the target is never touched.
    #[serde(skip)]
    pub(super) kept: Extents,
    /// What of the table is not as it was captured.
    #[serde(skip)]
    pub(super) patches: Vec<Patch>,
    /// The bytes of the signatures that are erased.
    #[serde(skip)]
    pub(super) erased: Extents,
}

impl RestorePlan {
    /// How much of what is restored lies in `unreadable`, bytes of the image.
    pub(super) fn lacking(&self, unreadable: &Extents) -> u64 {
        let lacking = |transfer: &Transfer| transfer.used.intersection(unreadable).total();
        self.transfers.iter().map(lacking).sum()
    }
}

/// Says what a restore would do, after checking every rule that could forbid it.
pub fn plan_restore(request: &RestoreRequest) -> Result<RestorePlan, OperationError> {
    let repo = request.repo.open()?;
    let (sources, placed) = find(&repo, request)?;
    plan(request, &sources, &placed)
}

/// The images that a request names, and where each chunk of them lies, by the index as it is.
/// Afterwards packs that are missing or cut short do not count: of a piece that is stored several
/// times, another copy is taken.
pub(super) fn find<'r>(
    repo: &'r Repository,
    request: &RestoreRequest,
) -> Result<(Sources<'r>, Vec<Placed>), OperationError> {
    repo.load_index()?;
    let sources = Sources::find(repo, request)?;
    let placed = sources.placed()?;
    repo.distrust_bad_packs(&repo.packs_with_sizes()?);
    Ok((sources, placed))
}

/// A restore that starts must be able to finish: nothing is wiped for an image of which a piece is
/// gone.
fn refuse_incomplete(
    sources: &Sources<'_>,
    placed: &[Placed],
    transfers: &[Transfer],
) -> Result<(), OperationError> {
    let repo = sources.image.repo;
    let places = tasks::places(placed, transfers);
    let tasks = tasks::tasks(&places).into_iter();
    let lacking: Vec<Task<'_>> = tasks.filter(|task| repo.blob(task.id()).is_none()).collect();
    let Some(first) = lacking.first() else { return Ok(()) };
    let why = format!("the first of them {}, are in no pack that is there whole", first.id());
    Err(incomplete(&sources.image, &lacking, &why))
}

/// The refusal of an image of which these pieces are gone, before anything was written.
pub(super) fn incomplete(image: &OpenImage<'_>, lacking: &[Task<'_>], why: &str) -> OperationError {
    let bytes: u64 = lacking.iter().map(Task::bytes).sum();
    OperationError::refused(
        format!(
            "image {} is not complete: {} pieces of it ({}), {why}; nothing was written to the \
             target",
            image.short_id(),
            lacking.len(),
            human(bytes),
        ),
        "choose another image, or capture the disk again if it still exists: that stores what is \
         lost anew, and this image is whole again as far as the disk still holds its bytes",
    )
}

/// [`plan_restore`] with the images found, and where each chunk of them lies.
pub(super) fn plan(
    request: &RestoreRequest,
    sources: &Sources<'_>,
    placed: &[Placed],
) -> Result<RestorePlan, OperationError> {
    let image = &sources.image;
    let manifest = &image.manifest;
    let searched = request.with == With::Searched;
    let find = |name: &String| volume::find(sources, name, searched);
    let volume = request.volume.as_ref().map(find).transpose()?;
    let size = volume.as_ref().map_or(manifest.disk.size, |found| found.volume.size);
    let state = TargetState::find(request, manifest, size)?;
    let target = &state.survey.disk;
    let words = &state.survey.words;
    let consent = request.erase.as_deref();
    guard::target_is_expendable(target, words, &request.repo.location, consent)?;
    if let Some(agreed) = &request.agreed {
        agreed.refuse_another(&state.agreement)?;
    }
    check_sectors(target, manifest)?;
    let own = note(request, image);
    let carries_on = state.begun(|found| found.is_of_the_same(&own));
    let (transfers, scope) = choose(request, &state, manifest, volume.as_ref(), carries_on)?;
    refuse_incomplete(sources, placed, &transfers)?;
    let (kept, absent) = left_out(&state, manifest, &transfers, scope);
    let disk = DiskImage::new(image.repo, placed)?;
    let patches = match scope {
        Scope::Disk => fit(request, &disk, manifest, target)?,
        _ => Vec::new(),
    };
    let stale = stale(&state, manifest, &transfers, scope, &kept);
    let before = before(&state.held, &transfers, scope.replaces_all().then_some(&kept));
    let after = match &volume {
        Some(found) => vec![volume_entry(&found.volume)],
        None => after(&before, manifest, &transfers, &absent, scope),
    };
    let facts = Facts {
        request,
        state: &state,
        sources,
        transfers: &transfers,
        patches: &patches,
        carries_on,
    };
    let mut notices = facts.notices(&disk)?;
    notices.extend(stale.notices());
    notices.extend(absent.iter().map(|it| format!("partition {}: {}", it.number, it.text())));
    Ok(RestorePlan {
        image: image.summary(),
        with: sources.with.iter().map(OpenImage::summary).collect(),
        creates_file: state.is_new(),
        lost: lost(&state.survey, &before, scope),
        notices,
        writes: transfers.iter().map(|transfer| transfer.used.total()).sum(),
        only_changed: request.only_changed || carries_on,
        stale: stale.signatures,
        erased: stale.bytes,
        note: Marker { erase: words.to_note(target), ..own },
        hold: state.source.map(Hold::new),
        agreement: state.agreement,
        erase: words.own().to_owned(),
        target: state.survey.disk,
        before,
        after,
        absent,
        kept,
        patches,
        transfers,
        scope,
    })
}

/// What is restored, and where to.
fn choose(
    request: &RestoreRequest,
    state: &TargetState,
    manifest: &Manifest,
    volume: Option<&FoundVolume>,
    begun: bool,
) -> Result<(Vec<Transfer>, Scope), OperationError> {
    Ok(match (&request.partitions, volume) {
        (_, Some(found)) => {
            let next = "choose a target at least as large";
            check_size(&state.survey.disk, found.volume.size, next)?;
            (found.transfers.clone(), Scope::Volume)
        }
        (None, None) => (scope::whole_disk(state, manifest)?, Scope::Disk),
        (Some(chosen), None) => scope::partitions(state, manifest, chosen, begun)?,
    })
}

/// What of a target that gets the image's table is never touched, and the partitions there.
fn left_out(
    state: &TargetState,
    manifest: &Manifest,
    transfers: &[Transfer],
    scope: Scope,
) -> (Extents, Vec<Absent>) {
    if scope != Scope::Disk {
        return (Extents::new(), Vec::new());
    }
    let regions: Vec<&Region> = scope::left_out(manifest, transfers).collect();
    let kept = regions.iter().map(|region| (region.start, region.size));
    let kept = Extents::from(kept.collect::<Vec<_>>());
    (kept, regions.iter().filter_map(|region| Absent::find(state, region)).collect())
}

/// The note that this restore leaves on its target until it has finished, but for what names the
/// target.
fn note(request: &RestoreRequest, image: &OpenImage<'_>) -> Marker {
    Marker {
        image: image.id.to_string(),
        disk: image.manifest.disk.name(),
        partitions: request.partitions.clone(),
        volume: request.volume.clone(),
        erase: None,
    }
}

/// What has to change in the captured table; refused where there is no room for it.
fn fit(
    request: &RestoreRequest,
    disk: &DiskImage<'_>,
    manifest: &Manifest,
    target: &Disk,
) -> Result<Vec<Patch>, OperationError> {
    let fitted = table::fit_to_disk(disk, &manifest.table, target.size, request.mend_table);
    fitted.map_err(|error| {
        let TableError::NoRoom { needed, .. } = error else { return error.into() };
        let same = manifest.disk.size;
        let next = match needed {
            _ if target.size == same => "leave --mend-table out: the same bytes are restored then".to_owned(),
            Some(needed) => format!(
                "choose a disk of {same} bytes, which gets the same bytes, or of {needed} bytes or more"
            ),
            None => format!("choose a disk of {same} bytes, which gets the same bytes"),
        };
        OperationError::refused(format!("{}: {error}", target.identity()), next)
    })
}

/// What of before would show through on the target.
fn stale(
    state: &TargetState,
    manifest: &Manifest,
    transfers: &[Transfer],
    scope: Scope,
    kept: &Extents,
) -> Stale {
    let place = |start: u64, size: u64| Extent { start, end: start.saturating_add(size) };
    let own = &state.survey.table;
    let (volumes, replaced) = match scope {
        Scope::Disk => {
            let all = manifest.table.data_partitions().map(|it| place(it.start, it.size));
            stale::volumes(state, all, scope, kept)
        }
        Scope::Volume => stale::volumes(state, std::iter::empty(), scope, kept),
        Scope::Partitions => {
            let restored = own
                .data_partitions()
                .filter(|it| transfers.iter().any(|transfer| transfer.to == it.start));
            stale::volumes(state, restored.map(|it| place(it.start, it.size)), scope, kept)
        }
    };
    Stale::find(state, transfers, &volumes, &replaced)
}
