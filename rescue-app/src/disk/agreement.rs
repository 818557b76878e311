//! What a person agreed to overwrite, held against what is then opened for writing.
//!
//! A name such as `/dev/sdb` stands for whatever is plugged in at the moment, and a card reader gives
//! its own serial number to every card. So everything that tells a disk from another is noted when it
//! is looked at, and once more from the descriptor that is written to, before the first write.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskError, DiskKind, Ends, Object, Source, Sysfs, ioctl};
use crate::bytes::ReadAt;

/// A disk, an image file, or a file that is to be made, as it was when a person was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    path: PathBuf,
    found: Found,
    /// Whether this program itself has written the ends since.
    written: bool,
    /// Whether the disk may be the medium that Lifeboat was started from.
    on_medium: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// No file is there yet; it is to have `size` bytes.
    Nothing {
        size: u64,
    },
    There(Box<Facts>),
}

/// What tells a disk from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    kind: DiskKind,
    identity: String,
    serial: Option<String>,
    wwn: Option<String>,
    size: u64,
    logical_sector: u32,
    object: Object,
    /// The kernel's number of the medium ([`ioctl::disk_sequence`]).
    sequence: Option<u64>,
    /// `None` when they cannot be read.
    ends: Option<Ends>,
}

/// Keeps what was looked at open: as long as it is, the kernel gives neither its name nor its number
/// to another disk.
#[derive(Clone, Debug)]
pub struct Hold {
    _source: Arc<Source>,
}

impl Hold {
    /// Keeps `source` open.
    pub fn new(source: Arc<Source>) -> Self {
        Self { _source: source }
    }
}

impl Agreement {
    /// On a file of `size` bytes that does not exist yet.
    pub fn to_make(path: &Path, size: u64) -> Self {
        Self {
            path: path.to_owned(),
            found: Found::Nothing { size },
            written: false,
            on_medium: false,
        }
    }

    /// On `disk`, which is open as `source`.
    ///
    /// # Errors
    /// When `source` is another disk by now, or the system tells nothing of it.
    pub fn on(disk: &Disk, source: &Source) -> Result<Self, DiskError> {
        let (now, agreement) = Self::read(source.file(), source, disk)?;
        let marks = |disk: &Disk| (disk.kind, disk.identity(), disk.wwn.clone(), disk.size);
        if marks(disk) == marks(&now) {
            return Ok(agreement);
        }
        let describe = |disk: &Disk| format!("{}, {} bytes", disk.identity(), disk.size);
        let (expected, found) = (describe(disk), describe(&now));
        Err(DiskError::Changed { path: disk.path.clone(), expected, found })
    }

    /// On what is at the path of `disk` now.
    pub(super) fn now(disk: &Disk) -> Result<Self, DiskError> {
        let source = Source::open(&disk.path)?;
        Ok(Self::read(source.file(), &source, disk)?.1)
    }

    /// What is open as `file`, read through `reader`, told as `disk` is: by its path, and with the
    /// sector size that an image file was given.
    pub(super) fn read(
        file: &File,
        reader: &dyn ReadAt,
        disk: &Disk,
    ) -> Result<(Disk, Self), DiskError> {
        let path = disk.path.clone();
        let meta = file.metadata().map_err(DiskError::io("looking at", &path))?;
        let now = Sysfs::host().of_open(&meta, &path, disk.logical_sector)?;
        let is_device = now.kind == DiskKind::Device;
        let facts = Facts {
            kind: now.kind,
            identity: now.identity(),
            serial: now.serial.clone(),
            wwn: now.wwn.clone(),
            size: reader.size(),
            logical_sector: match is_device {
                true => ioctl::logical_sector(file)
                    .map_err(DiskError::io("asking for the sector size of", &path))?,
                false => disk.logical_sector,
            },
            object: Object::of(&meta),
            sequence: ioctl::disk_sequence(file).ok().filter(|_| is_device),
            ends: Ends::read(reader).ok(),
        };
        let found = Found::There(Box::new(facts));
        Ok((now, Self { path, found, written: false, on_medium: false }))
    }

    /// The same for a disk whose ends this program itself has written since.
    #[must_use]
    pub fn after_writing(mut self) -> Self {
        self.written = true;
        self
    }

    /// The same for work that adds to the medium Lifeboat was started from, and leaves what it is
    /// started from as it is.
    #[must_use]
    pub fn on_the_medium(mut self) -> Self {
        self.on_medium = true;
        self
    }

