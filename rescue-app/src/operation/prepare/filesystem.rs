//! The filesystem of a place for images, made by its own tool.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::console;
use crate::disk::{Agreement, Disk, DiskKind, Target, Transport, data_of_file};
use crate::operation::error::OperationError;
use crate::tool;
use crate::volume::Kind;

/// One inode for so many bytes: packs have 16 MiB, so that the usual number would be wasted; fewer
/// would not do for the 256 folders of a repository on a small disk.
const BYTES_PER_INODE: u64 = 64 << 10;

/// How much is copied at once, bytes.
const COPY: usize = 1 << 20;

/// A filesystem that a place for images can be made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceFilesystem {
    /// For Linux; keeps what is stored over a power failure.
    #[default]
    Ext4,
    /// For Windows and macOS too; has no journal.
    Exfat,
}

/// Where on a disk the filesystem goes.
pub(in crate::operation) struct Room<'a> {
    pub(in crate::operation) disk: &'a Disk,
    /// The disk that it must be.
    pub(in crate::operation) agreed: &'a Agreement,
    /// First byte.
    pub(in crate::operation) start: u64,
    /// Size in bytes.
    pub(in crate::operation) size: u64,
}

impl PlaceFilesystem {
    /// How it is recognised.
    pub fn kind(self) -> Kind {
        match self {
            Self::Ext4 => Kind::Ext4,
            Self::Exfat => Kind::ExFat,
        }
    }

    /// The label that it gets when no other is wanted.
    pub fn usual_label(self) -> &'static str {
        match self {
            Self::Ext4 => "LIFEBOAT-DATA",
            Self::Exfat => "LIFEBOAT",
        }
    }

    /// `wanted`, or the usual label.
    pub(super) fn label(self, wanted: Option<&str>) -> Result<String, OperationError> {
        let label = wanted.map_or(self.usual_label(), str::trim);
        // ext4(5) has 16 bytes, exFAT (section 7.3.3 of its specification) 11 UTF-16 units.
        let (length, most, unit) = match self {
            Self::Ext4 => (label.len(), 16, "bytes"),
            Self::Exfat => (label.encode_utf16().count(), 11, "characters"),
        };
        if label.is_empty() || label.chars().any(char::is_control) {
            let why = "a label needs letters or digits, and no control characters";
            return Err(OperationError::refused(why, "choose another label"));
        }
        if length > most {
            let why = format!("the label {label} is too long for {self}: it has {length} {unit}");
            return Err(OperationError::refused(why, format!("choose one of {most} at most")));
        }
        Ok(label.to_owned())
    }

    /// Whether the tool can make it on this disk.
    pub(super) fn fits(self, disk: &Disk) -> Result<(), OperationError> {
        let in_file = disk.kind == DiskKind::ImageFile || disk.transport == Transport::Loop;
        if self == Self::Exfat && in_file && disk.logical_sector != 512 {
            let why = "mkfs.exfat makes filesystems with sectors of 512 bytes in files";
            return Err(OperationError::refused(why, "choose ext4"));
        }
        Ok(())
    }

    fn tool_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Ext4 => ("mke2fs", "e2fsprogs"),
            Self::Exfat => ("mkfs.exfat", "exfatprogs"),
        }
    }

    /// The program that makes it.
    pub(in crate::operation) fn tool(self) -> Result<PathBuf, OperationError> {
        let (name, package) = self.tool_name();
        tool::find(name).ok_or_else(|| {
            OperationError::refused(
                format!("{name}, which makes {self}, is not installed"),
                format!("install it (package {package}) or choose another filesystem"),
            )
        })
    }
}

impl std::fmt::Display for PlaceFilesystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind().fmt(f)
    }
}

/// Makes the filesystem in the partition `device`, or where the kernel shows none, straight in the
/// disk.
pub(in crate::operation) fn make(
    filesystem: PlaceFilesystem,
    label: &str,
    room: &Room<'_>,
    device: Option<&Path>,
) -> Result<(), OperationError> {
    let tool = filesystem.tool()?;
    match (filesystem, device) {
        (PlaceFilesystem::Ext4, None) => ext4(&tool, label, &room.disk.path, room.start, room.size),
        (PlaceFilesystem::Ext4, Some(device)) => ext4(&tool, label, device, 0, room.size),
        (PlaceFilesystem::Exfat, Some(device)) => exfat(&tool, label, device),
        (PlaceFilesystem::Exfat, None) => {
            let scratch = Scratch::create(room)?;
            exfat(&tool, label, &scratch.path)?;
            scratch.copy_to(room)
        }
    }
}

