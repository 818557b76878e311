//! What is known of each stretch of a failing disk.

use crate::bytes::{Extent, Extents};
use crate::image::damage::BadRange;

use super::ranges::RangeMap;

/// How far a stretch that could not be read has been narrowed down. The names are GNU ddrescue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// A larger read failed somewhere in it.
    NonTrimmed,
    /// Its edges are known to be bad, its middle was not tried sector by sector.
    NonScraped,
    /// Each of its sectors was tried alone.
    Bad {
        /// Reads of the sector alone that failed.
        tries: u32,
    },
}

/// A stretch that could not be read, and the system's error number (Linux `errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailedRead {
    pub(super) status: Status,
    pub(super) errno: i32,
}

/// All stretches of a disk.
pub(super) struct StatusMap {
    failures: RangeMap<FailedRead>,
    /// What was read, when somebody wants to know.
    finished: Option<RangeMap<()>>,
    /// Size of the disk in bytes.
    pub(super) size: u64,
}

impl StatusMap {
    /// A disk of which nothing is known. What was read is remembered only `with_finished`.
    pub(super) fn new(size: u64, with_finished: bool) -> Self {
        Self { failures: RangeMap::new(), finished: with_finished.then(RangeMap::new), size }
    }

    /// A read of all of `range` succeeded.
    pub(super) fn finish(&mut self, range: Extent) {
        self.failures.set(range, None);
        if let Some(finished) = &mut self.finished {
            finished.set(range, Some(()));
        }
    }

    /// A read failed.
    pub(super) fn fail(&mut self, range: Extent, failure: FailedRead) {
        self.failures.set(range, Some(failure));
        if let Some(finished) = &mut self.finished {
            finished.set(range, None);
        }
    }

    /// The failures in `range`, cut to it.
    pub(super) fn failures(
        &self,
        range: Extent,
    ) -> impl Iterator<Item = (Extent, FailedRead)> + '_ {
        self.failures.within(range)
    }

    /// What of `range` is without a failure so far.
    pub(super) fn without_failure(&self, range: Extent) -> Vec<Extent> {
        self.failures.gaps(range)
    }

    /// Number of places with a failure; what touches is one place.
    pub(super) fn places(&self) -> u64 {
        let mut last_end = None;
        let mut count = 0;
        for (range, _) in self.failures.iter() {
            count += u64::from(last_end != Some(range.start));
            last_end = Some(range.end);
        }
        count
    }

    /// The stretches of `used` whose sectors all failed.
    pub(super) fn bad(&self, used: &Extents) -> Vec<BadRange> {
        let mut bad = Vec::new();
        for part in used.iter() {
            for (range, failure) in self.failures.within(part) {
                if let Status::Bad { tries } = failure.status {
                    let (offset, len) = (range.start, range.len());
                    bad.push(BadRange { offset, len, errno: failure.errno, tries });
                }
            }
        }
        bad
    }

    /// Every stretch of the disk from first to last byte, with ddrescue's letter for its state.
    pub(super) fn letters(&self) -> Vec<(Extent, char)> {
        let mut letters = RangeMap::new();
        letters.set(Extent { start: 0, end: self.size }, Some('?'));
        for (range, ()) in self.finished.iter().flat_map(RangeMap::iter) {
            letters.set(range, Some('+'));
        }
        for (range, failure) in self.failures.iter() {
            letters.set(range, Some(failure.status.letter()));
        }
        letters.iter().collect()
    }
}

impl Status {
    fn letter(self) -> char {
        match self {
            Self::NonTrimmed => '*',
            Self::NonScraped => '/',
            Self::Bad { .. } => '-',
        }
    }
}
