//! What tells captured disks apart.
//!
//! Model and serial number alone do not: USB bridges of one make share a serial number, a virtual
//! machine's only disk has none, and image files in folders of their own have one name. What is on
//! the disk (the table's own identity, those of its filesystems) tells them apart, but changes when
//! the disk is set up anew. A disk whose serial number is its own stays the same through that.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::manifest::{DiskIdentity, Manifest};
use crate::disk::Transport;

/// A serial number with fewer different characters is a counter or a filling: QEMU gives every
/// machine `QM00001`, VMware `00000000000000000001`.
const DIFFERENT_CHARACTERS: usize = 5;

/// So many characters that each follow the one before are somebody's `0123456789`.
const RUN: usize = 6;

/// Signs by which a disk is known again; two images that have one in common are of the same disk.
/// There is at least one.
pub fn signs(manifest: &Manifest) -> Vec<String> {
    let disk = &manifest.disk;
    let hardware = sign(&[disk.model.as_deref(), own_number(disk)]);
    if has_own_serial(disk) {
        return vec![hardware];
    }
    let table = manifest.table.disk_id.as_deref();
    let filesystems = manifest.regions.iter().filter_map(|region| region.filesystem.as_ref());
    let mut signs: Vec<String> = filesystems
        .filter_map(|filesystem| filesystem.uuid.as_deref())
        .map(|uuid| sign(&[Some(&hardware), table, Some(uuid)]))
        .collect();
    if signs.is_empty() {
        let size = table.is_none().then(|| disk.size.to_string());
        signs.push(sign(&[Some(&hardware), table, size.as_deref()]));
    }
    signs
}

/// A sign made of parts, as 64 hexadecimal digits.
fn sign(parts: &[Option<&str>]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length in front keeps the parts apart, and what is absent from what is empty.
        hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hex::encode(hash.finalize())
}

/// The serial number, or the World Wide Name of a disk that tells none.
fn own_number(disk: &DiskIdentity) -> Option<&str> {
    disk.serial.as_deref().or(disk.wwn.as_deref())
}

/// Whether the serial number names this one disk. A USB bridge tells its own, or one that all of
/// its make have; a loop device tells a path.
fn has_own_serial(disk: &DiskIdentity) -> bool {
    let Some(number) = own_number(disk) else { return false };
    let shared = [Transport::Usb, Transport::Loop, Transport::File, Transport::Other];
    if shared.iter().any(|transport| transport.to_string() == disk.transport) {
        return false;
    }
    let mut characters: Vec<char> = number.chars().collect();
    let follows = |pair: &[char]| u32::from(pair[1]) == u32::from(pair[0]) + 1;
    let counts = characters.windows(RUN).any(|part| part.windows(2).all(follows));
    characters.sort_unstable();
    characters.dedup();
    characters.len() >= DIFFERENT_CHARACTERS && !counts
}

/// What a person can tell the disk by beside its name: the table's own identity, or else that of
/// its first filesystem.
pub fn content_id(manifest: &Manifest) -> Option<String> {
    let first = || {
        let filesystems = manifest.regions.iter().filter_map(|region| region.filesystem.as_ref());
        filesystems.filter_map(|filesystem| filesystem.uuid.clone()).next()
    };
    manifest.table.disk_id.clone().or_else(first)
}

/// The folder of a disk whose usual one holds images of another disk: the usual one with the start
/// of the disk's first sign. Different disks have no sign in common, nor such a folder.
pub fn folder_besides(manifest: &Manifest) -> String {
    let signs = signs(manifest);
    let sign = signs.first().and_then(|sign| sign.get(..8)).unwrap_or_default();
    format!("{}-{sign}", manifest.disk.folder())
}

/// The number of the disk for each of several images, given their signs: images that share a sign,
/// if only through others, have the same number. Disks are numbered in order of their first image.
pub fn numbers<'s>(images: impl Iterator<Item = &'s [String]>) -> Vec<usize> {
    let mut owner: BTreeMap<&str, usize> = BTreeMap::new();
    // Disks that turned out to be the same as an earlier one; each points to that.
    let mut same_as: Vec<usize> = Vec::new();
    let mut of_image = Vec::new();
    for signs in images {
        let new = same_as.len();
        same_as.push(new);
        for sign in signs {
            let known = first(&same_as, *owner.entry(sign).or_insert(new));
            let mine = first(&same_as, new);
            same_as[known.max(mine)] = known.min(mine);
        }
        of_image.push(new);
    }
    let firsts: Vec<usize> = of_image.iter().map(|&image| first(&same_as, image)).collect();
    let mut order: Vec<usize> = firsts.clone();
    order.sort_unstable();
    order.dedup();
    firsts.iter().map(|one| order.binary_search(one).unwrap_or_default()).collect()
}

