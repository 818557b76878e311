//! What a container holds: the volumes in it and where they lie.

use std::fmt;

use super::description::Filesystem;
use super::logical_volume::LogicalVolume;
use super::placement::{Placement, View};
use crate::bytes::{Extent, Extents, ReadAt, Window};

/// What a container holds.
pub(crate) struct Content<'a> {
    /// Bytes of the container that are its own, or that no part speaks of and that matter.
    pub(crate) own: Extents,
    /// What lies in the rest of it.
    pub(crate) parts: Vec<Part>,
    /// Other devices that belong to it and are there.
    pub(crate) others: Vec<Window<'a>>,
    /// Bytes in use by its own count, where it keeps one.
    pub(crate) used: Option<u64>,
    /// Bytes of the pieces in which its parts are dealt out, where they may be dealt out anew over a smaller
    /// container.
    pub(crate) unit: Option<u64>,
    /// Remarks that do not shake the map.
    pub(crate) warnings: Vec<String>,
}

impl Content<'_> {
    /// One volume in the bytes `place` of a container of `size` bytes, whose own the others are.
    pub(crate) fn around(place: Extent, volume: Part, size: u64) -> Self {
        let own = Extents::of(place.start, place.end).gaps_within(0, size);
        let (others, warnings) = (Vec::new(), Vec::new());
        Self { own, parts: vec![volume], others, used: None, unit: None, warnings }
    }

    /// How many of the first bytes of a container of `size` bytes belong to its parts.
    pub(crate) fn shown(&self, size: u64) -> u64 {
        let first = self.own.gaps_within(0, size).iter().next();
        first.filter(|parts| parts.start == 0).map_or(0, |parts| parts.end)
    }
}

/// One volume inside a container.
pub(crate) struct Part {
    /// What it is called; `None` for the only volume of a container, which needs no name.
    pub(crate) name: Option<PartName>,
    /// Where it lies.
    pub(crate) placement: Placement,
    /// Bytes of the container that are its too, in a way that is not understood.
    pub(crate) more: Extents,
    /// Why its own records are not asked which bytes of it are in use.
    pub(crate) doubt: Option<String>,
    /// Whether `placement` tells the whole truth about its bytes.
    pub(crate) readable: bool,
    /// Of one whose bytes are not understood, whether all of them lie on the container.
    pub(crate) is_here: bool,
}

/// What a volume inside a container is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartName {
    /// The group it belongs to.
    pub(crate) group: String,
    /// Its own name.
    pub(crate) name: String,
    /// Its identity.
    pub(crate) uuid: String,
    /// Whether people see it.
    pub(crate) visible: bool,
    /// Its length in bytes.
    pub(crate) size: u64,
}

/// `group/name`, as LVM's own tools take it.
impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}

impl Part {
    /// The only volume of a container.
    pub(crate) fn only(placement: Placement) -> Self {
        Self {
            name: None,
            placement,
            more: Extents::new(),
            doubt: None,
            readable: true,
            is_here: true,
        }
    }

    /// The volume as it is told to people, with what is `inside`; `None` for one that they do not see.
    pub(crate) fn logical_volume(&self, inside: Option<Filesystem>) -> Option<LogicalVolume> {
        let name = self.name.as_ref().filter(|name| name.visible)?;
        Some(LogicalVolume {
            group: name.group.clone(),
            name: name.name.clone(),
            uuid: name.uuid.clone(),
            size: name.size,
            filesystem: inside,
            inside: Vec::new(),
            complete: if self.readable { self.is_complete() } else { self.is_here },
            plain: self.readable,
        })
    }

    /// Whether all of it can be read.
    pub(crate) fn is_present(&self) -> bool {
        self.readable && self.placement.is_present()
    }

    /// Its bytes.
    pub(crate) fn view<'a>(
        &'a self,
        container: &'a dyn ReadAt,
        content: &'a Content<'_>,
    ) -> View<'a> {
        View { container, others: &content.others, placement: &self.placement }
    }

    /// Whether none of it is dealt out over several columns.
    pub(crate) fn is_linear(&self) -> bool {
        self.placement.is_linear()
    }

    /// Whether all of it can be read from this container.
    pub(crate) fn is_complete(&self) -> bool {
        self.readable && self.placement.is_complete()
    }
}
