//! Builds the set of used bytes in bounded memory.

use crate::bytes::{Extents, le64};

/// More extents than this cost more (memory here, bytes in the manifest) than the small gaps
/// between them are worth.
const MOST_EXTENTS: usize = 1 << 19;

/// A half-open byte range.
type Run = (u64, u64);

/// Collects used byte ranges. Ascending ranges are cheap, others are sorted in from time to time.
/// When there are too many, the smallest gaps are counted as used, which is always safe.
pub(crate) struct UsedMap {
    ascending: Vec<Run>,
    strays: Vec<Run>,
    smallest_gap: u64,
    most: usize,
}

impl UsedMap {
    /// An empty map.
    pub(crate) fn new() -> Self {
        Self::limited_to(MOST_EXTENTS)
    }

    fn limited_to(most: usize) -> Self {
        Self { ascending: Vec::new(), strays: Vec::new(), smallest_gap: 1, most }
    }

    /// Marks `start..end` as used.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        match self.ascending.last_mut() {
            Some(last) if start < last.0 => self.strays.push((start, end)),
            Some(last) if start < last.1.saturating_add(self.smallest_gap) => {
                last.1 = last.1.max(end);
                return;
            }
            _ => self.ascending.push((start, end)),
        }
        if self.ascending.len().saturating_add(self.strays.len()) > self.most {
            self.compact();
        }
    }

    /// Marks one unit for each set bit of `bits` valid bits (least significant first), the first
    /// of which stands for unit `first`. Returns the number of set bits.
    pub(crate) fn add_bits(&mut self, bitmap: &[u8], bits: u64, first: u64, unit: u64) -> u64 {
        let mut ones = 0u64;
        let mut position = 0u64;
        for chunk in bitmap.chunks(8) {
            if position >= bits {
                break;
            }
            let mut padded = [0; 8];
            padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            let word = le64(&padded, 0).unwrap_or(!0) & low_bits(bits.saturating_sub(position));
            ones = ones.saturating_add(word.count_ones().into());
            self.add_word(word, first.saturating_add(position), unit);
            position = position.saturating_add(64);
        }
        ones
    }

    fn add_word(&mut self, mut word: u64, first: u64, unit: u64) {
        while word != 0 {
            let from = word.trailing_zeros();
            let len = (word >> from).trailing_ones();
            let start = first.saturating_add(from.into());
            let end = start.saturating_add(len.into());
            self.add(start.saturating_mul(unit), end.saturating_mul(unit));
            word &= !(low_bits(len.into()) << from);
        }
    }

    /// Merges strays in; as long as that leaves too many, gaps below twice the size go.
    fn compact(&mut self) {
        self.merge_strays();
        while self.ascending.len() > self.most / 2 {
            self.smallest_gap = self.smallest_gap.saturating_mul(2);
            self.coalesce();
        }
    }

    fn merge_strays(&mut self) {
        self.ascending.append(&mut self.strays);
        self.ascending.sort_unstable();
        self.coalesce();
    }

    fn coalesce(&mut self) {
        let gap = self.smallest_gap;
        self.ascending.dedup_by(|next, last| {
            let near = next.0 < last.1.saturating_add(gap);
            if near {
                last.1 = last.1.max(next.1);
            }
            near
        });
    }

    /// The finished set.
    pub(crate) fn finish(mut self) -> Extents {
        self.merge_strays();
        let mut used = Extents::new();
        self.ascending.iter().for_each(|&(start, end)| used.push(start, end));
        used
    }
}

/// The lowest `count` bits set.
fn low_bits(count: u64) -> u64 {
    u32::try_from(count)
        .ok()
        .and_then(|count| 1u64.checked_shl(count))
        .map_or(!0, |bit| bit.wrapping_sub(1))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_union(runs: &[Run]) -> Extents {
        runs.iter().fold(Extents::new(), |all, &(start, end)| all.union(&Extents::of(start, end)))
    }

    proptest! {
        #[test]
        fn below_the_limit_it_is_exact(runs in prop::collection::vec((0u64..500, 0u64..20), 0..60)) {
            let runs: Vec<Run> = runs.into_iter().map(|(at, len)| (at, at + len)).collect();
            let mut map = UsedMap::new();
            runs.iter().for_each(|&(start, end)| map.add(start, end));
            prop_assert_eq!(map.finish(), plain_union(&runs));
        }

        #[test]
        fn above_the_limit_it_loses_nothing(runs in prop::collection::vec((0u64..5000, 0u64..9), 0..400)) {
            let runs: Vec<Run> = runs.into_iter().map(|(at, len)| (at, at + len)).collect();
            let mut map = UsedMap::limited_to(16);
            for &(start, end) in &runs {
                map.add(start, end);
                prop_assert!(map.ascending.len() + map.strays.len() <= 16);
            }
            let (got, exact) = (map.finish(), plain_union(&runs));
            prop_assert_eq!(got.intersection(&exact), exact.clone());
            prop_assert!(got.end() == exact.end());
        }

        #[test]
        fn bits_become_units(bitmap in prop::collection::vec(any::<u8>(), 0..40), cut in 0u64..330) {
            let mut map = UsedMap::new();
            let ones = map.add_bits(&bitmap, cut, 7, 512);
            let set: Vec<u64> = (0..cut.min(bitmap.len() as u64 * 8))
                .filter(|bit| bitmap[usize::try_from(bit / 8).unwrap()] >> (bit % 8) & 1 == 1)
                .collect();
            prop_assert_eq!(ones, set.len() as u64);
            let runs: Vec<Run> = set.iter().map(|bit| ((bit + 7) * 512, (bit + 8) * 512)).collect();
            prop_assert_eq!(map.finish(), plain_union(&runs));
        }
    }
}
