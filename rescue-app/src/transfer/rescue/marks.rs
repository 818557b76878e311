//! What is known of each stretch of a failing disk.

use crate::bytes::{Extent, Extents};
use crate::image::damage::BadRange;

use super::ranges::RangeMap;

/// How far a stretch that could not be read has been narrowed down. The names are GNU ddrescue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
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
pub(super) struct Mark {
    pub(super) trouble: Trouble,
    pub(super) errno: i32,
}

/// All stretches of a disk.
pub(super) struct Marks {
    troubles: RangeMap<Mark>,
    /// What was read, when somebody wants to know.
    finished: Option<RangeMap<()>>,
    /// Size of the disk in bytes.
    pub(super) size: u64,
}

impl Marks {
    /// A disk of which nothing is known. What was read is remembered only `with_finished`.
    pub(super) fn new(size: u64, with_finished: bool) -> Self {
        Self { troubles: RangeMap::new(), finished: with_finished.then(RangeMap::new), size }
    }

    /// A read of all of `range` succeeded.
    pub(super) fn finish(&mut self, range: Extent) {
        self.troubles.set(range, None);
        if let Some(finished) = &mut self.finished {
            finished.set(range, Some(()));
        }
    }

    /// A read failed.
    pub(super) fn fail(&mut self, range: Extent, mark: Mark) {
        self.troubles.set(range, Some(mark));
        if let Some(finished) = &mut self.finished {
            finished.set(range, None);
        }
    }

    /// The troubles in `range`, cut to it.
    pub(super) fn troubles(&self, range: Extent) -> impl Iterator<Item = (Extent, Mark)> + '_ {
        self.troubles.within(range)
    }

    /// What of `range` is without trouble so far.
    pub(super) fn untroubled(&self, range: Extent) -> Vec<Extent> {
        self.troubles.gaps(range)
    }

    /// Number of places with trouble; what touches is one place.
    pub(super) fn places(&self) -> u64 {
        let mut last_end = None;
        let mut count = 0;
        for (range, _) in self.troubles.iter() {
            count += u64::from(last_end != Some(range.start));
            last_end = Some(range.end);
        }
        count
    }

    /// The stretches of `used` whose sectors all failed.
    pub(super) fn bad(&self, used: &Extents) -> Vec<BadRange> {
        let mut bad = Vec::new();
        for part in used.iter() {
            for (range, mark) in self.troubles.within(part) {
                if let Trouble::Bad { tries } = mark.trouble {
                    let (offset, len) = (range.start, range.len());
                    bad.push(BadRange { offset, len, errno: mark.errno, tries });
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
        for (range, mark) in self.troubles.iter() {
            letters.set(range, Some(mark.trouble.letter()));
        }
        letters.iter().collect()
    }
}

impl Trouble {
    fn letter(self) -> char {
        match self {
            Self::NonTrimmed => '*',
            Self::NonScraped => '/',
            Self::Bad { .. } => '-',
        }
    }
}
