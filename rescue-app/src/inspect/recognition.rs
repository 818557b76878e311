//! Which reader a volume belongs to, and the fall-back to "the whole volume".

use std::io;

use super::foreign::{self, Beside};
use super::head_cache::HeadCache;
use super::nested;
use super::opened::{self, Opened};
use super::registry::FORMATS;
use super::unlock;
use crate::bytes::{Extent, Extents, ReadAt};
use crate::volume::{
    Alone, Companions, Content, Doubt, Filesystem, Format, Inspection, Kind, Located,
    LockedContainer, LogicalVolume, Map, OpenContainer, Placement, State, VolumeKeys,
};

/// A signature and the reader that knows it.
pub(super) type Found = (&'static dyn Format, Filesystem);

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

/// What a volume holds, and its reader.
pub(super) fn found_on(volume: &dyn ReadAt) -> Option<Found> {
    let found = signatures(&HeadCache::new(volume)).ok()?;
    decide(found).ok().flatten()
}

/// Says what a volume holds, from its superblocks alone.
///
/// `Ok(None)` when nothing is recognised, or when several filesystems' signatures contradict each
/// other ([`inspect`] says so in a warning).
///
/// # Errors
/// The device's own read error.
pub fn recognise(volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
    Ok(match decide(signatures(&HeadCache::new(volume))?) {
        Ok(Some((format, filesystem))) => match beside(volume, (format, &filesystem)) {
            None => Some(filesystem),
            Some(Beside::Owner(kind)) => Some(Filesystem::container(kind, volume.size(), None)),
            Some(Beside::Other(_)) => None,
        },
        Ok(None) => unread(volume),
        Err(_) => None,
    })
}

/// What no reader knows, by its signature.
fn unread(volume: &dyn ReadAt) -> Option<Filesystem> {
    foreign::kind(volume).map(|kind| Filesystem::container(kind, volume.size(), None))
}

/// What else stands on a volume than what was found on it. What shows through a container is not
/// looked at here, nor is a container whose content is not understood: no map is made of it.
fn beside(volume: &dyn ReadAt, (format, filesystem): (&dyn Format, &Filesystem)) -> Option<Beside> {
    let shown = match format.is_container() {
        true => content(volume)?.shown(volume.size()),
        false => 0,
    };
    foreign::beside(volume, filesystem.kind, shown)
}

/// The logical volumes in a volume, from its metadata and their superblocks. None when it is no
/// container that is understood, or when it is damaged ([`inspect`] says so in a warning).
pub fn volumes(volume: &dyn ReadAt) -> Vec<LogicalVolume> {
    volumes_at(volume, 0)
}

/// [`volumes`] of a volume that lies in `depth` containers.
pub(super) fn volumes_at(volume: &dyn ReadAt, depth: u32) -> Vec<LogicalVolume> {
    content(volume).map_or_else(Vec::new, |content| nested::list(volume, &content, depth))
}

/// Of a disk that is a member of an array what is not the array's content, where that lies on it
/// from the first byte on and is no volume itself: the partition table that shows is the array's.
/// `None` for any other disk.
pub fn around_shown_array(disk: &dyn ReadAt) -> Option<Extents> {
    let content = content(disk)?;
    let [array] = content.parts.as_slice() else { return None };
    let shown = Extent { start: 0, end: array.placement.size() };
    let shows = array.name.is_none() && array.placement == Placement::at(shown);
    let is_volume = !matches!(recognise(&array.view(disk, &content)), Ok(None));
    (shows && !is_volume).then_some(content.own)
}

/// What makes the table of a disk with these partitions none, as far as superblocks tell: a container
/// that the whole disk is, and that is neither the last partition's own nor a leftover.
pub fn container_over_table(disk: &dyn ReadAt, partitions: &[Extent]) -> Option<Kind> {
    let (format, Filesystem { kind, .. }) = found_on(disk)?;
    let is_container = kind.is_member() || kind.is_encrypted();
    (is_container && format.is_of_disk(disk, partitions)).then_some(kind)
}

/// [`Inspection::minimum_size`] of what is on a volume, where that can be told without reading
/// the map of its used blocks.
pub fn least_size(volume: &dyn ReadAt) -> Option<u64> {
    let (format, _) = found_on(volume)?;
    format.least_size(volume)
}

/// Looks for the logical volume `name` (`group/name`) in a volume, and in those in it. It may lie
/// on `companions` too.
pub fn locate(volume: &dyn ReadAt, companions: &dyn Companions, name: &str) -> Option<Located> {
    locate_at(volume, companions, name, 0)
}

/// [`locate`] in a volume that lies in `depth` containers.
pub(super) fn locate_at(
    volume: &dyn ReadAt,
    companions: &dyn Companions,
    name: &str,
    depth: u32,
) -> Option<Located> {
    nested::locate(volume, &content_among(volume, companions)?, name, depth)
}

/// What a container holds; `None` for anything else, and for what is not understood.
pub(super) fn content(volume: &dyn ReadAt) -> Option<Content<'static>> {
    content_among(volume, &Alone)
}

