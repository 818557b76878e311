//! The note left at the start of a disk while it is being restored, or cloned to.
//!
//! It replaces the partition table, so that no firmware and no system takes a half-written disk
//! for a whole one, and says what happened to whoever looks at it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::ReadAt;

const MAGIC: &[u8] = b"LIFEBOAT RESTORE NOT FINISHED\n";
/// The note's room in bytes, from the start of the disk.
const SIZE: usize = 4096;

/// Which restore did not finish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Id of the image being restored; empty for a clone.
    pub image: String,
    /// Name of the disk in that image, or of the one that is cloned.
    pub disk: String,
    /// The partitions that were chosen; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Vec<u32>>,
    /// The one logical volume that is restored, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Whether it is no image that is being written, but `disk` itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_clone: bool,
    /// What named the target before, where it tells neither serial number nor WWN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erase: Option<String>,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clone {
            let disk = &self.disk;
            return write!(f, "a clone of {disk} was not finished; clone it again to complete it");
        }
        let short = self.image.get(..8).unwrap_or(&self.image);
        write!(
            f,
            "a restore of image {short} ({}) was not finished; restore it again to complete it",
            self.disk
        )
    }
}

impl Marker {
    /// Whether both are of the same restore, whatever the target was called.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        let Self { image, disk, partitions, volume, is_clone, erase: _ } = other;
        (&self.image, &self.disk, &self.partitions, &self.volume, &self.is_clone)
            == (image, disk, partitions, volume, is_clone)
    }

    /// The first 4096 bytes of the disk; no boot signature, no partition table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        if let Ok(json) = serde_json::to_vec(self) {
            bytes.extend_from_slice(&json);
        }
        bytes.truncate(510);
        bytes.resize(SIZE, 0);
        bytes
    }
}

/// The note at the start of `disk`, when there is one.
pub fn read(disk: &dyn ReadAt) -> Option<Marker> {
    let head = disk.read_vec(0, 512).ok()?;
    let json = head.strip_prefix(MAGIC)?;
    let end = json.iter().position(|byte| *byte == 0).unwrap_or(json.len());
    let unknown = || Marker {
        image: "unknown".to_owned(),
        disk: "unknown disk".to_owned(),
        ..Marker::default()
    };
    Some(json.get(..end).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_else(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_found_and_never_looks_bootable() {
        let marker =
            Marker { image: "ab".repeat(32), disk: "Samsung (S5)".to_owned(), ..Marker::default() };
        let mut disk = marker.to_bytes();
        assert_eq!(read(&disk), Some(marker));
        assert_eq!(&disk[510..512], [0, 0]);
        disk[0] = 0;
        assert_eq!(read(&disk), None);
        let clone = Marker { disk: "Samsung (S5)".to_owned(), is_clone: true, ..Marker::default() };
        let told = read(&clone.to_bytes()).unwrap().to_string();
        assert_eq!(told, "a clone of Samsung (S5) was not finished; clone it again to complete it");
        let long = Marker { image: "ab".repeat(32), disk: "x".repeat(5000), ..Marker::default() };
        assert_eq!(read(&long.to_bytes()).map(|m| m.image), Some("unknown".to_owned()));
        assert_eq!(&long.to_bytes()[510..512], [0, 0]);
    }
}
