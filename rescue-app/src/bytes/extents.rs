//! Sets of byte ranges: which parts of a disk are in use.

use serde::{Deserialize, Serialize};

/// A half-open byte range `start..end`; never empty inside an [`Extents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Extent {
    /// Length in bytes.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// Sorted, disjoint, non-touching extents. Serialised as `[[start, length], …]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Extents(Vec<Extent>);

impl Extents {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one range `start..end`.
    pub fn of(start: u64, end: u64) -> Self {
        let mut set = Self::new();
        set.push(start, end);
        set
    }

    /// Adds a range that starts at or after the start of the last one: the cheap way to build a
    /// map in ascending order. A range that starts earlier is added by a full merge.
    pub fn push(&mut self, start: u64, end: u64) {
        if end <= start {
            return;
        }
        match self.0.last_mut() {
            Some(last) if start < last.start => *self = self.union(&Self::of(start, end)),
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => self.0.push(Extent { start, end }),
        }
    }

    /// The extents in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Extent> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// Number of extents.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes in the set.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|extent| extent.len()).sum()
    }

    /// One past the last byte in the set; 0 when empty.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |extent| extent.end)
    }

    /// Everything in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<Extent> = self.iter().chain(other.iter()).collect();
        all.sort_unstable();
        let mut merged = Self(Vec::with_capacity(all.len()));
        for extent in all {
            merged.push(extent.start, extent.end);
        }
        merged
    }

    /// The extents cut to `start..end`, in ascending order, found by binary search.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = Extent> + '_ {
        let first = self.0.partition_point(|extent| extent.end <= start);
        self.0
            .iter()
            .skip(first)
            .take_while(move |extent| extent.start < end)
            .map(move |extent| Extent { start: extent.start.max(start), end: extent.end.min(end) })
    }

    /// What of `start..end` is not in the set.
    pub fn gaps_within(&self, start: u64, end: u64) -> Self {
        let mut gaps = Self::new();
        let mut at = start;
        for extent in self.within(start, end) {
            gaps.push(at, extent.start);
            at = extent.end;
        }
        gaps.push(at, end);
        gaps
    }

    /// Everything in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::new();
        for extent in self.iter() {
            for cut in other.within(extent.start, extent.end) {
                both.push(cut.start, cut.end);
            }
        }
        both
    }

    /// What of the set is not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::new();
        for extent in self.iter() {
            for gap in other.gaps_within(extent.start, extent.end).iter() {
                rest.push(gap.start, gap.end);
            }
        }
        rest
    }

    /// The same set moved up by `offset` bytes; what would pass `u64::MAX` is dropped.
    pub fn shifted(&self, offset: u64) -> Self {
        let mut moved = Self::new();
        for extent in self.iter() {
            let (Some(start), Some(end)) =
                (extent.start.checked_add(offset), extent.end.checked_add(offset))
            else {
                break;
            };
            moved.push(start, end);
        }
        moved
    }
}

impl From<Vec<(u64, u64)>> for Extents {
    fn from(mut pairs: Vec<(u64, u64)>) -> Self {
        pairs.sort_unstable();
        let mut set = Self::new();
        for (start, len) in pairs {
            set.push(start, start.saturating_add(len));
        }
        set
    }
}

impl From<Extents> for Vec<(u64, u64)> {
    fn from(set: Extents) -> Self {
        set.iter().map(|extent| (extent.start, extent.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(set: &Extents, size: u64) -> Vec<bool> {
        (0..size).map(|at| set.iter().any(|e| e.start <= at && at < e.end)).collect()
    }

    fn any_set() -> impl Strategy<Value = Extents> {
        prop::collection::vec((0u64..60, 0u64..12), 0..12).prop_map(|pairs| {
            let mut set = Extents::new();
            for (start, len) in pairs {
                set.push(start, start + len);
            }
            set
        })
    }

    proptest! {
        #[test]
        fn set_algebra_agrees_with_bits(a in any_set(), b in any_set(), cut in (0u64..80, 0u64..80)) {
            let (x, y) = (bits(&a, 100), bits(&b, 100));
            let or: Vec<bool> = x.iter().zip(&y).map(|(p, q)| p | q).collect();
            let and: Vec<bool> = x.iter().zip(&y).map(|(p, q)| p & q).collect();
            prop_assert_eq!(bits(&a.union(&b), 100), or);
            prop_assert_eq!(bits(&a.intersection(&b), 100), and);
            let (lo, hi) = cut;
            let gaps = bits(&a.gaps_within(lo, hi), 100);
            for at in 0..100u64 {
                let index = usize::try_from(at).unwrap();
                prop_assert_eq!(gaps[index], lo <= at && at < hi && !x[index]);
            }
        }

        #[test]
        fn extents_stay_sorted_and_apart(a in any_set()) {
            let all: Vec<Extent> = a.iter().collect();
            prop_assert!(all.iter().all(|e| !e.is_empty()));
            prop_assert!(all.windows(2).all(|w| w[0].end < w[1].start));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Extents>(&json).unwrap(), a);
        }
    }
}
