//! LUKS containers, versions 1 and 2. Ciphertext shows no unused blocks to leave out; with the
//! volume key the map is made of the decrypted content, and only the ciphertext that matters is
//! stored. Such an image needs no key to be restored and is as secret as the disk was, but for
//! which blocks were in use.
//!
//! Sources: "LUKS1 On-Disk Format Specification" §2, "LUKS2 On-Disk Format Specification" §2–§3.

mod antiforensic;
mod cipher;
mod container;
mod hash;
mod kdf;
mod luks1;
mod luks2;
mod unlock;
mod view;

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use self::container::{Container, Segment};
pub use self::kdf::Effort;
pub use self::unlock::{UnlockError, VolumeKey, unlock};
use self::view::Decrypted;
use super::format::{Doubt, Format, Map};
use super::probe::{has, read};
use super::recognition::{self, Surroundings};
use super::{Companions, Coverage, Filesystem, Inspection, Kind, text};
use crate::bytes::{Extents, ReadAt, be16, slice};

/// Starts a container and the first copy of its header.
const MAGIC: &[u8] = b"LUKS\xba\xbe";

/// The reader.
pub(super) struct Luks;

impl Format for Luks {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let size = volume.size();
        Ok(read(volume, 0, 512)?.and_then(|header| parse(&header, size)))
    }

    fn map(&self, _volume: &dyn ReadAt, _found: &mut Filesystem) -> Result<Map, Doubt> {
        Err(Doubt::because("without its passphrase nothing tells which blocks of it are in use"))
    }

    fn is_container(&self) -> bool {
        true
    }
}

fn parse(header: &[u8], size: u64) -> Option<Filesystem> {
    if !has(header, 0, MAGIC) {
        return None;
    }
    let (kind, label) = match be16(header, 6)? {
        1 => (Kind::Luks1, None),
        2 => (Kind::Luks2, text::label(slice(header, 24, 48)?)),
        _ => return None,
    };
    let uuid = text::label(slice(header, 168, 40)?);
    Some(Filesystem { label, ..Filesystem::container(kind, size, uuid) })
}

/// A LUKS container, by what is told of it without its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LuksContainer {
    /// Its identity, as `cryptsetup` prints it.
    pub uuid: String,
    /// The logical volume (`group/name`) that it fills; `None` for a partition or an array.
    pub logical_volume: Option<String>,
}

impl LuksContainer {
    /// `None` for anything else.
    pub(super) fn new(found: &Filesystem, logical_volume: Option<&str>) -> Option<Self> {
        let uuid = identity(found)?.to_owned();
        Some(Self { uuid, logical_volume: logical_volume.map(str::to_owned) })
    }
}

/// Keys of opened containers by the containers' identities. Copies of a container, such as on both
/// sides of a mirror, have the same.
pub type VolumeKeys = BTreeMap<String, VolumeKey>;

/// The key of what was found, if it is a container and its key is known.
pub(super) fn key_of<'k>(found: &Filesystem, keys: &'k VolumeKeys) -> Option<&'k VolumeKey> {
    identity(found).and_then(|uuid| keys.get(uuid))
}

fn identity(found: &Filesystem) -> Option<&str> {
    let is_container = matches!(found.kind, Kind::Luks1 | Kind::Luks2);
    is_container.then(|| found.uuid.as_deref().unwrap_or_default())
}

/// The LUKS containers on a volume: itself, or what lies in its logical volumes or on its array.
pub fn luks_containers(volume: &dyn ReadAt, companions: &dyn Companions) -> Vec<LuksContainer> {
    let mut found = Vec::new();
    recognition::first_locked(volume, companions, (None, 0), &mut |container, _| {
        found.push(container.clone());
        None::<()>
    });
    found
}

/// [`unlock`] for one of the [`luks_containers`] of `volume`.
///
/// # Errors
/// See [`UnlockError`].
pub fn unlock_in(
    (volume, companions): (&dyn ReadAt, &dyn Companions),
    wanted: &LuksContainer,
    passphrase: &[u8],
    effort: Effort,
) -> Result<VolumeKey, UnlockError> {
    let opened = recognition::first_locked(volume, companions, (None, 0), &mut |found, content| {
        (found == wanted).then(|| unlock(content, passphrase, effort))
    });
    opened.unwrap_or_else(|| Err(UnlockError::Unknown("it is there no longer".to_owned())))
}

/// A map and what it was made of.
pub(super) struct Opened {
    /// The map of the ciphertext.
    pub(super) map: Map,
    /// What the container holds.
    pub(super) inside: Vec<Filesystem>,
}

/// The map of a container whose key is known.
pub(super) fn map_opened(
    volume: &dyn ReadAt,
    key: &VolumeKey,
    around: Surroundings<'_>,
    found: &mut Filesystem,
) -> Result<Opened, Doubt> {
    let container = Container::read(volume)?;
    if !container.is_key(key.bytes(), Effort::with_memory(0))? {
        return Err(Doubt::because("the volume key is not that of this container"));
    }
    let segment = &container.segment;
    let view = Decrypted::new(volume, segment, segment.cipher.with_key(key.bytes())?);
    let inner = recognition::inspect_at(&view, around.inside());
    if inner.coverage == Coverage::Whole {
        let words = nameless_warnings(&inner).join("; ");
        return Err(Doubt::because(format!("what is inside is {words}")));
    }
    let used = translated(segment, &inner.used, volume.size());
    found.used = Some(used.total());
    let warnings = nameless_warnings(&inner);
    let warnings = warnings.iter().map(|warning| format!("inside: {warning}")).collect();
    let map = Map { coverage: Coverage::Used, used, minimum_size: None, warnings };
    Ok(Opened { map, inside: nameless(inner) })
}

/// The ciphertext of `used`, in whole sectors of the cipher; and all that is no ciphertext.
fn translated(segment: &Segment, used: &Extents, volume_size: u64) -> Extents {
    let sector = segment.sector_size as u64;
    let mut all = Extents::of(0, segment.offset);
    for extent in used.iter() {
        let start = extent.start.saturating_sub(extent.start.checked_rem(sector).unwrap_or(0));
        let end = extent.end.checked_next_multiple_of(sector).unwrap_or(segment.size);
        let end = end.min(segment.size);
        all.push(segment.offset.saturating_add(start), segment.offset.saturating_add(end));
    }
    all.push(segment.offset.saturating_add(segment.size), volume_size);
    all
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
