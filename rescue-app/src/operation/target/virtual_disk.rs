//! A target that is a file in a format of virtual machines: it is made as a whole, whatever has its name.

use serde::Serialize;

use crate::bytes::{Extent, ReadAt};
use crate::console;
use crate::disk::{Agreement, DiskKind, Source};
use crate::export::Standing;
use crate::image::manifest::Manifest;
use crate::import::ForeignFile;
use crate::operation::error::OperationError;
use crate::operation::survey::survey_disk;
use crate::virtual_disk::Format;

use super::request::TargetRequest;
use super::state::{Held, TargetState, new_file};

/// Sectors that every virtual machine gives its disks unless it is told otherwise, bytes.
const USUAL_SECTOR: u32 = 512;

/// The file that is made.
#[derive(Clone, Debug, Serialize)]
pub struct VirtualDisk {
    /// How it holds the disk.
    pub format: Format,
    /// What has its name so far.
    #[serde(skip)]
    pub(in crate::operation) standing: Standing,
}

/// The state of a target that a request wants in a format other than plain, for something of `size` bytes.
///
/// # Errors
/// Refuses what has no place in a file of that format, and devices.
pub(super) fn find(
    request: &TargetRequest,
    manifest: &Manifest,
    size: u64,
) -> Result<TargetState, OperationError> {
    let format = request.format;
    refuse_device(request)?;
    if request.only_changed {
        return Err(OperationError::refused(
            format!("a {format} file is written as a whole"),
            "leave --only-changed out",
        ));
    }
    let standing = Standing::find(&request.disk);
    let standing = standing.map_err(|error| {
        OperationError::io(format!("looking at {}", console::path(&request.disk)), error)
    })?;
    let mut state = new_file(request, manifest, size)?;
    let disk = &mut state.survey.disk;
    disk.size = disk.size.next_multiple_of(u64::from(disk.logical_sector));
    if let Some((most, why)) = format.limit().filter(|(most, _)| *most < disk.size) {
        return Err(OperationError::refused(
            format!("the disk has {} bytes, and {why} ({most} bytes)", disk.size),
            "choose another format, such as qcow2 or vhdx, or a smaller --size",
        ));
    }
    if standing != Standing::Nothing {
        refuse_unsaid(request)?;
        disk.uses = survey_disk(&request.disk, Some(disk.logical_sector))?.disk.uses;
        state.held = vec![held(request)?];
    }
    state.agreement = Agreement::to_make(&disk.path, disk.size);
    state.virtual_disk = Some(VirtualDisk { format, standing });
    Ok(state)
}

fn refuse_device(request: &TargetRequest) -> Result<(), OperationError> {
    let path = &request.disk;
    if !path.starts_with("/dev") && (!path.exists() || path.is_file()) {
        return Ok(());
    }
    Err(OperationError::refused(
        format!(
            "{} is to be a {} file, and is no place for files",
            console::path(path),
            request.format
        ),
        "leave --format out, by which a device gets the plain disk, or name a file",
    ))
}

/// The name of a file alone does not say that it is to be made anew.
fn refuse_unsaid(request: &TargetRequest) -> Result<(), OperationError> {
    if request.replace {
        return Ok(());
    }
    let (what, format) = (standing_file(&Source::open(&request.disk)?), request.format.argument());
    Err(OperationError::refused(
        format!("{} is there, {what}", console::path(&request.disk)),
        format!(
            "say --format {format}, by which it is made anew and what it holds is lost, or name a file that \
             does not exist yet"
        ),
    ))
}

/// The file that is replaced.
fn held(request: &TargetRequest) -> Result<Held, OperationError> {
    let file = Source::open(&request.disk)?;
    let text = format!("{}, which is replaced", standing_file(&file));
    Ok(Held { number: None, place: Extent { start: 0, end: file.size() }, text })
}

/// "a qcow2 file", as far as it is known.
fn standing_file(file: &Source) -> String {
    let found = ForeignFile::recognise(file);
    found.map_or_else(|| "a file".to_owned(), |found| format!("a {} file", found.name))
}

/// What a person should know of it.
pub(super) fn notice(state: &TargetState) -> Option<String> {
    let format = state.virtual_disk.as_ref()?.format;
    let disk = &state.survey.disk;
    debug_assert_eq!(disk.kind, DiskKind::ImageFile);
    if disk.logical_sector == USUAL_SECTOR || format.tells_sector_size() {
        return None;
    }
    Some(format!(
        "the disk has sectors of {} bytes, which a {format} file does not tell: the virtual machine has to be \
         told, or does not understand the partition table (a VHDX tells it)",
        disk.logical_sector
    ))
}

/// Refuses a file that is plain inside and calls itself something else.
///
/// # Errors
/// When its name stands for a format.
pub(in crate::operation) fn refuse_misnamed(request: &TargetRequest) -> Result<(), OperationError> {
    let Some(format) = Format::of_ending(&request.disk).filter(|_| request.creates_file()) else {
        return Ok(());
    };
    Err(OperationError::refused(
        format!(
            "a clone is the plain disk, and {} would not be a {format}",
            console::path(&request.disk)
        ),
        "name it .img, or capture the disk and restore the image to that file",
    ))
}
