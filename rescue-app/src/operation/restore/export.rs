//! Restoring to a file in a format of virtual machines.

use std::io;
use std::sync::Arc;

use crate::bytes::{Extents, ReadAt};
use crate::console;
use crate::export::{DiskFile, NewFile, Pieces, writing};
use crate::operation::error::{Doing, OperationError};
use crate::operation::target::{FinishedDisk, GrownDisk, TargetPlan, VirtualDisk};
use crate::progress::{Control, Phase, Reporter};
use crate::tool;
use crate::virtual_disk::{self, Format, Shape};

/// The program that looks at the file besides, where it is installed.
const JUDGE: &str = "qemu-img";

/// What became of it.
pub(super) struct Exported {
    /// Bytes of the disk that were written.
    pub(super) written: u64,
    /// Bytes of the file, holes included.
    pub(super) file_size: u64,
    /// Whether `qemu-img`, where it is installed and judges such files, found it in order.
    pub(super) judged: bool,
    /// What lessens the result.
    pub(super) warnings: Vec<String>,
}

/// Writes the disk that `plan` makes of a source, of which some is known to be zero, to its file.
///
/// # Errors
/// Those of reading the image and of writing, and a difference found by reading back; no file is left then, and one
/// that was to be replaced is as it was.
pub(super) fn execute(
    plan: &TargetPlan,
    wanted: &VirtualDisk,
    (source, zeros): (Arc<dyn ReadAt>, &Extents),
    control: Control<'_>,
) -> Result<Exported, OperationError> {
    let path = &plan.target.path;
    let file = NewFile::begin(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OperationError::refused(
            format!("{} is being written by another run", console::path(path)),
            "wait for it to end",
        ),
        _ => OperationError::io(format!("creating {}", console::path(path)), error),
    })?;
    let disk =
        GrownDisk::new(FinishedDisk::new(plan, source, zeros), &plan.grows, plan.room(), control);
    let doing = || format!("writing the {} file, of which nothing is left", wanted.format);
    write(plan, wanted, (disk, Arc::new(file)), control).doing(doing)
}

fn write(
    plan: &TargetPlan,
    wanted: &VirtualDisk,
    (disk, file): (GrownDisk, Arc<NewFile>),
    control: Control<'_>,
) -> Result<Exported, OperationError> {
    let path = &plan.target.path;
    let format = wanted.format;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let shape = Shape { size: plan.target.size, sector: plan.target.logical_sector, name };
    let used = disk.used().total();
    let reporter = Reporter::start(control, Phase::Restoring, used, 0);
    let export = DiskFile { disk: &disk, used: disk.used(), format, shape: &shape };
    let (seal, pieces) = export.write(&*file, &reporter)?;
    file.seal(&seal).map_err(|error| writing(seal.at, error))?;
    reporter.finish();
    if plan.reads_back() {
        read_back(&pieces, &disk, (format, &file), control)?;
    }
    control.phase(Phase::Finishing);
    let judged = judge(format, &file, &shape, control)?;
    let file = Arc::into_inner(file).ok_or_else(|| {
        OperationError::io("closing the file", io::Error::other("it is still being read"))
    })?;
    file.finish(wanted.standing).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => OperationError::refused(
            format!("{} is another file than before", console::path(path)),
            "run the same command again, or name another file",
        ),
        _ => OperationError::io(format!("giving {} its name", console::path(path)), error),
    })?;
    let warnings = disk.warnings;
    Ok(Exported { written: used, file_size: seal.size, judged, warnings })
}

/// Compares what our own reader of the format finds in the file.
fn read_back(
    pieces: &Pieces,
    disk: &GrownDisk,
    (format, file): (Format, &Arc<NewFile>),
    control: Control<'_>,
) -> Result<(), OperationError> {
    let reporter = Reporter::start(control, Phase::ReadingBack, disk.used().total(), 0);
    let reader = virtual_disk::open(format, Arc::clone(file) as Arc<dyn ReadAt>);
    let reader = reader.map_err(|error| OperationError::io("reading the file back", error))?;
    let found = pieces.first_difference(&*reader, disk.used(), &reporter)?;
    if let Some(first) = found.or((reader.size() != disk.size()).then_some(disk.size())) {
        return Err(OperationError::ReadBack { first, bytes: pieces.len() });
    }
    reporter.finish();
    Ok(())
}

/// What `qemu-img check` makes of the file.
fn judge(
    format: Format,
    file: &NewFile,
    shape: &Shape,
    control: Control<'_>,
) -> Result<bool, OperationError> {
    // It has no check for VHD, and reads no VHDX with other sectors.
    let is_known = match format {
        Format::Raw | Format::Vhd | Format::VhdFixed => false,
        Format::Vhdx => shape.sector == 512,
        Format::Qcow2 | Format::Vmdk | Format::VmdkStream | Format::Vdi => true,
    };
    if !is_known || tool::find(JUDGE).is_none() {
        return Ok(false);
    }
    let mut command = tool::command(JUDGE)?;
    command.args(["check", "-f", format.qemu_name()]).arg(file.unfinished());
    tool::run_until(command, |status| status == 0, control.cancel)?;
    Ok(true)
}
