//! Making a stick that Lifeboat starts from, with a partition for images behind it.
//!
//! What is written is the ISO, byte for byte, but for one entry of its MBR: the data partition, exFAT from
//! 256 MiB to the end of the stick. Any system reads it, and a later ISO leaves it alone.

mod check;
mod data;
mod iso;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::bytes::{Extents, ReadAt, Window, is_same, put};
use crate::disk::{Agreement, Disk, Hold, Source, Target};
use crate::inspect;
use crate::progress::{Control, Phase, Reporter};
use crate::table::{STICK_DATA_NUMBER, STICK_DATA_START, stick_data_size, with_stick_data};
use crate::volume::{Filesystem, Kind};

use super::error::{Doing, OperationError};
use super::guard;
use super::prepare::{
    FIRST_BLOCK, PlaceFilesystem, Room, erase_signatures, flush, make, not_kept, partition_device,
    reopen, write,
};
use super::safety::TooSmall;
use super::survey::{Survey, survey_disk};
use super::target::all_lost;
use super::timed::Timed;

pub use check::{MediumPart, MediumReport, check_medium};
pub use data::{StickData, is_stick_data, stick_room};
use iso::Iso;

/// How much is written and compared at once, bytes.
const PIECE: u64 = 1 << 20;

/// What a stick is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StickContent {
    /// The medium that Lifeboat was started from.
    #[default]
    Medium,
    /// An ISO of Lifeboat.
    Iso(PathBuf),
    /// What is on it already: only its data partition is made.
    Present,
}

/// A stick that is to be made.
#[derive(Clone, Debug)]
pub struct StickRequest {
    /// Block device or image file.
    pub disk: PathBuf,
    /// Serial number, WWN, path of a file, or the word of the plan: the consent to erase the disk.
    pub erase: Option<String>,
    /// What was agreed to when a plan was shown: the disk must still be that.
    pub agreed: Option<Agreement>,
    /// What is written to it.
    pub content: StickContent,
    /// Make the data partition anew even where there is one.
    pub new_data: bool,
}

/// What making a stick will do.
#[derive(Clone, Debug, Serialize)]
pub struct StickPlan {
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
    /// What is lost.
    pub lost: Vec<String>,
    /// Volume id of the ISO.
    pub volume_id: String,
    /// Where it comes from.
    pub from: PathBuf,
    /// Whether it is written; otherwise it is on the stick already.
    pub writes_iso: bool,
    /// What becomes of the data partition.
    #[serde(flatten)]
    pub data: StickData,
    /// Size of the data partition in bytes.
    pub data_size: u64,
    #[serde(skip)]
    iso: Arc<Iso>,
}

/// A stick that was made.
#[derive(Clone, Debug, Serialize)]
pub struct StickReport {
    /// The disk.
    pub disk: Disk,
    /// Volume id of the ISO on it.
    pub volume_id: String,
    /// Device of the data partition, where the kernel shows it.
    pub device: Option<PathBuf>,
    /// First byte of the data partition.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What became of it.
    #[serde(flatten)]
    pub data: StickData,
    /// Its label.
    pub label: Option<String>,
}

/// Says what [`make_stick`] would do; writes nothing.
///
/// # Errors
/// Refuses what must not be overwritten, is too small, or is no ISO of Lifeboat.
pub fn plan_stick(request: &StickRequest) -> Result<StickPlan, OperationError> {
    let survey = survey_disk(&request.disk, None)?;
    let source = Source::open(&survey.disk.path)?;
    let agreement = agreement(request, &survey, &source)?;
    fits(&survey.disk)?;
    PlaceFilesystem::Exfat.tool()?;
    let iso = iso(request, &survey.disk)?;
    let data = StickData::plan(&source, request.new_data)?;
    let data_size = stick_data_size(survey.disk.size);
    let writes_iso = request.content != StickContent::Present;
    // Says what stands in the way before the first write.
    with_stick_data(&first_block(&iso)?, survey.disk.size).map_err(|error| {
        let why = format!("{} cannot be made a stick: {error}", survey.disk.identity());
        OperationError::refused(why, "remove them first, or choose another stick")
    })?;
    let lost = lost(&survey, &data, writes_iso)?;
    Ok(StickPlan {
        erase: survey.erase().to_owned(),
        disk: survey.disk,
        agreement,
        hold: Hold::new(Arc::new(source)),
        lost,
        volume_id: iso.volume_id.clone(),
        from: iso.path(),
        writes_iso,
        data,
        data_size,
        iso: Arc::new(iso),
    })
}

