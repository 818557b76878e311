//! The partitions of a captured disk, and what each allows.

use crate::image::manifest::{Manifest, Region, Stored};
use crate::table::{Partition, Position, Purpose, Role, Scheme, Table};
use crate::volume::Kind;

use super::{ALIGNMENT, Part};

/// GRUB's second stage in a GPT is found by the number of its first sector.
const BIOS_BOOT: &str = "BIOS boot";
/// Recovery partitions of Windows are found by what is in them.
const HIDDEN_NTFS: &str = "0x27";

/// The partitions with content of their own in the order of the disk; `wanted` are those that are restored.
pub fn parts(manifest: &Manifest, wanted: impl Fn(u32) -> bool) -> Vec<Part> {
    let table = &manifest.table;
    let mut partitions: Vec<&Partition> = table.data_partitions().collect();
    partitions.sort_by_key(|partition| partition.start);
    let mut before = frame(table).map(|frame| frame.start);
    let each = partitions.into_iter().map(|partition| {
        let region = manifest.partition(partition.number);
        let is_logical = partition.role == Role::Logical;
        let lead = before.filter(|_| is_logical).map(|end| partition.start.saturating_sub(end));
        if is_logical {
            before = Some(partition.end());
        }
        Part {
            number: partition.number,
            start: partition.start,
            size: partition.size,
            least: region.map_or(partition.size, least_size),
            shrunk: region.map_or(partition.size, shrunk_size),
            wanted: wanted(partition.number),
            fixed: region.and_then(|region| fixed(manifest, partition, region)),
            grows: region.is_some_and(grows),
            lead: lead.map(|lead| lead.min(ALIGNMENT)),
        }
    });
    each.collect()
}

/// The extended partition, if there is one.
pub fn frame(table: &Table) -> Option<Position> {
    let frame = table.partitions.iter().find(|partition| partition.role == Role::Extended)?;
    Some(Position { number: frame.number, start: frame.start, size: frame.size, record: 0 })
}

/// Why no partition of a table can be moved or left out, if so: the database at the end of a Windows dynamic
/// disk tells the sectors of its volumes (Linux `block/partitions/ldm.h`).
pub fn obstacle(table: &Table) -> Option<&'static str> {
    const DYNAMIC_MBR: &str = "0x42";
    const DYNAMIC_GPT: &str = "Windows LDM";
    let is_dynamic =
        |it: &Partition| it.type_id == DYNAMIC_MBR || it.type_name.starts_with(DYNAMIC_GPT);
    let found = table.partitions.iter().any(is_dynamic);
    found.then_some("it is a Windows dynamic disk, whose database tells the places of its volumes")
}

/// The least size that the filesystem in a region can be given, bytes; [`least_size`] where it keeps its size.
pub fn shrunk_size(region: &Region) -> u64 {
    let least = least_size(region);
    let Some(found) = &region.filesystem else { return least };
    let is_plain =
        region.inside.is_empty() && (region.logical_volumes.is_empty() || found.kind == Kind::Lvm2);
    match region.minimum_size {
        Some(size) if region.stored == Stored::Used && is_plain && shrinks(found.kind) => {
            size.next_multiple_of(ALIGNMENT).min(least)
        }
        _ => least,
    }
}

/// What is made smaller: filesystems, by their own tools, by hand or by files, and physical volumes of LVM.
fn shrinks(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ext2
            | Kind::Ext3
            | Kind::Ext4
            | Kind::Ntfs
            | Kind::Btrfs
            | Kind::Xfs
            | Kind::Lvm2
            | Kind::Fat12
            | Kind::Fat16
            | Kind::Fat32
            | Kind::ExFat
    )
}

/// Whether the filesystem in a region has to be made smaller to lie in a partition of `size` bytes.
pub fn is_shrunk(region: &Region, size: u64) -> bool {
    size < least_size(region)
}

/// The least size that the content of a region allows as it is, bytes. What lies behind the end of a filesystem
/// whose map is believed is none of it; swap space has no content.
pub fn least_size(region: &Region) -> u64 {
    let Some(found) = &region.filesystem else { return region.size };
    let is_plain = region.inside.is_empty() && region.logical_volumes.is_empty();
    let least = match (region.stored, found.kind) {
        (Stored::Header, Kind::Swap) => ALIGNMENT,
        (Stored::Used, kind) if is_plain && tells_its_end(kind) => found.size,
        _ => region.size,
    };
    least.min(region.size)
}

