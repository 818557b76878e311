//! Volumes inside a volume: what of the outer one has to be stored follows from the maps of the
//! inner ones.

use super::recognition::{self, Ask, Surroundings};
use crate::bytes::ReadAt;
use crate::volume::{
    Alone, Content, Coverage, Doubt, Filesystem, Fragment, Inspection, Located, LogicalVolume, Map,
    Obstacle, Part, Piece, Place, Spot, UsedMap,
};

/// Containers in containers are looked into down to here: LVM on LUKS on RAID, and that in a
/// volume of another machine's.
pub(super) const DEEPEST: u32 = 4;

/// Why what lies below that is stored whole.
pub(super) const TOO_DEEP: &str = "it lies too deep in other volumes";

/// A volume in more fragments than this is not restored alone.
const MOST_FRAGMENTS: usize = 1 << 20;

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
        } else if let Some(volume) = part.logical_volume(inner.filesystem) {
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
    let mut minimum_size = content.unit.map(|_| content.own.total());
    for part in &content.parts {
        part.more.iter().for_each(|more| used.add(more.start, more.end));
        let inside = inspect(container, content, part, around);
        if let (Some(sum), Some(unit)) = (&mut minimum_size, content.unit) {
            *sum = sum.saturating_add(needs(part, &inside, unit));
        }
        part.placement.translate(&inside.used, &mut used);
        warnings.extend(inside.warnings.iter().filter_map(|warning| match &part.name {
            None => Some(warning.clone()),
            Some(name) if name.visible => Some(format!("{name}: {warning}")),
            Some(_) => None,
        }));
        found.add(part, inside);
    }
    Map { coverage: Coverage::Used, used: used.finish(), minimum_size, warnings }
}

/// Bytes that a part of a smaller container needs. One that others depend on, or that is not linear, is not
/// made smaller.
fn needs(part: &Part, inside: &Inspection, unit: u64) -> u64 {
    let size = part.placement.size().saturating_add(part.more.total());
    let is_cut = part.is_complete() && part.is_linear() && part.doubt.is_none();
    let needed = if is_cut { inside.needs(size) } else { size };
    needed.checked_next_multiple_of(unit).unwrap_or(size)
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
        volumes.extend(part.logical_volume(inside));
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
        let volume =
            part.logical_volume(inside.ok().flatten()).filter(|v| v.to_string() == name)?;
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
