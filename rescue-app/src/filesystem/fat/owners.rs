//! Which files belong to given clusters: a walk through all directories, along the chains.

use std::collections::HashSet;

use super::boot_sector::BootSector;
use super::directory;
use super::table::Chains;
use crate::bytes::ReadAt;
use crate::volume::owners::{Names, Tally, join};
use crate::volume::{Doubt, Kind};

/// More entries than this are not followed.
const MOST_ENTRIES: u64 = 1 << 26;

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
    // The content of folders is read one after the other: many large ones that share their
    // clusters would not fit.
    let mut folders = vec![("/".to_owned(), directory::root(boot))];
    // A file is numbered in the order of the walk; 1 is the root.
    let mut id = 1u64;
    while let Some((path, cluster)) = folders.pop() {
        let (bytes, _) = directory::read(volume, boot, &mut chains, cluster);
        for entry in directory::entries(&bytes, boot.kind) {
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
