//! Which bytes of the source go where on the target, and what of it is replaced.

use crate::image::manifest::{Manifest, Region, Stored};
use crate::operation::error::OperationError;
use crate::operation::format::size as human;
use crate::operation::survey::Survey;
use crate::table::{self, Partition, Scheme, Table};
use crate::transfer::Transfer;

use super::state::{TargetState, check_size};

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
pub(in crate::operation) fn whole_disk(
    state: &TargetState,
    manifest: &Manifest,
) -> Result<Vec<Transfer>, OperationError> {
    let next = "choose a disk at least as large";
    check_size(&state.survey.disk, manifest.disk.size, next)?;
    Ok(manifest.regions.iter().filter(|region| is_stored(region)).map(in_place).collect())
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
    Transfer { from: start, to: start, len: size, used: used.clone() }
}

/// Chosen partitions go into the partitions of the same numbers. On a disk that was looked at and
/// found blank, or on which this very restore was begun before, the table is written with them.
pub(in crate::operation) fn partitions(
    state: &TargetState,
    manifest: &Manifest,
    chosen: &[u32],
    begun: bool,
) -> Result<(Vec<Transfer>, Scope), OperationError> {
    let regions = chosen.iter().map(|number| stored_partition(manifest, *number));
    let regions = regions.collect::<Result<Vec<_>, _>>()?;
    if state.blank || begun {
        check_size(&state.survey.disk, manifest.disk.size, &onto_smaller(&regions))?;
        let outside = manifest.regions.iter().filter(|region| region.partition.is_none());
        let transfers = outside.chain(regions).map(in_place).collect();
        return Ok((transfers, Scope::Disk));
    }
    refuse_odd_table(state)?;
    let transfers = regions.into_iter().map(|region| into_partition(state, region));
    Ok((transfers.collect::<Result<Vec<_>, _>>()?, Scope::Partitions))
}

/// What works for single partitions on a blank disk on which the table has no room.
fn onto_smaller(regions: &[&Region]) -> String {
    let needs = |region: &&Region| {
        let number = region.partition.unwrap_or_default();
        format!("partition {number} of at least {} bytes", region.size)
    };
    let needs: Vec<String> = regions.iter().map(needs).collect();
    format!(
        "the partition table does not fit there: make a table with {} on it, then restore \
         into that, or restore to a file",
        needs.join(" and ")
    )
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
    let target = found.filter(|partition| partition.size >= region.size).ok_or_else(|| {
        OperationError::refused(
            format!(
                "{} has no partition {number} of at least {} ({} bytes)",
                disk.identity(),
                human(region.size),
                region.size
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
    Ok(Transfer { to: target.start, ..in_place(region) })
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
