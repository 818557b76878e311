//! The map of an encrypted container whose key is known. Its image needs no key to be restored and
//! is as secret as the disk was, but for which blocks were in use.

use super::nested::{DEEPEST, TOO_DEEP};
use super::recognition::{self, Surroundings};
use crate::volume::{CAPTURED_WHOLE, Coverage, Doubt, Filesystem, Inspection, Map, OpenContainer};

/// A map and what it was made of.
pub(super) struct Opened {
    /// The map of the ciphertext.
    pub(super) map: Map,
    /// What the container holds.
    pub(super) inside: Vec<Filesystem>,
}

/// The map of a container, `found`, that was opened.
pub(super) fn map(
    container: &OpenContainer<'_>,
    around: Surroundings<'_>,
    found: &mut Filesystem,
) -> Result<Opened, Doubt> {
    if around.depth >= DEEPEST {
        return Err(Doubt::because(TOO_DEEP));
    }
    let inner = recognition::inspect_at(container.content.as_ref(), around.inside());
    if inner.coverage == Coverage::Whole {
        let warnings = nameless_warnings(&inner);
        let words: Vec<_> =
            warnings.iter().map(|words| words.trim_start_matches(CAPTURED_WHOLE)).collect();
        return Err(Doubt::because(format!("inside: {}", words.join("; "))));
    }
    let used = container.translated(&inner.used);
    found.used = Some(used.total());
    let warnings = nameless_warnings(&inner);
    let warnings = warnings.iter().map(|warning| format!("inside: {warning}")).collect();
    let map = Map { coverage: Coverage::Used, used, minimum_size: None, warnings };
    Ok(Opened { map, inside: nameless(inner) })
}

/// What is inside, without what only those who have the passphrase could know: names, identities,
/// and when and where it was used. Manifests are not encrypted with the disk's key.
fn nameless(inner: Inspection) -> Vec<Filesystem> {
    let volumes = inner.volumes.into_iter();
    let volumes = volumes.flat_map(|volume| volume.filesystem.into_iter().chain(volume.inside));
    let all = inner.filesystem.into_iter().chain(inner.inside).chain(volumes);
    let nameless =
        |filesystem| Filesystem { label: None, uuid: None, last_use: None, ..filesystem };
    all.map(nameless).collect()
}

/// The remarks on what is inside, without the names of logical volumes.
fn nameless_warnings(inner: &Inspection) -> Vec<String> {
    let nameless = |warning: &String| {
        inner.volumes.iter().fold(warning.clone(), |warning, volume| {
            warning.replace(&volume.to_string(), "a logical volume")
        })
    };
    inner.warnings.iter().map(nameless).collect()
}