/// [`content`] of what may be spread over several volumes.
fn content_among<'a>(volume: &dyn ReadAt, companions: &'a dyn Companions) -> Option<Content<'a>> {
    let (format, _) = found_on(volume)?;
    format.content(volume, companions).ok().flatten()
}

/// The first answer to `ask` of the locked containers on a volume and in what it holds. `name` is
/// the logical volume that it is, and `depth` tells how many containers it lies in.
pub(super) fn first_locked<T>(
    volume: &dyn ReadAt,
    companions: &dyn Companions,
    (name, depth): (Option<&str>, u32),
    ask: &mut Ask<'_, T>,
) -> Option<T> {
    let (format, filesystem) = found_on(volume)?;
    if let Some(container) = unlock::locked(volume, (format, &filesystem), name) {
        return ask(&container, volume);
    }
    let content = format.content(volume, companions).ok().flatten()?;
    nested::first_locked(volume, &content, (name, depth), ask)
}

/// A question to a locked container and its bytes; `None` goes on to the next one.
pub(super) type Ask<'a, T> = dyn FnMut(&LockedContainer, &dyn ReadAt) -> Option<T> + 'a;

/// Says what a volume holds and which of its bytes have to be stored.
///
/// Never fails: any read error, disagreement or unknown feature gives [`Coverage::Whole`] and a
/// warning with the reason.
pub fn inspect(volume: &dyn ReadAt) -> Inspection {
    inspect_among(volume, &Alone)
}

/// [`inspect`] for a volume that may be one of several that belong together.
pub fn inspect_among(volume: &dyn ReadAt, companions: &dyn Companions) -> Inspection {
    inspect_unlocked(volume, companions, &VolumeKeys::new())
}

/// [`inspect_among`] with the keys of encrypted containers, on the volume or in others on it: of
/// those the ciphertext of what is in use has to be stored.
pub fn inspect_unlocked(
    volume: &dyn ReadAt,
    companions: &dyn Companions,
    keys: &VolumeKeys,
) -> Inspection {
    inspect_at(volume, Surroundings { companions, keys, trusts_unclosed: false, depth: 0 })
}

/// [`inspect_unlocked`] for a person who takes of an NTFS that was not closed what its tables call
/// used, although they may be out of date ([`Filesystem::is_unclosed_ntfs`]).
pub fn inspect_trusting(
    volume: &dyn ReadAt,
    companions: &dyn Companions,
    keys: &VolumeKeys,
) -> Inspection {
    inspect_at(volume, Surroundings { companions, keys, trusts_unclosed: true, depth: 0 })
}

/// What is known beside the volume itself.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The volumes beside it.
    pub(super) companions: &'a dyn Companions,
    /// Keys of encrypted containers.
    pub(super) keys: &'a VolumeKeys,
    /// Whether the tables of an NTFS that was not closed are enough.
    pub(super) trusts_unclosed: bool,
    /// How many containers it lies in.
    pub(super) depth: u32,
}

