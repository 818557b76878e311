//! Volumes that a container on a volume holds, as they are told to people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::description::Filesystem;

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
    /// What a container that was unlocked in it holds, outermost first, without labels and identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<Filesystem>,
    /// Whether all of it lies where it was found: such a one can be restored alone if it is plain.
    pub complete: bool,
    /// Whether it is linear or striped; of any other kind only LVM can put the bytes together.
    #[serde(default = "as_before_it_was_noted")]
    pub plain: bool,
}

/// Images that do not say it may hold any kind; a restore then finds out.
fn as_before_it_was_noted() -> bool {
    true
}

/// A logical volume and where its bytes lie on the volume it was looked for on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The volume.
    pub volume: LogicalVolume,
    /// Its bytes from first to last; or why they cannot be told.
    pub fragments: Result<Vec<Fragment>, Obstacle>,
}

/// Why the bytes of a logical volume cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not linear or striped, or made of other logical volumes.
    NotPlain,
    /// A part of it lies on a device that is not there.
    Missing,
    /// They are strewn over too many places.
    Scattered,
}

/// Bytes of a logical volume that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// First byte in the logical volume.
    pub start: u64,
    /// Where its first byte lies.
    pub at: Place,
    /// Length in bytes.
    pub len: u64,
}

/// A byte of the volume that was looked on, or of one beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the volume itself.
    Here(u64),
    /// On a companion: by its place in what that is a window of.
    Beside(u64),
}

impl Place {
    /// The place `bytes` further on.
    pub(crate) fn after(self, bytes: u64) -> Option<Self> {
        match self {
            Self::Here(at) => at.checked_add(bytes).map(Self::Here),
            Self::Beside(at) => at.checked_add(bytes).map(Self::Beside),
        }
    }
}

/// `group/name`, as LVM's own tools take it.
impl fmt::Display for LogicalVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}
