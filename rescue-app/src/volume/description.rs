//! What is said about a volume.

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::last_use::LastUse;
use super::logical_volume::LogicalVolume;
use crate::bytes::Extents;

/// What the reason of a volume that is captured whole begins with.
pub(crate) const CAPTURED_WHOLE: &str = "captured whole: ";

/// A recognised filesystem or container, as its superblock describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// What it is.
    pub kind: Kind,
    /// The name its user gave it.
    pub label: Option<String>,
    /// Its identity in the form its own tools print.
    pub uuid: Option<String>,
    /// Bytes it says it covers; the volume's size where the superblock does not tell.
    pub size: u64,
    /// Allocation unit in bytes (block or cluster); 0 where there is none.
    pub block_size: u32,
    /// Bytes in use by its own counters.
    pub used: Option<u64>,
    /// When and where it was last in use, where the superblock tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<LastUse>,
    /// Whether it was closed properly. Hibernation and open logs of NTFS show only in its map,
    /// not in its superblock.
    pub state: State,
}

impl Filesystem {
    /// A container of `size` bytes without a name, whose superblock tells neither units nor what
    /// is in use nor whether it was closed.
    pub(crate) fn container(kind: Kind, size: u64, uuid: Option<String>) -> Self {
        let state = State::Unknown;
        let (label, used, last_use) = (None, None, None);
        Self { kind, label, uuid, size, block_size: 0, used, last_use, state }
    }
}

/// Whether a filesystem was closed properly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Closed properly.
    Clean,
    /// Not closed properly; the words say how that shows.
    Dirty(String),
    /// Holds, or belongs to, a hibernated system; the words say how that shows.
    Hibernated(String),
    /// The superblock does not tell.
    #[serde(other)]
    Unknown,
}

/// How much of a volume has to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// The blocks in use by the filesystem's own allocation map.
    Used,
    /// The header; the content is of no use after a restore (swap).
    HeaderOnly,
    /// Every byte.
    Whole,
}

impl Filesystem {
    /// Whether it is an NTFS that was not closed. Its tables may be out of date, so that it is
    /// captured whole unless a person decides otherwise.
    pub fn is_unclosed_ntfs(&self) -> bool {
        self.kind == Kind::Ntfs && matches!(self.state, State::Dirty(_) | State::Hibernated(_))
    }
}

/// Swap space of less is not worth having, bytes.
const LEAST_SWAP: u64 = 1 << 20;

/// What a volume holds and which of its bytes have to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What was recognised; `None` also when several signatures contradict each other.
    pub filesystem: Option<Filesystem>,
    /// What an array or a container that was opened holds, outermost first; what was encrypted
    /// without labels and identities.
    pub inside: Vec<Filesystem>,
    /// What [`Inspection::used`] covers.
    pub coverage: Coverage,
    /// Byte ranges of the volume that have to be stored; everything else may be dropped.
    pub used: Extents,
    /// Bytes it can be expected to shrink to, by its own tool or by hand: for tools an estimate with a
    /// margin. `None` where it cannot be shrunk, or is not understood.
    pub minimum_size: Option<u64>,
    /// The logical volumes in it, and in those.
    pub volumes: Vec<LogicalVolume>,
    /// What a person should know, such as why the volume is captured whole.
    pub warnings: Vec<String>,
}

impl Inspection {
    /// Bytes that what is on a volume of `size` bytes needs: of swap space nothing has to stay.
    pub(crate) fn needs(&self, size: u64) -> u64 {
        match self.coverage {
            Coverage::HeaderOnly => LEAST_SWAP.min(size),
            Coverage::Used => self.minimum_size.unwrap_or(size).min(size),
            Coverage::Whole => size,
        }
    }

    /// Every byte of a volume of `size` bytes whose content is not looked at, with the reason where
    /// a person should know it.
    pub fn unread(size: u64, why: Option<&str>) -> Self {
        Self {
            filesystem: None,
            inside: Vec::new(),
            coverage: Coverage::Whole,
            used: Extents::of(0, size),
            minimum_size: None,
            volumes: Vec::new(),
            warnings: why.map(|why| format!("{CAPTURED_WHOLE}{why}")).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_stable_words() {
        let json = |state: &State| serde_json::to_string(state).unwrap();
        assert_eq!(json(&State::Clean), "\"clean\"");
        assert_eq!(json(&State::Dirty("why".into())), "{\"dirty\":\"why\"}");
        assert_eq!(serde_json::from_str::<State>("\"melted\"").unwrap(), State::Unknown);
        assert_eq!(serde_json::to_string(&Coverage::HeaderOnly).unwrap(), "\"headeronly\"");
        let state = State::Hibernated("why".into());
        assert_eq!(serde_json::from_str::<State>(&json(&state)).unwrap(), state);
    }
}
