//! Starting an image in a virtual machine, on a layer that is thrown away.

mod note;
mod verdict;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::export::{NbdAddress, NbdServer, ServedImage};
use crate::image::manifest::Manifest;
use crate::image::stored::OpenImage;
use crate::progress::{Cancel, Control, Phase, available_memory};
use crate::table::{Partition, Scheme};
use crate::tool::{self, ToolError};
use crate::virtual_machine::{self, Firmware, Hardware, PACKAGE, PROGRAM, Screen, Seen, Watch};

use super::access::RepoAccess;
use super::error::{Doing, OperationError};
use super::image_files::{ImageFiles, ThrowAway};
use super::latest::{self, OfSeveral};
use super::timed::Timed;

pub use note::BootNote;
pub use verdict::Verdict;

/// Memory of the machine where nothing else is said: half of what is free, within these bounds, bytes.
const LEAST_MEMORY: u64 = 1 << 30;
const MOST_MEMORY: u64 = 4 << 30;
/// Processors of the machine, at most.
const MOST_PROCESSORS: usize = 4;

/// Type of the partition where GRUB has its second part for BIOS on a GPT (GRUB's manual, 3.4).
const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";

/// An image that is started.
#[derive(Clone, Debug)]
pub struct BootRequest {
    /// Start of its id, `latest` or `latest:DISK`.
    pub image: String,
    /// Where it is.
    pub repo: RepoAccess,
    /// What the machine starts with; what the captured one had when `None`.
    pub firmware: Option<Firmware>,
    /// Memory of the machine, bytes.
    pub memory: Option<u64>,
    /// Where what it writes is kept meanwhile.
    pub layer: ThrowAway,
}

/// How an image that was started came out.
#[derive(Clone, Debug, Serialize)]
pub struct BootReport {
    /// The image.
    pub image: String,
    /// Whether it starts.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether that counts as starting.
    pub boots: bool,
    /// What the machine started with.
    pub firmware: Firmware,
    /// What its screen showed at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PathBuf>,
}

/// Starts an image so that a person can use it, until the machine is switched off.
///
/// # Errors
/// Refuses where QEMU, or OVMF, is not installed; otherwise any failure to read the image and of QEMU.
pub fn boot(
    request: &BootRequest,
    screen: Screen,
    control: Control<'_>,
) -> Result<(), OperationError> {
    let (machine, disk) = Machine::prepare(request, control)?;
    let mut command = machine.command(screen)?;
    machine.files.tell_of_layer(control);
    machine.serve(disk, || {
        let mut child = command.spawn().map_err(not_started)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(not_started)? {
                break status;
            }
            if control.cancel.is_requested() {
                let _ = child.kill();
            }
            thread::sleep(Duration::from_millis(50));
        };
        control.check_cancel()?;
        match status.success() {
            true => Ok(()),
            false => Err(not_started(io::Error::other(status.to_string()))),
        }
    })?;
    machine.files.tell_of_changes(control);
    machine.files.ensure_held()
}

/// Starts an image and watches it until it settles, for `limit` at most; puts the result beside the image, and a
/// picture of its screen.
///
/// # Errors
/// As [`boot`]. That an image does not start is no error.
pub fn verify_boot(
    request: &BootRequest,
    limit: Duration,
    control: Control<'_>,
) -> Result<Timed<BootReport>, OperationError> {
    Timed::run(|| {
        let (machine, disk) = Machine::prepare(request, control)?;
        let command = machine.command(Screen::Hidden)?;
        control.phase(Phase::Starting);
        let seen = machine.serve(disk, || {
            let mut watch = Watch::start(command, machine.folder.path()).map_err(not_started)?;
            let is_enough = |seen: &Seen| Verdict::known(seen).is_some();
            watch.until(limit, control.cancel, is_enough).map_err(|error| match error.kind() {
                io::ErrorKind::Interrupted => OperationError::Cancelled,
                _ => OperationError::io("watching the machine", error),
            })
        });
        let seen = seen.doing(|| format!("starting image {}", machine.files.id))?;
        let verdict = Verdict::of(&seen, machine.hardware.firmware);
        let note = BootNote::now(verdict.clone(), machine.hardware.firmware);
        let png = seen.picture.map(|picture| picture.to_png());
        let written = match request.repo.folder() {
            Some(folder) => note.put(folder, &machine.id, png.as_deref()),
            None => Err(io::Error::other("it takes only what is in images")),
        };
        let picture = written.unwrap_or_else(|error| {
            let place = request.repo.location();
            control.warn(format!("the result is not noted in {place}: {error}"));
            None
        });
        let (boots, firmware) = (verdict.boots(), machine.hardware.firmware);
        machine.files.ensure_held()?;
        Ok(BootReport { image: machine.id, verdict, boots, firmware, picture })
    })
}

