//! Which files lie in given bytes of a volume: what bad sectors cost.

use super::nested::DEEPEST;
use super::recognition;
use crate::bytes::{Extents, ReadAt};
use crate::volume::owners::{Owner, Owners, Tally};
use crate::volume::{Content, Doubt};

/// Says whose the bytes `lost` of a volume are. Reads file records and directories only as far as
/// they can be read; never fails, for it is asked about damaged volumes.
pub fn owners(volume: &dyn ReadAt, lost: &Extents) -> Owners {
    owners_at(volume, lost, 0)
}

/// [`owners`] in a volume that lies in `depth` containers.
fn owners_at(volume: &dyn ReadAt, lost: &Extents, depth: u32) -> Owners {
    match recognition::content(volume).filter(|_| depth < DEEPEST) {
        Some(content) => owners_inside(volume, &content, lost, depth.saturating_add(1)),
        None => owners_in_filesystem(volume, lost),
    }
}

/// What is lost of the volumes in a container; files are named with their volume.
fn owners_inside(
    container: &dyn ReadAt,
    content: &Content<'_>,
    lost: &Extents,
    depth: u32,
) -> Owners {
    let mut all = Owners { metadata: content.own.intersection(lost).total(), ..Owners::default() };
    for part in &content.parts {
        let mine = part.placement.translate_back(lost);
        if mine.is_empty() {
            continue;
        }
        let found = owners_at(&part.view(container, content), &mine, depth);
        let name = part.name.as_ref().map(|name| format!("{}/{}", name.group, name.name));
        all.files.extend(found.files.into_iter().map(|file| Owner {
            path: name.as_ref().map_or(file.path.clone(), |name| format!("{name}: {}", file.path)),
            ..file
        }));
        all.more = all.more.saturating_add(found.more);
        all.metadata = all.metadata.saturating_add(found.metadata);
        let note =
            found.note.map(|note| name.map_or(note.clone(), |name| format!("{name}: {note}")));
        all.note = match (all.note, note) {
            (Some(all), Some(note)) => Some(format!("{all}; {note}")),
            (all, note) => all.or(note),
        };
    }
    all
}

fn owners_in_filesystem(volume: &dyn ReadAt, lost: &Extents) -> Owners {
    let mut tally = Tally::new(lost);
    let looked_up = match recognition::found_on(volume) {
        Some((format, _)) => format.owners(volume, &mut tally),
        None => Err(Doubt::because("no known filesystem was recognised")),
    };
    tally.owners(looked_up)
}
