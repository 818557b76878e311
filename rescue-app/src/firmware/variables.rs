//! The variables of the firmware, as Linux shows them: a file each, whose first four bytes are the
//! variable's attributes (`Documentation/filesystems/efivarfs.rst`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use nix::errno::Errno;

use super::load_option::{BootEntry, LoadOption};
use crate::bytes::le16;
use crate::disk::ioctl::make_changeable;

/// Names another folder than the usual one.
const FOLDER: &str = "LIFEBOAT_EFIVARS";
const USUAL: &str = "/sys/firmware/efi/efivars";

/// `EFI_GLOBAL_VARIABLE` (UEFI specification 2.10, 3.3).
pub(super) const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const BOOT_ORDER: &str = "BootOrder";

/// `NON_VOLATILE`, `BOOTSERVICE_ACCESS` and `RUNTIME_ACCESS`: what boot entries have.
const KEPT: u32 = 7;

/// No variable is longer, bytes: firmware has a few hundred KiB for all of them.
const LONGEST: u64 = 1 << 20;

/// The content of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// `EFI_VARIABLE_*`.
    pub attributes: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// The variables of this machine's firmware.
#[derive(Clone, Debug)]
pub struct Variables {
    folder: PathBuf,
}

impl Variables {
    /// Those of this machine; `None` when it was not started by UEFI, or shows none of them.
    pub fn of_this_machine() -> Option<Self> {
        let folder = std::env::var_os(FOLDER).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
        Self::at(folder)
    }

    /// Those in a folder; `None` when there are none.
    fn at(folder: PathBuf) -> Option<Self> {
        fs::read_dir(&folder).ok()?.next()?.ok()?;
        Some(Self { folder })
    }

    /// The variable `name` of the vendor `guid`; `None` when there is none.
    ///
    /// # Errors
    /// The firmware's, as the kernel tells them.
    pub fn read(&self, name: &str, guid: &str) -> io::Result<Option<Variable>> {
        let mut bytes = Vec::new();
        match File::open(self.path(name, guid)) {
            Ok(file) => file.take(LONGEST).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some((attributes, data)) = bytes.split_first_chunk() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        Ok(Some(Variable { attributes: u32::from_le_bytes(*attributes), data: data.to_vec() }))
    }

    /// All boot entries, by their numbers. What cannot be read, or makes no sense, is left out.
    pub fn boot_entries(&self) -> Vec<BootEntry> {
        let order = self.boot_order().unwrap_or_default();
        let mut entries: Vec<BootEntry> = Vec::new();
        for number in self.numbers() {
            let Ok(Some(variable)) = self.read(&name_of(number), GLOBAL) else { continue };
            if LoadOption::parse(&variable.data).is_none() {
                continue;
            }
            let place = order.iter().position(|it| *it == number);
            let order = place.and_then(|place| u16::try_from(place).ok());
            entries.push(BootEntry { number, order, option: variable.data });
        }
        entries
    }

    /// Adds boot entries under numbers that are free, in front of all others in the order; the numbers.
    /// Nothing of what there is changes besides.
    ///
    /// # Errors
    /// The firmware's, as the kernel tells them, and that it does not say afterwards what was written.
    /// Entries may then be there that the order does not name.
    pub fn add_in_front(&self, options: &[LoadOption]) -> io::Result<Vec<u16>> {
        let order = self.boot_order()?;
        let taken = self.numbers();
        // What the order names is taken too: it may be a variable that is hidden at the moment.
        let is_free = |number: &u16| !taken.contains(number) && !order.contains(number);
        let free: Vec<u16> = (0..=u16::MAX).filter(is_free).take(options.len()).collect();
        for (number, option) in free.iter().zip(options) {
            let data = option.to_bytes().ok_or(io::ErrorKind::InvalidData)?;
            self.write(&name_of(*number), data)?;
        }
        let order = free.iter().chain(&order).flat_map(|number| number.to_le_bytes());
        self.write(BOOT_ORDER, order.collect())?;
        Ok(free)
    }

    fn boot_order(&self) -> io::Result<Vec<u16>> {
        let data = self.read(BOOT_ORDER, GLOBAL)?.map_or_else(Vec::new, |variable| variable.data);
        Ok((0..data.len()).step_by(2).filter_map(|at| le16(&data, at)).collect())
    }

    /// The numbers of all variables `Boot####`.
    fn numbers(&self) -> Vec<u16> {
        let Ok(names) = fs::read_dir(&self.folder) else { return Vec::new() };
        let number = |name: &str| {
            let digits = name.strip_suffix(GLOBAL)?.strip_suffix('-')?.strip_prefix("Boot")?;
            let are_digits = digits.len() == 4 && digits.bytes().all(|it| it.is_ascii_hexdigit());
            are_digits.then(|| u16::from_str_radix(digits, 16).ok())?
        };
        let names = names.filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
        let mut numbers: Vec<u16> = names.collect();
        numbers.sort_unstable();
        numbers
    }

    /// Writes a variable, and reads it back. The kernel takes one call for the whole of it.
    fn write(&self, name: &str, data: Vec<u8>) -> io::Result<()> {
        let path = self.path(name, GLOBAL);
        let open = || OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let mut file = match open() {
            // Variables that firmware might not get over the loss of are marked immutable.
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) && path.exists() => {
                make_changeable(&File::open(&path)?)?;
                open()?
            }
            opened => opened?,
        };
        let bytes: Vec<u8> = KEPT.to_le_bytes().into_iter().chain(data.iter().copied()).collect();
        let written = file.write(&bytes)?;
        drop(file);
        let now = self.read(name, GLOBAL)?.map(|variable| variable.data);
        if written == bytes.len() && now.as_ref() == Some(&data) {
            return Ok(());
        }
        Err(io::Error::other("the firmware does not say afterwards what was written"))
    }

