//! Volumes that a container on a volume holds, as they are told to people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Filesystem;

/// A logical volume of LVM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalVolume {
    /// Name of its volume group.
    pub group: String,
    /// Its own name.
    pub name: String,
    /// Its identity in the form that `lvs` prints.
    pub uuid: String,
    /// Length in bytes.
    pub size: u64,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Filesystem>,
    /// Whether all of it lies where it was found, in a way this version understands: such a one
    /// can be restored alone.
    pub complete: bool,
}

/// A logical volume and where its bytes lie on the volume it was looked for on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The volume.
    pub volume: LogicalVolume,
    /// Its bytes from first to last; `None` when not all of them are here, or when they are
    /// strewn over too many places.
    pub fragments: Option<Vec<Fragment>>,
}

/// Bytes of a logical volume that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// First byte in the logical volume.
    pub start: u64,
    /// First byte on what it lies on.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
}

/// `group/name`, as LVM's own tools take it.
impl fmt::Display for LogicalVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}
