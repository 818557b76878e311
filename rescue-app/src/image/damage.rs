//! What of a disk could not be read, and what that costs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::Extents;

/// A stretch of the disk that could not be read; the image holds zeros there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRange {
    /// First byte on the disk.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The system's error number (Linux `errno`); 5 is EIO, 61 a medium error told by SCSI.
    pub errno: i32,
    /// How often each of its sectors was tried alone.
    pub tries: u32,
}

/// A file that lies in a bad range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// Its partition; absent on a disk without a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Where it is, from the root of its filesystem.
    pub path: String,
    /// Bytes of it that could not be read.
    pub bytes: u64,
}

/// Everything that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Where, in ascending order.
    #[serde(default)]
    pub ranges: Vec<BadRange>,
    /// The files that lie there, as far as the filesystems tell.
    #[serde(default)]
    pub files: Vec<DamagedFile>,
    /// Files beyond those.
    #[serde(default)]
    pub more_files: u64,
    /// What else was hit, and what is not known of it.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Files named in a warning; all are in the manifest.
const NAMED: usize = 10;

impl Damage {
    /// Whether everything could be read.
    pub fn is_none(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The bytes that could not be read.
    pub fn bytes(&self) -> Extents {
        Extents::from(self.ranges.iter().map(|bad| (bad.offset, bad.len)).collect::<Vec<_>>())
    }

    /// What a person should know, a sentence or two each.
    pub fn warnings(&self) -> Vec<String> {
        let bytes = self.bytes();
        let Some(first) = bytes.iter().next() else { return Vec::new() };
        let places = bytes.count();
        let mut warnings = vec![format!(
            "{} bytes of the disk could not be read and are stored as zeros, in {places} {}, the \
             first at byte {}; the disk is failing: keep this image and replace the disk",
            bytes.total(),
            if places == 1 { "place" } else { "places" },
            first.start
        )];
        warnings.extend(self.files_warning());
        warnings.extend(self.notes.iter().cloned());
        warnings
    }

    fn files_warning(&self) -> Option<String> {
        let count = self.files.len() as u64 + self.more_files;
        let named: Vec<String> = self.files.iter().take(NAMED).map(ToString::to_string).collect();
        let more = count - named.len() as u64;
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        let files = if count == 1 { "1 file is" } else { &format!("{count} files are") };
        (count > 0).then(|| format!("{files} damaged: {}{more}", named.join(", ")))
    }
}

impl fmt::Display for DamagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.partition {
            write!(f, "partition {number}: ")?;
        }
        write!(f, "{} ({} bytes)", self.path, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_count_and_name() {
        assert!(Damage::default().warnings().is_empty());
        let bad = |offset| BadRange { offset, len: 512, errno: 5, tries: 2 };
        let file = |at: u64| DamagedFile { partition: Some(2), path: format!("/f{at}"), bytes: 9 };
        let damage = Damage {
            ranges: vec![bad(512), bad(1024), bad(4096)],
            files: (0..12).map(file).collect(),
            more_files: 5,
            notes: vec!["more".to_owned()],
        };
        let warnings = damage.warnings();
        assert!(warnings[0].starts_with("1536 bytes of the disk"), "{warnings:?}");
        assert!(warnings[0].contains("in 2 places, the first at byte 512"), "{warnings:?}");
        assert!(warnings[1].starts_with("17 files are damaged: partition 2: /f0 (9 bytes), "));
        assert!(warnings[1].ends_with("/f9 (9 bytes), and 7 more"), "{warnings:?}");
        assert_eq!(warnings[2], "more");
    }

    #[test]
    fn a_newer_version_may_say_more_and_an_older_one_less() {
        let json = r#"{"ranges":[{"offset":1,"len":2,"errno":5,"tries":1,"head":3}],"cause":"x"}"#;
        let damage: Damage = serde_json::from_str(json).unwrap();
        assert_eq!((damage.ranges.len(), damage.files.len()), (1, 0));
    }
}
