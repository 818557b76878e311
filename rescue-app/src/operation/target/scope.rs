//! Which bytes of the source go where on the target, and what of it is replaced.

use crate::bytes::Extents;
use crate::image::manifest::{Manifest, Region, Stored};
use crate::layout;
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::survey::Survey;
use crate::table::{self, Partition, Scheme, Table};
use crate::transfer::Transfer;

use super::state::TargetState;

/// What of the target a restore replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operation) enum Scope {
    /// All of it, partition table included.
    Disk,
    /// Partitions; the table stays.
    Partitions,
    /// All of it, by one logical volume, which has no table.
    Volume,
}

impl Scope {
    /// Whether nothing that was on the target stays, but for partitions the image leaves out.
    pub(in crate::operation) fn replaces_all(self) -> bool {
        self != Self::Partitions
    }
}

/// The whole disk, every region in its place.
pub(in crate::operation) fn whole_disk(manifest: &Manifest) -> Vec<Transfer> {
    manifest.regions.iter().filter(|region| is_stored(region)).map(in_place).collect()
}

/// Regions that no transfer covers. With the table written, everything else is replaced.
pub(in crate::operation) fn left_out<'m>(
    manifest: &'m Manifest,
    transfers: &[Transfer],
) -> impl Iterator<Item = &'m Region> {
    let regions = manifest.regions.iter();
    regions.filter(|region| !transfers.iter().any(|transfer| transfer.from == region.start))
}

pub(in crate::operation) fn is_stored(region: &Region) -> bool {
    region.stored != Stored::Nothing
}

fn in_place(region: &Region) -> Transfer {
    let Region { start, size, ref used, .. } = *region;
    Transfer { from: start, to: start, len: size, used: used.clone(), is_cut: false }
}

/// The chosen partitions in the places that they had, with what lies around them: for a target that gets
/// the table with them.
pub(in crate::operation) fn with_table(manifest: &Manifest, chosen: &[u32]) -> Vec<Transfer> {
    let is_meant = |region: &&Region| is_chosen(region, chosen) && is_stored(region);
    let regions = manifest.regions.iter().filter(is_meant);
    regions.map(in_place).collect()
}

/// Whether a region is one of the chosen partitions, or none at all.
pub(in crate::operation) fn is_chosen(region: &Region, chosen: &[u32]) -> bool {
    region.partition.is_none_or(|number| chosen.contains(&number))
}

/// Refuses what is no partition that the source holds.
pub(in crate::operation) fn check_chosen(
    manifest: &Manifest,
    chosen: &[u32],
) -> Result<(), OperationError> {
    chosen.iter().try_for_each(|number| stored_partition(manifest, *number).map(drop))
}

/// Chosen partitions go into those of the same numbers.
pub(in crate::operation) fn partitions(
    state: &TargetState,
    manifest: &Manifest,
    chosen: &[u32],
) -> Result<Vec<Transfer>, OperationError> {
    refuse_odd_table(state)?;
    let regions = chosen.iter().map(|number| stored_partition(manifest, *number));
    regions.map(|region| into_partition(state, region?)).collect()
}

/// Where readers of the table may see other partitions, or none is trusted, no single one is
/// written to.
fn refuse_odd_table(state: &TargetState) -> Result<(), OperationError> {
    let Survey { disk, table, note, .. } = &state.survey;
    if table.doubts.is_empty() && table.scheme != Scheme::None {
        return Ok(());
    }
    let target = disk.identity();
    let reasons = if table.doubts.is_empty() { &table.notices } else { &table.doubts };
    let (why, next) = if let Some(note) = note {
        (format!("{target} has no partition table: {note}"), "run that restore again, or restore")
    } else if !reasons.is_empty() {
        (
            format!("the partition table of {target} is in doubt ({})", reasons.join("; ")),
            "repair it with fdisk or sgdisk, or restore",
        )
    } else {
        let what: Vec<&str> = state.held.iter().map(|held| held.text.as_str()).collect();
        let why = format!("{target} has no partition table, and is not blank: {}", what.join(", "));
        (why, "make a table with these partitions on it, or restore")
    };
    Err(OperationError::refused(
        format!("no single partition is restored: {why}"),
        format!("{next} the whole disk, by which all that is on it is lost"),
    ))
}

fn stored_partition(manifest: &Manifest, number: u32) -> Result<&Region, OperationError> {
    let refused =
        |why: String| OperationError::refused(why, "see what it holds with `lifeboat show`");
    if let Some(inside) = frame_of(&manifest.table, number) {
        return Err(OperationError::refused(
            format!("partition {number} of the image is an extended one, a frame for others"),
            format!("name the partitions in it ({inside})"),
        ));
    }
    let region = manifest
        .partition(number)
        .ok_or_else(|| refused(format!("the image has no partition {number}")))?;
    if is_stored(region) {
        Ok(region)
    } else {
        Err(refused(format!("partition {number} was left out when the image was made")))
    }
}

/// The numbers of the partitions in the extended partition `number`: "5,6".
fn frame_of(table: &Table, number: u32) -> Option<String> {
    let inside = table.logical_partitions_in(number)?;
    let numbers: Vec<String> = inside.iter().map(u32::to_string).collect();
    Some(if numbers.is_empty() { "none".to_owned() } else { numbers.join(",") })
}

fn into_partition(state: &TargetState, region: &Region) -> Result<Transfer, OperationError> {
    let Survey { disk, table, .. } = &state.survey;
    let number = region.partition.unwrap_or_default();
    if let Some(inside) = frame_of(table, number) {
        return Err(OperationError::refused(
            format!(
                "partition {number} of {} is an extended one: the chain of its partitions ({inside}) \
                 would be overwritten",
                disk.identity()
            ),
            "make a partition of that number there, or restore the whole disk",
        ));
    }
    let found = table.partition(number);
    let least = layout::shrunk_size(region);
    let target = found.filter(|partition| partition.size >= least).ok_or_else(|| {
        OperationError::refused(
            format!(
                "{} has no partition {number} of at least {} ({least} bytes)",
                disk.identity(),
                human(least),
            ),
            "create it there, or restore the whole disk",
        )
    })?;
    if let Some(what) = neighbour_within(state, target) {
        return Err(OperationError::refused(
            format!("partition {number} of {} and {what} overlap", disk.identity()),
            "repair the partition table, or restore the whole disk",
        ));
    }
    let len = region.size.min(target.size);
    let used = region.used.intersection(&Extents::of(region.start, region.start + len));
    let is_cut = used != region.used;
    Ok(Transfer { from: region.start, to: target.start, len, used, is_cut })
}

/// What else lies in a partition of the target, by its table: nothing of it may be written to.
fn neighbour_within(state: &TargetState, target: &Partition) -> Option<String> {
    let table = &state.survey.table;
    let touches = |start: u64, end: u64| start < target.end() && target.start < end;
    let other = table
        .data_partitions()
        .find(|other| other.number != target.number && touches(other.start, other.end()));
    if let Some(other) = other {
        return Some(format!("partition {}", other.number));
    }
    if target.end() > state.survey.disk.size {
        return Some("the end of the disk".to_owned());
    }
    let metadata = table::metadata_extents(state.source.as_deref()?, table);
    let own = metadata.within(target.start, target.end()).next();
    own.map(|_| "the table itself".to_owned())
}
