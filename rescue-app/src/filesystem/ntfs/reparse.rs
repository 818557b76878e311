//! Reparse points: what stands in a file's place.
//!
//! Source: MS-FSCC, 2.1.2; for links of WSL, ntfs-3g `libntfs-3g/reparse.c`.

use crate::bytes::{le16, le32, slice};
use crate::volume::{FileError, text};

/// The bit of tags that stand for another name (MS-FSCC, 2.1.2.1): links and mount points. Folders with
/// other tags, such as those of a cloud's client, are folders to Linux too.
pub(super) const OTHER_NAME: u32 = 0x2000_0000;

/// Tags (MS-FSCC, 2.1.2.1).
const MOUNT_POINT: u32 = 0xa000_0003;
const SYMLINK: u32 = 0xa000_000c;
const LX_SYMLINK: u32 = 0xa000_001d;
const DEDUPLICATED: u32 = 0x8000_0013;
const WOF: u32 = 0x8000_0017;
/// `FILE_ATTRIBUTE_OFFLINE` and `FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS` (MS-FSCC, 2.6).
const ELSEWHERE: u32 = 0x1000 | 0x40_0000;
/// Where the name that counts and the one that is shown have their places: offset and length of
/// each; the names begin behind those and, of links, behind flags.
const NAMES: [usize; 2] = [8, 12];
const NAMES_OF_MOUNT_POINT: usize = 16;
const NAMES_OF_SYMLINK: usize = 20;
/// Where the name of a link of WSL begins, behind a version.
const NAME_OF_LX_SYMLINK: usize = 12;
/// Stands before names of the system's own name space.
const NAME_SPACE: &str = "\\??\\";

/// The value of a reparse point.
pub(super) struct Reparse(pub(super) Vec<u8>);

impl Reparse {
    fn tag(&self) -> u32 {
        le32(&self.0, 0).unwrap_or(0)
    }

    /// Whether it stands for another name.
    pub(super) fn is_name(&self) -> bool {
        self.tag() & OTHER_NAME != 0
    }

    /// The name that it stands for: the one that is shown, or the one that counts.
    pub(super) fn target(&self) -> Result<Vec<u8>, FileError> {
        let names = match self.tag() {
            MOUNT_POINT => NAMES_OF_MOUNT_POINT,
            SYMLINK => NAMES_OF_SYMLINK,
            LX_SYMLINK => {
                let target = self.0.get(NAME_OF_LX_SYMLINK..).map(<[u8]>::to_vec);
                return target.ok_or_else(|| FileError::damaged("the link makes no sense"));
            }
            tag => {
                return Err(FileError::unsupported(format!(
                    "it stands for another name in a way that is not known ({tag:#010x})"
                )));
            }
        };
        let name = |place: usize| -> Option<String> {
            let (at, len) = (le16(&self.0, place)?, le16(&self.0, place.checked_add(2)?)?);
            let bytes = slice(&self.0, names.checked_add(at.into())?, len.into())?;
            Some(text::utf16(bytes)).filter(|name| !name.is_empty())
        };
        let [counts, shown] = NAMES;
        let shown = name(shown).or_else(|| {
            let counts = name(counts)?;
            Some(counts.strip_prefix(NAME_SPACE).unwrap_or(&counts).to_owned())
        });
        shown.map(String::into_bytes).ok_or_else(|| FileError::damaged("the link makes no sense"))
    }

    /// Fails where what stands as the content of a file with these `FILE_ATTR_*` is not what
    /// programs get to see.
    pub(super) fn check_content(&self, attributes: u32) -> Result<(), FileError> {
        let words = match self.tag() {
            WOF => "Windows compressed it in a way that is not read (WOF, `compact /exe`)",
            DEDUPLICATED => "its content is in Windows' store of deduplicated data",
            _ if attributes & ELSEWHERE != 0 => "its content is not on this volume, but in a cloud",
            tag if tag & OTHER_NAME != 0 => return Err(FileError::no_file()),
            _ => return Ok(()),
        };
        Err(FileError::unsupported(words))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn link(tag: u32, flags: &[u8], counts: &str, shown: &str) -> Reparse {
        let units =
            |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let (counts, shown) = (units(counts), units(shown));
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_le_bytes();
        let places = [[0, 0], len(&counts), len(&counts), len(&shown)].concat();
        let data = [&places[..], flags, &counts, &shown].concat();
        Reparse([&tag.to_le_bytes()[..], &len(&data), &[0, 0], &data].concat())
    }

    #[test]
    fn targets_are_the_names_that_are_shown() {
        let found = link(SYMLINK, &[0; 4], "\\??\\C:\\a", "C:\\a").target().unwrap();
        assert_eq!(found, b"C:\\a");
        let found = link(MOUNT_POINT, &[], "\\??\\C:\\b", "").target().unwrap();
        assert_eq!(found, b"C:\\b");
        let of_wsl = [&LX_SYMLINK.to_le_bytes()[..], &[9, 0, 0, 0, 2, 0, 0, 0], b"a/b"].concat();
        assert_eq!(Reparse(of_wsl).target().unwrap(), b"a/b");
        assert!(link(0xa000_0027, &[], "x", "y").target().is_err());
        assert!(Reparse(SYMLINK.to_le_bytes().to_vec()).target().is_err());
    }
}
