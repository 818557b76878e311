//! Reading a disk that may be failing.
//!
//! As long as nothing fails, chunks are read in large pieces from first to last. After the first
//! failure the order is that of GNU ddrescue, for a failing disk may not live to give everything:
//!
//! 1. What is easily read comes first. A chunk in which a read fails is put off, and so is what
//!    follows it: 1 MiB, and with every further failure twice as much, up to 64 MiB.
//! 2. What was put off is read backwards, then forwards without leaving anything out.
//! 3. The chunks that still lack something are read anew, but for the pieces that failed. Those
//!    are trimmed from both edges sector by sector, then scraped sector by sector, then what is
//!    bad is tried again, backwards and forwards in turn.
//!
//! What cannot be read even so stays zero and is recorded. A chunk is stored only when it is
//! settled, and only a few unsettled ones are held in memory at a time.

mod direction;
mod map_file;
mod medium;
mod narrow;
mod prober;
mod ranges;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::bytes::{AlignedBuffer, Extent, Extents};
use crate::image::damage::BadRange;
use crate::progress::Reporter;
use crate::transfer::TransferError;

use super::chunk::{Chunk, slice_of};
use direction::Direction;
#[cfg(any(test, fuzzing))]
pub(crate) use map_file::read_any_map;
use map_file::{MapFile, Stage};
pub(crate) use medium::{DiskMedium, Medium};
use prober::Prober;
use status::{FailedRead, Status, StatusMap};

/// Once reads fail, the smallest piece before single sectors; ddrescue's default too.
const SMALL: u64 = 64 << 10;
/// The largest piece; no chunk is larger.
const LARGE: u64 = 4 << 20;
/// What is left out behind a failure, at first and at most.
const FIRST_SKIP: u64 = 1 << 20;
const LARGEST_SKIP: u64 = 64 << 20;

/// How stubbornly a failing disk is read.
#[derive(Clone, Debug)]
pub struct RescueOptions {
    /// How often what is bad is tried again.
    pub retries: u32,
    /// Where to keep a map of what was read, in ddrescue's format.
    pub map_file: Option<PathBuf>,
}

impl Default for RescueOptions {
    fn default() -> Self {
        Self { retries: 1, map_file: None }
    }
}

/// Where chunks go once they are complete.
pub(crate) trait Feed {
    /// An empty buffer, once there is one.
    fn buffer(&mut self) -> Result<AlignedBuffer, TransferError>;

    /// Takes a buffer back that was not needed.
    fn keep(&mut self, buffer: AlignedBuffer);

    /// Stores a chunk, in any order.
    fn send(&mut self, chunk: &Chunk<'_>, buffer: AlignedBuffer) -> Result<(), TransferError>;
}

/// Reads chunks, easy ones first.
pub(crate) struct Rescue<'a> {
    prober: Prober<'a>,
    retries: u32,
    statuses: StatusMap,
    map_file: Option<MapFile>,
    stage: Stage,
    has_failed: bool,
    /// Size of the next piece outside of `careful`.
    step: u64,
    /// Where a large read failed, and only small ones make sense.
    careful: Extent,
    skip: u64,
    /// Where chunks are put off.
    skipped: Extent,
}

impl<'a> Rescue<'a> {
    pub(crate) fn new(
        medium: &'a dyn Medium,
        sector: u32,
        options: &RescueOptions,
        reporter: &'a Reporter<'a>,
    ) -> Result<Self, TransferError> {
        let mut statuses = StatusMap::new(medium.size(), options.map_file.is_some());
        let path = options.map_file.as_deref();
        let map_file = path.map(|path| MapFile::open(path, &mut statuses)).transpose()?;
        let nowhere = Extent { start: 0, end: 0 };
        let mut rescue = Self {
            prober: Prober::new(medium, u64::from(sector), reporter),
            retries: options.retries,
            statuses,
            map_file,
            stage: Stage::Copying,
            has_failed: false,
            step: LARGE,
            careful: nowhere,
            skip: FIRST_SKIP,
            skipped: nowhere,
        };
        // A place that takes no file is told before the disk is touched.
        rescue.save_map();
        Ok(rescue)
    }

    /// Reads a chunk and sends it on, unless it is better put off or lacks something: then it
    /// has to be given to [`Rescue::finish`].
    pub(crate) fn offer(
        &mut self,
        chunk: &Chunk<'_>,
        feed: &mut dyn Feed,
    ) -> Result<bool, TransferError> {
        Ok(!self.puts_off(chunk) && self.try_whole(chunk, Direction::Up, true, feed)?)
    }

    /// Whether all of a chunk is to be read in one go, and nothing speaks against it.
    pub(crate) fn is_plain(&self, chunk: &Chunk<'_>) -> bool {
        !self.has_failed && !self.puts_off(chunk) && chunk.used_bytes() == chunk.range.len()
    }

    /// All of `range` was read, by somebody else.
    pub(crate) fn settled(&mut self, range: Extent) {
        self.statuses.finish(range);
        self.save_map_if_due();
    }

    /// Somebody else failed to read all of `range` in one go: it is not tried so again.
    pub(crate) fn distrust(&mut self, range: Extent) {
        self.careful = range;
        self.prober.suspect = true;
    }

