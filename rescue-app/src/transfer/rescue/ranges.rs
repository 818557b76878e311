//! Byte ranges with a value each.

use std::collections::BTreeMap;

use crate::bytes::Extent;

/// Disjoint ranges; neighbours of equal value are one.
#[derive(Clone, Debug, Default)]
pub(super) struct RangeMap<T>(BTreeMap<u64, (u64, T)>);

impl<T: Copy + PartialEq> RangeMap<T> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Gives every byte of `range` that value, or takes its value away.
    pub(super) fn set(&mut self, mut range: Extent, value: Option<T>) {
        if range.is_empty() {
            return;
        }
        self.split(range.start);
        self.split(range.end);
        while let Some((&start, _)) = self.0.range(range.start..range.end).next() {
            self.0.remove(&start);
        }
        let Some(value) = value else { return };
        let before = self.0.range(..range.start).next_back().map(|(start, run)| (*start, *run));
        if let Some((start, _)) = before.filter(|(_, run)| *run == (range.start, value)) {
            self.0.remove(&start);
            range.start = start;
        }
        if let Some((end, _)) = self.0.get(&range.end).copied().filter(|run| run.1 == value) {
            self.0.remove(&range.end);
            range.end = end;
        }
        self.0.insert(range.start, (range.end, value));
    }

    /// Makes `at` the start of a run, if one reaches across it.
    fn split(&mut self, at: u64) {
        if let Some((_, run)) = self.0.range_mut(..at).next_back()
            && run.0 > at
        {
            let tail = *run;
            run.0 = at;
            self.0.insert(at, tail);
        }
    }

    /// The values in `range`, cut to it, in ascending order.
    pub(super) fn within(&self, range: Extent) -> impl Iterator<Item = (Extent, T)> + '_ {
        let before = self.0.range(..=range.start).next_back();
        let first = before.filter(|(_, run)| run.0 > range.start).map_or(range.start, |run| *run.0);
        let runs = self.0.range(first..range.end.max(first)).map(move |(start, (end, value))| {
            let start = (*start).max(range.start);
            (Extent { start, end: (*end).min(range.end) }, *value)
        });
        runs.filter(|(run, _)| !run.is_empty())
    }

    /// All values in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Extent, T)> + '_ {
        self.0.iter().map(|(start, (end, value))| (Extent { start: *start, end: *end }, *value))
    }

    /// What of `range` has no value.
    pub(super) fn gaps(&self, range: Extent) -> Vec<Extent> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for (taken, _) in self.within(range) {
            gaps.push(Extent { start: at, end: taken.start });
            at = taken.end;
        }
        gaps.push(Extent { start: at, end: range.end });
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_an_array(
            steps in prop::collection::vec((0u64..60, 0u64..20, prop::option::of(0u8..3)), 0..40),
            cut in (0u64..80, 0u64..20),
        ) {
            let mut map = RangeMap::new();
            let mut plain = [None; 100];
            for (start, len, value) in steps {
                map.set(Extent { start, end: start + len }, value);
                for at in start..start + len {
                    plain[usize::try_from(at).unwrap()] = value;
                }
            }
            let all: Vec<_> = map.iter().collect();
            let merged = all.windows(2).all(|w| {
                w[0].0.end < w[1].0.start || (w[0].0.end == w[1].0.start && w[0].1 != w[1].1)
            });
            prop_assert!(merged);
            let cut = Extent { start: cut.0, end: cut.0 + cut.1 };
            let mut seen = [None; 100];
            for (run, value) in map.within(cut) {
                prop_assert!(!run.is_empty());
                for at in run.start..run.end {
                    seen[usize::try_from(at).unwrap()] = Some(value);
                }
            }
            for gap in map.gaps(cut) {
                for at in gap.start..gap.end {
                    prop_assert_eq!(plain[usize::try_from(at).unwrap()], None);
                }
            }
            for at in 0..100u64 {
                let index = usize::try_from(at).unwrap();
                let expected = if cut.start <= at && at < cut.end { plain[index] } else { None };
                prop_assert_eq!(seen[index], expected);
            }
        }
    }
}
