//! Which disk of this machine is meant: rules that exactly one has to keep.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::console;
use crate::disk::{self, Disk, DiskKind, Transport};
use crate::job::parse_size;
use crate::operation::format::size as human;

/// How a disk is named in a job: by its path, or by what is true of it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// A device node or an image file.
    Path(PathBuf),
    /// What has to be true of exactly one disk.
    Rule(Rule),
}

/// Terms that all have to be true of a disk, separated by commas. The disk that Lifeboat was started from keeps none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    text: String,
    terms: Vec<Term>,
    /// Whether the largest of those that are left is meant.
    is_largest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Serial(String),
    Wwn(String),
    Model(String),
    Transport(String),
    AtLeast(u64),
    AtMost(u64),
    /// Built in: neither attached by USB nor a card, and its medium cannot be taken out.
    Internal,
}

/// What terms there are, for whoever wrote another one.
const TERMS: &str = "there are serial=…, wwn=…, model=…, transport=…, size>=…, size<=…, internal and largest, separated by commas, or a \
                     path that begins with / or .";

impl FromStr for Chosen {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Path(text.into()));
        }
        let mut rule = Rule { text: text.to_owned(), terms: Vec::new(), is_largest: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "largest" => rule.is_largest = true,
                _ => rule.terms.push(word.parse()?),
            }
        }
        Ok(Self::Rule(rule))
    }
}

impl FromStr for Term {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> anyhow::Result<Self> {
        if word == "internal" {
            return Ok(Self::Internal);
        }
        let parts = [">=", "<=", "="]
            .into_iter()
            .find_map(|sign| Some((word.split_once(sign)?, sign)))
            .map(|((name, value), sign)| (name.trim(), sign, value.trim()));
        let size = |value: &str| parse_size(value).map_err(anyhow::Error::msg);
        Ok(match parts {
            Some((_, _, "")) => bail!("{word:?} says nothing; {TERMS}"),
            Some(("serial", "=", value)) => Self::Serial(value.to_owned()),
            Some(("wwn", "=", value)) => Self::Wwn(value.to_owned()),
            Some(("model", "=", value)) => Self::Model(value.to_owned()),
            Some(("transport", "=", value)) => Self::Transport(value.to_lowercase()),
            Some(("size", ">=", value)) => Self::AtLeast(size(value)?),
            Some(("size", "<=", value)) => Self::AtMost(size(value)?),
            _ => bail!("{word:?} is no rule for a disk; {TERMS}"),
        })
    }
}

impl Term {
    fn is_true_of(&self, disk: &Disk) -> bool {
        let is = |told: &Option<String>, wanted: &str| told.as_deref() == Some(wanted);
        match self {
            Self::Serial(wanted) => is(&disk.serial, wanted),
            Self::Wwn(wanted) => is(&disk.wwn, wanted),
            Self::Model(wanted) => is(&disk.model, wanted),
            Self::Transport(wanted) => disk.transport.to_string().to_lowercase() == *wanted,
            Self::AtLeast(size) => disk.size >= *size,
            Self::AtMost(size) => disk.size <= *size,
            Self::Internal => {
                let is_outside = matches!(
                    disk.transport,
                    Transport::Usb | Transport::Mmc | Transport::Loop | Transport::File
                );
                !disk.removable && !is_outside
            }
        }
    }
}

impl Rule {
    /// The one of `disks` that keeps it.
    fn choose(&self, disks: Vec<Disk>) -> anyhow::Result<Disk> {
        let keeps =
            |disk: &Disk| !disk.boot_medium && self.terms.iter().all(|term| term.is_true_of(disk));
        let mut found: Vec<Disk> = disks.into_iter().filter(keeps).collect();
        if self.is_largest {
            let largest = found.iter().map(|disk| disk.size).max();
            found.retain(|disk| Some(disk.size) == largest);
        }
        match <[Disk; 1]>::try_from(found) {
            Ok([disk]) => Ok(disk),
            Err(found) if found.is_empty() => {
                bail!("no disk of this machine is \"{self}\"; `lifeboat disks` lists them")
            }
            Err(found) => {
                let names: Vec<String> = found.iter().map(named).collect();
                bail!(
                    "\"{self}\" is true of {} disks, and has to be of one: {}; add a term, such as serial=…",
                    names.len(),
                    names.join("; ")
                )
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&console::name(&self.text))
    }
}

fn named(disk: &Disk) -> String {
    format!("{} ({}, {})", console::path(&disk.path), disk.identity(), human(disk.size))
}

/// A disk of this machine, and the consent to erase it that its rule is.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) erase: String,
}

