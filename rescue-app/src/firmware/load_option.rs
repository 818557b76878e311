//! `EFI_LOAD_OPTION`, the content of a variable `Boot####` (UEFI specification 2.10, 3.1.3).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::device_path::{HardDrive, on_drive, path_of};
use crate::bytes::{le16, le32, slice};
use crate::volume::text::{printable, utf16};

/// Bytes before the description: attributes and the length of the paths.
const HEADER: usize = 6;

/// `LOAD_OPTION_ACTIVE`: it is tried when its turn comes.
const ACTIVE: u32 = 1;

/// What firmware starts, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOption {
    /// `LOAD_OPTION_ACTIVE` and others.
    attributes: u32,
    /// UTF-16 with its final zero.
    description: Vec<u8>,
    /// Device paths; the first one leads to the program.
    paths: Vec<u8>,
    /// What the program is given.
    optional: Vec<u8>,
}

/// A program on a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loader {
    /// The partition.
    pub drive: HardDrive,
    /// `\EFI\debian\shimx64.efi`; `None` where firmware is to look for its usual one.
    pub file: Option<String>,
}

impl LoadOption {
    /// One for a program on a partition; `None` when its path is too long.
    pub fn new(description: &str, drive: &HardDrive, file: &str) -> Option<Self> {
        let text = description.encode_utf16().filter(|unit| *unit != 0).chain([0]);
        Some(Self {
            attributes: ACTIVE,
            description: text.flat_map(u16::to_le_bytes).collect(),
            paths: path_of(drive, file)?,
            optional: Vec::new(),
        })
    }

    /// Reads the content of a variable; `None` when it is no load option.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let attributes = le32(bytes, 0)?;
        let paths_len = usize::from(le16(bytes, 4)?);
        let text = bytes.get(HEADER..)?;
        let units = text.chunks_exact(2).position(|unit| unit == [0, 0])?;
        let description = slice(text, 0, units.checked_add(1)?.checked_mul(2)?)?;
        let rest = text.get(description.len()..)?;
        Some(Self {
            attributes,
            description: description.to_vec(),
            paths: slice(rest, 0, paths_len)?.to_vec(),
            optional: rest.get(paths_len..)?.to_vec(),
        })
    }

    /// The content of a variable; `None` when its paths are longer than can be written down.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = self.attributes.to_le_bytes().to_vec();
        bytes.extend(u16::try_from(self.paths.len()).ok()?.to_le_bytes());
        bytes.extend([&self.description, &self.paths, &self.optional].into_iter().flatten());
        Some(bytes)
    }

    /// What it is called.
    pub fn description(&self) -> String {
        printable(&utf16(&self.description))
    }

    /// The program, if it lies on a partition.
    pub fn loader(&self) -> Option<Loader> {
        let found = on_drive(&self.paths)?;
        let file = found.file.map(|file| printable(&file));
        Some(Loader { drive: found.drive, file })
    }

    /// The same program on another partition. Its path then begins with the partition, which firmware
    /// looks for on all disks (3.1.2, "short-form device path"): the way by which the old disk was
    /// reached leads nowhere on another machine.
    pub fn onto(&self, drive: &HardDrive) -> Option<Self> {
        let end = on_drive(&self.paths)?.end;
        let mut paths = drive.to_bytes();
        paths.extend(self.paths.get(end..)?);
        Some(Self { paths, ..self.clone() })
    }
}

/// A boot entry of a machine's firmware as it was when a disk was captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// The number in its name, `Boot####`.
    pub number: u16,
    /// Its place in `BootOrder`, from 0; `None` when it was not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u16>,
    /// The content of the variable, without its attributes.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub option: Vec<u8>,
}

impl BootEntry {
    /// What it says; `None` when it is no load option.
    pub fn load_option(&self) -> Option<LoadOption> {
        LoadOption::parse(&self.option)
    }
}

/// `"debian" (\EFI\debian\shimx64.efi)`.
impl fmt::Display for LoadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.description())?;
        match self.loader().and_then(|loader| loader.file) {
            Some(file) => write!(f, " ({file})"),
            None => Ok(()),
        }
    }
}

fn to_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    hex::decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::super::{PartitionId, samples};
    use super::*;

    #[test]
    fn entries_of_real_firmware_are_read_and_written_as_they_are() {
        for (bytes, description, file) in samples::ENTRIES {
            let bytes = hex::decode(bytes).unwrap();
            let option = LoadOption::parse(&bytes).unwrap();
            assert_eq!(option.description(), *description);
            assert_eq!(option.to_bytes().unwrap(), bytes, "{description}");
            let found = option.loader().and_then(|loader| loader.file);
            assert_eq!(found.as_deref(), *file, "{description}");
        }
    }

    #[test]
    fn a_new_entry_is_what_efibootmgr_makes() {
        let (bytes, description, file) = samples::ENTRIES[0];
        let bytes = hex::decode(bytes).unwrap();
        let drive = LoadOption::parse(&bytes).unwrap().loader().unwrap().drive;
        let made = LoadOption::new(description, &drive, file.unwrap()).unwrap();
        assert_eq!(made.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn another_partition_takes_the_place_of_the_old_one_and_of_the_way_to_it() {
        for (bytes, description, file) in samples::ENTRIES {
            let option = LoadOption::parse(&hex::decode(bytes).unwrap()).unwrap();
            let drive = HardDrive { number: 4, start: 7, size: 8, id: PartitionId::Gpt([3; 16]) };
            let Some(moved) = option.onto(&drive) else {
                assert_eq!(*file, None, "{description}");
                continue;
            };
            let found = moved.loader().unwrap();
            assert_eq!((found.drive, found.file.as_deref()), (drive, *file), "{description}");
            assert_eq!(moved.paths.get(..2), Some([4, 1].as_slice()), "{description}");
            assert_eq!(moved.optional, option.optional, "{description}");
            assert_eq!(moved.description(), *description);
        }
    }

    #[test]
    fn what_is_cut_short_is_no_entry() {
        let (bytes, _, _) = samples::ENTRIES[0];
        let bytes = hex::decode(bytes).unwrap();
        let option = LoadOption::parse(&bytes).unwrap();
        let least = bytes.len() - option.optional.len();
        for end in 0..least {
            assert_eq!(LoadOption::parse(&bytes[..end]), None, "{end}");
        }
    }
}
