//! The tree of directories, held against the allocation bitmap, which carries no checksum.

use std::collections::HashSet;

use super::directory::{self, Item};
use super::fat::{Fat, Length, Place, Run};
use crate::volume::Doubt;

/// More directories than this are not remembered.
const MOST_DIRECTORIES: usize = 1 << 20;

/// Calls `show` for the clusters of everything that the directories name, the directories
/// themselves included, the upper ones first. Returns whether that was all, which it is not when
/// the reads of `fat` were too few.
pub(super) fn each(
    fat: &mut Fat<'_>,
    mut show: impl FnMut(Run) -> Result<(), Doubt>,
) -> Result<bool, Doubt> {
    match all(fat, &mut show) {
        Err(_) if fat.is_exhausted() => Ok(false),
        result => result.map(|()| true),
    }
}

fn all(fat: &mut Fat<'_>, each: &mut dyn FnMut(Run) -> Result<(), Doubt>) -> Result<(), Doubt> {
    let root = directory::root(&fat.boot.layout);
    fat.runs(root, |_, run| each(run))?;
    let mut seen = HashSet::from([root.first]);
    let mut directories = vec![root];
    let mut next = 0usize;
    while let Some(&place) = directories.get(next) {
        next = next.saturating_add(1);
        directory::read(fat, place, |fat, item| {
            let place = match item {
                Item::Label(_) => return Ok(true),
                Item::Clusters(place) => place,
                Item::Bitmap { first, size, .. } => {
                    let clusters = fat.boot.layout.clusters_of(size).unwrap_or(0).max(1);
                    Place { first, length: Length::Exactly(clusters), contiguous: false }
                }
                Item::Directory(place) if seen.insert(place.first) => {
                    directories.push(place);
                    place
                }
                Item::Directory(place) => place,
            };
            fat.runs(place, |_, run| each(run))?;
            if directories.len() > MOST_DIRECTORIES { fat.exhaust() } else { Ok(true) }
        })?;
    }
    Ok(())
}
