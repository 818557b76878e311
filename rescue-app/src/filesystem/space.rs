//! Clusters of a volume that is made smaller: which are taken, and stretches of free ones.

// What is reckoned with here are clusters below the number of those there are.
#![allow(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

/// Clusters, one bit each.
pub(in crate::filesystem) struct Bits {
    bytes: Vec<u8>,
    count: u64,
}

impl Bits {
    /// So many clusters, all of them free.
    pub(in crate::filesystem) fn free(count: u64) -> Option<Self> {
        let bytes = usize::try_from(count.div_ceil(8)).ok()?;
        Some(Self { bytes: vec![0; bytes], count })
    }

    /// Marks those of `start..end` that there are; `false` when one is marked already.
    pub(in crate::filesystem) fn take(&mut self, start: u64, end: u64) -> bool {
        self.change(start, end, true)
    }

    /// Marks them as free; `false` when one is free already.
    pub(in crate::filesystem) fn give_back(&mut self, start: u64, end: u64) -> bool {
        self.change(start, end, false)
    }

    fn change(&mut self, start: u64, end: u64, to: bool) -> bool {
        let mut were_others = true;
        let mut at = start;
        while at < end.min(self.count) {
            let rest = end.min(self.count) - at;
            let Some(byte) = self.byte(at) else { break };
            if at.is_multiple_of(8) && rest >= 8 {
                were_others &= *byte == if to { 0 } else { 0xff };
                *byte = if to { 0xff } else { 0 };
                at += 8;
                continue;
            }
            let bit = 1u8 << (at % 8);
            were_others &= (*byte & bit == 0) == to;
            if to {
                *byte |= bit
            } else {
                *byte &= !bit
            }
            at += 1;
        }
        were_others
    }

    fn byte(&mut self, cluster: u64) -> Option<&mut u8> {
        self.bytes.get_mut(usize::try_from(cluster / 8).ok()?)
    }

    /// Whether a cluster is marked, or is none.
    pub(in crate::filesystem) fn is_taken(&self, cluster: u64) -> bool {
        let byte = usize::try_from(cluster / 8).ok().and_then(|at| self.bytes.get(at));
        byte.is_none_or(|byte| byte & (1 << (cluster % 8)) != 0)
    }

    /// A bit for each, the first one the lowest of the first byte; those behind the last cluster are not set.
    pub(in crate::filesystem) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As NTFS' `$Bitmap` has them: whole 64-bit words, the bits behind the last cluster set.
    pub(in crate::filesystem) fn into_bitmap(mut self) -> Vec<u8> {
        let words = self.bytes.len().next_multiple_of(8);
        let count = self.count;
        self.bytes.resize(words, 0);
        self.count = (words as u64).saturating_mul(8);
        self.take(count, self.count);
        self.bytes
    }
}

/// Stretches of free clusters.
#[derive(Default)]
pub(in crate::filesystem) struct Space {
    /// By first cluster.
    holes: BTreeMap<u64, u64>,
    by_length: BTreeSet<(u64, u64)>,
}

impl Space {
    /// Of those that are not marked.
    pub(in crate::filesystem) fn of(bits: &Bits) -> Self {
        let mut space = Self::default();
        let (mut at, mut start) = (0, None);
        while at < bits.count {
            let index = usize::try_from(at / 8).ok();
            let byte = index.and_then(|index| bits.bytes.get(index).copied());
            let is_alike = match (byte, start) {
                (Some(0), Some(_)) | (Some(0xff), None) => at.is_multiple_of(8),
                _ => false,
            };
            if is_alike && at + 8 <= bits.count {
                at += 8;
                continue;
            }
            match (bits.is_taken(at), start) {
                (false, None) => start = Some(at),
                (true, Some(first)) => {
                    space.add(first, at - first);
                    start = None;
                }
                _ => {}
            }
            at += 1;
        }
        if let Some(first) = start {
            space.add(first, at - first);
        }
        space
    }

