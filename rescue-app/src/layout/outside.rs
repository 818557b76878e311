//! What lies outside of all partitions: what stays in its place, and what has none any more.

use crate::bytes::{Extent, Extents};
use crate::image::manifest::{Manifest, Region, Stored};
use crate::table::{Position, Scheme};

use super::{Layout, is_shrunk};

/// Bytes of the captured disk outside of partitions, and those behind the end of their
/// filesystems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// What goes to the same place.
    pub stays: Extents,
    /// What is in no place of the new disk: a partition lies there, or it ends before.
    pub dropped: Extents,
}

/// Sorts what the manifest's disk has outside of partitions, for a disk of `size` bytes with the
/// partitions of `layout`; `written` are the bytes of its table there, `old_table` those of the captured one.
pub fn outside(
    manifest: &Manifest,
    layout: &Layout,
    size: u64,
    written: &Extents,
    old_table: &Extents,
) -> Outside {
    let place = |it: &Position| (it.start, it.size);
    let frames = |number: u32| manifest.partition(number).is_none();
    let partitions =
        layout.placed.iter().map(|it| &it.position).filter(|it| !frames(it.number)).map(place);
    let mut taken = Extents::from(partitions.collect::<Vec<_>>());
    taken.push(size, u64::MAX);
    // The start of the disk is captured with its table, which is then patched; copies elsewhere and
    // records of the chain are made anew.
    let front = manifest.table.data_partitions().map(|it| it.start).min().unwrap_or(0);
    let remade = old_table.intersection(&Extents::of(front, u64::MAX));
    // The backup of a GPT would be one in the wrong place. Old records of a chain lead nowhere.
    let is_gpt = manifest.table.scheme == Scheme::Gpt;
    let erased = if is_gpt { remade.clone() } else { Extents::new() };
    let mut found = Outside::default();
    for region in manifest.regions.iter().filter(|region| region.stored != Stored::Nothing) {
        let cut = match region.partition {
            None => region.used.without(&erased),
            Some(number) => behind(region, layout.position(number)),
        };
        let stays = match region.partition {
            None => cut.without(&taken),
            Some(_) => Extents::new(),
        };
        let lost = cut.without(&stays).without(&remade);
        let lost = lost.union(&stays.intersection(written).without(old_table));
        found.stays = found.stays.union(&stays);
        found.dropped = found.dropped.union(&lost);
    }
    found
}

/// What the image holds of a region behind the end of its partition's new size.
/// What of a filesystem that is made smaller lies there moves.
fn behind(region: &Region, new: Option<&Position>) -> Extents {
    let Some(new) = new.filter(|new| !is_shrunk(region, new.size)) else { return Extents::new() };
    let end = Extent { start: region.start.saturating_add(new.size), end: region.end() };
    Extents::from(
        region.used.within(end.start, end.end).map(|it| (it.start, it.len())).collect::<Vec<_>>(),
    )
}
