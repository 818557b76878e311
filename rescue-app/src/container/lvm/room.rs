//! Room for extents that have to move.

use std::cmp::Reverse;

use super::resized::Placed;
use crate::bytes::Extents;

/// Which part of a logical volume it is: volume, segment, place in the segment.
type Key = (usize, usize, usize);

/// Extents that stay together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Extents of the area that lie before these.
    pub(super) skipped: u64,
    /// The first one as it was.
    pub(super) from: u64,
    /// The first one as it is.
    pub(super) to: u64,
    /// How many.
    pub(super) count: u64,
}

/// The extents before the new end.
pub(super) struct Room {
    end: u64,
    /// What stays.
    taken: Vec<(u64, u64)>,
    /// What has to go into holes, and whether it may be torn apart.
    moving: Vec<(Key, Stretch, bool)>,
    placed: Placed,
}

impl Room {
    /// With so many extents.
    pub(super) fn new(end: u64) -> Self {
        Self { end, taken: Vec::new(), moving: Vec::new(), placed: Placed::new() }
    }

    /// An area that is there. What lies before the new end stays, of one that may not be torn apart only
    /// when all of it does.
    pub(super) fn add(&mut self, key: Key, first: u64, count: u64, may_part: bool) {
        let before = self.end.saturating_sub(first).min(count);
        let stays = if before == count || may_part { before } else { 0 };
        if stays > 0 {
            self.taken.push((first, stays));
            let stretch = Stretch { skipped: 0, from: first, to: first, count: stays };
            self.placed.entry(key).or_default().push(stretch);
        }
        if stays < count {
            let (from, count) = (first.saturating_add(stays), count.saturating_sub(stays));
            let stretch = Stretch { skipped: stays, from, to: from, count };
            self.moving.push((key, stretch, may_part));
        }
    }

    /// Places for all of them, in the smallest holes that hold them; `None` when there is not enough room.
    pub(super) fn place(mut self) -> Option<Placed> {
        let taken = Extents::from(std::mem::take(&mut self.taken));
        let mut holes: Vec<(u64, u64)> =
            taken.gaps_within(0, self.end).iter().map(|hole| (hole.start, hole.len())).collect();
        let mut moving = std::mem::take(&mut self.moving);
        moving.sort_by_key(|(_, stretch, may_part)| (*may_part, Reverse(stretch.count)));
        for (key, mut left, may_part) in moving {
            while left.count > 0 {
                let hole = best_hole(&mut holes, left.count, may_part)?;
                let count = hole.1.min(left.count);
                let stretch = Stretch { to: hole.0, count, ..left };
                self.placed.entry(key).or_default().push(stretch);
                *hole = (hole.0.saturating_add(count), hole.1.saturating_sub(count));
                left = Stretch {
                    skipped: left.skipped.saturating_add(count),
                    from: left.from.saturating_add(count),
                    count: left.count.saturating_sub(count),
                    ..left
                };
            }
        }
        Some(self.placed)
    }
}

/// The smallest hole that holds so many, or where they may be torn apart the largest one.
fn best_hole(holes: &mut [(u64, u64)], count: u64, may_part: bool) -> Option<&mut (u64, u64)> {
    let whole = (0..holes.len()).filter(|at| holes.get(*at).is_some_and(|hole| hole.1 >= count));
    let whole = whole.min_by_key(|at| holes.get(*at).map(|hole| hole.1));
    let largest = (0..holes.len()).max_by_key(|at| holes.get(*at).map(|hole| hole.1));
    let at = whole.or(largest.filter(|_| may_part))?;
    holes.get_mut(at).filter(|hole| hole.1 > 0)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn everything_finds_a_place_of_its_own(
            areas in prop::collection::vec((0u64..6, 1u64..40, any::<bool>()), 1..12),
            spare in 0u64..40,
        ) {
            let used: u64 = areas.iter().map(|area| area.1).sum();
            let mut room = Room::new(used + spare);
            let mut at = 0;
            for (number, (gap, count, may_part)) in areas.iter().enumerate() {
                at += gap;
                room.add((number, 0, 0), at, *count, *may_part);
                at += count;
            }
            let all_may = areas.iter().all(|area| area.2);
            let Some(placed) = room.place() else {
                prop_assert!(!all_may, "there was room");
                return Ok(());
            };
            let mut taken = vec![false; usize::try_from(used + spare).unwrap()];
            for (number, (_, count, may_part)) in areas.iter().enumerate() {
                let stretches = &placed[&(number, 0, 0)];
                prop_assert!(*may_part || stretches.len() == 1);
                prop_assert_eq!(stretches.iter().map(|it| it.count).sum::<u64>(), *count);
                let mut skipped = 0;
                for stretch in stretches {
                    prop_assert_eq!(stretch.skipped, skipped);
                    skipped += stretch.count;
                    for extent in stretch.to..stretch.to + stretch.count {
                        let place = &mut taken[usize::try_from(extent).unwrap()];
                        prop_assert!(!std::mem::replace(place, true), "taken twice");
                    }
                }
            }
        }
    }
}
