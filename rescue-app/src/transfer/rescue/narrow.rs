//! Getting out of bad areas what can be got, down to the sector.

use crate::bytes::{AlignedBuffer, Extent};
use crate::transfer::TransferError;

use super::map_file::Stage;
use super::marks::{Mark, Trouble};
use super::way::Way;
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
            for (range, mark) in self.troubles(held.chunk, |t| t == Trouble::NonTrimmed) {
                self.trim(held, range, mark)?;
            }
        }
        self.enter(Stage::Scraping);
        for held in &mut *held {
            for (range, _) in self.troubles(held.chunk, |t| t == Trouble::NonScraped) {
                self.sectors(held, range, Way::Up)?;
            }
        }
        self.enter(Stage::Retrying);
        for round in 0..self.retries {
            let way = if round % 2 == 0 { Way::Down } else { Way::Up };
            self.retry(held, way)?;
        }
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        let doing = match stage {
            Stage::Trimming => "narrowing down",
            Stage::Scraping => "reading sector by sector around",
            _ => "trying again",
        };
        let places = self.marks.places();
        self.prober.reporter.bad_areas(places);
        // Batches follow each other; a line for the first is enough.
        if self.stage < stage && places > 0 {
            let s = if places == 1 { "" } else { "s" };
            self.prober.reporter.info(format!("{doing} {places} bad area{s}"));
            self.stage = stage;
        }
    }

    /// The troubles in the used parts of a chunk.
    fn troubles(&self, chunk: &Chunk<'_>, wanted: impl Fn(Trouble) -> bool) -> Vec<(Extent, Mark)> {
        let parts = chunk.parts().flat_map(|part| self.marks.troubles(part));
        parts.filter(|(_, mark)| wanted(mark.trouble)).collect()
    }

    /// Reads all used parts that are not known to be bad, in small pieces where they might be.
    fn sweep(&mut self, held: &mut Held<'_, '_>) -> Result<(), TransferError> {
        for part in held.chunk.parts() {
            for mut rest in self.marks.untroubled(part) {
                while !rest.is_empty() {
                    let into = slice_of(&mut held.buffer, held.chunk.range, rest)?;
                    match self.copy(rest, Way::Up, into)? {
                        Some(failed) => {
                            slice_of(&mut held.buffer, held.chunk.range, failed)?.fill(0);
                            rest = Way::Up.after(rest, failed);
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
        mark: Mark,
    ) -> Result<(), TransferError> {
        let mut rest = range;
        for way in [Way::Up, Way::Down] {
            while !rest.is_empty() {
                let sector = way.sector(rest, self.prober.sector);
                rest = way.after(rest, sector);
                if !self.sector(held, sector)? {
                    break;
                }
            }
        }
        if !rest.is_empty() {
            self.fail(rest, Mark { trouble: Trouble::NonScraped, ..mark });
        }
        Ok(())
    }

    /// Reads a stretch sector by sector.
    fn sectors(
        &mut self,
        held: &mut Held<'_, '_>,
        range: Extent,
        way: Way,
    ) -> Result<(), TransferError> {
        let mut rest = range;
        while !rest.is_empty() {
            let sector = way.sector(rest, self.prober.sector);
            self.sector(held, sector)?;
            rest = way.after(rest, sector);
        }
        Ok(())
    }

    /// Tries every bad sector once more.
    fn retry(&mut self, held: &mut [Held<'_, '_>], way: Way) -> Result<(), TransferError> {
        let mut bad = Vec::new();
        for (index, held) in held.iter().enumerate() {
            let ranges = self.troubles(held.chunk, |t| matches!(t, Trouble::Bad { .. }));
            bad.extend(ranges.into_iter().map(|(range, _)| (index, range)));
        }
        if way == Way::Down {
            bad.reverse();
        }
        for (index, range) in bad {
            if let Some(held) = held.get_mut(index) {
                self.sectors(held, range, way)?;
            }
        }
        Ok(())
    }

    /// Tries one sector; zeros where it cannot be read.
    fn sector(&mut self, held: &mut Held<'_, '_>, sector: Extent) -> Result<bool, TransferError> {
        let into = slice_of(&mut held.buffer, held.chunk.range, sector)?;
        let Some(errno) = self.read(sector, into)? else {
            self.marks.finish(sector);
            return Ok(true);
        };
        slice_of(&mut held.buffer, held.chunk.range, sector)?.fill(0);
        let before = self.marks.troubles(sector).next().map(|(_, mark)| mark.trouble);
        let tries = match before {
            Some(Trouble::Bad { tries }) => tries + 1,
            _ => 1,
        };
        self.fail(sector, Mark { trouble: Trouble::Bad { tries }, errno });
        Ok(false)
    }
}
