//! Disks, places and images, in the menu's words.

use std::path::{Path, PathBuf};

use crate::operation::{ImageSummary, Place, Survey, format, safety};
use crate::store::Location;
use crate::table::Scheme;

/// All disks, as of one look at the machine.
#[derive(Clone, Debug, Default)]
pub struct DiskList {
    /// Changes when a disk appears, leaves or changes size; compared by the next look.
    pub signature: u64,
    /// The disks in the kernel's order.
    pub disks: Vec<Survey>,
    /// Storage controllers without a driver, one line each; filled when no disk is seen.
    pub controllers: Vec<String>,
    /// What may bring the disks back; filled when no disk is seen.
    pub hints: Vec<String>,
}

impl Survey {
    /// Path of the disk below `/dev`.
    pub(in crate::tui) fn path(&self) -> &Path {
        &self.disk.path
    }

    /// Kernel name, such as `sda`.
    pub(in crate::tui) fn name(&self) -> String {
        last_of(self.path())
    }

    /// Identity, size and kernel name in one line.
    pub(in crate::tui) fn line(&self) -> String {
        format!("{}, {}, {}", self.disk.identity(), format::size(self.disk.size), self.name())
    }

    /// `GPT`, `MBR`, `ext4 on the whole disk`, `no partition table`.
    fn table_words(&self) -> String {
        let whole = self.volumes.iter().find_map(|volume| volume.filesystem.as_ref());
        match (self.table.scheme, whole) {
            (Scheme::None, Some(filesystem)) => format!("{} on the whole disk", filesystem.kind),
            (Scheme::None, None) => "no partition table".into(),
            (scheme, _) => scheme.to_string(),
        }
    }

    /// Table and partitions in a few words.
    pub(in crate::tui) fn summary(&self) -> String {
        let table = self.table_words();
        match self.volumes.iter().filter(|volume| volume.partition.is_some()).count() {
            0 => table,
            1 => format!("{table}, 1 partition"),
            count => format!("{table}, {count} partitions"),
        }
    }

    /// Something to know before using it, such as an interrupted restore.
    pub(in crate::tui) fn remark(&self) -> Option<&String> {
        self.note.as_ref().or_else(|| self.table.remarks().next())
    }

    /// What is on it that images cannot be stored on, in a few words.
    pub(in crate::tui) fn holds(&self) -> String {
        match (self.remark(), self.volumes.is_empty()) {
            (Some(remark), _) => remark.clone(),
            (None, true) => "no filesystem on it".into(),
            (None, false) => format!("{}: nothing that images can be stored on", self.summary()),
        }
    }

    /// Why it cannot be captured now.
    pub(in crate::tui) fn source_refusal(&self) -> Option<String> {
        safety::source_refusal(&self.disk, false).map(|busy| busy.to_string())
    }

    /// Why nothing may be written to it.
    pub(in crate::tui) fn target_refusal(&self) -> Option<String> {
        safety::target_refusal(&self.disk).map(|busy| busy.to_string())
    }

    /// What a person types to agree to overwrite it: the end of the serial number or WWN, else all of
    /// what names it. Its kernel name may be another disk's after the next start.
    pub(in crate::tui) fn confirmation(&self) -> Confirmation {
        let serial = self.disk.serial.as_deref().or(self.disk.wwn.as_deref());
        match serial {
            Some(serial) => {
                let count = serial.chars().count();
                let word: String = serial.chars().skip(count.saturating_sub(4)).collect();
                let count = word.chars().count();
                Confirmation {
                    ask: format!("the last {count} characters of its serial number"),
                    word,
                }
            }
            None => Confirmation {
                ask: format!("its size and mark, {},", self.erase()),
                word: self.erase().to_owned(),
            },
        }
    }
}

/// The last part of a path: the kernel's name of a device.
fn last_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
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

/// Where images live, and where they could.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Partitions with a filesystem.
    pub found: Vec<Place>,
    /// All disks: one without a partition that images can be stored on could be prepared.
    pub disks: Vec<Survey>,
}

impl Place {
    /// Where a repository in `folder`, relative to the root of the place, is.
    pub(in crate::tui) fn location(&self, folder: PathBuf) -> Location {
        Location::Partition { device: self.device.clone(), folder }
    }

    /// `Backup on sdb1`, or `sdb1` when it has no label.
    pub(in crate::tui) fn title(&self) -> String {
        let device = last_of(&self.device);
        match self.volume.label().filter(|label| !label.is_empty()) {
            Some(label) => format!("{label} on {device}"),
            None => device,
        }
    }
}

impl ImageSummary {
    /// When it was captured.
    pub(in crate::tui) fn when(&self) -> String {
        format::time_of(&self.time)
    }

    /// When, and of which disk.
    pub(in crate::tui) fn line(&self) -> String {
        format!("{}, {}", self.when(), self.disk_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, DiskKind, Transport};
    use crate::table::Table;

    fn disk(serial: Option<&str>) -> Survey {
        let disk = Disk {
            path: "/dev/sda".into(),
            kind: DiskKind::Device,
            model: None,
            serial: serial.map(str::to_owned),
            wwn: None,
            size: 32 << 30,
            logical_sector: 512,
            physical_sector: 512,
            transport: Transport::Usb,
            removable: false,
            read_only: false,
            boot_medium: false,
            uses: Vec::new(),
        };
        let id = Some("5f3a9c01".into());
        let table = Table { disk_id: id, ..Table::none(512, Vec::new()) };
        Survey::new(disk, table, Vec::new(), None, &Vec::new())
    }

    #[test]
    fn a_disk_is_confirmed_by_the_end_of_its_serial_number() {
        let confirmation = disk(Some("S5Y1NJ0R")).confirmation();
        assert_eq!(confirmation.word, "NJ0R");
        assert!(confirmation.accepts("nj0r "));
        assert!(!confirmation.accepts("NJ0"));
        assert!(!confirmation.accepts(""));
        assert_eq!(disk(Some("Ω7")).confirmation().word, "Ω7");
    }

    #[test]
    fn a_disk_without_a_serial_number_is_confirmed_by_its_size_and_mark() {
        let confirmation = disk(None).confirmation();
        assert!(confirmation.accepts("32.0gib-5F3A9C01"), "{confirmation:?}");
        assert!(!confirmation.accepts("sda"));
    }
}
