//! Parts of the target that are written last, or with other bytes than the image holds.
//!
//! Both ends of the disk (or the start of each restored partition) are wiped before anything else
//! and written after everything else was proven, so that a half-restored disk never looks whole, nor
//! is taken for whole by a tool that mends its table from the copy at the end. On
//! a larger disk the table's headers differ from the image's.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use crate::bytes::{Extent, Extents};
use crate::table::Patch;

/// One deferred stretch of the target.
struct DeferredRange {
    range: Extent,
    /// Bytes as the image has them; zero where it has none.
    original: Mutex<Vec<u8>>,
}

/// All deferred stretches, apart from each other and in order.
pub(crate) struct DeferredWrites {
    stretches: Vec<DeferredRange>,
    ranges: Extents,
    guards: Extents,
    patches: Vec<Patch>,
}

impl DeferredWrites {
    /// Defers the ranges that are wiped first and written last, and wherever a patch goes.
    pub(crate) fn new(guards: Extents, patches: Vec<Patch>) -> Self {
        let mut ranges = guards.clone();
        for patch in &patches {
            ranges.push(patch.offset, patch.offset + patch.bytes.len() as u64);
        }
        let stretches = ranges.iter().map(|range| {
            let len = usize::try_from(range.len()).unwrap_or_default();
            DeferredRange { range, original: Mutex::new(vec![0; len]) }
        });
        Self { stretches: stretches.collect(), ranges, guards, patches }
    }

    /// The deferred ranges.
    pub(crate) fn ranges(&self) -> &Extents {
        &self.ranges
    }

    /// The ranges wiped first and written last.
    pub(crate) fn guards(&self) -> &Extents {
        &self.guards
    }

    /// Keeps what of `bytes`, which belong at `offset`, falls into deferred stretches.
    pub(crate) fn keep(&self, offset: u64, bytes: &[u8]) {
        self.overlap(offset, bytes.len(), |original, at, from, len| {
            if let (Some(to), Some(part)) =
                (original.get_mut(at..at + len), bytes.get(from..from + len))
            {
                to.copy_from_slice(part);
            }
        });
    }

    /// Replaces what of `bytes`, read at `offset`, is deferred by what the image has there.
    pub(crate) fn substitute(&self, offset: u64, bytes: &mut [u8]) {
        self.overlap(offset, bytes.len(), |original, at, from, len| {
            if let (Some(part), Some(to)) =
                (original.get(at..at + len), bytes.get_mut(from..from + len))
            {
                to.copy_from_slice(part);
            }
        });
    }

    /// Calls `each(stretch bytes, offset in stretch, offset in the other bytes, length)`.
    fn overlap(
        &self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(&mut [u8], usize, usize, usize),
    ) {
        let end = offset.saturating_add(len as u64);
        for stretch in &self.stretches {
            let (start, stop) = (stretch.range.start.max(offset), stretch.range.end.min(end));
            let offsets = (
                usize::try_from(start.saturating_sub(stretch.range.start)),
                usize::try_from(start.saturating_sub(offset)),
                usize::try_from(stop.saturating_sub(start)),
            );
            if let (true, (Ok(at), Ok(from), Ok(len))) = (start < stop, offsets) {
                let mut original = stretch.original.lock().unwrap_or_else(PoisonError::into_inner);
                each(&mut original, at, from, len);
            }
        }
    }

    /// The final bytes of every deferred stretch: the image's, with the patches over them.
    /// Guards come last, and of these the start of the disk.
    pub(crate) fn final_bytes(&self) -> Vec<(u64, Vec<u8>)> {
        let mut all: Vec<(u64, Vec<u8>)> = self
            .stretches
            .iter()
            .map(|stretch| {
                let original = stretch.original.lock().unwrap_or_else(PoisonError::into_inner);
                (stretch.range.start, original.clone())
            })
            .collect();
        for patch in &self.patches {
            all.iter_mut().for_each(|(start, bytes)| patch.apply_to(*start, bytes));
        }
        all.sort_by_key(|(start, _)| {
            (self.guards.within(*start, *start + 1).next().is_some(), Reverse(*start))
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::chunks::MIB;

    #[test]
    fn reserved_bytes_are_kept_patched_and_put_last() {
        let patches = vec![
            Patch { offset: 512, bytes: vec![7; 4], what: "x" },
            Patch { offset: 5 * MIB, bytes: vec![9; 8], what: "y" },
        ];
        let deferred = DeferredWrites::new(Extents::of(0, MIB), patches);
        assert_eq!(deferred.ranges().total(), MIB + 8);
        let image = vec![1; 2 << 20];
        deferred.keep(0, &image);
        let finals = deferred.final_bytes();
        assert_eq!(finals[0], (5 * MIB, vec![9; 8]));
        assert_eq!(finals[1].0, 0);
        assert_eq!(finals[1].1[508..520], [1, 1, 1, 1, 7, 7, 7, 7, 1, 1, 1, 1]);
        let mut read = vec![0; 2 << 20];
        deferred.substitute(0, &mut read);
        assert_eq!(read[..1 << 20], image[..1 << 20]);
        assert!(read[1 << 20..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_end_of_the_disk_is_written_before_its_start() {
        let guards = Extents::from(vec![(0, MIB), (9 * MIB, MIB)]);
        let starts: Vec<u64> = DeferredWrites::new(guards, Vec::new())
            .final_bytes()
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(starts, [9 * MIB, 0]);
    }
}
