//! Files and folders that hold a disk in a form of their own, read as that disk: disks of virtual
//! machines, what compressors made of a disk.
//!
//! ```text
//!  a disk of a virtual machine ──────────────► virtual_disk::open ──► View
//!  a packed one ──► Parts ──► Unpacker ──► Scratch, a file without a name ──► View
//! ```
//!
//! What a file is, its content says, never its name ([`ForeignFile`]). Nothing is taken for less than it is: what
//! is damaged, cut short or not known is an error that names the file.

mod clonezilla;
mod content;
mod description;
mod error;
mod foreign_file;
mod packing;
mod partclone;
mod parts;
mod scratch;
mod virtual_file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::console;
use crate::disk::{Disk, DiskKind, Source, View};
use crate::progress::{Control, Phase, Reporter};

pub use clonezilla::Folder;
use content::Target;
pub use error::ImportError;
pub use foreign_file::ForeignFile;
use foreign_file::Way;
#[cfg(any(test, fuzzing))]
pub use partclone::fuzz_partclone;
use scratch::{NTFS, Scratch};
use virtual_file::VirtualFile;

/// A disk that was found in a file or folder.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Imported {
    /// The disk.
    #[serde(skip)]
    pub view: Arc<dyn View>,
    /// Logical sector size in bytes, where that is told.
    #[serde(skip)]
    pub sector_size: Option<u32>,
    /// What it was found in: "qcow2".
    pub form: String,
    /// Where it was unpacked, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<UnpackedIn>,
    /// What a person should know of it.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

impl Imported {
    fn new(view: Arc<dyn View>, form: impl Into<String>) -> Self {
        let (form, remarks) = (form.into(), Vec::new());
        Self { view, sector_size: None, form, unpacked: None, remarks }
    }

    /// What is known of the disk, where `file` is what holds it and its sectors were `asked` to have so many bytes.
    pub fn disk(&self, file: Disk, asked: Option<u32>) -> Disk {
        let sector = asked.or(self.sector_size).unwrap_or(file.logical_sector);
        Disk { size: self.view.size(), logical_sector: sector, physical_sector: sector, ..file }
    }
}

/// Where a disk was unpacked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnpackedIn {
    /// The folder; the file in it has no name.
    #[serde(serialize_with = "console::serialize_path")]
    pub folder: PathBuf,
    /// Bytes that it takes there.
    pub bytes: u64,
}

/// Where something is unpacked, and who is told of it.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// A folder with room for the disk; without one nothing is unpacked.
    pub scratch: Option<&'a Path>,
    /// Where progress goes, and when to stop.
    pub control: Control<'a>,
}

/// The disk that a file holds in a form of its own, which is open as `source`; `None` when `disk` is one as it stands.
///
/// # Errors
/// For a form that is not read, and for a file that is damaged, cut short or only a part of a disk.
pub fn open(
    disk: &Disk,
    source: Arc<Source>,
    workshop: Workshop<'_>,
) -> Result<Option<Imported>, ImportError> {
    match recognise(disk, &source) {
        Some(found) => match found.way() {
            Way::Packed(_) | Way::Partclone => unpack(found, &disk.path, workshop).map(Some),
            _ => in_place(found, source, &disk.path),
        },
        None => Ok(None),
    }
}

/// Opens `disk` as the one that it holds, unless it is one as it stands, or that one would have to be unpacked.
///
/// # Errors
/// As [`open`]; refuses what has to be unpacked.
pub fn open_in_place(disk: Disk, asked: Option<u32>) -> Result<(Disk, Source), ImportError> {
    let source = Source::open(&disk.path)?;
    let Some(found) = recognise(&disk, &source) else { return Ok((disk, source)) };
    if let Way::Packed(_) | Way::Partclone = found.way() {
        return Err(ImportError::refused(
            is_no_disk(found, &disk.path),
            found.next_step(&disk.path),
        ));
    }
    let source = Arc::new(source);
    match in_place(found, Arc::clone(&source), &disk.path)? {
        Some(imported) => {
            let disk = imported.disk(disk, asked);
            let source = Source::showing(imported.view, &disk.path)?;
            Ok((disk, source))
        }
        None => {
            let source = Source::open(&disk.path)?;
            Ok((disk, source))
        }
    }
}

fn recognise(disk: &Disk, source: &Source) -> Option<ForeignFile> {
    (disk.kind == DiskKind::ImageFile).then(|| ForeignFile::recognise(source))?
}

/// A disk that is read where it lies.
fn in_place(
    found: ForeignFile,
    source: Arc<Source>,
    path: &Path,
) -> Result<Option<Imported>, ImportError> {
    let opened = match found.way() {
        Way::Disk(format) => VirtualFile::open(format, source),
        Way::Description => {
            VirtualFile::described(&source, path.parent().unwrap_or(Path::new("/")))
        }
        _ => return Err(ImportError::refused(is_no_disk(found, path), found.next_step(path))),
    };
    match opened {
        Err(_) if found.is_footer_alone() => Ok(None),
        Err(error) => Err(not_read(found, path, &error.to_string())),
        Ok(disk) => Ok(Some(disk.imported())),
    }
}

fn is_no_disk(found: ForeignFile, path: &Path) -> String {
    format!("{} is a {} file, not a disk byte by byte", console::path(path), found.name)
}

/// A file in a format that is read, but not this one.
fn not_read(found: ForeignFile, path: &Path, why: &str) -> ImportError {
    ImportError::refused(
        format!("{} is a {} file that is not read: {why}", console::path(path), found.name),
        found.next_step(path),
    )
}

/// Unpacks a disk or filesystem, whatever form it has.
fn unpack(
    found: ForeignFile,
    path: &Path,
    workshop: Workshop<'_>,
) -> Result<Imported, ImportError> {
    let folder = workshop.scratch.ok_or_else(|| {
        ImportError::refused(
            format!("{} is a {} file, which has to be unpacked", console::path(path), found.name),
            format!(
                "name a folder with room for the disk: --scratch DIR; or {}",
                found.next_step(path)
            ),
        )
    })?;
    let mut scratch = Scratch::new(folder)?;
    let total = std::fs::metadata(path).map_err(ImportError::reading(path))?.len();
    let reporter = Reporter::start(workshop.control, Phase::Unpacking, total, 0);
    let target = Target { disk: &mut scratch, start: 0, room: u64::MAX };
    let held = content::put(vec![path.to_owned()], None, target, &reporter)?;
    scratch.finish(held.size)?;
    if held.filesystem == NTFS {
        scratch.copy_boot_sector(0, held.size)?;
    }
    reporter.finish();
    let unpacked = Some(UnpackedIn { folder: folder.to_owned(), bytes: scratch.written() });
    let inside = ForeignFile::recognise(&scratch).filter(|inside| !inside.is_footer_alone());
    let view = Arc::new(scratch);
    let packed = |inside: &str| format!("{inside} in {}", found.name);
    let Some(inside) = inside else {
        let form = match held.filesystem.as_str() {
            "" => packed("a disk"),
            filesystem => format!("{filesystem} saved by partclone"),
        };
        return Ok(Imported { unpacked, remarks: held.remarks, ..Imported::new(view, form) });
    };
    let Way::Disk(format) = inside.way() else {
        return Err(ImportError::refused(
            format!("{} holds a {} file, not a disk", console::path(path), inside.name),
            format!("{}, and go on with that", found.next_step(path)),
        ));
    };
    let disk = VirtualFile::open(format, view);
    let disk = disk.map_err(|error| not_read(inside, path, &error.to_string()))?;
    Ok(Imported { form: packed(inside.name), unpacked, ..disk.imported() })
}
