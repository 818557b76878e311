//! Runs of clusters: contiguous ones, and those along chains of the file allocation table.
//!
//! Source: Microsoft, "exFAT file system specification", §4.1 and §6.3.4.2.

use super::boot_region::BootSector;
use crate::bytes::{ReadAt, le32};
use crate::volume::Doubt;

/// Bytes of the FAT read at once.
const PIECE: u64 = 16 << 10;
/// `FatEntry` of the last cluster of a chain.
pub(super) const END: u32 = u32::MAX;
/// That of a bad cluster.
pub(super) const BAD: u32 = 0xffff_fff7;

/// Consecutive clusters, by the number that the FAT gives the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first cluster.
    pub(super) first: u32,
    /// How many.
    pub(super) count: u32,
}

/// What lies in clusters: a file, a folder, a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first cluster, as the FAT counts.
    pub(super) first: u32,
    /// Clusters of it.
    pub(super) length: Length,
    /// `NoFatChain`: the clusters follow each other and the FAT says nothing about them.
    pub(super) contiguous: bool,
}

/// How far a chain is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many clusters; a shorter chain is a fault.
    Exactly(u32),
    /// To the mark of its end; a longer chain is a fault.
    AtMost(u32),
}

/// The table that counts, and the number of reads that are left.
pub(super) struct Fat<'a> {
    pub(super) volume: &'a dyn ReadAt,
    pub(super) boot: &'a BootSector,
    exhausted: bool,
    kept: Kept,
}

/// What is kept from one use of the table to the next.
#[derive(Default)]
pub(super) struct Kept {
    /// Pieces that may still be read.
    pub(super) reads_left: u32,
    /// Where the piece that was read last begins in the table, and its bytes.
    piece: (u64, Vec<u8>),
}

impl Kept {
    /// Nothing, and so many pieces that may be read.
    pub(super) fn new(reads_left: u32) -> Self {
        Self { reads_left, piece: (0, Vec::new()) }
    }
}

impl<'a> Fat<'a> {
    /// A table of which, and through which, so many pieces may be read.
    pub(super) fn new(volume: &'a dyn ReadAt, boot: &'a BootSector, reads: u32) -> Self {
        Self::again(volume, boot, Kept::new(reads))
    }

    /// The table with what was kept of an earlier use.
    pub(super) fn again(volume: &'a dyn ReadAt, boot: &'a BootSector, kept: Kept) -> Self {
        Self { volume, boot, exhausted: false, kept }
    }

    /// What is worth to keep.
    pub(super) fn kept(self) -> Kept {
        self.kept
    }

    /// Whether a failure came from the limit on reads.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Gives up on more.
    pub(super) fn exhaust<T>(&mut self) -> Result<T, Doubt> {
        self.exhausted = true;
        Err(Doubt::because("its folders and chains are too many to follow"))
    }

    /// Counts one read.
    pub(super) fn spend(&mut self) -> Result<(), Doubt> {
        match self.kept.reads_left.checked_sub(1) {
            Some(left) => self.kept.reads_left = left,
            None => return self.exhaust(),
        }
        Ok(())
    }

    /// Calls `each` for the runs of a place, in order.
    pub(super) fn runs(
        &mut self,
        place: Place,
        mut each: impl FnMut(&mut Self, Run) -> Result<(), Doubt>,
    ) -> Result<(), Doubt> {
        if let (true, Length::Exactly(count)) = (place.contiguous, place.length) {
            let run = Run { first: place.first, count };
            return if self.boot.layout.holds(run.first, count) {
                each(self, run)
            } else {
                Err(missing(place.first))
            };
        }
        let most = match place.length {
            Length::Exactly(count) | Length::AtMost(count) => count,
        };
        let mut run = Run { first: place.first, count: 0 };
        let mut number = place.first;
        // Any circle is entered, and gone round once, before the mark moves on another time.
        let mut mark = None;
        for step in 1..=most {
            if !self.boot.layout.holds(number, 1) {
                return Err(missing(number));
            }
            if mark == Some(number) {
                return Err(Doubt::because(format!("the chain of cluster {number} is a circle")));
            }
            mark = if step.is_power_of_two() { Some(number) } else { mark };
            if number != run.first.saturating_add(run.count) {
                each(self, run)?;
                run = Run { first: number, count: 0 };
            }
            run.count = run.count.saturating_add(1);
            if place.length == Length::Exactly(step) {
                return each(self, run);
            }
            let next = self.next(number)?;
            if next == END && matches!(place.length, Length::AtMost(_)) {
                return each(self, run);
            }
            number = next;
        }
        Err(Doubt::because(format!("the chain of cluster {} is too long", place.first)))
    }