fn agreement(
    request: &StickRequest,
    survey: &Survey,
    source: &Source,
) -> Result<Agreement, OperationError> {
    let mut agreement = Agreement::on(&survey.disk, source)?;
    let erase = request.erase.as_deref();
    if request.content == StickContent::Present {
        agreement = agreement.on_the_medium();
        guard::stick_can_be_added_to(&survey.disk, &survey.words, erase)?;
    } else {
        guard::disk_is_expendable(&survey.disk, &survey.words, erase)?;
    }
    if let Some(agreed) = &request.agreed {
        agreed.refuse_another(&agreement)?;
    }
    Ok(agreement)
}

fn fits(disk: &Disk) -> Result<(), OperationError> {
    if disk.logical_sector != 512 {
        let why = format!("{} has sectors of {} bytes", disk.identity(), disk.logical_sector);
        return Err(OperationError::refused(why, "choose a stick with sectors of 512 bytes"));
    }
    match TooSmall::judge(disk.size, data::LEAST_STICK) {
        None => Ok(()),
        Some(_) => Err(OperationError::refused(
            format!("{} is too small for Lifeboat and images", disk.identity()),
            "choose a stick of 320 MiB or more",
        )),
    }
}

fn iso(request: &StickRequest, disk: &Disk) -> Result<Iso, OperationError> {
    let iso = match &request.content {
        StickContent::Present => return Iso::open(&disk.path),
        StickContent::Medium => Iso::of_medium()?,
        StickContent::Iso(path) => Iso::open(path)?,
    };
    guard::file_is_elsewhere(disk, &iso.path())?;
    Ok(iso)
}

fn lost(
    survey: &Survey,
    data: &StickData,
    writes_iso: bool,
) -> Result<Vec<String>, OperationError> {
    let mut untouched = data.kept();
    if let StickData::Kept { .. } = data {
        // The partition around it, too.
        untouched = Extents::from(vec![(STICK_DATA_START, stick_data_size(survey.disk.size))]);
    }
    if !writes_iso {
        // The table too: it gets one more entry, and loses none.
        untouched = untouched.union(&Extents::from(vec![(0, STICK_DATA_START)]));
    }
    Ok(all_lost(survey, &untouched)?.1)
}

/// Makes a stick, as [`plan_stick`] said. The first block comes last of all but the new filesystem, and
/// everything is read back.
///
/// # Errors
/// Refuses before the first write what [`plan_stick`] refuses; afterwards any failure to write, or
/// what reads back differently. Doing it again completes it.
pub fn make_stick(
    request: &StickRequest,
    control: Control<'_>,
) -> Result<Timed<StickReport>, OperationError> {
    if request.erase.is_none() {
        return Err(OperationError::refused(
            "nothing is overwritten without the name of the disk",
            "say --erase with the serial number of the disk, or the word that --plan shows",
        ));
    }
    Timed::run(|| {
        let plan = plan_stick(request)?;
        execute(&plan, control).doing(|| format!("making a stick of {}", plan.disk.identity()))
    })
}

