//! What a restore will write, decided and checked before it writes anything.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bytes::Extents;
use crate::console;
use crate::disk::{Disk, DiskKind, Transport};
use crate::image::manifest::{Manifest, Region, Stored};
use crate::operation::access::RepoAccess;
use crate::operation::error::OperationError;
use crate::operation::format::{size as human, time};
use crate::operation::guard;
use crate::operation::images::{ImageSummary, OpenImage};
use crate::operation::survey::{Survey, survey_disk};
use crate::table::{Scheme, Table};

use super::picture::{LayoutEntry, after, before, lost, volume_entry};
use super::sources::Sources;
use super::volume;

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
    /// Serial number, WWN or path: the consent to erase the target.
    pub erase: Option<String>,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The one logical volume (`group/name`) to restore, to the start of the target; `None` for
    /// disks and partitions.
    pub volume: Option<String>,
    /// The images of other disks that the logical volume lies on besides.
    pub with: With,
    /// Write only what differs.
    pub only_changed: bool,
    /// Read the target back after writing.
    pub read_back: bool,
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
    /// What a person should know.
    pub notices: Vec<String>,
    /// Which bytes of the image go where.
    #[serde(skip)]
    pub(super) transfers: Vec<Transfer>,
    /// What of the target is replaced.
    #[serde(skip)]
    pub(super) scope: Scope,
    /// Partitions the image leaves out: their place on the target is never touched.
    #[serde(skip)]
    pub(super) kept: Extents,
}

impl RestorePlan {
    /// How much of what is restored lies in `unreadable`, bytes of the image.
    pub(super) fn lacking(&self, unreadable: &Extents) -> u64 {
        let lacking = |transfer: &Transfer| transfer.used.intersection(unreadable).total();
        self.transfers.iter().map(lacking).sum()
    }
}

/// What of the target a restore replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it, partition table included.
    Disk,
    /// Partitions; the table stays.
    Partitions,
    /// All of it, by one logical volume, which has no table.
    Volume,
}

impl Scope {
    /// Whether nothing that was on the target stays, but for partitions the image leaves out.
    pub(super) fn replaces_all(self) -> bool {
        self != Self::Partitions
    }
}

/// Bytes of the image and where they go on the target.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// First byte in the image.
    pub(super) from: u64,
    /// First byte on the target.
    pub(super) to: u64,
    /// Length in bytes.
    pub(super) len: u64,
    /// Used bytes, as offsets in the image.
    pub(super) used: Extents,
}

/// Says what a restore would do, after checking every rule that could forbid it.
pub fn plan_restore(request: &RestoreRequest) -> Result<RestorePlan, OperationError> {
    let repo = request.repo.open()?;
    repo.load_index()?;
    plan(request, &Sources::find(&repo, request)?)
}

pub(super) fn plan(
    request: &RestoreRequest,
    sources: &Sources<'_>,
) -> Result<RestorePlan, OperationError> {
    let image = &sources.image;
    let manifest = &image.manifest;
    let searched = request.with == With::Searched;
    let find = |name: &String| volume::find(sources, name, searched);
    let volume = request.volume.as_ref().map(find).transpose()?;
    let size = volume.as_ref().map_or(manifest.disk.size, |found| found.volume.size);
    let (survey, creates_file) = target(request, manifest, size)?;
    guard::target_is_expendable(&survey.disk, &request.repo.location, request.erase.as_deref())?;
    check_sectors(&survey.disk, manifest)?;
    let (transfers, scope) = match (&request.partitions, &volume) {
        (_, Some(found)) => {
            check_size(&survey.disk, found.volume.size, "choose a target at least as large")?;
            (found.transfers.clone(), Scope::Volume)
        }
        (None, None) => (whole_disk(&survey.disk, manifest)?, Scope::Disk),
        (Some(chosen), None) => partitions(&survey, manifest, chosen)?,
    };
    let kept = if volume.is_some() { Extents::new() } else { kept(manifest, &transfers) };
    let before = before(&survey, &transfers, scope.replaces_all().then_some(&kept));
    let after = match &volume {
        Some(found) => vec![volume_entry(&found.volume)],
        None => after(&before, manifest, &transfers, scope),
    };
    Ok(RestorePlan {
        image: image.summary(),
        with: sources.with.iter().map(OpenImage::summary).collect(),
        creates_file,
        lost: lost(&survey, &before, scope),
        notices: notices(request, &survey, sources),
        writes: transfers.iter().map(|transfer| transfer.used.total()).sum(),
        target: survey.disk,
        before,
        after,
        kept,
        transfers,
        scope,
    })
}

/// The target as it is; for a file that does not exist yet, as it will be created.
fn target(
    request: &RestoreRequest,
    manifest: &Manifest,
    size: u64,
) -> Result<(Survey, bool), OperationError> {
    let path = &request.disk;
    if !request.creates_file() {
        let is_file = path.is_file();
        let sector_size =
            request.sector_size.or_else(|| is_file.then_some(manifest.disk.logical_sector));
        return Ok((survey_disk(path, sector_size)?, false));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if !parent.unwrap_or(Path::new(".")).is_dir() {
        return Err(OperationError::refused(
            format!("the folder of {} does not exist", console::path(path)),
            "create it, or name another file",
        ));
    }
    let sector = request.sector_size.unwrap_or(manifest.disk.logical_sector);
    let disk = Disk {
        path: std::path::absolute(path).map_err(|error| {
            OperationError::io(format!("naming {}", console::path(path)), error)
        })?,
        kind: DiskKind::ImageFile,
        model: None,
        serial: None,
        wwn: None,
        size: request.size.unwrap_or(size),
        logical_sector: sector,
        physical_sector: sector,
        transport: Transport::File,
        removable: false,
        read_only: false,
        boot_medium: false,
        uses: Vec::new(),
    };
    Ok((
        Survey { disk, table: Table::none(sector, Vec::new()), volumes: Vec::new(), note: None },
        true,
    ))
}

fn check_sectors(target: &Disk, manifest: &Manifest) -> Result<(), OperationError> {
    let (has, needs) = (target.logical_sector, manifest.disk.logical_sector);
    if has == needs {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "the image is of a disk with {needs}-byte sectors and {} has {has}-byte sectors: its \
             partition table and most filesystems would not be understood there",
            target.identity()
        ),
        format!("choose a disk with {needs}-byte sectors"),
    ))
}

