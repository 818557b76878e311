//! What contradicts itself in a decoded table, and what readers may see otherwise.

use super::{Partition, Role, Table, metadata_extents};
use crate::bytes::ReadAt;

/// The table with its doubts and with the partitions that are concerned. `claims` are partitions
/// that another reading of the disk has.
pub(super) fn weighed(disk: &dyn ReadAt, table: Table, claims: &[Partition]) -> Table {
    let unlisted: Vec<&Partition> =
        claims.iter().filter(|claim| !table.data_partitions().any(|p| same(p, claim))).collect();
    let overlapping = overlapping(&table);
    let mut contested = claimed_otherwise(&table, &unlisted);
    contested.extend(&overlapping);
    contested.sort_unstable();
    contested.dedup();

    let mut doubts = table.doubts.clone();
    if !unlisted.is_empty() {
        doubts.push(
            "another table on the disk (a hybrid MBR, or the other copy of the GPT) names \
             partitions that this one does not have"
                .into(),
        );
    }
    if !overlapping.is_empty() {
        let listed: Vec<String> = overlapping.iter().map(u32::to_string).collect();
        doubts.push(format!("partitions {} overlap", listed.join(" and ")));
    }
    doubts.extend(past_the_end(&table, disk.size()));
    doubts.extend(primary_in_extended(&table));
    doubts.extend(over_the_table(disk, &table));
    Table { doubts, contested, ..table }
}

fn same(one: &Partition, other: &Partition) -> bool {
    (one.start, one.size) == (other.start, other.size)
}

fn overlap(one: &Partition, other: &Partition) -> bool {
    one.start < other.end() && other.start < one.end()
}

/// Numbers of the partitions of whose bytes another reading makes other partitions.
fn claimed_otherwise(table: &Table, unlisted: &[&Partition]) -> Vec<u32> {
    let claims = unlisted.iter().filter(|claim| claim.role != Role::Extended);
    let partitions = claims.flat_map(|claim| table.data_partitions().filter(|p| overlap(p, claim)));
    partitions.map(|partition| partition.number).collect()
}

/// Numbers of the partitions that lie over each other.
fn overlapping(table: &Table) -> Vec<u32> {
    let separate: Vec<u32> = table.separate_partitions().iter().map(|p| p.number).collect();
    table.data_partitions().map(|p| p.number).filter(|n| !separate.contains(n)).collect()
}

/// Linux cuts such a partition off at the end of the disk, or leaves it out.
fn past_the_end(table: &Table, disk_size: u64) -> impl Iterator<Item = String> {
    let past = table.data_partitions().filter(move |partition| partition.end() > disk_size);
    past.map(|p| format!("partition {} reaches past the end of the disk", p.number))
}

/// Seen where a filesystem on a whole disk has a table that names it, where the array of a GPT's
/// entries is larger than what is in it, and where a tool put an extended boot record into the
/// partition before it (util-linux issue 3925).
fn over_the_table(disk: &dyn ReadAt, table: &Table) -> Vec<String> {
    let metadata = metadata_extents(disk, table);
    let over =
        table.data_partitions().filter(|p| metadata.within(p.start, p.end()).next().is_some());
    over.map(|p| format!("partition {} lies over a part of the partition table", p.number))
        .collect()
}

/// A primary partition inside an extended one is contradictory; logical partitions belong there.
fn primary_in_extended(table: &Table) -> Vec<String> {
    let with_role = |role| table.partitions.iter().filter(move |p| p.role == role);
    let pairs = with_role(Role::Extended)
        .flat_map(|outer| with_role(Role::Primary).map(move |inner| (inner, outer)))
        .filter(|(inner, outer)| overlap(inner, outer));
    let said = pairs.map(|(inner, outer)| {
        format!("partition {} overlaps the extended partition {}", inner.number, outer.number)
    });
    said.collect()
}
