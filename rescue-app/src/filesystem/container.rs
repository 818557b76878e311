//! Volumes inside a volume: what of the outer one has to be stored follows from the maps of the
//! inner ones.

use crate::bytes::{Extents, ReadAt, Window};

use super::format::{Doubt, Map};
use super::logical_volume::{Fragment, Located, LogicalVolume};
use super::placement::{Piece, Placement, View};
use super::recognition;
use super::used_map::UsedMap;
use super::{Alone, Coverage, Inspection};

/// Containers in containers are looked into down to here: LVM on LUKS on RAID, and that in a
/// volume of another machine's.
pub(super) const DEEPEST: u32 = 4;

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

impl Part {
    fn volumes(&self, inside: Option<super::Filesystem>) -> Option<LogicalVolume> {
        let name = self.name.as_ref().filter(|name| name.visible)?;
        Some(LogicalVolume {
            group: name.group.clone(),
            name: name.name.clone(),
            uuid: name.uuid.clone(),
            size: name.size,
            filesystem: inside,
            complete: self.is_complete(),
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

/// The map of a container: its own bytes and what its parts use. Volumes are listed as they come.
pub(super) fn map(
    container: &dyn ReadAt,
    content: &Content<'_>,
    depth: u32,
    volumes: &mut Vec<LogicalVolume>,
) -> Map {
    let mut used = UsedMap::new();
    content.own.iter().for_each(|own| used.add(own.start, own.end));
    let mut warnings = content.warnings.clone();
    for part in &content.parts {
        part.more.iter().for_each(|more| used.add(more.start, more.end));
        let inside = inspect(container, content, part, depth);
        part.placement.translate(&inside.used, &mut used);
        warnings.extend(inside.warnings.iter().filter_map(|warning| match &part.name {
            None => Some(warning.clone()),
            Some(name) if name.visible => Some(format!("{}/{}: {warning}", name.group, name.name)),
            Some(_) => None,
        }));
        volumes.extend(part.volumes(inside.filesystem));
        volumes.extend(inside.volumes);
    }
    Map { coverage: Coverage::Used, used: used.finish(), minimum_size: None, warnings }
}

fn inspect(container: &dyn ReadAt, content: &Content<'_>, part: &Part, depth: u32) -> Inspection {
    let view = part.view(container, content);
    let doubt = if depth >= DEEPEST {
        Some("it lies too deep in other volumes")
    } else if !part.is_present() && part.doubt.is_none() {
        Some("a part of it lies on another device")
    } else {
        part.doubt.as_deref()
    };
    match doubt {
        None => recognition::inspect_at(&view, &Alone, depth.saturating_add(1)),
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
    let mut complete = content.parts.iter().filter(|part| part.is_complete());
    let named = content.parts.iter().find_map(|part| {
        let view = part.view(container, content);
        let inside = if part.is_present() { recognition::recognise(&view) } else { Ok(None) };
        let volume = part.volumes(inside.ok().flatten()).filter(|v| v.to_string() == name)?;
        let pieces = part.placement.pieces(0, part.placement.size());
        Some(Located { fragments: volume.complete.then(|| fragments(pieces)).flatten(), volume })
    });
    named.or_else(|| {
        complete.find_map(|part| {
            let view = part.view(container, content);
            let deeper = depth.checked_add(1).filter(|depth| *depth <= DEEPEST)?;
            let Located { volume, fragments: inner } = recognition::locate_at(&view, name, deeper)?;
            let pieces = inner.map(|inner| {
                let outwards = inner.into_iter().flat_map(|inner| {
                    let end = inner.at.saturating_add(inner.len);
                    part.placement.pieces(inner.at, end).map(move |piece| {
                        let offset = piece.start.saturating_sub(inner.at);
                        Piece { start: inner.start.saturating_add(offset), ..piece }
                    })
                });
                fragments(outwards)
            });
            Some(Located { volume, fragments: pieces.flatten() })
        })
    })
}

/// Joins pieces that follow each other.
fn fragments(pieces: impl Iterator<Item = Piece>) -> Option<Vec<Fragment>> {
    let mut joined: Vec<Fragment> = Vec::new();
    for piece in pieces {
        let at = piece.at.filter(|spot| spot.other.is_none())?.at;
        match joined.last_mut() {
            Some(last) if last.at.checked_add(last.len) == Some(at) => {
                last.len = last.len.saturating_add(piece.len);
            }
            _ => joined.push(Fragment { start: piece.start, at, len: piece.len }),
        }
        if joined.len() > MOST_FRAGMENTS {
            return None;
        }
    }
    Some(joined)
}
