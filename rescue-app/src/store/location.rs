//! Where a repository is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::network::Address;
use crate::bytes::os_text;
use crate::console;

/// What the text of a [`Location::Partition`] begins with; a folder of that name is `./partition:…`.
const PARTITION: &str = "partition:";

/// What the text of a [`Location::Stick`] begins with.
const STICK: &str = "stick:/";

/// What the name of a configured place begins with; a folder of that name is `./@…`.
const NAMED: u8 = b'@';

/// Where a repository is, as a person names it: a folder, `partition:DEVICE:/FOLDER`, `stick:/FOLDER`, or an
/// address on the network. A password in an address is used by this process, and in no text that is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder that can be reached already.
    Folder(PathBuf),
    /// A folder in a filesystem that is mounted only while it is used.
    Partition {
        /// Its block device.
        device: PathBuf,
        /// The folder, from the root of the filesystem; empty for the root itself.
        folder: PathBuf,
    },
    /// A folder on the data partition of the stick that Lifeboat was started from.
    Stick(PathBuf),
    /// On a server.
    Network(Box<Address>),
}

/// A text that names no location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither a folder nor one on a partition.
    #[error("it has to be a folder, or partition:DEVICE:/FOLDER as in partition:/dev/sdb1:/images")]
    Place,
    /// It begins as the name of a configured place does.
    #[error("no place of this name is configured (a folder of this name is ./@…)")]
    Named,
    /// It begins as an address on the network.
    #[error("{0}")]
    Address(&'static str),
}

impl Location {
    /// The location that a word of a command line names, which need not be UTF-8.
    ///
    /// # Errors
    /// When it is empty or the name of a configured place, or begins as a partition or an address and does not go on as one.
    pub fn from_os(word: &OsStr) -> Result<Self, LocationError> {
        if let Some(address) = word.to_str().and_then(Address::parse) {
            return address.map(Box::new).map(Self::Network).map_err(LocationError::Address);
        }
        if let Some(folder) = word.as_bytes().strip_prefix(STICK.as_bytes()) {
            return Ok(Self::Stick(relative(Path::new(OsStr::from_bytes(folder)))));
        }
        let Some(rest) = word.as_bytes().strip_prefix(PARTITION.as_bytes()) else {
            return match word.as_bytes() {
                [] => Err(LocationError::Place),
                [NAMED, ..] => Err(LocationError::Named),
                _ => Ok(Self::Folder(word.into())),
            };
        };
        // A device is no folder, so that its path has no ":/" in it.
        let colon = rest.windows(2).position(|pair| pair == b":/").ok_or(LocationError::Place)?;
        let (device, folder) = rest.split_at_checked(colon).ok_or(LocationError::Place)?;
        let (device, folder) = (Path::new(OsStr::from_bytes(device)), folder.get(2..));
        if !device.is_absolute() {
            return Err(LocationError::Place);
        }
        let folder = Path::new(OsStr::from_bytes(folder.unwrap_or_default()));
        Ok(Self::Partition { device: device.into(), folder: relative(folder) })
    }

    /// The word that names it on a command line.
    pub fn to_os(&self) -> OsString {
        match self {
            Self::Folder(folder) if is_taken_for_another(folder.as_os_str()) => {
                Path::new(".").join(folder).into()
            }
            Self::Folder(folder) => folder.into(),
            Self::Partition { device, folder } => {
                let mut word = OsString::from(PARTITION);
                word.push(device);
                word.push(":/");
                word.push(folder);
                word
            }
            Self::Stick(folder) => {
                let mut word = OsString::from(STICK);
                word.push(folder);
                word
            }
            Self::Network(address) => address.to_string().into(),
        }
    }
}

/// Whether the name of a folder begins as what is none.
fn is_taken_for_another(folder: &OsStr) -> bool {
    [PARTITION, STICK].iter().any(|mark| folder.as_bytes().starts_with(mark.as_bytes()))
        || folder.as_bytes().first() == Some(&NAMED)
        || folder.to_str().is_some_and(|folder| Address::parse(folder).is_some())
}