fn ext4(
    tool: &Path,
    label: &str,
    path: &Path,
    offset: u64,
    size: u64,
) -> Result<(), OperationError> {
    let mut command = Command::new(tool);
    // The whole of it was discarded already, as far as the disk takes that.
    let extended = format!("nodiscard,offset={offset}");
    // -m 0: only root writes here, nothing is kept back for it. -F: a whole disk too.
    command.args(["-q", "-F", "-t", "ext4", "-m", "0", "-i", &BYTES_PER_INODE.to_string()]);
    command.args(["-L", label, "-E", &extended]).arg(path).arg(format!("{}k", size / 1024));
    Ok(tool::run(command, |status| status == 0).map(drop)?)
}

fn exfat(tool: &Path, label: &str, path: &Path) -> Result<(), OperationError> {
    let mut command = Command::new(tool);
    command.args(["-L", label]).arg(path);
    Ok(tool::run(command, |status| status == 0).map(drop)?)
}

/// A sparse file of the partition's size, for a tool that cannot be told to leave the start of a disk
/// alone. It is removed when dropped.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn create(room: &Room<'_>) -> Result<Self, OperationError> {
        let folder = match room.disk.kind {
            DiskKind::ImageFile => room.disk.path.parent().map(Path::to_owned),
            DiskKind::Device => None,
        };
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        let path = folder.join(format!(".lifeboat-{}.new", std::process::id()));
        let making = |error| OperationError::io(format!("making {}", console::path(&path)), error);
        let _ = fs::remove_file(&path);
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let scratch = Self { file: opened.map_err(making)?, path: path.clone() };
        scratch.file.set_len(room.size).map_err(making)?;
        Ok(scratch)
    }

    /// Copies what the tool wrote to its place on the disk.
    fn copy_to(&self, room: &Room<'_>) -> Result<(), OperationError> {
        let target = super::reopen(room.disk, room.agreed)?;
        let copied = self.copy_data(&target, room.start).and_then(|()| target.flush());
        copied.map_err(|error| OperationError::io("writing the filesystem to its place", error))
    }

    fn copy_data(&self, target: &Target, start: u64) -> io::Result<()> {
        let mut buffer = vec![0; COPY];
        for data in data_of_file(&self.file, self.file.metadata()?.len()).iter() {
            let mut at = data.start;
            while at < data.end {
                let len = usize::try_from(data.end - at).unwrap_or(COPY).min(COPY);
                let part = buffer.get_mut(..len).unwrap_or_default();
                self.file.read_exact_at(part, at)?;
                target.write_at(start + at, part)?;
                at += len as u64;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_long_as_the_filesystem_takes() {
        let label = |filesystem: PlaceFilesystem, text| filesystem.label(Some(text));
        assert_eq!(PlaceFilesystem::Ext4.label(None).unwrap(), "LIFEBOAT-DATA");
        assert_eq!(PlaceFilesystem::Exfat.label(None).unwrap(), "LIFEBOAT");
        assert_eq!(label(PlaceFilesystem::Ext4, " sixteen letters! ").unwrap().len(), 16);
        assert!(label(PlaceFilesystem::Ext4, "seventeen letters").is_err());
        assert!(label(PlaceFilesystem::Ext4, "ünfzehn Zeichen!").is_err(), "17 bytes");
        assert_eq!(label(PlaceFilesystem::Exfat, "Sicherungën").unwrap(), "Sicherungën");
        assert!(label(PlaceFilesystem::Exfat, "twelve chars").is_err());
        for wrong in ["", "  ", "a\nb", "\u{1b}[31m"] {
            assert!(label(PlaceFilesystem::Ext4, wrong).is_err(), "{wrong:?}");
        }
    }
}
