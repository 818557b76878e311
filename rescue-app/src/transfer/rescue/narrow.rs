//! Getting out of bad areas what can be got, down to the sector.

use crate::bytes::{AlignedBuffer, Extent};
use crate::transfer::TransferError;

use super::direction::Direction;
use super::map_file::Stage;
use super::status::{FailedRead, Status};
use super::{Chunk, Feed, Rescue, slice_of};

/// Chunks held in memory while their bad areas are narrowed down: 64 MiB.
const HELD: usize = 16;

/// An unsettled chunk with what was read of it.
struct Held<'a, 'c> {
    chunk: &'a Chunk<'c>,
    buffer: AlignedBuffer,
}

impl Rescue<'_> {
    /// Reads the chunks that lack something, as far as that is possible, and sends them on.
    pub(super) fn settle(
        &mut self,
        chunks: &[Chunk<'_>],
        feed: &mut dyn Feed,
    ) -> Result<(), TransferError> {
        for batch in chunks.chunks(HELD) {
            let mut held = Vec::new();
            for chunk in batch {
                let mut buffer = AlignedBuffer::default();
                chunk.size(&mut buffer)?;
                held.push(Held { chunk, buffer });
            }
            self.narrow(&mut held)?;
            for Held { chunk, buffer } in held {
                feed.send(chunk, buffer)?;
            }
        }
        Ok(())
    }

    fn narrow(&mut self, held: &mut [Held<'_, '_>]) -> Result<(), TransferError> {
        for held in &mut *held {
            self.sweep(held)?;
        }
        self.enter(Stage::Trimming);
        for held in &mut *held {
            for (range, failure) in self.failures(held.chunk, |t| t == Status::NonTrimmed) {
                self.trim(held, range, failure)?;
            }
        }
        self.enter(Stage::Scraping);
        for held in &mut *held {
            for (range, _) in self.failures(held.chunk, |t| t == Status::NonScraped) {
                self.sectors(held, range, Direction::Up)?;
            }
        }
        self.enter(Stage::Retrying);
        for round in 0..self.retries {
            let direction = if round % 2 == 0 { Direction::Down } else { Direction::Up };
            self.retry(held, direction)?;
        }
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        let doing = match stage {
            Stage::Trimming => "narrowing down",
            Stage::Scraping => "reading sector by sector around",
            _ => "trying again",
        };
        let places = self.statuses.places();
        self.prober.reporter.bad_areas(places);
        // Batches follow each other; a line for the first is enough.
        if self.stage < stage && places > 0 {
            let s = if places == 1 { "" } else { "s" };
            self.prober.reporter.info(format!("{doing} {places} bad area{s}"));
            self.stage = stage;
        }
    }

    /// The failures in the used parts of a chunk.
    fn failures(
        &self,
        chunk: &Chunk<'_>,
        wanted: impl Fn(Status) -> bool,
    ) -> Vec<(Extent, FailedRead)> {
        let parts = chunk.parts().flat_map(|part| self.statuses.failures(part));
        parts.filter(|(_, failure)| wanted(failure.status)).collect()
    }

    /// Reads all used parts that are not known to be bad, in small pieces where they might be.
    fn sweep(&mut self, held: &mut Held<'_, '_>) -> Result<(), TransferError> {
        for part in held.chunk.parts() {
            for mut rest in self.statuses.without_failure(part) {
                while !rest.is_empty() {
                    let into = slice_of(&mut held.buffer, held.chunk.range, rest)?;
                    match self.copy(rest, Direction::Up, into)? {
                        Some(failed) => {
                            slice_of(&mut held.buffer, held.chunk.range, failed)?.fill(0);
                            rest = Direction::Up.after(rest, failed);
                        }
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads sectors from the start up to the first bad one, and from the end down to it.
    fn trim(
        &mut self,
        held: &mut Held<'_, '_>,
        range: Extent,
        failure: FailedRead,
    ) -> Result<(), TransferError> {
        let mut rest = range;
        for direction in [Direction::Up, Direction::Down] {
            while !rest.is_empty() {
                let sector = direction.sector(rest, self.prober.sector);
                rest = direction.after(rest, sector);
                if !self.sector(held, sector)? {
                    break;
                }
            }
        }
        if !rest.is_empty() {
            self.fail(rest, FailedRead { status: Status::NonScraped, ..failure });
        }
        Ok(())
    }

    /// Reads a stretch sector by sector.
    fn sectors(
        &mut self,
        held: &mut Held<'_, '_>,
        range: Extent,
        direction: Direction,
    ) -> Result<(), TransferError> {
        let mut rest = range;
        while !rest.is_empty() {
            let sector = direction.sector(rest, self.prober.sector);
            self.sector(held, sector)?;
            rest = direction.after(rest, sector);
        }
        Ok(())
    }

    /// Tries every bad sector once more.
    fn retry(
        &mut self,
        held: &mut [Held<'_, '_>],
        direction: Direction,
    ) -> Result<(), TransferError> {
        let mut bad = Vec::new();
        for (index, held) in held.iter().enumerate() {
            let ranges = self.failures(held.chunk, |t| matches!(t, Status::Bad { .. }));
            bad.extend(ranges.into_iter().map(|(range, _)| (index, range)));
        }
        if direction == Direction::Down {
            bad.reverse();
        }
        for (index, range) in bad {
            if let Some(held) = held.get_mut(index) {
                self.sectors(held, range, direction)?;
            }
        }
        Ok(())
    }

    /// Tries one sector; zeros where it cannot be read.
    fn sector(&mut self, held: &mut Held<'_, '_>, sector: Extent) -> Result<bool, TransferError> {
        let into = slice_of(&mut held.buffer, held.chunk.range, sector)?;
        let Some(errno) = self.read(sector, into)? else {
            self.statuses.finish(sector);
            return Ok(true);
        };
        slice_of(&mut held.buffer, held.chunk.range, sector)?.fill(0);
        let before = self.statuses.failures(sector).next().map(|(_, failure)| failure.status);
        let tries = match before {
            Some(Status::Bad { tries }) => tries + 1,
            _ => 1,
        };
        self.fail(sector, FailedRead { status: Status::Bad { tries }, errno });
        Ok(false)
    }
}
