//! What can be said of a volume: the words, and the traits that readers implement.
//!
//! [`Kind`], [`Filesystem`] and [`Inspection`] describe what is on a volume. `Format` is the shape of
//! a reader of one family of filesystems, of a container or of an encryption; [`FileTree`] that of
//! its files. A reader answers with a `Map` of the bytes in use, or with a `Doubt`: then the volume
//! is captured whole.
//!
//! No reader is named here, nothing here writes, and nothing here panics on any bytes.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub(crate) mod checksum;
mod companions;
mod content;
mod description;
mod doubt;
mod encryption;
pub(crate) mod files;
mod format;
mod kind;
mod last_use;
mod logical_volume;
pub(crate) mod owners;
pub(crate) mod path;
mod placement;
pub(crate) mod probe;
pub(crate) mod runs;
pub(crate) mod text;
pub(crate) mod times;
mod used_map;
pub(crate) mod walk;

pub use companions::{Alone, Companions};
pub(crate) use content::{Content, Part, PartName};
pub(crate) use description::CAPTURED_WHOLE;
pub use description::{Coverage, Filesystem, Inspection, State};
pub(crate) use doubt::Doubt;
pub use encryption::{Effort, LockedContainer, UnlockError, VolumeKey, VolumeKeys};
pub(crate) use encryption::{Encryption, OpenContainer, Unlocked};
pub use files::{
    EachEntry, EachExtent, EachPlace, EntryKind, FileError, FileId, FileTree, FolderEntry,
    Permissions, Scrutiny, Stat, Times,
};
pub(crate) use format::{Format, Map, OpenContent, OpenFiles};
pub use kind::Kind;
pub use last_use::LastUse;
pub use logical_volume::{Fragment, Located, LogicalVolume, Obstacle, Place};
pub use owners::{Owner, Owners};
pub(crate) use placement::{Piece, Placement, Spot, View as PlacedView};
pub(crate) use used_map::UsedMap;
