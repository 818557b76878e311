//! What pruning is to do: pure arithmetic over the index and the marks.

use std::collections::HashMap;

use super::used::EntrySet;
use crate::repository::format::index::{EntryNumber, Index};
use crate::repository::format::{BlobType, Id};
use crate::repository::write::open_pack::TARGET_LEN;

/// Packs below this length are small …
const SMALL_LEN: u64 = TARGET_LEN as u64 / 5 * 4;

/// … and are joined when there are this many of a kind: the few that every capture leaves are
/// not worth moving each time.
const SMALL_COUNT: usize = 10;

/// A pack of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackPlan {
    pub(super) id: Id,
    /// Bytes of the file.
    pub(super) size: u64,
    /// The blobs to keep, in order of offset.
    pub(super) kept: Vec<EntryNumber>,
    kind: BlobType,
    /// Bytes of the blobs to keep …
    pub(super) used: u64,
    /// … and of the others.
    unused: u64,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Packs that nothing is kept of.
    pub(super) unused: Vec<PackPlan>,
    /// Packs whose kept blobs move into new packs.
    pub(super) repack: Vec<PackPlan>,
    /// Packs that the index names but that are not there.
    pub(super) lost: Vec<Id>,
    /// Bytes of blobs that nothing uses in packs that stay.
    pub(super) unused_left: u64,
}

impl Plan {
    /// Sorts all packs of the index. `sizes` has the packs there are, `max_unused` is the share
    /// of unused bytes that may stay, in percent of the used ones.
    pub(super) fn new(
        index: &Index,
        kept: &EntrySet,
        sizes: &HashMap<Id, u64>,
        max_unused: u8,
    ) -> Self {
        let mut plan = Self::default();
        let (mut partly, mut small) = (Vec::new(), Vec::new());
        let mut used = 0;
        let order = index.in_disk_order();
        for (id, entries) in index.by_pack(&order) {
            let Some(&size) = sizes.get(&id) else {
                plan.lost.push(id);
                continue;
            };
            let pack = PackPlan::new(index, kept, (id, size), entries);
            used += pack.used;
            match (pack.kept.is_empty(), pack.unused) {
                (true, _) => plan.unused.push(pack),
                (false, 0) if pack.is_small() => small.push(pack),
                (false, 0) => {}
                (false, _) => partly.push(pack),
            }
        }
        let limit = u128::from(used) * u128::from(max_unused) / 100;
        small.append(&mut plan.choose_partly_used(partly, limit));
        plan.choose_small(small);
        plan
    }

    /// Takes the packs with the largest unused share until the rest is within the limit; returns
    /// the small ones that are not taken.
    fn choose_partly_used(&mut self, mut partly: Vec<PackPlan>, limit: u128) -> Vec<PackPlan> {
        partly.sort_by(|a, b| {
            let share = |x: &PackPlan, y: &PackPlan| u128::from(x.unused) * u128::from(y.used);
            share(b, a).cmp(&share(a, b)).then(a.id.cmp(&b.id))
        });
        let mut left: u128 = partly.iter().map(|pack| u128::from(pack.unused)).sum();
        let mut small = Vec::new();
        for pack in partly {
            if left > limit {
                left -= u128::from(pack.unused);
                self.repack.push(pack);
            } else if pack.is_small() {
                small.push(pack);
            }
        }
        self.unused_left = u64::try_from(left).unwrap_or(u64::MAX);
        small
    }

    /// Joins small packs where there are many, counting the one that repacking leaves: otherwise
    /// it would be the next pruning that finds enough of them.
    fn choose_small(&mut self, small: Vec<PackPlan>) {
        let of_kind = |kind| {
            let repacks = self.repack.iter().any(|pack| pack.kind == kind);
            small.iter().filter(|pack| pack.kind == kind).count() + usize::from(repacks)
        };
        let (data, trees) = (of_kind(BlobType::Data), of_kind(BlobType::Tree));
        for pack in small {
            let count = if pack.kind == BlobType::Data { data } else { trees };
            if count >= SMALL_COUNT {
                self.unused_left = self.unused_left.saturating_sub(pack.unused);
                self.repack.push(pack);
            }
        }
    }
}

impl PackPlan {
    fn new(index: &Index, kept: &EntrySet, (id, size): (Id, u64), entries: &[EntryNumber]) -> Self {
        let mut pack =
            Self { id, size, kept: Vec::new(), kind: BlobType::Data, used: 0, unused: 0 };
        for &entry in entries {
            let Some((_, at)) = index.location(entry) else { continue };
            pack.kind = at.kind;
            let length = u64::from(at.length);
            if kept.contains(entry) {
                pack.kept.push(entry);
                pack.used += length;
            } else {
                pack.unused += length;
            }
        }
        pack
    }

    fn is_small(&self) -> bool {
        self.size < SMALL_LEN
    }
}
