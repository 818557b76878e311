//! What names a disk for good, as the consent to erase it.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::bytes::ReadAt;
use crate::console;
use crate::disk::{self, Disk, DiskKind, Ends, Source};
use crate::image::marker;
use crate::table::Table;

use super::error::OperationError;
use super::format::size as human;
use super::survey::read_table;

/// The words that `--erase` takes for a disk besides the names of [`Disk::matches_identity`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// What it is told to be called: serial number or WWN, path of an image file, or for a disk that
    /// tells neither its size and what tells its content: `29.7GiB-5f3a9c01`.
    own: String,
    /// What it was called before a restore that did not finish: the same command carries on.
    before: Option<String>,
}

impl Words {
    /// The words for `disk` with the table `table`, read through `source`.
    pub(super) fn of(disk: &Disk, table: &Table, source: &dyn ReadAt) -> Self {
        if let Some(own) = lasting_name(disk) {
            return Self { own, before: None };
        }
        let own = format!("{}-{}", human(disk.size).replace(' ', ""), content(table, source));
        Self { own, before: marker::read(source).and_then(|note| note.erase) }
    }

    /// For a disk or file on which nothing can be read.
    pub(super) fn unread(disk: &Disk) -> Self {
        let own = lasting_name(disk)
            .unwrap_or_else(|| format!("{}-unreadable", human(disk.size).replace(' ', "")));
        Self { own, before: None }
    }

    /// What the note of a restore onto `disk` has to keep.
    pub(super) fn to_note(&self, disk: &Disk) -> Option<String> {
        lasting_name(disk).is_none().then(|| self.before.as_ref().unwrap_or(&self.own).clone())
    }

    /// What `--erase` is told to say.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    fn are(&self, name: &str) -> bool {
        let mut words = std::iter::once(&self.own).chain(&self.before);
        words.any(|word| word.eq_ignore_ascii_case(name.trim()))
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.own)
    }
}

/// What names a disk whatever is on it.
fn lasting_name(disk: &Disk) -> Option<String> {
    match disk.kind {
        DiskKind::ImageFile => Some(console::path(&disk.path)),
        DiskKind::Device => disk.serial.clone().or_else(|| disk.wwn.clone()),
    }
}

/// The start of the table's id (`PTUUID` of blkid), or without one of a checksum of both ends.
fn content(table: &Table, source: &dyn ReadAt) -> String {
    let is_one = |id: &&String| !id.bytes().all(|c| matches!(c, b'0' | b'-' | b'x'));
    if let Some(id) = table.disk_id.as_ref().filter(is_one) {
        let digits = id.trim_start_matches("0x").chars().filter(char::is_ascii_hexdigit);
        return digits.take(8).collect();
    }
    match Ends::read(source) {
        Ok(ends) if ends.blank => "blank".to_owned(),
        Ok(ends) => ends.short(),
        Err(_) => "unreadable".to_owned(),
    }
}

/// Whether `name` is the disk's for good. The path of a file that does not exist yet counts too; that
/// of a device never does: it is another disk's after the next boot.
pub(super) fn names(disk: &Disk, words: &Words, name: &str) -> bool {
    disk.matches_identity(name)
        || words.are(name)
        || disk.kind == DiskKind::ImageFile
            && std::path::absolute(name).is_ok_and(|path| path == disk.path)
}

/// Refuses a name that is not the disk's.
pub(super) fn check(disk: &Disk, words: &Words, name: &str) -> Result<(), OperationError> {
    if !names(disk, words, name) {
        return Err(wrong_name(disk, words, name));
    }
    only_one(disk, name)
}

/// Refuses a name of a disk that another attached disk has too: no person can mean one of them by it.
pub(super) fn only_one(disk: &Disk, name: &str) -> Result<(), OperationError> {
    match disk.kind {
        DiskKind::Device => is_alone(disk, name, &disk::list()?),
        DiskKind::ImageFile => Ok(()),
    }
}

