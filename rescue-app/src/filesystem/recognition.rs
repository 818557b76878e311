//! Which reader a volume belongs to, and the fall-back to "the whole volume".

use std::io;

use super::format::{Doubt, FORMATS, Format, Map};
use super::head_cache::HeadCache;
use super::{Coverage, Filesystem, Inspection, State};
use crate::bytes::{Extents, ReadAt};

/// A signature and the reader that knows it.
type Found = (&'static dyn Format, Filesystem);

/// Every signature on the volume, in the order of [`FORMATS`].
fn signatures(volume: &dyn ReadAt) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for &format in FORMATS {
        if let Some(filesystem) = format.probe(volume)? {
            found.push((format, filesystem));
        }
    }
    Ok(found)
}

/// The one signature that counts: a container wins over what shows through it; two filesystems
/// contradict each other (one is a leftover, and nothing says which).
fn decide(mut found: Vec<Found>) -> Result<Option<Found>, Vec<Found>> {
    let container = found.first().is_some_and(|(format, _)| format.is_container());
    if found.len() > 1 && !container {
        return Err(found);
    }
    Ok((!found.is_empty()).then(|| found.swap_remove(0)))
}

/// Says what a volume holds, from its superblocks alone.
///
/// `Ok(None)` when nothing is recognised, or when several filesystems' signatures contradict each
/// other ([`inspect`] says so in a warning).
///
/// # Errors
/// The device's own read error.
pub fn recognise(volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
    let decided = decide(signatures(&HeadCache::new(volume))?);
    Ok(decided.ok().flatten().map(|(_, filesystem)| filesystem))
}

/// Says what a volume holds and which of its bytes have to be stored.
///
/// Never fails: any read error, disagreement or unknown feature gives [`Coverage::Whole`] and a
/// warning with the reason.
pub fn inspect(volume: &dyn ReadAt) -> Inspection {
    let decided = match signatures(&HeadCache::new(volume)) {
        Ok(found) => decide(found),
        Err(error) => {
            let doubt = Doubt::Read {
                what: "a place where filesystems keep their superblock",
                source: error,
            };
            return whole(volume, None, &doubt);
        }
    };
    match decided {
        Ok(Some((format, mut filesystem))) => {
            let map = format.map(volume, &mut filesystem).and_then(|map| fits(volume, map));
            match map {
                Ok(map) => mapped(filesystem, map),
                Err(doubt) => whole(volume, Some(filesystem), &doubt),
            }
        }
        Ok(None) => whole(volume, None, &Doubt::because("no known filesystem was recognised")),
        Err(found) => {
            let names: Vec<String> = found.iter().map(|(_, fs)| fs.kind.to_string()).collect();
            let words = format!("signatures of {} contradict each other", names.join(" and "));
            whole(volume, None, &Doubt::because(words))
        }
    }
}

/// A last check on every map: it lies inside the volume.
fn fits(volume: &dyn ReadAt, map: Map) -> Result<Map, Doubt> {
    if map.used.end() > volume.size() {
        return Err(Doubt::because("the map reaches past the end of the volume"));
    }
    Ok(map)
}

fn mapped(filesystem: Filesystem, map: Map) -> Inspection {
    let mut warnings = map.warnings;
    warnings.extend(state_warning(&filesystem));
    Inspection {
        filesystem: Some(filesystem),
        coverage: map.coverage,
        used: map.used,
        minimum_size: map.minimum_size,
        warnings,
    }
}

fn whole(volume: &dyn ReadAt, filesystem: Option<Filesystem>, doubt: &Doubt) -> Inspection {
    let mut warnings = vec![format!("captured whole: {doubt}")];
    warnings.extend(filesystem.as_ref().and_then(state_warning));
    Inspection {
        filesystem,
        coverage: Coverage::Whole,
        used: Extents::of(0, volume.size()),
        minimum_size: None,
        warnings,
    }
}

fn state_warning(filesystem: &Filesystem) -> Option<String> {
    let kind = filesystem.kind;
    match &filesystem.state {
        State::Clean | State::Unknown => None,
        State::Dirty(why) => Some(format!("{kind} was not closed properly: {why}")),
        State::Hibernated(why) => Some(format!("{kind} belongs to a hibernated system: {why}")),
    }
}
