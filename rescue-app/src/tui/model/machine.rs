//! Disks and places, as they are shown.

use std::path::PathBuf;

use crate::operation::format;
use crate::store::Location;
use crate::volume::LockedContainer;

/// All disks, as of one look at the machine.
#[derive(Clone, Debug, Default)]
pub struct DiskList {
    /// Changes when a disk appears, leaves or changes size; compared by the next look.
    pub signature: u64,
    /// The disks in the kernel's order.
    pub disks: Vec<Disk>,
    /// Storage controllers without a driver, one line each; filled when no disk is seen.
    pub controllers: Vec<String>,
    /// What may bring the disks back; filled when no disk is seen.
    pub hints: Vec<String>,
}

/// One disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Path below `/dev`.
    pub path: PathBuf,
    /// Kernel name, such as `sda`.
    pub name: String,
    /// Model and serial number: the name a person can check on the label.
    pub identity: String,
    /// Serial number or WWN, if the disk tells one.
    pub serial: Option<String>,
    /// What names it for good: serial number or WWN, else its size and what tells its content.
    pub erase: String,
    /// Size in bytes.
    pub size: u64,
    /// How it is attached: `SATA`, `NVMe`, `USB`.
    pub transport: String,
    /// `GPT`, `MBR`, `ext4 on the whole disk`, `no partition table`.
    pub table: String,
    /// Partitions in the order of their places on the disk.
    pub volumes: Vec<Volume>,
    /// Something to know before using it, such as an interrupted restore.
    pub note: Option<String>,
    /// Why it cannot be captured now.
    pub source_refusal: Option<String>,
    /// Why nothing may be written to it.
    pub target_refusal: Option<String>,
}

impl Disk {
    /// Identity, size and kernel name in one line.
    pub fn line(&self) -> String {
        format!("{}, {}, {}", self.identity, format::size(self.size), self.name)
    }

    /// Table and partitions in a few words.
    pub fn summary(&self) -> String {
        let partitions = self.volumes.iter().filter(|volume| volume.number.is_some()).count();
        match partitions {
            0 => self.table.clone(),
            1 => format!("{}, 1 partition", self.table),
            count => format!("{}, {count} partitions", self.table),
        }
    }

    /// What is on it that images cannot be stored on, in a few words.
    pub fn holds(&self) -> String {
        match (&self.note, self.volumes.is_empty()) {
            (Some(note), _) => note.clone(),
            (None, true) => "no filesystem on it".into(),
            (None, false) => format!("{}: nothing that images can be stored on", self.summary()),
        }
    }

    fn known_serial(&self) -> Option<&str> {
        self.serial.as_deref().map(str::trim).filter(|serial| !serial.is_empty())
    }

    /// What a person types to agree to overwrite it: the end of the serial number, else all of what
    /// names it. Its kernel name may be another disk's after the next start.
    pub fn confirmation(&self) -> Confirmation {
        match self.known_serial() {
            Some(serial) => {
                let count = serial.chars().count();
                let word: String = serial.chars().skip(count.saturating_sub(4)).collect();
                Confirmation {
                    ask: format!(
                        "the last {} characters of its serial number",
                        word.chars().count()
                    ),
                    word,
                }
            }
            None => Confirmation {
                ask: format!("its size and mark, {},", self.erase),
                word: self.erase.clone(),
            },
        }
    }
}

/// A word to be typed before something is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// What the word is, for the question.
    pub ask: String,
    /// The word.
    pub word: String,
}

impl Confirmation {
    /// Whether `typed` is the word; letter case does not matter.
    pub fn accepts(&self, typed: &str) -> bool {
        !self.word.is_empty() && typed.trim().eq_ignore_ascii_case(self.word.trim())
    }
}

/// How a logical volume is restored by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByItself {
    /// It is of a kind that only LVM can put together, or no logical volume.
    #[default]
    Never,
    /// Parts of it lie on other disks, whose images are needed.
    WithOthers,
    /// All of it lies on this disk.
    Alone,
}

/// A partition, or a whole disk without a table.
#[derive(Clone, Debug, Default)]
pub struct Volume {
    /// Partition number; `None` for the whole disk.
    pub number: Option<u32>,
    /// First byte.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Filesystem or content, such as `ext4`; `None` when not recognised.
    pub kind: Option<String>,
    /// Label, or the partition's own name.
    pub label: Option<String>,
    /// Bytes in use, where the filesystem tells.
    pub used: Option<u64>,
    /// Bytes it could be shrunk to, where that is less than it has.
    pub least: Option<u64>,
    /// Something to know, such as "hibernated".
    pub note: Option<String>,
    /// The logical volumes in it.
    pub inside: Vec<Volume>,
    /// How it is restored by itself, if it is a logical volume.
    pub by_itself: ByItself,
    /// The locked containers that it is or holds.
    pub containers: Vec<LockedContainer>,
}

/// Where images live, and where they could.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Partitions with a filesystem.
    pub found: Vec<Place>,
    /// All disks: one without a partition that images can be stored on could be prepared.
    pub disks: Vec<Disk>,
}

/// A partition on which images can live.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Partition path below `/dev`.
    pub device: PathBuf,
    /// Path of the disk it is on.
    pub disk: PathBuf,
    /// Model and serial number of the disk it is on.
    pub disk_title: String,
    /// Filesystem and label.
    pub volume: Volume,
    /// Free bytes, where known.
    pub free: Option<u64>,
    /// Repositories found in it.
    pub repositories: Vec<FoundRepository>,
    /// Whether new images can be stored in this kind of filesystem.
    pub writable: bool,
    /// Why it could not be looked at.
    pub problem: Option<String>,
}

impl Place {
    /// Where a repository in `folder`, relative to the root of the place, is.
    pub fn location(&self, folder: PathBuf) -> Location {
        Location::Partition { device: self.device.clone(), folder }
    }

    /// `Backup on sdb1`, or `sdb1` when it has no label.
    pub fn title(&self) -> String {
        let device = self.device.file_name().unwrap_or(self.device.as_os_str()).to_string_lossy();
        match &self.volume.label {
            Some(label) if !label.is_empty() => format!("{label} on {device}"),
            _ => device.into_owned(),
        }
    }
}

/// A repository found in a [`Place`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRepository {
    /// Folder, relative to the root of the place.
    pub folder: PathBuf,
    /// Images in it, where they can be counted without its passphrase.
    pub images: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_confirmed_by_the_end_of_its_serial_number() {
        let mut disk =
            Disk { serial: Some("S5Y1NJ0R".into()), name: "sda".into(), ..Disk::default() };
        assert_eq!(disk.confirmation().word, "NJ0R");
        assert!(disk.confirmation().accepts("nj0r "));
        assert!(!disk.confirmation().accepts("NJ0"));
        assert!(!disk.confirmation().accepts(""));
        disk.serial = Some("Ω7".into());
        assert_eq!(disk.confirmation().word, "Ω7");
        disk.erase = "29.7GiB-5f3a9c01".into();
        for serial in [Some("  ".to_owned()), None] {
            disk.serial = serial;
            assert!(disk.confirmation().accepts("29.7gib-5F3A9C01"));
            assert!(!disk.confirmation().accepts("sda"));
        }
    }
}