    /// Reads what was put off, given in ascending order.
    pub(crate) fn finish(
        &mut self,
        late: Vec<Chunk<'_>>,
        feed: &mut dyn Feed,
    ) -> Result<(), TransferError> {
        if !late.is_empty() {
            let late = self.pass(late, Direction::Down, true, feed)?;
            let late = self.pass(late, Direction::Up, false, feed)?;
            self.settle(&late, feed)?;
        }
        self.stage = Stage::Finished;
        self.prober.reporter.bad_areas(self.statuses.places());
        self.save_map();
        Ok(())
    }

    /// The stretches of `used` that could not be read.
    pub(crate) fn bad(&self, used: &Extents) -> Vec<BadRange> {
        self.statuses.bad(used)
    }

    /// Writes the map file, if there is one.
    pub(crate) fn save_map(&mut self) {
        if let Some(file) = &mut self.map_file {
            file.save(&self.statuses, self.careful.start, self.stage, self.prober.reporter);
        }
    }

    fn save_map_if_due(&mut self) {
        if self.map_file.as_ref().is_some_and(MapFile::is_due) {
            self.save_map();
        }
    }

    /// Why the map file could not be written the last time.
    pub(crate) fn map_problem(&self) -> Option<String> {
        self.map_file.as_ref().and_then(MapFile::problem)
    }

    /// Whether a chunk is to be left for later: it is close behind a failure, or lacks something.
    fn puts_off(&self, chunk: &Chunk<'_>) -> bool {
        let Extent { start, end } = self.skipped;
        let is_skipped = start < end && chunk.range.start < end && start < chunk.range.end;
        is_skipped || self.statuses.failures(chunk.range).next().is_some()
    }

    /// Goes once through the chunks that nothing is known of; returns those that remain.
    fn pass<'c>(
        &mut self,
        mut chunks: Vec<Chunk<'c>>,
        direction: Direction,
        skips: bool,
        feed: &mut dyn Feed,
    ) -> Result<Vec<Chunk<'c>>, TransferError> {
        (self.skip, self.skipped) = (FIRST_SKIP, Extent { start: 0, end: 0 });
        let mut rest = Vec::new();
        if direction == Direction::Down {
            chunks.reverse();
        }
        for chunk in chunks {
            if self.puts_off(&chunk) || !self.try_whole(&chunk, direction, skips, feed)? {
                rest.push(chunk);
            }
        }
        if direction == Direction::Down {
            rest.reverse();
        }
        Ok(rest)
    }

    /// Reads a chunk; when that fails, what follows in that direction is put off.
    fn try_whole(
        &mut self,
        chunk: &Chunk<'_>,
        direction: Direction,
        skips: bool,
        feed: &mut dyn Feed,
    ) -> Result<bool, TransferError> {
        let mut buffer = feed.buffer()?;
        chunk.size(&mut buffer)?;
        let mut runs = chunk.runs();
        if direction == Direction::Down {
            runs.reverse();
        }
        for run in runs {
            let into = slice_of(&mut buffer, chunk.range, run)?;
            if let Some(failed) = self.copy(run, direction, into)? {
                feed.keep(buffer);
                if skips {
                    self.skip_behind(failed, direction);
                }
                return Ok(false);
            }
        }
        self.skip = FIRST_SKIP;
        chunk.blank(&mut buffer)?;
        feed.send(chunk, buffer)?;
        Ok(true)
    }

    fn skip_behind(&mut self, failed: Extent, direction: Direction) {
        self.skipped = match direction {
            Direction::Up => {
                Extent { start: failed.end, end: failed.end.saturating_add(self.skip) }
            }
            Direction::Down => {
                Extent { start: failed.start.saturating_sub(self.skip), end: failed.start }
            }
        };
        self.skip = (self.skip * 2).min(LARGEST_SKIP);
    }

    /// Reads `range` in pieces as large as the disk bears; stops at the first small piece that
    /// fails, records it and returns it.
    fn copy(
        &mut self,
        range: Extent,
        direction: Direction,
        into: &mut [u8],
    ) -> Result<Option<Extent>, TransferError> {
        let mut rest = range;
        while !rest.is_empty() {
            let edge = direction.edge(rest);
            let is_careful = (self.careful.start..self.careful.end).contains(&edge);
            let piece = direction.piece(rest, if is_careful { SMALL } else { self.step });
            match self.read(piece, slice_of(into, range, piece)?)? {
                None => {
                    self.statuses.finish(piece);
                    self.step = (self.step * 2).min(LARGE);
                    rest = direction.after(rest, piece);
                }
                Some(_) if piece.len() > SMALL => self.careful = piece,
                Some(errno) => {
                    self.step = SMALL;
                    self.fail(piece, FailedRead { status: Status::NonTrimmed, errno });
                    return Ok(Some(piece));
                }
            }
        }
        Ok(None)
    }

    /// One read, and from time to time the map file.
    fn read(&mut self, piece: Extent, into: &mut [u8]) -> Result<Option<i32>, TransferError> {
        self.save_map_if_due();
        self.prober.read(piece, into)
    }

    fn fail(&mut self, range: Extent, failure: FailedRead) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.prober.reporter.info(format!(
                "the disk cannot be read near byte {}; everything that can is read first",
                range.start
            ));
        }
        self.statuses.fail(range, failure);
        self.prober.reporter.bad_areas(self.statuses.places());
    }
}