/// Filesystems that lie at the start of their partition, and say in their first sectors where they end.
fn tells_its_end(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ext2
            | Kind::Ext3
            | Kind::Ext4
            | Kind::Ntfs
            | Kind::Fat12
            | Kind::Fat16
            | Kind::Fat32
            | Kind::ExFat
            | Kind::Xfs
    )
}

/// Whether it is a filesystem of a system or of data, or LVM around such, that can grow.
fn grows(region: &Region) -> bool {
    let kind = region.filesystem.as_ref().map(|found| found.kind);
    // Of a physical volume the least size is known where it is its group's only one.
    let is_alone = kind == Some(Kind::Lvm2) && region.minimum_size.is_some();
    region.stored == Stored::Used
        && (is_alone
            || matches!(
                kind,
                Some(Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Ntfs | Kind::Btrfs | Kind::Xfs)
            ))
}

/// Why a partition must stay at its place. On an MBR disk Windows knows its partitions by their first
/// bytes (elements of the BCD; `MountedDevices` in the registry).
fn fixed(manifest: &Manifest, partition: &Partition, region: &Region) -> Option<&'static str> {
    if partition.type_name == BIOS_BOOT {
        return Some("GRUB is found there by the number of its sector");
    }
    if let Purpose::Divided(_) = partition.purpose() {
        return Some("what it is divided into may be found by its place on the disk");
    }
    let is_windows = |region: &Region| {
        region.system.as_ref().is_some_and(|system| system.starts_with("Windows"))
    };
    let kind = region.filesystem.as_ref().map(|found| found.kind);
    let is_known_by_place = manifest.table.scheme == Scheme::Mbr
        && kind == Some(Kind::Ntfs)
        && partition.type_id != HIDDEN_NTFS
        && manifest.regions.iter().any(is_windows);
    is_known_by_place.then_some("Windows on an MBR disk knows it by its first byte")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// An MBR disk of 100 MiB with an NTFS, a recovery partition and a swap space behind each other.
    fn manifest(scheme: &str, system: &str) -> Manifest {
        let partition = |number: u64, kind: &str| {
            json!({"number": number, "start": (number * 20) * MIB, "size": 20 * MIB, "type_id": kind,
                   "type_name": "", "uuid": null, "name": null, "attributes": 0, "role": "primary",
                   "bootable": false})
        };
        let region = |number: u64, kind: &str, size: u64, stored: &str| {
            json!({"start": number * 20 * MIB, "size": 20 * MIB, "partition": number,
                   "stored": stored, "used": [[number * 20 * MIB, MIB]],
                   "system": (number == 1).then_some(system),
                   "filesystem": {"kind": kind, "size": size, "block_size": 4096,
                                  "state": "clean"}})
        };
        let gap = |start: u64| -> Value {
            json!({"start": start * MIB, "size": 20 * MIB, "stored": "whole", "used": []})
        };
        let manifest = json!({
            "version": 1, "tool": "", "chunk_size": 4096,
            "disk": {"model": "M", "serial": null, "wwn": null, "size": 100 * MIB,
                     "logical_sector": 512, "physical_sector": 512, "transport": "file"},
            "table": {"scheme": scheme, "sector_size": 512, "disk_id": null, "notices": [],
                      "partitions": [partition(1, "0x07"), partition(2, "0x27"),
                                     partition(3, "0x82")]},
            "regions": [gap(0), region(1, "ntfs", 15 * MIB, "used"),
                        region(2, "ntfs", 20 * MIB, "used"),
                        region(3, "swap", 20 * MIB, "header"), gap(80)],
        });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn windows_stays_in_its_place_on_an_mbr_disk_alone() {
        let fixed = |scheme: &str, system: &str| -> Vec<bool> {
            let parts = parts(&manifest(scheme, system), |_| true);
            parts.iter().map(|part| part.fixed.is_some()).collect()
        };
        assert_eq!(fixed("mbr", "Windows 10 Pro 22H2"), [true, false, false]);
        assert_eq!(fixed("gpt", "Windows 10 Pro 22H2"), [false; 3]);
        assert_eq!(fixed("mbr", "Debian GNU/Linux 13 (trixie)"), [false; 3]);
    }

    #[test]
    fn a_partition_can_shrink_to_its_filesystem_and_swap_space_to_next_to_nothing() {
        let parts = parts(&manifest("mbr", "Windows 10 Pro 22H2"), |number| number != 2);
        let least: Vec<u64> = parts.iter().map(|part| part.least / MIB).collect();
        assert_eq!(least, [15, 20, 1]);
        let wanted: Vec<bool> = parts.iter().map(|part| part.wanted).collect();
        assert_eq!(wanted, [true, false, true]);
    }
}