    fn path(&self, name: &str, guid: &str) -> PathBuf {
        self.folder.join(format!("{name}-{guid}"))
    }
}

fn name_of(number: u16) -> String {
    format!("Boot{number:04X}")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn put(folder: &std::path::Path, name: &str, data: &[u8]) {
        let bytes = [&KEPT.to_le_bytes(), data].concat();
        fs::write(folder.join(format!("{name}-{GLOBAL}")), bytes).unwrap();
    }

    fn sample(number: usize) -> Vec<u8> {
        hex::decode(samples::ENTRIES[number].0).unwrap()
    }

    #[test]
    fn a_machine_without_variables_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Variables::at(folder.path().to_owned()).is_none());
        assert!(Variables::at(folder.path().join("none")).is_none());
    }

    #[test]
    fn entries_are_told_with_their_place_in_the_order() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "Boot0001", &sample(0));
        put(folder.path(), "Boot00AF", &sample(1));
        put(folder.path(), "Boot0007", b"rubbish");
        put(folder.path(), "Boot12345", &sample(0));
        put(folder.path(), "BootNext", &[1, 0]);
        put(folder.path(), "BootOrder", &[0x07, 0, 0xaf, 0]);
        let found = Variables::at(folder.path().to_owned()).unwrap().boot_entries();
        let found: Vec<_> = found.iter().map(|entry| (entry.number, entry.order)).collect();
        assert_eq!(found, [(1, None), (0xaf, Some(1))]);
    }

    #[test]
    fn new_entries_take_free_numbers_and_come_first() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "Boot0000", &sample(0));
        put(folder.path(), "BootOrder", &[0, 0, 2, 0]);
        let variables = Variables::at(folder.path().to_owned()).unwrap();
        let options = [sample(1), sample(0)].map(|bytes| LoadOption::parse(&bytes).unwrap());
        assert_eq!(variables.add_in_front(&options).unwrap(), [1, 3]);
        let order = variables.read(BOOT_ORDER, GLOBAL).unwrap().unwrap();
        assert_eq!(order, Variable { attributes: KEPT, data: vec![1, 0, 3, 0, 0, 0, 2, 0] });
        for (name, data) in [("Boot0000", 0), ("Boot0001", 1), ("Boot0003", 0)] {
            let now = variables.read(name, GLOBAL).unwrap().unwrap();
            assert_eq!(now, Variable { attributes: KEPT, data: sample(data) }, "{name}");
        }
        assert_eq!(variables.read("Boot0002", GLOBAL).unwrap(), None);
    }

    #[test]
    fn where_nothing_can_be_written_that_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(format!("Boot0000-{GLOBAL}"))).unwrap();
        fs::create_dir(folder.path().join(format!("BootOrder-{GLOBAL}"))).unwrap();
        let variables = Variables::at(folder.path().to_owned()).unwrap();
        assert!(variables.add_in_front(&[LoadOption::parse(&sample(0)).unwrap()]).is_err());
    }
}