fn first(same_as: &[usize], mut disk: usize) -> usize {
    while same_as[disk] != disk {
        disk = same_as[disk];
    }
    disk
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A disk with this transport, serial number, identity of its table, and filesystems.
    fn disk(transport: &str, serial: Option<&str>, table: &str, uuids: &[&str]) -> Manifest {
        let size = 1u64 << 20;
        let count = uuids.len().max(1) as u64;
        let region = |at: usize| {
            let filesystem = uuids.get(at).map(|uuid| {
                json!({"kind": "ext4", "uuid": uuid, "size": 1, "block_size": 1,
                       "state": "clean"})
            });
            json!({"start": at as u64 * (size / count), "size": size / count,
                   "partition": at + 1, "filesystem": filesystem, "stored": "nothing",
                   "used": []})
        };
        let table = Some(table).filter(|id| !id.is_empty());
        let regions: Vec<_> = (0..usize::try_from(count).unwrap()).map(region).collect();
        let manifest = json!({
            "version": 1, "tool": "", "chunk_size": 4096,
            "disk": {"model": "M", "serial": serial, "wwn": null, "size": size,
                     "logical_sector": 512, "physical_sector": 512, "transport": transport},
            "table": {"scheme": "none", "sector_size": 512, "disk_id": table, "partitions": [],
                      "notices": []},
            "regions": regions,
        });
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    fn are_same(one: &Manifest, other: &Manifest) -> bool {
        let signs = [signs(one), signs(other)];
        let numbers = numbers(signs.iter().map(Vec::as_slice));
        numbers[0] == numbers[1]
    }

    #[test]
    fn a_disk_with_a_serial_number_of_its_own_stays_the_same_when_set_up_anew() {
        for transport in ["SATA", "NVMe", "SAS", "MMC", "virtio", "SCSI"] {
            let before = disk(transport, Some("S5Y1NJ0R"), "a", &["1", "2"]);
            assert!(are_same(&before, &disk(transport, Some("S5Y1NJ0R"), "b", &["3"])));
            assert!(are_same(&before, &disk(transport, Some("S5Y1NJ0R"), "", &[])));
            assert!(!are_same(&before, &disk(transport, Some("S5Y1NJ0S"), "a", &["1", "2"])));
        }
    }

    #[test]
    fn disks_that_share_a_name_are_told_apart_by_what_is_on_them() {
        let shared = [
            ("USB", Some("DD56419883914")),
            ("USB", Some("0123456789ABCDEF")),
            ("virtio", None),
            ("file", None),
            ("SATA", Some("QM00001")),
            ("NVMe", Some("00000000000000000001")),
            ("SCSI", Some("123456789012")),
        ];
        for (transport, serial) in shared {
            let of = |table, uuids: &[&str]| disk(transport, serial, table, uuids);
            let first = of("a", &["1", "2"]);
            assert!(are_same(&first, &of("a", &["2", "3"])), "{transport} {serial:?}");
            assert!(!are_same(&first, &of("b", &["1", "2"])), "{transport} {serial:?}");
            assert!(!are_same(&first, &of("a", &["3", "4"])), "{transport} {serial:?}");
            assert!(!are_same(&first, &of("", &[])), "{transport} {serial:?}");
            assert_ne!(folder_besides(&first), folder_besides(&of("b", &["1", "2"])));
        }
    }

    #[test]
    fn images_belong_together_through_others() {
        let signs = [vec!["a"], vec!["b"], vec!["c"], vec!["b", "c"], vec!["d"], vec!["c", "a"]];
        let signs: Vec<Vec<String>> =
            signs.iter().map(|of| of.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(numbers(signs.iter().map(Vec::as_slice)), [0, 0, 0, 0, 1, 0]);
        assert_eq!(numbers(signs[..3].iter().map(Vec::as_slice)), [0, 1, 2]);
    }
}
