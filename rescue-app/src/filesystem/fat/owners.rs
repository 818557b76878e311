//! Which files belong to given clusters: a walk through all directories, along the chains.

use std::collections::HashSet;

use super::boot_sector::BootSector;
use super::table::Chains;
use super::{DELETED, ENTRY, VOLUME_ID};
use crate::bytes::{ReadAt, le16, slice};
use crate::filesystem::Kind;
use crate::filesystem::format::Doubt;
use crate::filesystem::owners::{Names, Tally, join};
use crate::filesystem::probe::byte;
use crate::filesystem::text;

/// Attributes of an entry: a folder, a piece of a long name.
const FOLDER: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// Where the thirteen UTF-16 units of a long name's piece are.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// More entries than this are not followed.
const MOST_ENTRIES: u64 = 1 << 26;
/// A folder has at most 65,536 entries.
const LARGEST_FOLDER: usize = 65_536 * ENTRY;

/// A file or folder on the way.
struct Entry {
    cluster: u32,
    is_folder: bool,
    name: String,
}

/// Walks the whole tree.
pub(super) fn walk(
    volume: &dyn ReadAt,
    boot: &BootSector,
    tally: &mut Tally<'_>,
    names: &mut Names,
) -> Result<(), Doubt> {
    let mut chains = Chains::new(volume, boot)?;
    let mut left = MOST_ENTRIES;
    let mut seen = HashSet::new();
    if boot.kind == Kind::Fat32 {
        count(boot, &mut chains, boot.root_cluster, ("/", 1), tally, names);
    }
    // Where a folder begins; FAT12 and FAT16 have the root in a place of its own. What is in them
    // is read one after the other: many large folders that share their clusters would not fit.
    let root = (boot.kind == Kind::Fat32).then_some(boot.root_cluster);
    let mut folders = vec![("/".to_owned(), root)];
    // A file is numbered in the order of the walk; 1 is the root.
    let mut id = 1u64;
    while let Some((path, cluster)) = folders.pop() {
        let bytes = match cluster {
            Some(first) => content(volume, boot, &mut chains, first),
            None => fixed_root(volume, boot),
        };
        for entry in entries(&bytes) {
            id = id.saturating_add(1);
            left = left
                .checked_sub(1)
                .ok_or_else(|| Doubt::because("it has too many files to search them for names"))?;
            let path = join(&path, &entry.name);
            count(boot, &mut chains, entry.cluster, (&path, id), tally, names);
            if entry.is_folder && entry.cluster != 0 && seen.insert(entry.cluster) {
                folders.push((path, Some(entry.cluster)));
            }
        }
    }
    Ok(())
}

/// Adds the clusters of a chain to the tally, and its name if that had an effect.
fn count(
    boot: &BootSector,
    chains: &mut Chains<'_>,
    first: u32,
    (path, id): (&str, u64),
    tally: &mut Tally<'_>,
    names: &mut Names,
) {
    let mut hit = false;
    chains.follow(first, |cluster| {
        let start = boot.cluster(cluster);
        hit |= tally.file(id, start, start.saturating_add(boot.cluster_size.into()));
        true
    });
    if hit {
        names.set(id, path);
    }
}

/// The content of a folder; zeros, which end it, instead of what cannot be read.
fn content(volume: &dyn ReadAt, boot: &BootSector, chains: &mut Chains<'_>, first: u32) -> Vec<u8> {
    let size = usize::try_from(boot.cluster_size).unwrap_or(0);
    let mut bytes = Vec::new();
    chains.follow(first, |cluster| {
        bytes.extend(volume.read_vec(boot.cluster(cluster), size).unwrap_or_default());
        bytes.len() < LARGEST_FOLDER
    });
    bytes
}

fn fixed_root(volume: &dyn ReadAt, boot: &BootSector) -> Vec<u8> {
    let len = usize::try_from(boot.data().saturating_sub(boot.root())).unwrap_or(0);
    volume.read_vec(boot.root(), len.min(LARGEST_FOLDER)).unwrap_or_default()
}

fn entries(folder: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut long: Vec<Vec<u8>> = Vec::new();
    for entry in folder.chunks_exact(ENTRY) {
        let (first, attributes) = (byte(entry, 0).unwrap_or(0), byte(entry, 11).unwrap_or(0));
        // A zero ends a folder; but it may also be a lost sector, with more entries behind it.
        if first == DELETED || first == 0 {
            long.clear();
        } else if attributes & 0x3f == LONG_NAME {
            let units = UNITS.iter().filter_map(|at| slice(entry, *at, 2)).flatten();
            long.push(units.copied().collect());
        } else {
            let pieces = std::mem::take(&mut long);
            if attributes & VOLUME_ID == 0 && first != b'.' {
                found.extend(parse(entry, &pieces, attributes & FOLDER != 0));
            }
        }
    }
    found
}

fn parse(entry: &[u8], long: &[Vec<u8>], is_folder: bool) -> Option<Entry> {
    let cluster = u32::from(le16(entry, 20)?) << 16 | u32::from(le16(entry, 26)?);
    // The pieces stand in reverse order before the entry.
    let long: Vec<u8> = long.iter().rev().flatten().copied().collect();
    let name = if long.is_empty() { short_name(entry)? } else { text::utf16(&long) };
    Some(Entry { cluster, is_folder, name })
}

/// Windows NT keeps the case of an 8.3 name in two bits of byte 12 (`CASE_LOWER_BASE`,
/// `CASE_LOWER_EXT` in Linux `include/uapi/linux/msdos_fs.h`).
fn short_name(entry: &[u8]) -> Option<String> {
    let case = byte(entry, 12)?;
    let part = |at, len, lower| -> Option<String> {
        let text = String::from_utf8_lossy(slice(entry, at, len)?).trim_end().to_owned();
        Some(if case & lower != 0 { text.to_ascii_lowercase() } else { text })
    };
    let (name, extension) = (part(0, 8, 0x08)?, part(8, 3, 0x10)?);
    Some(if extension.is_empty() { name } else { format!("{name}.{extension}") })
}
