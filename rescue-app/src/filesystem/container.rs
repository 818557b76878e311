//! Volumes inside a volume: what of the outer one has to be stored follows from the maps of the
//! inner ones.

use std::fmt;

use crate::bytes::{Extent, Extents, ReadAt, Window};

use super::format::{Doubt, Map};
use super::logical_volume::{Fragment, Located, LogicalVolume, Obstacle, Place};
use super::placement::{Piece, Placement, Spot, View};
use super::recognition::{self, Ask, Surroundings};
use super::used_map::UsedMap;
use super::{Alone, Coverage, Filesystem, Inspection};

/// Containers in containers are looked into down to here: LVM on LUKS on RAID, and that in a
/// volume of another machine's.
pub(super) const DEEPEST: u32 = 4;

/// Why what lies below that is stored whole.
pub(super) const TOO_DEEP: &str = "it lies too deep in other volumes";

/// A volume in more fragments than this is not restored alone.
const MOST_FRAGMENTS: usize = 1 << 20;

/// What a container holds.
pub(super) struct Content<'a> {
    /// Bytes of the container that are its own, or that no part speaks of and that matter.
    pub(super) own: Extents,
    /// What lies in the rest of it.
    pub(super) parts: Vec<Part>,
    /// Other devices that belong to it and are there.
    pub(super) others: Vec<Window<'a>>,
    /// Remarks that do not shake the map.
    pub(super) warnings: Vec<String>,
}

impl Content<'_> {
    /// One volume in the bytes `place` of a container of `size` bytes, whose own the others are.
    pub(super) fn around(place: Extent, volume: Part, size: u64) -> Self {
        let own = Extents::of(place.start, place.end).gaps_within(0, size);
        Self { own, parts: vec![volume], others: Vec::new(), warnings: Vec::new() }
    }

    /// How many of the first bytes of a container of `size` bytes belong to its parts.
    pub(super) fn shown(&self, size: u64) -> u64 {
        let first = self.own.gaps_within(0, size).iter().next();
        first.filter(|parts| parts.start == 0).map_or(0, |parts| parts.end)
    }
}

/// One volume inside a container.
pub(super) struct Part {
    /// What it is called; `None` for the only volume of a container, which needs no name.
    pub(super) name: Option<PartName>,
    /// Where it lies.
    pub(super) placement: Placement,
    /// Bytes of the container that are its too, in a way that is not understood.
    pub(super) more: Extents,
    /// Why its own records are not asked which bytes of it are in use.
    pub(super) doubt: Option<String>,
    /// Whether `placement` tells the whole truth about its bytes.
    pub(super) readable: bool,
    /// Of one whose bytes are not understood, whether all of them lie on the container.
    pub(super) is_here: bool,
}

/// What a volume inside a container is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartName {
    /// The group it belongs to.
    pub(super) group: String,
    /// Its own name.
    pub(super) name: String,
    /// Its identity.
    pub(super) uuid: String,
    /// Whether people see it.
    pub(super) visible: bool,
    /// Its length in bytes.
    pub(super) size: u64,
}

/// `group/name`, as LVM's own tools take it.
impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)
    }
}

impl Part {
    /// The only volume of a container.
    pub(super) fn only(placement: Placement) -> Self {
        Self {
            name: None,
            placement,
            more: Extents::new(),
            doubt: None,
            readable: true,
            is_here: true,
        }
    }

    fn volumes(&self, inside: Option<Filesystem>) -> Option<LogicalVolume> {
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
    fn is_present(&self) -> bool {
        self.readable && self.placement.is_present()
    }

    /// Its bytes.
    pub(super) fn view<'a>(
        &'a self,
        container: &'a dyn ReadAt,
        content: &'a Content<'_>,
    ) -> View<'a> {
        View { container, others: &content.others, placement: &self.placement }
    }

    /// Whether all of it can be read from this container.
    fn is_complete(&self) -> bool {
        self.readable && self.placement.is_complete()
    }
}

/// What was found in a container on the way to its map.
#[derive(Default)]
pub(super) struct Found {
    /// The volumes that have names, and those in them.
    pub(super) volumes: Vec<LogicalVolume>,
    /// What the one volume without a name holds, outermost first.
    pub(super) inside: Vec<Filesystem>,
}

impl Found {
    fn add(&mut self, part: &Part, inner: Inspection) {
        if part.name.is_none() {
            self.inside.extend(inner.filesystem.into_iter().chain(inner.inside));
        } else if let Some(volume) = part.volumes(inner.filesystem) {
            self.volumes.push(LogicalVolume { inside: inner.inside, ..volume });
        }
        self.volumes.extend(inner.volumes);
    }
}

/// The map of a container: its own bytes and what its parts use. Volumes are listed as they come.
pub(super) fn map(
    container: &dyn ReadAt,
    content: &Content<'_>,
    around: Surroundings<'_>,
    found: &mut Found,
) -> Map {
    let mut used = UsedMap::new();
    content.own.iter().for_each(|own| used.add(own.start, own.end));
    let mut warnings = content.warnings.clone();
    for part in &content.parts {
        part.more.iter().for_each(|more| used.add(more.start, more.end));
        let inside = inspect(container, content, part, around);
        part.placement.translate(&inside.used, &mut used);
        warnings.extend(inside.warnings.iter().filter_map(|warning| match &part.name {
            None => Some(warning.clone()),
            Some(name) if name.visible => Some(format!("{name}: {warning}")),
            Some(_) => None,
        }));
        found.add(part, inside);
    }
    Map { coverage: Coverage::Used, used: used.finish(), minimum_size: None, warnings }
}

