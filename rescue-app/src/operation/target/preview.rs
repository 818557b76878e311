//! The target before and after a restore, for people.

use serde::Serialize;

use crate::bytes::{Extent, Extents};
use crate::disk::Source;
use crate::image::manifest::{Manifest, Region};
use crate::operation::error::OperationError;
use crate::operation::format::{content_name, size as human};
use crate::operation::survey::Survey;
use crate::table::{self, Scheme, UNKNOWN_TYPE};
use crate::transfer::Transfer;
use crate::volume::LogicalVolume;

use super::absent::{Absent, Remains};
use super::relaid::Relaid;
use super::scope::Scope;
use super::state::{EMPTY, Held, describe, look};

/// The part of a disk that every table begins in, bytes.
const SECTOR: u64 = 512;

/// One line of a before or after picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayoutEntry {
    /// Partition number; `None` for a disk without a table.
    pub number: Option<u32>,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// "ext4 root, 2.5 GiB used".
    pub text: String,
    /// Whether the restore leaves it as it is.
    pub kept: bool,
}

/// A target before and after it is written to, as a person sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Preview {
    /// The target as it is.
    pub before: Vec<LayoutEntry>,
    /// The target as it will be.
    pub after: Vec<LayoutEntry>,
    /// Bytes in use that will be written, or compared with `--only-changed`.
    pub writes: u64,
    /// What the target loses.
    pub lost: Vec<String>,
    /// What else a person should know before.
    pub notices: Vec<String>,
}

/// What the target holds. With the table written, only what lies in `untouched` outlasts it; else
/// everything but the partitions that are written.
pub(in crate::operation) fn before(
    held: &[Held],
    transfers: &[Transfer],
    untouched: Option<&Extents>,
) -> Vec<LayoutEntry> {
    let stays = |place: Extent| match untouched {
        Some(untouched) => untouched.gaps_within(place.start, place.end).is_empty(),
        None => !transfers.iter().any(|transfer| transfer.to == place.start),
    };
    let entries = held.iter().map(|held| LayoutEntry {
        number: held.number,
        start: held.place.start,
        size: held.place.len(),
        text: held.text.clone(),
        kept: stays(held.place),
    });
    entries.collect()
}

/// What the image has in a region.
fn in_image(manifest: &Manifest, region: &Region) -> String {
    let partition = region.partition.and_then(|number| manifest.table.partition(number));
    describe(region.filesystem.as_ref(), &content_name(None, partition))
}

/// The one thing on the target after a logical volume has been written to it.
pub(in crate::operation) fn volume_entry(volume: &LogicalVolume) -> LayoutEntry {
    let text = format!("{volume}: {}", describe(volume.filesystem.as_ref(), UNKNOWN_TYPE));
    LayoutEntry { number: None, start: 0, size: volume.size, text, kept: false }
}

/// The target as it will be with the table of the image; `absent` are the partitions that are not restored.
pub(in crate::operation) fn after(
    manifest: &Manifest,
    absent: &[Absent],
    relaid: Option<&Relaid>,
) -> Vec<LayoutEntry> {
    let regions = manifest
        .regions
        .iter()
        .filter(|region| region.partition.is_some() || region.filesystem.is_some());
    let entries = regions.filter_map(|region| {
        let absent = absent.iter().find(|absent| Some(absent.number) == region.partition);
        let (start, size) = match relaid {
            Some(relaid) => relaid.place(region)?,
            None => (region.start, region.size),
        };
        Some(LayoutEntry {
            number: region.partition,
            start,
            size,
            text: absent.map_or_else(|| in_image(manifest, region), Absent::text),
            kept: absent.is_some_and(|absent| absent.remains == Remains::Same),
        })
    });
    entries.collect()
}

/// The target as it will be when single partitions of it are written.
pub(in crate::operation) fn after_partitions(
    before: &[LayoutEntry],
    manifest: &Manifest,
    transfers: &[Transfer],
) -> Vec<LayoutEntry> {
    let replaced = |old: &LayoutEntry| {
        let transfer = transfers.iter().find(|transfer| transfer.to == old.start)?;
        let region = manifest.regions.iter().find(|region| region.start == transfer.from)?;
        Some(LayoutEntry { text: in_image(manifest, region), kept: false, ..old.clone() })
    };
    before.iter().map(|old| replaced(old).unwrap_or_else(|| old.clone())).collect()
}

pub(in crate::operation) fn lost(
    survey: &Survey,
    before: &[LayoutEntry],
    scope: Scope,
) -> Vec<String> {
    let mut lost: Vec<String> = before
        .iter()
        .filter(|entry| !entry.kept && entry.text != EMPTY)
        .map(|entry| {
            format!("{}: {} ({})", table::name_of(entry.number), entry.text, human(entry.size))
        })
        .collect();
    if scope.replaces_all() && survey.table.scheme != Scheme::None {
        lost.push(format!("the partition table ({})", survey.table.scheme));
    }
    lost
}

/// The picture of a disk of which only what lies in `untouched` stays, and what is lost with the rest.
pub(in crate::operation) fn all_lost(
    survey: &Survey,
    untouched: &Extents,
) -> Result<(Vec<LayoutEntry>, Vec<String>), OperationError> {
    let (held, _) = look(survey, &Source::open(&survey.disk.path)?);
    let before = before(&held, &[], Some(untouched));
    // Where not even its first sector is written, the table stays too.
    let keeps_table = untouched.gaps_within(0, SECTOR).is_empty();
    let scope = if keeps_table { Scope::Partitions } else { Scope::Disk };
    let lost = lost(survey, &before, scope);
    Ok((before, lost))
}