    /// The entry of a cluster.
    fn next(&mut self, number: u32) -> Result<u32, Doubt> {
        let at = u64::from(number).saturating_mul(4);
        let inside = at % PIECE;
        let start = at.saturating_sub(inside);
        if self.kept.piece.1.is_empty() || self.kept.piece.0 != start {
            self.spend()?;
            let entries = u64::from(self.boot.layout.clusters).saturating_add(2);
            let len = entries.saturating_mul(4).saturating_sub(start).min(PIECE);
            let at = self.boot.fat().saturating_add(start);
            let len = usize::try_from(len).unwrap_or(0);
            let bytes = self.volume.read_vec(at, len);
            self.kept.piece = (start, bytes.map_err(Doubt::reading("the allocation table"))?);
        }
        let entry = usize::try_from(inside).ok().and_then(|at| le32(&self.kept.piece.1, at));
        entry.ok_or_else(|| missing(number))
    }
}

fn missing(number: u32) -> Doubt {
    Doubt::because(format!("a chain leads to cluster {number}, which does not exist"))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::super::boot_region::tests::volume;
    use super::*;

    fn runs(place: Place, entries: &[(usize, u32)], reads: u32) -> Option<Vec<(u32, u32)>> {
        let mut volume = volume();
        for (number, next) in entries {
            let at = 24 * 512 + number * 4;
            volume[at..at + 4].copy_from_slice(&next.to_le_bytes());
        }
        let boot = BootSector::parse(&volume[..512]).unwrap();
        let mut found = Vec::new();
        let mut fat = Fat::new(&volume, &boot, reads);
        fat.runs(place, |_, run| {
            found.push((run.first, run.count));
            Ok(())
        })
        .ok()?;
        Some(found)
    }

    #[test]
    fn chains_become_runs() {
        let chain = |first, length| Place { first, length, contiguous: false };
        let entries = [(2, 3), (3, 4), (4, 9), (9, 8), (8, END), (20, 20), (30, 66)];
        let all = chain(2, Length::AtMost(64));
        assert_eq!(runs(all, &entries, 1).unwrap(), [(2, 3), (9, 1), (8, 1)]);
        assert_eq!(runs(chain(2, Length::Exactly(4)), &entries, 1).unwrap(), [(2, 3), (9, 1)]);
        assert_eq!(runs(chain(2, Length::Exactly(6)), &entries, 1), None, "too short");
        assert_eq!(runs(chain(2, Length::AtMost(4)), &entries, 1), None, "too long");
        assert_eq!(runs(chain(20, Length::AtMost(64)), &entries, 1), None, "a circle");
        assert_eq!(runs(chain(20, Length::Exactly(2)), &entries, 1), None, "a circle");
        let large = [(40, 41), (41, 42), (42, 43), (43, 41)];
        assert_eq!(runs(chain(40, Length::Exactly(64)), &large, 1), None, "a larger circle");
        assert_eq!(runs(chain(30, Length::AtMost(64)), &entries, 1), None, "leads outside");
        assert_eq!(runs(chain(1, Length::AtMost(64)), &entries, 1), None, "starts outside");
        assert_eq!(runs(all, &entries, 0), None, "no reads left");
        let contiguous = Place { first: 60, length: Length::Exactly(6), contiguous: true };
        assert_eq!(runs(contiguous, &[], 0).unwrap(), [(60, 6)]);
        let outside = Place { first: 60, length: Length::Exactly(7), contiguous: true };
        assert_eq!(runs(outside, &[], 0), None);
    }
}
