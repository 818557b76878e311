//! What the menu shows of the machine: plain values, already judged by the layers below.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::filesystem::LuksContainer;
use crate::image::manifest::file_name;
use crate::operation::{Compression, KeepRules, Keys, Space, format};

/// What the header says about the running system; fixed while the menu runs.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Lifeboat's version.
    pub version: String,
    /// Firmware mode and Secure Boot state in a few words.
    pub firmware: String,
    /// Host name, or empty.
    pub host: String,
    /// Whether the system was started from the boot medium, so that the menu owns the machine.
    pub boot_medium: bool,
}

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
    /// Size in bytes.
    pub size: u64,
    /// How it is attached: `SATA`, `NVMe`, `USB`.
    pub transport: String,
    /// `GPT`, `MBR`, `no partition table`.
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

    /// What names it for good: serial number or WWN, else its path.
    pub fn erase_name(&self) -> String {
        match self.known_serial() {
            Some(serial) => serial.to_owned(),
            None => self.path.display().to_string(),
        }
    }

    fn known_serial(&self) -> Option<&str> {
        self.serial.as_deref().map(str::trim).filter(|serial| !serial.is_empty())
    }

    /// What a person types to agree to overwrite it: the end of the serial number, else of the path.
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
            None => {
                Confirmation { ask: format!("its name, {},", self.name), word: self.name.clone() }
            }
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
    /// Something to know, such as "hibernated".
    pub note: Option<String>,
    /// The logical volumes in it.
    pub inside: Vec<Volume>,
    /// For a logical volume, whether it can be restored alone.
    pub restorable: bool,
    /// The LUKS containers that it is or holds.
    pub containers: Vec<LuksContainer>,
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

/// A passphrase; wiped from memory when dropped and never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes what was typed.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text itself, for the repository layer.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a partition that is mounted only while it is used.
    Partition {
        /// Partition path below `/dev`.
        device: PathBuf,
        /// Folder, relative to its root.
        folder: PathBuf,
    },
    /// In a folder that is reachable already.
    Folder(PathBuf),
}

/// A repository chosen by the person.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Where it is.
    pub location: Location,
    /// How to name it on screen.
    pub title: String,
    /// Its own passphrase; `None` for the published word.
    pub passphrase: Option<Passphrase>,
    /// Path of the disk it is on, where known.
    pub disk: Option<PathBuf>,
}

/// One captured disk in a repository.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Snapshot id, 64 hexadecimal digits.
    pub id: String,
    /// When it was captured, as shown.
    pub time: String,
    /// Model and serial number of the captured disk.
    pub disk: String,
    /// Size of the captured disk in bytes.
    pub size: u64,
    /// Bytes of it that the image holds.
    pub used: u64,
    /// Its partitions.
    pub partitions: Vec<ImagePartition>,
    /// What was noted while capturing.
    pub warnings: Vec<String>,
}

impl Image {
    /// The first eight digits of the id: enough to name it on the command line.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// The logical volumes that can be restored alone.
    pub fn restorable_volumes(&self) -> impl Iterator<Item = &Volume> {
        let captured = self.partitions.iter().filter(|partition| partition.captured);
        captured.flat_map(|partition| &partition.volume.inside).filter(|inside| inside.restorable)
    }

    /// Bytes that a target has to have for any of it.
    pub fn least_target(&self) -> u64 {
        self.restorable_volumes().map(|volume| volume.size).fold(self.size, u64::min)
    }

    /// The captured disk as a [`Disk`], for drawing.
    pub fn volumes(&self) -> Vec<Volume> {
        self.partitions.iter().map(|partition| partition.volume.clone()).collect()
    }
}

/// A partition of an [`Image`].
#[derive(Clone, Debug, Default)]
pub struct ImagePartition {
    /// What it is.
    pub volume: Volume,
    /// Whether its content is in the image.
    pub captured: bool,
}

/// What to capture and where to.
#[derive(Clone, Debug)]
pub struct CaptureOrder {
    /// The source.
    pub disk: Disk,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The repository that receives the image.
    pub repository: Repository,
    /// Compression level.
    pub compression: Compression,
    /// LUKS containers that were unlocked.
    pub keys: Keys,
    /// How often sectors that cannot be read are tried again.
    pub retries: u32,
    /// Whether a map of what was read is kept beside the images.
    pub keeps_map: bool,
}

