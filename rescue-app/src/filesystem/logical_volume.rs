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

/// `group/name`, as LVM's own tools take it.
impl fmt::Display for LogicalVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}