    fn add(&mut self, start: u64, len: u64) {
        self.holes.insert(start, len);
        self.by_length.insert((len, start));
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.holes.remove(&start);
        self.by_length.remove(&(len, start));
    }

    /// Takes `len` clusters in as few pieces as there can be: the smallest hole that holds them all, or else
    /// the largest ones. Nothing is taken when there are not so many.
    pub(in crate::filesystem) fn take(&mut self, len: u64) -> Option<Vec<(u64, u64)>> {
        let mut pieces = Vec::new();
        let mut left = len;
        while left > 0 {
            let fitting = self.by_length.range((left, 0)..).next();
            let Some(&(hole, start)) = fitting.or_else(|| self.by_length.last()) else {
                pieces.iter().for_each(|&(start, len)| self.give_back(start, len));
                return None;
            };
            let taken = hole.min(left);
            self.remove(start, hole);
            if taken < hole {
                self.add(start + taken, hole - taken);
            }
            pieces.push((start, taken));
            left -= taken;
        }
        pieces.sort_unstable();
        Some(pieces)
    }

    /// Gives clusters back.
    pub(in crate::filesystem) fn give_back(&mut self, start: u64, len: u64) {
        let (mut start, mut len) = (start, len);
        let before = self.holes.range(..start).next_back().map(|(at, len)| (*at, *len));
        if let Some((at, before)) = before.filter(|(at, before)| at + before == start) {
            self.remove(at, before);
            (start, len) = (at, len + before);
        }
        if let Some(after) = self.holes.get(&(start + len)).copied() {
            self.remove(start + len, after);
            len += after;
        }
        self.add(start, len);
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_holes_are_those_of_a_plain_list() {
        let mut random = 7u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for count in [1, 7, 8, 9, 63, 64, 65, 200, 1003] {
            let mut bits = Bits::free(count).unwrap();
            let mut plain = vec![false; usize::try_from(count).unwrap()];
            for _ in 0..20 {
                let start = next(count);
                let end = start + next(40);
                let part =
                    usize::try_from(start).unwrap()..usize::try_from(end.min(count)).unwrap();
                let were_free = plain[part.clone()].iter().all(|taken| !taken);
                assert_eq!(bits.take(start, end), were_free);
                plain[part].fill(true);
            }
            let mut space = Space::of(&bits);
            let free = plain.iter().filter(|taken| !**taken).count() as u64;
            assert_eq!(space.holes.values().sum::<u64>(), free);
            assert!(space.holes.iter().all(|(start, len)| {
                let end = usize::try_from(start + len).unwrap();
                plain[usize::try_from(*start).unwrap()..end].iter().all(|taken| !taken)
                    && plain.get(end).is_none_or(|taken| *taken)
            }));
            assert!(space.take(free + 1).is_none());
            let all = space.take(free).unwrap();
            assert!(space.holes.is_empty() && space.by_length.is_empty());
            all.iter().rev().for_each(|(start, len)| space.give_back(*start, *len));
            let again = Space::of(&bits);
            assert_eq!((space.holes, space.by_length), (again.holes, again.by_length));
            let bitmap = bits.into_bitmap();
            assert!(bitmap.len().is_multiple_of(8));
            for at in 0..bitmap.len() * 8 {
                let expected = plain.get(at).copied().unwrap_or(true);
                assert_eq!(bitmap[at / 8] & (1 << (at % 8)) != 0, expected);
            }
        }
    }

    #[test]
    fn the_smallest_hole_that_holds_all_or_the_largest_are_taken() {
        let mut bits = Bits::free(100).unwrap();
        for at in [10, 15, 40, 70] {
            assert!(bits.take(at, at + 2));
        }
        let mut space = Space::of(&bits);
        // Holes of 10, 3, 23, 28 and 28 clusters.
        assert_eq!(space.take(3), Some(vec![(12, 3)]));
        assert_eq!(space.take(9), Some(vec![(0, 9)]));
        assert_eq!(space.take(30), Some(vec![(17, 2), (72, 28)]));
        assert_eq!(space.take(1), Some(vec![(9, 1)]));
    }
}
