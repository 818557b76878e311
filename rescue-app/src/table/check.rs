//! Whether a decoded table can be trusted: partitions inside the disk and apart from each other
//! and from the table.

use super::{Partition, Role, Scheme, Table, metadata_extents};
use crate::bytes::{Extents, ReadAt};

/// The table, or [`Scheme::None`] with the reason why it is not believed.
pub(super) fn trusted(disk: &dyn ReadAt, table: Table) -> Table {
    if table.scheme == Scheme::None {
        return table;
    }
    let metadata = metadata_extents(disk, &table);
    match doubt(&table, disk.size(), &metadata) {
        None => table,
        Some(why) => {
            let mut notices = table.notices;
            notices.push(format!(
                "{why}; the partition table is not trusted and the disk is treated as one piece"
            ));
            Table::none(table.sector_size, notices)
        }
    }
}

fn doubt(table: &Table, disk_size: u64, metadata: &Extents) -> Option<String> {
    let mut sorted: Vec<&Partition> = table.data_partitions().collect();
    sorted.sort_by_key(|partition| (partition.start, partition.number));
    for partition in &sorted {
        let number = partition.number;
        if partition.start.checked_add(partition.size).is_none_or(|end| end > disk_size) {
            return Some(format!("partition {number} reaches past the end of the disk"));
        }
        if metadata.within(partition.start, partition.end()).next().is_some() {
            return Some(format!("partition {number} lies over the partition table"));
        }
    }
    for (one, next) in sorted.iter().zip(sorted.iter().skip(1)) {
        if one.end() > next.start {
            return Some(format!("partitions {} and {} overlap", one.number, next.number));
        }
    }
    primary_in_extended(table)
}

/// A primary partition inside an extended one is contradictory; logical partitions belong there.
fn primary_in_extended(table: &Table) -> Option<String> {
    let extended = table.partitions.iter().filter(|partition| partition.role == Role::Extended);
    for container in extended {
        let inside = |partition: &&Partition| {
            partition.role == Role::Primary
                && partition.start < container.end()
                && container.start < partition.end()
        };
        if let Some(partition) = table.partitions.iter().find(inside) {
            let (one, other) = (partition.number, container.number);
            return Some(format!("partition {one} overlaps the extended partition {other}"));
        }
    }
    None
}
