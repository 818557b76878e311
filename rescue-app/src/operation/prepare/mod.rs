//! Making a disk a place for images: one partition with a filesystem, and nothing else on it.

mod blank;
mod filesystem;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt, Window};
use crate::disk::{Agreement, Disk, Hold, Source, Target};
use crate::inspect;
use crate::progress::{Control, Phase};
use crate::table::{Fresh, FreshType};
use crate::volume::Filesystem;

use super::error::{Doing, OperationError};
use super::guard;
use super::safety::TooSmall;
use super::survey::survey_disk;
use super::target::{LayoutEntry, all_lost};
use super::timed::Timed;

pub(super) use blank::{
    FIRST_BLOCK, erase_signatures, flush, not_kept, partition_device, reopen, write,
};
pub use filesystem::PlaceFilesystem;
pub(super) use filesystem::{Room, make};

/// A disk smaller than this holds no images worth it, bytes.
const LEAST_SIZE: u64 = 64 << 20;

/// A disk that is to be prepared.
#[derive(Clone, Debug)]
pub struct PrepareRequest {
    /// Block device or image file.
    pub disk: PathBuf,
    /// Logical sector size of an image file, bytes.
    pub sector_size: Option<u32>,
    /// Serial number, WWN, path of a file, or the word of the plan: the consent to erase the disk.
    pub erase: Option<String>,
    /// What was agreed to when a plan was shown: the disk must still be that.
    pub agreed: Option<Agreement>,
    /// What is made on it.
    pub filesystem: PlaceFilesystem,
    /// Label of the filesystem; the usual one when `None`.
    pub label: Option<String>,
}

/// What preparing a disk will do.
#[derive(Clone, Debug, Serialize)]
pub struct PreparePlan {
    /// The disk.
    pub disk: Disk,
    /// What `--erase` has to say for it.
    pub erase: String,
    /// What is agreed to with this plan.
    #[serde(skip)]
    pub agreement: Agreement,
    /// Keeps the disk open for as long as the plan counts.
    #[serde(skip)]
    pub hold: Hold,
    /// The disk as it is.
    pub before: Vec<LayoutEntry>,
    /// What is lost.
    pub lost: Vec<String>,
    /// What is made on it.
    pub filesystem: PlaceFilesystem,
    /// Its label.
    pub label: String,
}

/// A disk that was prepared.
#[derive(Clone, Debug, Serialize)]
pub struct PrepareReport {
    /// The disk.
    pub disk: Disk,
    /// Device of the partition, where the kernel shows it.
    pub device: Option<PathBuf>,
    /// First byte of the partition.
    pub start: u64,
    /// Size of the partition in bytes.
    pub size: u64,
    /// What was made in it.
    pub filesystem: PlaceFilesystem,
    /// Its label.
    pub label: String,
    /// Its UUID or serial number.
    pub uuid: Option<String>,
}

/// Says what [`prepare`] would do; writes nothing.
///
/// # Errors
/// Refuses what must not be overwritten, is too small, or cannot be made here.
pub fn plan_prepare(request: &PrepareRequest) -> Result<PreparePlan, OperationError> {
    let survey = survey_disk(&request.disk, request.sector_size)?;
    let source = Source::open(&survey.disk.path)?;
    let agreement = Agreement::on(&survey.disk, &source)?;
    guard::disk_is_expendable(&survey.disk, &survey.words, request.erase.as_deref())?;
    if let Some(agreed) = &request.agreed {
        agreed.refuse_another(&agreement)?;
    }
    if TooSmall::judge(survey.disk.size, LEAST_SIZE).is_some() {
        return Err(OperationError::refused(
            format!("{} is too small to hold images", survey.disk.identity()),
            "choose a disk of 64 MiB or more",
        ));
    }
    let filesystem = request.filesystem;
    filesystem.tool()?;
    filesystem.fits(&survey.disk)?;
    let label = filesystem.label(request.label.as_deref())?;
    let (before, lost) = all_lost(&survey, &Extents::new())?;
    let hold = Hold::new(Arc::new(source));
    let erase = survey.erase().to_owned();
    let disk = survey.disk;
    Ok(PreparePlan { disk, erase, agreement, hold, before, lost, filesystem, label })
}