fn inspect(
    container: &dyn ReadAt,
    content: &Content<'_>,
    part: &Part,
    around: Surroundings<'_>,
) -> Inspection {
    let view = part.view(container, content);
    let doubt = if around.depth >= DEEPEST {
        Some(TOO_DEEP)
    } else if !part.is_present() && part.doubt.is_none() {
        Some("a part of it lies on another device")
    } else {
        part.doubt.as_deref()
    };
    match doubt {
        None => {
            recognition::inspect_at(&view, Surroundings { companions: &Alone, ..around.inside() })
        }
        Some(doubt) => {
            let found = if part.is_present() { recognition::recognise(&view) } else { Ok(None) };
            recognition::whole(&view, found.ok().flatten(), &Doubt::because(doubt))
        }
    }
}

/// The first answer that any volume in a container gives, of those that can be read from it.
pub(super) fn first<T>(
    container: &dyn ReadAt,
    content: &Content,
    ask: &mut dyn FnMut(&dyn ReadAt) -> Option<T>,
) -> Option<T> {
    let mut readable = content.parts.iter().filter(|part| part.is_complete());
    readable.find_map(|part| ask(&part.view(container, content)))
}

/// [`recognition::first_locked`] of the volumes in a container whose bytes are known.
pub(super) fn first_locked<T>(
    container: &dyn ReadAt,
    content: &Content<'_>,
    (name, depth): (Option<&str>, u32),
    ask: &mut Ask<'_, T>,
) -> Option<T> {
    let deeper = depth.checked_add(1).filter(|depth| *depth <= DEEPEST)?;
    let known = |part: &&Part| part.is_present() && part.doubt.is_none();
    content.parts.iter().filter(known).find_map(|part| {
        let own = part.name.as_ref().map(ToString::to_string);
        let place = (own.as_deref().or(name), deeper);
        recognition::first_locked(&part.view(container, content), &Alone, place, ask)
    })
}

/// The volumes in a container, each with what its superblock tells.
pub(super) fn list(
    container: &dyn ReadAt,
    content: &Content<'_>,
    depth: u32,
) -> Vec<LogicalVolume> {
    let mut volumes = Vec::new();
    for part in &content.parts {
        let view = part.view(container, content);
        let readable = part.is_present();
        let inside = if readable { recognition::recognise(&view).ok().flatten() } else { None };
        volumes.extend(part.volumes(inside));
        if readable && depth < DEEPEST && part.doubt.is_none() {
            volumes.extend(recognition::volumes_at(&view, depth.saturating_add(1)));
        }
    }
    volumes
}

/// Looks for a volume by its name, and then inside of each.
pub(super) fn locate(
    container: &dyn ReadAt,
    content: &Content<'_>,
    name: &str,
    depth: u32,
) -> Option<Located> {
    let named = content.parts.iter().find_map(|part| {
        let view = part.view(container, content);
        let inside = if part.is_present() { recognition::recognise(&view) } else { Ok(None) };
        let volume = part.volumes(inside.ok().flatten()).filter(|v| v.to_string() == name)?;
        Some(Located { fragments: part.fragments(content), volume })
    });
    named.or_else(|| {
        let mut present = content.parts.iter().filter(|part| part.is_present());
        present.find_map(|part| {
            let view = part.view(container, content);
            let deeper = depth.checked_add(1).filter(|depth| *depth <= DEEPEST)?;
            let Located { volume, fragments } =
                recognition::locate_at(&view, &Alone, name, deeper)?;
            let fragments = fragments.and_then(|inner| part.outwards(content, inner));
            Some(Located { volume, fragments })
        })
    })
}

impl Part {
    /// Where its bytes lie.
    fn fragments(&self, content: &Content<'_>) -> Result<Vec<Fragment>, Obstacle> {
        if !self.readable {
            return Err(Obstacle::NotPlain);
        }
        joined(self.placement.pieces(0, self.placement.size()), content)
    }

    /// What lies in this volume, as it lies on the container.
    fn outwards(
        &self,
        content: &Content<'_>,
        inner: Vec<Fragment>,
    ) -> Result<Vec<Fragment>, Obstacle> {
        let pieces = inner.into_iter().flat_map(|inner| {
            // What lies in a volume has no companions there.
            let at = match inner.at {
                Place::Here(at) | Place::Beside(at) => at,
            };
            self.placement.pieces(at, at.saturating_add(inner.len)).map(move |piece| {
                let offset = piece.start.saturating_sub(at);
                Piece { start: inner.start.saturating_add(offset), ..piece }
            })
        });
        joined(pieces, content)
    }
}

/// Joins pieces that follow each other.
fn joined(
    pieces: impl Iterator<Item = Piece>,
    content: &Content<'_>,
) -> Result<Vec<Fragment>, Obstacle> {
    let mut joined: Vec<Fragment> = Vec::new();
    for piece in pieces {
        let at = place(piece.at, content).ok_or(Obstacle::Missing)?;
        match joined.last_mut() {
            Some(last) if last.at.after(last.len) == Some(at) => {
                last.len = last.len.saturating_add(piece.len);
            }
            _ => joined.push(Fragment { start: piece.start, at, len: piece.len }),
        }
        if joined.len() > MOST_FRAGMENTS {
            return Err(Obstacle::Scattered);
        }
    }
    Ok(joined)
}

fn place(spot: Option<Spot>, content: &Content<'_>) -> Option<Place> {
    let Spot { other, at } = spot?;
    let Some(other) = other else { return Some(Place::Here(at)) };
    content.others.get(other)?.start().checked_add(at).map(Place::Beside)
}