/// A name that another attached disk has too, as those behind USB bridges of one make, is no consent.
fn is_alone(disk: &Disk, name: &str, attached: &[Disk]) -> Result<(), OperationError> {
    let others: Vec<&Disk> =
        attached.iter().filter(|other| other.path != disk.path && is_named(other, name)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let also: Vec<String> = others
        .iter()
        .map(|other| format!("{} at {}", other.identity(), console::path(&other.path)))
        .collect();
    let own = disk
        .wwn
        .iter()
        .cloned()
        .chain(disk.by_id_names())
        .find(|own| !others.iter().any(|other| other.matches_identity(own)));
    Err(OperationError::refused(
        format!(
            "--erase {name} names not only {} at {}, but also {}",
            disk.identity(),
            console::path(&disk.path),
            also.join(" and ")
        ),
        own.map_or_else(
            || {
                "detach the other for as long as this takes: nothing else tells them apart"
                    .to_owned()
            },
            |own| format!("say --erase {own}, which only the first one is"),
        ),
    ))
}

/// [`names`] of a disk of which nothing was read yet; one that cannot be read has no words.
fn is_named(disk: &Disk, name: &str) -> bool {
    disk.matches_identity(name)
        || lasting_name(disk).is_none() && words_on(disk).is_some_and(|words| words.are(name))
}

fn words_on(disk: &Disk) -> Option<Words> {
    let source = Source::open(&disk.path).ok()?;
    let table = read_table(&source, disk.logical_sector).ok()?;
    Some(Words::of(disk, &table, &source))
}

fn wrong_name(disk: &Disk, words: &Words, name: &str) -> OperationError {
    let why =
        format!("--erase {name} does not name {} ({})", disk.identity(), console::path(&disk.path));
    let is_path = disk.kind == DiskKind::Device && Path::new(name) == disk.path;
    let reason = match is_path {
        true => ": such a name is another disk's after the next start",
        false => "",
    };
    let next = format!("if this is the disk to erase, say --erase {}", words.own);
    OperationError::refused(format!("{why}{reason}"), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Transport;
    use crate::image::marker::Marker;

    fn disk(path: &str, model: &str, serial: Option<&str>, wwn: Option<&str>) -> Disk {
        Disk {
            path: path.into(),
            kind: DiskKind::Device,
            model: Some(model.to_owned()),
            serial: serial.map(ToOwned::to_owned),
            wwn: wwn.map(ToOwned::to_owned),
            size: 1 << 30,
            logical_sector: 512,
            physical_sector: 512,
            transport: Transport::Usb,
            removable: false,
            read_only: true,
            boot_medium: false,
            uses: Vec::new(),
        }
    }

    #[test]
    fn a_serial_number_that_two_disks_have_is_no_consent() {
        let one = disk("/dev/sda", "Bridge", Some("DD56"), Some("naa.500a"));
        let other = disk("/dev/sdb", "Bridge", Some("DD56"), None);
        let attached = [one.clone(), other.clone(), disk("/dev/sdc", "Stick", Some("77"), None)];
        assert!(is_alone(&one, "naa.500a", &attached).is_ok());
        assert!(is_alone(&attached[2], "77", &attached).is_ok());
        let refused = is_alone(&one, "DD56", &attached).unwrap_err().to_string();
        assert!(refused.contains("also Bridge (DD56) at /dev/sdb"), "{refused}");
        assert!(refused.contains("say --erase naa.500a"), "{refused}");
        let refused = is_alone(&other, "DD56", &attached).unwrap_err().to_string();
        assert!(refused.contains("detach the other"), "{refused}");
    }

    #[test]
    fn a_disk_without_a_serial_number_is_named_by_size_and_content() {
        let card = disk("/dev/sdb", "SD/MMC", None, None);
        let words = |bytes: &[u8], id: Option<&str>| {
            let mut table = Table::none(512, Vec::new());
            table.disk_id = id.map(ToOwned::to_owned);
            Words::of(&card, &table, &bytes.to_vec())
        };
        assert_eq!(words(&[0; 4096], Some("0x5f3a9c01")).own, "1.0GiB-5f3a9c01");
        let guid = Some("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(words(&[0; 4096], guid).own, "1.0GiB-c12a7328");
        assert_eq!(words(&[0; 4096], None).own, "1.0GiB-blank");
        assert_eq!(words(&[0; 4096], Some("0x00000000")).own, "1.0GiB-blank");
        let filled = words(&[7; 4096], None);
        assert_eq!(filled.own.len(), "1.0GiB-".len() + 8);
        assert_ne!(filled, words(&[8; 4096], None));
        assert!(names(&card, &filled, &filled.own.to_uppercase()));
        assert!(!names(&card, &filled, "/dev/sdb") && !names(&card, &filled, "sdb"));
        let refused = wrong_name(&card, &filled, "/dev/sdb").to_string();
        assert!(refused.contains(&format!("say --erase {}", filled.own)), "{refused}");
        assert!(refused.contains("after the next start"), "{refused}");
    }

    #[test]
    fn a_restore_that_stopped_carries_on_by_the_same_name() {
        let card = disk("/dev/sdb", "SD/MMC", None, None);
        let table = Table::none(512, Vec::new());
        let blank = Words::of(&card, &table, &vec![0; 4096]);
        let note = Marker { erase: blank.to_note(&card), ..Marker::default() };
        let stopped = Words::of(&card, &table, &note.to_bytes());
        assert!(names(&card, &stopped, "1.0GiB-blank") && names(&card, &stopped, &stopped.own));
        assert_eq!(stopped.to_note(&card), blank.to_note(&card));
        let named = disk("/dev/sdb", "SD/MMC", Some("77"), None);
        assert_eq!(Words::of(&named, &table, &vec![0; 4096]).to_note(&named), None);
    }
}