/// Erases a disk and makes one partition with a filesystem on it, as [`plan_prepare`] said. Old
/// signatures go first, the new table comes last of all but the filesystem; both are read back.
///
/// # Errors
/// Refuses before the first write what [`plan_prepare`] refuses; afterwards any failure to write, or
/// what reads back differently. Doing it again completes it.
pub fn prepare(
    request: &PrepareRequest,
    control: Control<'_>,
) -> Result<Timed<PrepareReport>, OperationError> {
    if request.erase.is_none() {
        return Err(OperationError::refused(
            "nothing is overwritten without the name of the disk",
            "say --erase with the serial number of the disk, or the word that --plan shows",
        ));
    }
    Timed::run(|| {
        let plan = plan_prepare(request)?;
        let doing = || format!("preparing {}", plan.disk.identity());
        execute(&plan, control).doing(doing)
    })
}

fn execute(plan: &PreparePlan, control: Control<'_>) -> Result<PrepareReport, OperationError> {
    let purpose = match plan.filesystem {
        PlaceFilesystem::Ext4 => FreshType::LinuxFilesystem,
        PlaceFilesystem::Exfat => FreshType::BasicData,
    };
    let fresh = Fresh::new(plan.disk.size, plan.disk.logical_sector, purpose, &plan.label)?;
    if control.cancel.is_requested() {
        return Err(OperationError::Cancelled);
    }
    let target = Target::open(&plan.disk, &plan.agreement)?;
    blank(&target, &fresh)?;
    write_table(&target, &fresh)?;
    target.re_read_table().map_err(|error| {
        OperationError::io("the system still sees the old partitions of the disk", error)
    })?;
    // The filesystem's tool opens the disk itself, while no target is open.
    let _lift = target.close();
    let device = partition_device(&plan.disk, 1);
    let agreed = plan.agreement.clone().after_writing();
    let room = Room { disk: &plan.disk, agreed: &agreed, start: fresh.start, size: fresh.size };
    control.phase(Phase::Finishing);
    make(plan.filesystem, &plan.label, &room, device.as_deref())?;
    let made = read_back(plan, &agreed, &fresh)?;
    Ok(PrepareReport {
        disk: plan.disk.clone(),
        device,
        start: fresh.start,
        size: fresh.size,
        filesystem: plan.filesystem,
        label: plan.label.clone(),
        uuid: made.uuid,
    })
}

/// Removes what could be taken for a table, a filesystem or a member of something. The block with
/// the old table goes first.
fn blank(target: &Target, fresh: &Fresh) -> Result<(), OperationError> {
    write(target, 0, &[0; FIRST_BLOCK])?;
    flush(target)?;
    target.discard(0, target.size());
    let tail = target.size() - fresh.tail.len() as u64;
    write(target, 0, &vec![0; fresh.head.len()])?;
    write(target, tail, &vec![0; fresh.tail.len()])?;
    for (start, size) in [(0, target.size()), (fresh.start, fresh.size)] {
        erase_signatures(target, (start, size), &Extents::new())?;
    }
    flush(target)
}

/// The backup first, the first block last, each on the disk before the next.
fn write_table(target: &Target, fresh: &Fresh) -> Result<(), OperationError> {
    let (first, rest) = fresh.head.split_at(FIRST_BLOCK.min(fresh.head.len()));
    let tail = target.size() - fresh.tail.len() as u64;
    for (at, bytes) in [(tail, &fresh.tail[..]), (first.len() as u64, rest), (0, first)] {
        write(target, at, bytes)?;
        flush(target)?;
    }
    Ok(())
}

/// Compares the table with what was written, and finds the filesystem under its label.
fn read_back(
    plan: &PreparePlan,
    agreed: &Agreement,
    fresh: &Fresh,
) -> Result<Filesystem, OperationError> {
    let target = reopen(&plan.disk, agreed)?;
    target.drop_caches().map_err(|error| OperationError::io("emptying the disk's cache", error))?;
    let tail = target.size() - fresh.tail.len() as u64;
    for (at, bytes) in [(0, &fresh.head), (tail, &fresh.tail)] {
        let now = target
            .read_vec(at, bytes.len())
            .map_err(|error| OperationError::io("reading the new table back", error))?;
        if now != *bytes {
            return Err(not_kept("the new table"));
        }
    }
    let volume = Window::new(&target, fresh.start, fresh.size);
    let found = inspect::recognise(&volume)
        .map_err(|error| OperationError::io("reading the new filesystem back", error))?;
    found
        .filter(|found| found.kind == plan.filesystem.kind())
        .filter(|found| found.label.as_deref() == Some(plan.label.as_str()))
        .ok_or_else(|| not_kept("the new filesystem"))
}