fn check_size(target: &Disk, needed: u64, next: &str) -> Result<(), OperationError> {
    if target.size >= needed {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "{} has {} ({} bytes), the image needs {} ({needed} bytes)",
            target.identity(),
            human(target.size),
            target.size,
            human(needed),
        ),
        next,
    ))
}

fn whole_disk(target: &Disk, manifest: &Manifest) -> Result<Vec<Transfer>, OperationError> {
    check_size(target, manifest.disk.size, "choose a disk at least as large as the captured one")?;
    Ok(manifest.regions.iter().filter(|region| is_stored(region)).map(in_place).collect())
}

/// Regions that no transfer covers. With the table written, everything else is replaced.
fn kept(manifest: &Manifest, transfers: &[Transfer]) -> Extents {
    let mut kept = Extents::new();
    for region in &manifest.regions {
        if !transfers.iter().any(|transfer| transfer.from == region.start) {
            kept.push(region.start, region.end());
        }
    }
    kept
}

fn is_stored(region: &Region) -> bool {
    region.stored != Stored::Nothing
}

fn in_place(region: &Region) -> Transfer {
    let Region { start, size, ref used, .. } = *region;
    Transfer { from: start, to: start, len: size, used: used.clone() }
}

/// Chosen partitions go into the partitions of the same numbers. On a disk that holds nothing
/// the table is written with them.
fn partitions(
    survey: &Survey,
    manifest: &Manifest,
    chosen: &[u32],
) -> Result<(Vec<Transfer>, Scope), OperationError> {
    let blank = survey.table.scheme == Scheme::None && survey.volumes.is_empty();
    let regions = chosen.iter().map(|number| stored_partition(manifest, *number));
    let regions = regions.collect::<Result<Vec<_>, _>>()?;
    if blank {
        whole_disk(&survey.disk, manifest)?;
        let outside = manifest.regions.iter().filter(|region| region.partition.is_none());
        let transfers = outside.chain(regions).map(in_place).collect();
        return Ok((transfers, Scope::Disk));
    }
    let transfers = regions.into_iter().map(|region| into_partition(survey, region));
    Ok((transfers.collect::<Result<Vec<_>, _>>()?, Scope::Partitions))
}

fn stored_partition(manifest: &Manifest, number: u32) -> Result<&Region, OperationError> {
    let refused =
        |why: String| OperationError::refused(why, "see what it holds with `lifeboat show`");
    let region = manifest
        .partition(number)
        .ok_or_else(|| refused(format!("the image has no partition {number}")))?;
    if is_stored(region) {
        Ok(region)
    } else {
        Err(refused(format!("partition {number} was left out when the image was made")))
    }
}

fn into_partition(survey: &Survey, region: &Region) -> Result<Transfer, OperationError> {
    let number = region.partition.unwrap_or_default();
    let found = survey.table.partitions.iter().find(|partition| partition.number == number);
    let target = found.filter(|partition| partition.size >= region.size).ok_or_else(|| {
        OperationError::refused(
            format!(
                "{} has no partition {number} of at least {}",
                survey.disk.identity(),
                human(region.size)
            ),
            "create it there, or restore the whole disk",
        )
    })?;
    Ok(Transfer { to: target.start, ..in_place(region) })
}

fn notices(request: &RestoreRequest, survey: &Survey, sources: &Sources<'_>) -> Vec<String> {
    let manifest = &sources.image.manifest;
    let mut notices = sources.doubts.clone();
    notices.extend(survey.note.iter().cloned());
    let warnings = sources.all().flat_map(|image| &image.manifest.warnings);
    notices.extend(warnings.map(|warning| format!("image: {warning}")));
    if !sources.with.is_empty() {
        let times: Vec<String> = sources.all().map(|image| time(image.snapshot.time)).collect();
        notices.push(format!(
            "the parts are from images made at {}: if the volume was written to in between, they \
             do not fit together",
            times.join(" and ")
        ));
    }
    if request.partitions.is_none() && request.volume.is_none() {
        let missing = manifest.regions.iter().filter(|region| !is_stored(region));
        notices.extend(missing.filter_map(|region| region.partition).map(|number| {
            format!("partition {number} is not in the image: its place keeps what is there now")
        }));
        let extra = survey.disk.size.saturating_sub(manifest.disk.size);
        if extra > 0 {
            notices.push(format!(
                "the target is larger: {} stay free at its end, partitions keep their sizes",
                human(extra)
            ));
        }
    }
    if !request.read_back {
        notices.push(
            "what is written will not be read back: errors of the target stay hidden".to_owned(),
        );
    }
    notices
}
