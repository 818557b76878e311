//! Snapshots: one file per captured image (restic `doc/design.rst`, "Snapshots";
//! `internal/data/snapshot.go`).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Id;

/// A snapshot; fields in restic's order. Unknown fields are not kept, for a snapshot is never
/// rewritten by us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The snapshot before it, of the same host and paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// The tree blob of the top directory.
    pub tree: Id,
    /// What was saved, as absolute paths.
    pub paths: Vec<String>,
    /// The machine it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The user who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// That user's id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// That user's group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The snapshot this one was rewritten from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// The program that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
    /// What making it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// What making a snapshot took; newer restic shows these numbers (`data/snapshot.go`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Start.
    #[serde(with = "time::serde::rfc3339")]
    pub backup_start: OffsetDateTime,
    /// End.
    #[serde(with = "time::serde::rfc3339")]
    pub backup_end: OffsetDateTime,
    /// Files that were not in the parent.
    #[serde(default)]
    pub files_new: u64,
    /// Files that differ from the parent's.
    #[serde(default)]
    pub files_changed: u64,
    /// Files that do not.
    #[serde(default)]
    pub files_unmodified: u64,
    /// Directories that were not in the parent.
    #[serde(default)]
    pub dirs_new: u64,
    /// Directories that differ from the parent's.
    #[serde(default)]
    pub dirs_changed: u64,
    /// Directories that do not.
    #[serde(default)]
    pub dirs_unmodified: u64,
    /// Data blobs stored.
    #[serde(default)]
    pub data_blobs: i64,
    /// Tree blobs stored.
    #[serde(default)]
    pub tree_blobs: i64,
    /// Plain bytes stored.
    #[serde(default)]
    pub data_added: u64,
    /// Bytes these take in packs.
    #[serde(default)]
    pub data_added_packed: u64,
    /// Files looked at.
    #[serde(default)]
    pub total_files_processed: u64,
    /// Bytes looked at.
    #[serde(default)]
    pub total_bytes_processed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(id: &u32) -> bool {
    *id == 0
}

/// A snapshot with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name.
    pub id: Id,
    /// What it says.
    pub snapshot: Snapshot,
}

#[cfg(test)]
impl Snapshot {
    /// A snapshot for tests that look at no more than the file.
    pub(crate) fn of_nothing() -> Self {
        Self {
            time: OffsetDateTime::UNIX_EPOCH,
            parent: None,
            tree: Id::of(b""),
            paths: vec!["/disk".to_owned()],
            hostname: String::new(),
            username: String::new(),
            uid: 0,
            gid: 0,
            tags: Vec::new(),
            original: None,
            program_version: String::new(),
            summary: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As restic 0.17 writes them.
    const FOREIGN: &str = r#"{"time":"2024-02-29T23:59:59.123456789+02:00","parent":
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","tree":
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","paths":["/a b"],
        "hostname":"h","username":"u","uid":1000,"gid":1000,"excludes":["*.o"],"tags":["t"],
        "program_version":"restic 0.17.0","summary":{"backup_start":
        "2024-02-29T23:59:58+02:00","backup_end":"2024-02-29T23:59:59+02:00","files_new":1,
        "data_blobs":2,"total_bytes_processed":3}}"#;

    #[test]
    fn foreign_snapshots_are_read() {
        let snapshot: Snapshot = serde_json::from_str(FOREIGN).unwrap();
        assert_eq!((snapshot.uid, &snapshot.tags[..]), (1000, &["t".to_owned()][..]));
        assert_eq!(snapshot.summary.unwrap().total_bytes_processed, 3);
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        let snapshot: Snapshot = serde_json::from_str(FOREIGN).unwrap();
        let json = serde_json::to_string(&snapshot).unwrap();
        assert!(json.starts_with(r#"{"time":"2024-02-29T23:59:59.123456789+02:00","parent":"#));
        assert!(json.contains(r#""backup_start":"2024-02-29T23:59:58+02:00","#), "{json}");
    }

    proptest! {
        #[test]
        fn mutated_snapshots_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut json = FOREIGN.as_bytes().to_vec();
            let at = at.index(json.len());
            json[at] = byte;
            let _ = serde_json::from_slice::<Snapshot>(&json);
        }
    }
}