impl Surroundings<'_> {
    /// Those of a volume in this one.
    pub(super) fn inside(self) -> Self {
        Self { depth: self.depth.saturating_add(1), ..self }
    }
}

/// [`inspect_unlocked`] for a volume that may lie in others.
pub(super) fn inspect_at(volume: &dyn ReadAt, around: Surroundings<'_>) -> Inspection {
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
        Ok(Some(found)) => inspect_found(volume, found, around),
        Ok(None) => match unread(volume) {
            Some(found) => without_map(volume, found),
            None => whole(volume, None, &Doubt::because("no known filesystem was recognised")),
        },
        Err(found) => {
            let names: Vec<String> = found.iter().map(|(_, fs)| fs.kind.to_string()).collect();
            whole(volume, None, &contradiction(&names))
        }
    }
}

/// What is known by its signature alone.
fn without_map(volume: &dyn ReadAt, found: Filesystem) -> Inspection {
    let doubt = Doubt::NoMap(found.kind);
    whole(volume, Some(found), &doubt)
}

fn contradiction(names: &[String]) -> Doubt {
    Doubt::because(format!("signatures of {} contradict each other", names.join(" and ")))
}

fn inspect_found(
    volume: &dyn ReadAt,
    (format, filesystem): Found,
    around: Surroundings<'_>,
) -> Inspection {
    match beside(volume, (format, &filesystem)) {
        Some(Beside::Owner(kind)) => {
            without_map(volume, Filesystem::container(kind, volume.size(), None))
        }
        Some(Beside::Other(other)) => {
            whole(volume, None, &contradiction(&[filesystem.kind.to_string(), other]))
        }
        None => match unlock::opened(volume, (format, &filesystem), around.keys) {
            Some(opened) => inspect_opened(volume, opened, filesystem, around),
            None => inspect_as(format, volume, filesystem, around),
        },
    }
}

fn inspect_as(
    format: &dyn Format,
    volume: &dyn ReadAt,
    mut filesystem: Filesystem,
    around: Surroundings<'_>,
) -> Inspection {
    let mut found = nested::Found::default();
    let map = match format.content(volume, around.companions) {
        Ok(Some(content)) => {
            filesystem.used = content.used.or(filesystem.used);
            Ok(nested::map(volume, &content, around, &mut found))
        }
        Ok(None) if around.trusts_unclosed => {
            format.map_trusting(volume, around.companions, &mut filesystem)
        }
        Ok(None) => format.map_among(volume, around.companions, &mut filesystem),
        Err(doubt) => Err(doubt),
    };
    let nested::Found { volumes, inside } = found;
    match map.and_then(|map| fits(volume, map)) {
        Ok(map) => Inspection { volumes, inside, ..mapped(filesystem, map) },
        Err(doubt) => whole(volume, Some(filesystem), &doubt),
    }
}

/// An encrypted container whose key is known.
fn inspect_opened(
    volume: &dyn ReadAt,
    opened: Result<OpenContainer<'_>, Doubt>,
    mut container: Filesystem,
    around: Surroundings<'_>,
) -> Inspection {
    let opened = opened
        .and_then(|content| opened::map(&content, around, &mut container))
        .and_then(|Opened { map, inside }| Ok((fits(volume, map)?, inside)));
    match opened {
        Ok((map, inside)) => Inspection { inside, ..mapped(container, map) },
        Err(doubt) => whole(volume, Some(container), &doubt),
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
        inside: Vec::new(),
        coverage: map.coverage,
        used: map.used,
        minimum_size: map.minimum_size,
        volumes: Vec::new(),
        warnings,
    }
}

/// Every byte, for the reason given.
pub(super) fn whole(
    volume: &dyn ReadAt,
    filesystem: Option<Filesystem>,
    doubt: &Doubt,
) -> Inspection {
    let mut inspection = Inspection::unread(volume.size(), Some(&doubt.to_string()));
    inspection.warnings.extend(filesystem.as_ref().and_then(state_warning));
    Inspection { filesystem, ..inspection }
}