fn execute(plan: &StickPlan, control: Control<'_>) -> Result<StickReport, OperationError> {
    if control.cancel.is_requested() {
        return Err(OperationError::Cancelled);
    }
    if plan.writes_iso {
        check::is_whole(&plan.iso, control)?;
    }
    let target = Target::open(&plan.disk, &plan.agreement)?;
    let first = with_stick_data(&first_block(&plan.iso)?, target.size())?;
    if plan.writes_iso {
        write_iso(plan, &target, control)?;
    }
    if !plan.data.is_kept() {
        target.discard(STICK_DATA_START, plan.data_size);
        erase_signatures(&target, (STICK_DATA_START, plan.data_size), &Extents::new())?;
    }
    flush(&target)?;
    write(&target, 0, &first)?;
    flush(&target)?;
    target.re_read_table().map_err(|error| {
        OperationError::io("the system still sees the old partitions of the stick", error)
    })?;
    // The filesystem's tool opens the disk itself, while no target is open.
    let _lift = target.close();
    control.phase(Phase::Finishing);
    let device = partition_device(&plan.disk, STICK_DATA_NUMBER);
    // A copy of the running medium carries its volume id by now.
    let agreed = plan.agreement.clone().on_the_medium().after_writing();
    if !plan.data.is_kept() {
        let room = Room {
            disk: &plan.disk,
            agreed: &agreed,
            start: STICK_DATA_START,
            size: plan.data_size,
        };
        make(PlaceFilesystem::Exfat, data::label(), &room, device.as_deref())?;
    }
    let made = read_back(plan, &agreed, &first, control)?;
    Ok(StickReport {
        disk: plan.disk.clone(),
        volume_id: plan.volume_id.clone(),
        device,
        start: STICK_DATA_START,
        size: plan.data_size,
        data: plan.data.clone(),
        label: made.label,
    })
}

/// What the ISO has at the place of the table.
fn first_block(iso: &Iso) -> Result<Vec<u8>, OperationError> {
    iso.read_vec(0, FIRST_BLOCK).map_err(|error| OperationError::io("reading the ISO", error))
}

/// Writes the ISO but for its first block, which is blank until all the rest is there.
fn write_iso(
    plan: &StickPlan,
    target: &Target,
    control: Control<'_>,
) -> Result<(), OperationError> {
    write(target, 0, &[0; FIRST_BLOCK])?;
    flush(target)?;
    let kept = plan.data.kept();
    erase_signatures(target, (0, target.size()), &kept)?;
    let reporter = Reporter::start(control, Phase::Restoring, plan.iso.size, 0);
    each_piece(&plan.iso, |at, mut piece| {
        if at == 0 {
            put(&mut piece, 0, &[0; FIRST_BLOCK]);
        }
        write(target, at, &piece)?;
        let len = piece.len() as u64;
        reporter.advance(len, len, 0).map_err(|_| OperationError::Cancelled)
    })?;
    reporter.finish();
    flush(target)
}

/// Hands out the ISO from its start to its end.
fn each_piece(
    iso: &Iso,
    mut take: impl FnMut(u64, Vec<u8>) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    let mut at = 0;
    while at < iso.size {
        let len = usize::try_from(PIECE.min(iso.size - at)).unwrap_or_default();
        let piece =
            iso.read_vec(at, len).map_err(|error| OperationError::io("reading the ISO", error))?;
        take(at, piece)?;
        at += PIECE;
    }
    Ok(())
}

/// Compares the stick with the ISO and its new table, and finds the data partition's filesystem.
fn read_back(
    plan: &StickPlan,
    agreed: &Agreement,
    first: &[u8],
    control: Control<'_>,
) -> Result<Filesystem, OperationError> {
    let target = reopen(&plan.disk, agreed)?;
    target.drop_caches().map_err(|error| OperationError::io("emptying the disk's cache", error))?;
    let reading = |error| OperationError::io("reading the stick back", error);
    let reporter = Reporter::start(control, Phase::ReadingBack, plan.iso.size, 0);
    each_piece(&plan.iso, |at, mut piece| {
        if at == 0 {
            put(&mut piece, 0, first);
        }
        let found = target.read_vec(at, piece.len()).map_err(reading)?;
        if !is_same(&found, &piece) {
            return Err(not_kept("the stick"));
        }
        reporter.advance(piece.len() as u64, 0, 0).map_err(|_| OperationError::Cancelled)
    })?;
    reporter.finish();
    let volume = Window::new(&target, STICK_DATA_START, plan.data_size);
    let found = inspect::recognise(&volume).map_err(reading)?;
    found.filter(|found| found.kind == Kind::ExFat).ok_or_else(|| not_kept("the data partition"))
}