impl CaptureOrder {
    /// The name of the map, a file in the repository's folder.
    pub fn map(&self) -> Option<String> {
        self.keeps_map.then(|| format!("{}.map", file_name(&self.disk.identity)))
    }
}

/// What to restore and where to.
#[derive(Clone, Debug)]
pub struct RestoreOrder {
    /// The image.
    pub image: Image,
    /// The repository it is in.
    pub repository: Repository,
    /// The target.
    pub disk: Disk,
    /// Partition numbers; `None` for the whole disk.
    pub partitions: Option<Vec<u32>>,
    /// The one logical volume (`group/name`) to restore instead, to the start of the target.
    pub volume: Option<String>,
    /// Compare first and write only what differs.
    pub only_changed: bool,
    /// Read everything back afterwards and compare it with the image.
    pub read_back: bool,
}

/// A long-running piece of work with progress.
#[derive(Clone, Debug)]
pub enum Job {
    /// Store a disk.
    Capture(CaptureOrder),
    /// Write a disk.
    Restore(RestoreOrder),
    /// Check stored data.
    Verify {
        /// The repository.
        repository: Repository,
        /// The image, or `None` for all.
        image: Option<Image>,
    },
    /// Check a repository's structure.
    Check {
        /// The repository.
        repository: Repository,
    },
    /// Forget images and remove what no image uses.
    Free {
        /// The repository.
        repository: Repository,
        /// The images that stay.
        keep: Keep,
    },
}

/// Which images of every disk stay when space is freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// Those of 7 days, 4 weeks and 12 months.
    Rotation,
    /// The three newest.
    Three,
    /// The newest.
    One,
}

impl Keep {
    /// The rules; none when all stay.
    pub fn rules(self) -> Option<KeepRules> {
        let none = KeepRules::default();
        match self {
            Self::All => None,
            Self::Rotation => Some(KeepRules { daily: 7, weekly: 4, monthly: 12, ..none }),
            Self::Three => Some(KeepRules { last: 3, ..none }),
            Self::One => Some(KeepRules { last: 1, ..none }),
        }
    }
}

/// What a capture would do. All counts are bytes.
#[derive(Clone, Debug, Default)]
pub struct CapturePlan {
    /// To be read.
    pub read: u64,
    /// Not read, because nothing uses it.
    pub skipped: u64,
    /// What it takes where the repository is.
    pub space: Space,
    /// What a person should know before it starts.
    pub warnings: Vec<String>,
}

/// What a restore would do. All counts are bytes.
#[derive(Clone, Debug, Default)]
pub struct RestorePlan {
    /// The target as it is.
    pub before: Vec<LayoutEntry>,
    /// The target as it will be.
    pub after: Vec<LayoutEntry>,
    /// To be written.
    pub writes: u64,
    /// What the target holds now and loses.
    pub lost: Vec<String>,
    /// What else a person should know before it starts.
    pub notices: Vec<String>,
}

/// A piece of a disk before or after a restore.
#[derive(Clone, Debug, Default)]
pub struct LayoutEntry {
    /// Partition number; `None` for a disk without a table.
    pub number: Option<u32>,
    /// First byte.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// What it holds, in a few words.
    pub text: String,
    /// Whether the restore leaves it as it is.
    pub kept: bool,
}

/// How a job went that succeeded.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Names and values for the result page, in order.
    pub facts: Vec<(String, String)>,
    /// What lessens the result.
    pub warnings: Vec<String>,
}

/// Why something did not work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The cause as a chain of plain words.
    pub text: String,
    /// What to do about it.
    pub next_step: Option<String>,
    /// It stopped because the person asked for it.
    pub cancelled: bool,
    /// The repository needs its own passphrase: none or a wrong one was given.
    pub needs_passphrase: bool,
}

/// The run's log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Where it is kept.
    pub path: String,
    /// Its newest part.
    pub text: String,
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
        disk.serial = Some("  ".into());
        assert_eq!(disk.confirmation().word, "sda");
        disk.serial = None;
        assert_eq!(disk.confirmation().word, "sda");
    }

    #[test]
    fn a_passphrase_is_never_printed() {
        assert!(!format!("{:?}", Passphrase::new("tides")).contains("tides"));
    }
}