    /// The disk as it is to be judged by whether it is busy.
    pub(super) fn judged<'a>(&self, disk: &'a Disk) -> Cow<'a, Disk> {
        if self.on_medium { Cow::Owned(disk.apart_from_the_medium()) } else { Cow::Borrowed(disk) }
    }

    /// The size of the file that is to be made, if one is.
    pub(super) fn size_to_make(&self) -> Option<u64> {
        match self.found {
            Found::Nothing { size } => Some(size),
            Found::There(_) => None,
        }
    }

    /// Refuses what is not the same as `self` in everything.
    ///
    /// # Errors
    /// With what was agreed to and what is there now.
    pub fn refuse_another(&self, now: &Self) -> Result<(), DiskError> {
        let same = match (&self.found, &now.found) {
            (Found::There(agreed), Found::There(now)) if self.written => {
                **agreed == Facts { ends: agreed.ends, ..(**now).clone() }
            }
            (agreed, now) => agreed == now,
        };
        if same {
            return Ok(());
        }
        Err(DiskError::Changed {
            path: now.path.clone(),
            expected: self.describe(now),
            found: now.describe(self),
        })
    }

    /// Identity and size, and in what else it differs from `other`.
    fn describe(&self, other: &Self) -> String {
        match (&self.found, &other.found) {
            (Found::Nothing { size }, _) => format!("a new file of {size} bytes"),
            (Found::There(own), Found::There(other)) => own.describe(Some(other)),
            (Found::There(own), Found::Nothing { .. }) => own.describe(None),
        }
    }
}

impl Facts {
    fn describe(&self, other: Option<&Self>) -> String {
        let mut parts = vec![self.identity.clone(), format!("{} bytes", self.size)];
        let Some(other) = other else { return parts.join(", ") };
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        let sequence = self.sequence.map_or("unknown".into(), |number| number.to_string());
        let ends = self
            .ends
            .map_or("unreadable".into(), |ends| format!("with the checksum {}", ends.short()));
        let others = [
            (self.serial != other.serial, format!("serial number {}", text(&self.serial))),
            (self.wwn != other.wwn, format!("world wide name {}", text(&self.wwn))),
            (
                self.logical_sector != other.logical_sector,
                format!("sectors of {} bytes", self.logical_sector),
            ),
            (self.sequence != other.sequence, format!("medium number {sequence} of this system")),
            (self.object != other.object, self.object.to_string()),
            (self.ends != other.ends, format!("first and last mebibyte {ends}")),
        ];
        parts.extend(others.into_iter().filter_map(|(differs, text)| differs.then_some(text)));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(byte: u8) -> Option<Ends> {
        Some(Ends { hash: [byte; 32], blank: false })
    }

    /// A card in a reader that tells no serial number.
    fn card() -> Facts {
        Facts {
            kind: DiskKind::Device,
            identity: "Generic SD/MMC at /dev/sdb".into(),
            serial: None,
            wwn: None,
            size: 31_914_983_424,
            logical_sector: 512,
            object: Object::Device(0x810),
            sequence: Some(12),
            ends: holding(7),
        }
    }

    fn agreement(facts: Facts) -> Agreement {
        let found = Found::There(Box::new(facts));
        Agreement { path: "/dev/sdb".into(), found, written: false, on_medium: false }
    }

    #[test]
    fn every_fact_counts_and_is_told_of_both() {
        let others = [
            (Facts { size: 1 << 30, ..card() }, "1073741824 bytes"),
            (Facts { identity: "Stick at /dev/sdb".into(), ..card() }, "Stick at"),
            (Facts { serial: Some("77".into()), ..card() }, "serial number 77"),
            (Facts { wwn: Some("naa.5".into()), ..card() }, "world wide name naa.5"),
            (Facts { logical_sector: 4096, ..card() }, "sectors of 4096 bytes"),
            (Facts { sequence: Some(13), ..card() }, "medium number 13"),
            (Facts { object: Object::Device(0x820), ..card() }, "device 8:32"),
            (Facts { ends: holding(9), ..card() }, "checksum 09090909"),
            (Facts { ends: None, ..card() }, "unreadable"),
        ];
        let agreed = agreement(card());
        assert!(agreed.refuse_another(&agreement(card())).is_ok());
        for (other, differs) in others {
            let refused = agreed.refuse_another(&agreement(other)).unwrap_err().to_string();
            let (was, is) = refused.split_once(" and is now ").unwrap();
            assert!(was.contains("Generic SD/MMC") && is.contains(differs), "{refused}");
        }
        let gone = agreed.refuse_another(&Agreement::to_make(Path::new("/dev/sdb"), 5));
        assert!(gone.unwrap_err().to_string().contains("is now a new file of 5 bytes"));
    }

    #[test]
    fn what_this_program_wrote_is_no_other_disk() {
        let agreed = agreement(card()).after_writing();
        assert!(agreed.refuse_another(&agreement(Facts { ends: holding(9), ..card() })).is_ok());
        let other = agreement(Facts { sequence: Some(13), ..card() });
        assert!(agreed.refuse_another(&other).is_err());
    }
}