/// An image and what is needed to start it.
struct Machine {
    files: ImageFiles,
    id: String,
    hardware: Hardware,
    folder: Folder,
}

impl Machine {
    /// Opens the image; the machine, and its disk.
    fn prepare(
        request: &BootRequest,
        control: Control<'_>,
    ) -> Result<(Self, ServedImage), OperationError> {
        let (id, manifest) = find(request)?;
        let hardware = hardware(request, &manifest);
        let mut files = ImageFiles::open_with(&id, &request.repo, Some(&request.layer), control)?;
        let folder = Folder::new()
            .map_err(|error| OperationError::io("making a folder for the machine", error))?;
        let disk = ServedImage { id: files.id.clone(), files: std::mem::take(&mut files.files) };
        Ok((Self { files, id, hardware, folder }, disk))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn command(&self, screen: Screen) -> Result<Command, OperationError> {
        let command =
            virtual_machine::command(&self.hardware, screen, &self.socket(), self.folder.path());
        match command {
            Err(ToolError::Missing(_)) => Err(OperationError::refused(
                format!("{PROGRAM}, which an image is started in, is not installed"),
                format!("install it (the package {PACKAGE})"),
            )),
            other => other?.ok_or_else(|| {
                OperationError::refused(
                    "the image was captured on a machine with UEFI, and OVMF is not installed",
                    "install it (the package ovmf), or start it with --firmware bios",
                )
            }),
        }
    }

    /// Does something while the disk is served.
    fn serve<R>(
        &self,
        disk: ServedImage,
        work: impl FnOnce() -> Result<R, OperationError>,
    ) -> Result<R, OperationError> {
        let address = NbdAddress::Socket(self.socket());
        let server = NbdServer::new(&address, vec![disk])
            .map_err(|error| OperationError::io("serving the disk to the machine", error))?;
        let over = &Cancel::new();
        thread::scope(|scope| {
            scope.spawn(move || server.run(over));
            let done = work();
            over.request();
            done
        })
    }
}

/// The image that is meant, and what it is.
fn find(request: &BootRequest) -> Result<(String, Manifest), OperationError> {
    let repo = request.repo.open()?;
    let _lock = repo.lock_for_reading()?;
    let repo = repo.load_index()?;
    let meant = latest::find(&repo, &request.image, OfSeveral::Newest)?;
    let image = OpenImage::load(&repo, meant.id)?;
    Ok((image.id.to_string(), image.manifest))
}

fn hardware(request: &BootRequest, manifest: &Manifest) -> Hardware {
    let usual = (available_memory() / 2).clamp(LEAST_MEMORY, MOST_MEMORY);
    Hardware {
        firmware: request.firmware.unwrap_or_else(|| firmware(manifest)),
        memory: request.memory.unwrap_or(usual),
        processors: thread::available_parallelism().map_or(1, usize::from).min(MOST_PROCESSORS),
        transport: manifest.disk.transport.clone(),
        sector: manifest.disk.logical_sector,
    }
}

/// What the disk was started by: UEFI needs a system partition, and BIOS on a GPT one of its own, or a loader in
/// front of all.
fn firmware(manifest: &Manifest) -> Firmware {
    let has_system = manifest.table.data_partitions().any(Partition::is_efi_system);
    let for_bios = manifest.table.data_partitions().any(|it| it.type_id == BIOS_BOOT)
        || manifest.table.scheme == Scheme::Mbr;
    let was_uefi = manifest.machine.firmware.as_deref() == Some("UEFI");
    match has_system {
        true if was_uefi || !for_bios => Firmware::Uefi,
        _ => Firmware::Bios,
    }
}

fn not_started(error: io::Error) -> OperationError {
    OperationError::io(format!("running {PROGRAM}"), error)
}

/// A folder that is gone with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        tool::temporary_folder().map(Self)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is of no use to anybody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
