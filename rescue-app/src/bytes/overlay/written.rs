//! What was written to an overlay.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::spill::Spill;
use super::{OverlayRoom, is_zero, slice};

/// Blocks, in memory or in a file, and zeros.
#[derive(Debug)]
pub(super) struct Written {
    /// By the number of their first block; none reaches into the next.
    pub(super) runs: BTreeMap<u64, Run>,
    /// Bytes of the blocks in memory.
    in_memory: u64,
    limit: u64,
    spill: Spill,
}

/// A block, or blocks in a row.
#[derive(Debug)]
pub(super) enum Run {
    /// All blocks up to this one are zero: a disk that is discarded as a whole takes no room.
    Zero(u64),
    /// One block, in memory.
    Memory(Box<[u8]>),
    /// One block, in the file from this byte.
    Spilled(u64),
}

impl Written {
    pub(super) fn new(room: OverlayRoom) -> Self {
        let spill = Spill::new(room.folder);
        Self { runs: BTreeMap::new(), in_memory: 0, limit: room.memory, spill }
    }

    /// Bytes of the file.
    #[cfg(test)]
    pub(super) fn in_file(&self) -> u64 {
        self.spill.len()
    }

    /// The run that a block is in, with the number of its first block.
    pub(super) fn covering(&self, block: u64) -> Option<(u64, &Run)> {
        let (first, run) = self.runs.range(..=block).next_back()?;
        let end = if let Run::Zero(end) = run { *end } else { first + 1 };
        (block < end).then_some((*first, run))
    }

    /// Fills `buf` from byte `from` of a block, if it was written.
    pub(super) fn read(&self, block: u64, from: usize, buf: &mut [u8]) -> io::Result<bool> {
        match self.covering(block) {
            None => return Ok(false),
            Some((_, Run::Zero(_))) => buf.fill(0),
            Some((_, Run::Memory(bytes))) => {
                let part = slice(bytes, from, buf.len());
                buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
            Some((_, Run::Spilled(at))) => self.spill.read(at + from as u64, buf)?,
        }
        Ok(true)
    }

    /// Keeps a block.
    pub(super) fn put(&mut self, block: u64, bytes: Box<[u8]>) -> io::Result<()> {
        if is_zero(&bytes) {
            self.put_zeros(block..block + 1);
            return Ok(());
        }
        let len = bytes.len() as u64;
        match self.runs.get_mut(&block) {
            Some(Run::Memory(old)) => *old = bytes,
            Some(Run::Spilled(at)) => self.spill.write(*at, &bytes)?,
            _ => {
                let new = if self.in_memory + len <= self.limit {
                    self.in_memory += len;
                    Run::Memory(bytes)
                } else {
                    Run::Spilled(self.spill.add(&bytes, self.limit)?)
                };
                self.cut_out(block..block + 1);
                self.runs.insert(block, new);
            }
        }
        Ok(())
    }

    /// Makes blocks zero.
    pub(super) fn put_zeros(&mut self, blocks: Range<u64>) {
        if blocks.is_empty() {
            return;
        }
        self.cut_out(blocks.clone());
        let (mut start, mut end) = (blocks.start, blocks.end);
        if let Some((first, Run::Zero(_))) =
            start.checked_sub(1).and_then(|before| self.covering(before))
        {
            start = first;
        }
        if let Some(Run::Zero(last)) = self.runs.get(&end) {
            let last = *last;
            self.runs.remove(&end);
            end = last;
        }
        self.runs.insert(start, Run::Zero(end));
    }

    /// Forgets what was written to these blocks; zeros around them stay.
    fn cut_out(&mut self, blocks: Range<u64>) {
        let from = self.covering(blocks.start).map_or(blocks.start, |(first, _)| first);
        let inside: Vec<u64> = self.runs.range(from..blocks.end).map(|(first, _)| *first).collect();
        for first in inside {
            match self.runs.remove(&first) {
                Some(Run::Memory(bytes)) => self.in_memory -= bytes.len() as u64,
                Some(Run::Spilled(at)) => self.spill.free(at),
                Some(Run::Zero(end)) => {
                    if first < blocks.start {
                        self.runs.insert(first, Run::Zero(blocks.start));
                    }
                    if blocks.end < end {
                        self.runs.insert(blocks.end, Run::Zero(end));
                    }
                }
                None => {}
            }
        }
    }
}
