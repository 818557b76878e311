//! Chains in the file allocation table that are written.

use super::super::fat::{BAD, END, Run};
use super::FIRST_CLUSTER;
use crate::bytes::{WriteAt, le32, put};
use crate::filesystem::moving::unwritten;
use crate::volume::Doubt;

/// Entries of a piece of the table that is read and written at once, and bytes of one.
const PIECE: u32 = 1 << 14;
const WIDTH: usize = 4;
/// Entries that are kept before they are written.
const MOST: usize = 1 << 20;

/// The table, and entries that are not in it yet.
pub(super) struct Chains<'a> {
    volume: &'a dyn WriteAt,
    /// First byte of the table.
    start: u64,
    /// Clusters, and what follows them.
    waiting: Vec<(u32, u32)>,
}

impl<'a> Chains<'a> {
    pub(super) fn new(volume: &'a dyn WriteAt, start: u64) -> Self {
        Self { volume, start, waiting: Vec::new() }
    }

    /// Makes the entries of bad clusters, of so many in all, those of free ones.
    pub(super) fn forget_bad_clusters(&mut self, clusters: u32) -> Result<(), Doubt> {
        let end = FIRST_CLUSTER + clusters;
        for first in (0..end).step_by(PIECE as usize) {
            let mut bytes = self.read(first, PIECE.min(end - first))?;
            let mut is_changed = false;
            for entry in bytes.chunks_exact_mut(WIDTH) {
                if le32(entry, 0) == Some(BAD) {
                    entry.fill(0);
                    is_changed = true;
                }
            }
            if is_changed {
                self.volume.write_at(self.place(first), &bytes).map_err(unwritten)?;
            }
        }
        Ok(())
    }

    /// Writes the chain of what lies in `new`; `old` is the chain that the table has.
    pub(super) fn write(&mut self, old: Option<&[Run]>, new: &[Run]) -> Result<(), Doubt> {
        let mut old = numbers(old.unwrap_or_default()).peekable();
        let mut new = numbers(new).peekable();
        while let Some(number) = new.next() {
            let next = new.peek().copied().unwrap_or(END);
            let was = old.next().map(|was| (was, old.peek().copied().unwrap_or(END)));
            if was != Some((number, next)) {
                self.waiting.push((number, next));
            }
            if self.waiting.len() >= MOST {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> Result<(), Doubt> {
        self.waiting.sort_unstable();
        for part in self.waiting.chunk_by(|(one, _), (other, _)| one / PIECE == other / PIECE) {
            let (Some((first, _)), Some((last, _))) = (part.first(), part.last()) else { continue };
            let mut bytes = self.read(*first, last - first + 1)?;
            for (number, next) in part {
                put(&mut bytes, (number - first) as usize * WIDTH, &next.to_le_bytes());
            }
            self.volume.write_at(self.place(*first), &bytes).map_err(unwritten)?;
        }
        self.waiting.clear();
        Ok(())
    }

    fn place(&self, number: u32) -> u64 {
        self.start + u64::from(number) * WIDTH as u64
    }

    fn read(&self, first: u32, count: u32) -> Result<Vec<u8>, Doubt> {
        let read = self.volume.read_vec(self.place(first), count as usize * WIDTH);
        read.map_err(Doubt::reading("the allocation table"))
    }
}

/// The clusters of runs.
fn numbers(runs: &[Run]) -> impl Iterator<Item = u32> {
    runs.iter().flat_map(|run| run.first..run.first + run.count)
}