impl Chosen {
    /// The disk that is meant, at this moment.
    pub(super) fn find(&self) -> anyhow::Result<Found> {
        match self {
            Self::Rule(rule) => found(&rule.choose(disk::list()?)?),
            Self::Path(path) => match disk::open(path, None) {
                Ok(disk) if disk.kind == DiskKind::Device => found(&disk),
                // A file, which need not be there yet.
                _ => Ok(Found { path: path.clone(), erase: path.to_string_lossy().into_owned() }),
            },
        }
    }
}

fn found(disk: &Disk) -> anyhow::Result<Found> {
    let erase = disk.serial.clone().or_else(|| disk.wwn.clone());
    Ok(Found {
        path: disk.path.clone(),
        erase: erase.with_context(|| {
            format!(
                "{} tells neither serial number nor WWN: run that command by hand, with the word that --plan ends with",
                named(disk)
            )
        })?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn disk(name: &str, size: u64, transport: Transport) -> Disk {
        Disk {
            path: Path::new("/dev").join(name),
            kind: DiskKind::Device,
            model: Some("Disk".to_owned()),
            serial: Some(name.to_uppercase()),
            wwn: None,
            size,
            logical_sector: 512,
            physical_sector: 512,
            transport,
            removable: false,
            read_only: false,
            boot_medium: name == "stick",
            uses: Vec::new(),
        }
    }

    fn machine() -> Vec<Disk> {
        vec![
            disk("sda", 500 << 30, Transport::Sata),
            disk("nvme0n1", 1 << 40, Transport::Nvme),
            disk("sdb", 4 << 40, Transport::Usb),
            disk("stick", 8 << 40, Transport::Sata),
        ]
    }

    fn chosen(text: &str) -> Result<String, String> {
        let Chosen::Rule(rule) = text.parse().map_err(|it: anyhow::Error| it.to_string())? else {
            return Err("a path".to_owned());
        };
        let disk = rule.choose(machine()).map_err(|error| error.to_string())?;
        Ok(disk.path.file_name().unwrap().to_string_lossy().into_owned())
    }

    #[test]
    fn a_rule_chooses_one_disk_or_none() {
        let is = |text: &str, name: &str| assert_eq!(chosen(text).as_deref(), Ok(name), "{text}");
        is("serial=SDA", "sda");
        is("largest", "sdb");
        is("internal, largest", "nvme0n1");
        is("size >= 600G, size<=2T", "nvme0n1");
        is("transport = usb", "sdb");
        assert!(chosen("internal").unwrap_err().contains("true of 2 disks"));
        assert!(chosen("serial=STICK").unwrap_err().contains("no disk"));
        assert!(chosen("model=Disk").unwrap_err().contains("3 disks"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "sda", "serial", "serial=", "size=5", "size>=big", "largest internal"] {
            assert!(text.parse::<Chosen>().is_err(), "{text:?}");
        }
        assert_eq!("/dev/sda".parse::<Chosen>().unwrap(), Chosen::Path("/dev/sda".into()));
    }

    #[test]
    fn two_disks_of_the_largest_size_are_two() {
        let twins = vec![disk("a", 5, Transport::Sata), disk("b", 5, Transport::Sata)];
        let rule = Rule { text: "largest".to_owned(), terms: Vec::new(), is_largest: true };
        assert!(rule.choose(twins).unwrap_err().to_string().contains("true of 2 disks"));
    }
}