fn state_warning(filesystem: &Filesystem) -> Option<String> {
    let kind = filesystem.kind;
    match &filesystem.state {
        State::Clean | State::Unknown => None,
        State::Dirty(why) => Some(format!("{kind} was not closed properly: {why}")),
        State::Hibernated(why) => Some(format!("{kind} belongs to a hibernated system: {why}")),
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::volume::Coverage;

    /// Signatures and their places.
    const MAGIC: &[(usize, &[u8])] = &[
        (0, b""),
        (0, b"XFSB\0\0\x10\0"),
        (0, b"LUKS\xba\xbe\0\x02"),
        (0, b"hsqs"),
        (0, b"\0\0\0ReFS\0"),
        (0, b"\xfc\x4e\x2b\xa9\x01\0\0\0"),
        (3, b"NTFS    \0\x02\x08"),
        (3, b"EXFAT   "),
        (3, b"-FVE-FS-"),
        (32, b"NXSB"),
        (512, b"LABELONE"),
        (536, b"LVM2 001"),
        (1024, b"H+\0\x04"),
        (1024, b"\x10\x20\xf5\xf2"),
        (1080, b"\x53\xef"),
        (4086, b"SWAPSPACE2"),
        (32769, b"CD001"),
        (65600, b"_BHRfS_M"),
        (131_072, b"\x0c\xb1\xba\0\0\0\0\0"),
    ];

    fn holds_together(volume: &[u8]) -> Result<Inspection, TestCaseError> {
        let found = inspect(&volume);
        prop_assert!(found.used.end() <= volume.size());
        if found.coverage == Coverage::Whole {
            prop_assert_eq!(found.used.total(), volume.size());
            prop_assert!(!found.warnings.is_empty());
        }
        Ok(found)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn no_bytes_after_a_signature_do_harm(
            seed in any::<[u8; 32]>(),
            len in prop_oneof![0usize..5000, Just(270_000)],
            fill in prop_oneof![Just(None), any::<u8>().prop_map(Some)],
            pick in prop::collection::vec(0..MAGIC.len(), 1..3),
        ) {
            // A cheap stream of random bytes; or one byte throughout.
            let mut state = u64::from_le_bytes(seed[..8].try_into().unwrap()) | 1;
            let mut volume: Vec<u8> = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                fill.unwrap_or(state.to_le_bytes()[3])
            })
            .take(len)
            .collect();
            for index in pick {
                let (at, magic) = MAGIC[index];
                if let Some(place) = volume.get_mut(at..at + magic.len()) {
                    place.copy_from_slice(magic);
                }
            }
            holds_together(&volume)?;
        }
    }

    #[test]
    fn nothing_is_recognised_in_nothing() {
        for size in [0usize, 1, 511, 512, 4096, 1 << 20] {
            let volume = vec![0u8; size];
            assert_eq!(recognise(&volume).unwrap(), None);
            let found = holds_together(&volume).unwrap();
            assert_eq!(found.coverage, Coverage::Whole);
        }
    }

    /// Fails where a bad sector is.
    struct Faulty(Vec<u8>, u64);

    impl ReadAt for Faulty {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            if (offset..offset + buf.len() as u64).contains(&self.1) {
                return Err(io::Error::other("bad sector"));
            }
            self.0.read_at(offset, buf)
        }
    }

    #[test]
    fn a_bad_sector_is_an_error_to_recognise_and_a_warning_to_inspect() {
        let mut disk = vec![0u8; 1 << 20];
        disk[4086..4096].copy_from_slice(b"SWAPSPACE2");
        let elsewhere = Faulty(disk.clone(), 900_000);
        assert_eq!(recognise(&elsewhere).unwrap().unwrap().kind, Kind::Swap);
        let volume = Faulty(disk, 600);
        assert!(recognise(&volume).is_err());
        let found = inspect(&volume);
        assert_eq!((found.coverage, found.used.total()), (Coverage::Whole, 1 << 20));
        assert!(found.warnings[0].contains("bad sector"), "{:?}", found.warnings);
    }
}