/// A folder without what would make it absolute.
fn relative(folder: &Path) -> PathBuf {
    folder.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&console::path(Path::new(&self.to_os())))
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        Self::from_os(OsStr::new(text))
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        os_text::serialize(&self.to_os(), to)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word: OsString = os_text::deserialize(from)?;
        Self::from_os(&word).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partition_is_told_from_a_folder() {
        let partition = |device: &str, folder: &str| Location::Partition {
            device: device.into(),
            folder: folder.into(),
        };
        let cases = [
            ("partition:/dev/sdb1:/images", partition("/dev/sdb1", "images")),
            ("partition:/dev/sdb1:/", partition("/dev/sdb1", "")),
            (
                "partition:/dev/disk/by-id/usb-A_B-0:0-part1:/my images/a:/b",
                partition("/dev/disk/by-id/usb-A_B-0:0-part1", "my images/a:/b"),
            ),
            ("partition:/dev/sdb1:/../../a/./b", partition("/dev/sdb1", "a/b")),
            ("stick:/images", Location::Stick("images".into())),
            ("stick:/", Location::Stick(PathBuf::new())),
            ("stick:images", Location::Folder("stick:images".into())),
            ("./stick:/x", Location::Folder("./stick:/x".into())),
            ("/mnt/images", Location::Folder("/mnt/images".into())),
            ("a:/b", Location::Folder("a:/b".into())),
            ("./rest:x", Location::Folder("./rest:x".into())),
            ("./partition:/x:/y", Location::Folder("./partition:/x:/y".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", "partition:", "partition:/dev/sdb1", "partition:sdb1:/a", "partition::/a"]
        {
            assert_eq!(wrong.parse::<Location>(), Err(LocationError::Place), "{wrong}");
        }
        assert!(matches!("rest:x".parse::<Location>(), Err(LocationError::Address(_))));
    }

    fn name() -> impl Strategy<Value = OsString> {
        let byte = (1u8..).prop_filter("no separator", |byte| *byte != b'/');
        let name = proptest::collection::vec(byte, 1..9);
        name.prop_filter("a name", |name| !matches!(name.as_slice(), b"." | b".."))
            .prop_map(|name| OsStr::from_bytes(&name).to_owned())
    }

    fn location() -> impl Strategy<Value = Location> {
        let partition =
            (name(), proptest::collection::vec(name(), 0..3)).prop_map(|(device, folder)| {
                Location::Partition {
                    device: Path::new("/dev").join(device),
                    folder: folder.iter().collect(),
                }
            });
        let address = ("(rest:https://(me@)?|rest:http://|s3:http://)[a-z]{1,9}(:[0-9]{2})?/[a-zä]{1,3}(/[a-z]{1,3})?|sftp:([a-z]@)?[a-z]{1,3}:/?[a-zä /]{1,5}")
            .prop_filter_map("an address", |word| word.parse().ok());
        let folder = prop_oneof![
            name(),
            "(rest|s3|sftp|partition|stick):[a-z:/]{0,9}".prop_map(OsString::from)
        ];
        let stick = "[a-z]{0,5}".prop_map(|folder| Location::Stick(folder.into()));
        prop_oneof![
            partition,
            stick,
            address,
            folder.prop_map(|name| Location::Folder(name.into()))
        ]
    }

    proptest! {
        #[test]
        fn its_word_and_its_serialised_form_name_it_again(location in location()) {
            let word = location.to_os();
            let again = Location::from_os(&word).unwrap();
            prop_assert_eq!(again.to_os(), word);
            if !matches!(location, Location::Folder(_)) {
                prop_assert_eq!(&again, &location);
            }
            let json = serde_json::to_string(&location).unwrap();
            prop_assert_eq!(serde_json::from_str::<Location>(&json).unwrap(), again);
        }
    }
}
