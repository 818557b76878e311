//! Filling a chunk's buffer from the disk: used bytes read, unused bytes zero, bad sectors
//! narrowed down and left zero.

use std::io;

use crate::bytes::{Extents, ReadAt};
use crate::operation::error::OperationError;

/// Unused stretches up to this size are read along rather than skipped: one large read costs
/// less than two small ones.
const READ_ALONG: u64 = 128 * 1024;

/// Linux errno values of a medium that cannot deliver: EIO, ENODATA (SCSI medium error),
/// EILSEQ (protection information), as set by `blk_status_to_errno` in block/blk-core.c.
const MEDIUM_ERRORS: [i32; 3] = [5, 61, 84];

/// Reads chunks and remembers what could not be read.
pub(super) struct ChunkReader<'a> {
    source: &'a dyn ReadAt,
    sector: u64,
    unreadable: Extents,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, sector_size: u32) -> Self {
        Self { source, sector: u64::from(sector_size), unreadable: Extents::new() }
    }

    /// Makes `buffer` the chunk at `start`, zero wherever nothing is used; returns the number of
    /// used bytes.
    pub(super) fn fill(
        &mut self,
        start: u64,
        len: u64,
        used: &Extents,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, OperationError> {
        let end = start + len;
        buffer.resize(to_usize(len)?, 0);
        let mut total = 0;
        let mut zeroed_to = start;
        let mut parts = used.within(start, end).peekable();
        while let Some(first) = parts.next() {
            let mut run = first;
            total += first.len();
            let mut holes = Extents::new();
            while let Some(next) = parts.next_if(|next| next.start - run.end <= READ_ALONG) {
                holes.push(run.end, next.start);
                run.end = next.end;
                total += next.len();
            }
            zero(buffer, start, zeroed_to, run.start)?;
            self.read(run.start, part(buffer, start, run.start, run.end)?)?;
            for hole in holes.iter() {
                zero(buffer, start, hole.start, hole.end)?;
            }
            zeroed_to = run.end;
        }
        zero(buffer, start, zeroed_to, end)?;
        Ok(total)
    }

    /// Reads whole, and sector by sector where that fails.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), OperationError> {
        match self.source.read_at(offset, buffer) {
            Ok(()) => Ok(()),
            Err(error) if is_medium_error(&error) => self.read_sectors(offset, buffer),
            Err(error) => Err(read_error(offset, error)),
        }
    }

    fn read_sectors(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), OperationError> {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let step = to_usize(self.sector - at % self.sector)?.min(rest.len());
            let (sector, tail) = rest.split_at_mut(step);
            let len = sector.len() as u64;
            match self.source.read_at(at, sector) {
                Ok(()) => {}
                Err(error) if is_medium_error(&error) => {
                    sector.fill(0);
                    self.unreadable.push(at, at + len);
                }
                Err(error) => return Err(read_error(at, error)),
            }
            at += len;
            rest = tail;
        }
        Ok(())
    }

    pub(super) fn into_unreadable(self) -> Extents {
        self.unreadable
    }
}

fn is_medium_error(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| MEDIUM_ERRORS.contains(&errno))
}

fn read_error(offset: u64, error: io::Error) -> OperationError {
    OperationError::io(format!("reading the source at byte {offset}"), error)
}

fn to_usize(len: u64) -> Result<usize, OperationError> {
    usize::try_from(len).map_err(|_| {
        OperationError::io("a chunk larger than memory", io::ErrorKind::OutOfMemory.into())
    })
}

/// The bytes `from..to` of the disk inside a chunk that begins at `start`.
fn part(buffer: &mut [u8], start: u64, from: u64, to: u64) -> Result<&mut [u8], OperationError> {
    let (from, to) = (to_usize(from - start)?, to_usize(to - start)?);
    buffer.get_mut(from..to).ok_or_else(|| {
        OperationError::io("a used block outside its chunk", io::ErrorKind::InvalidData.into())
    })
}

fn zero(buffer: &mut [u8], start: u64, from: u64, to: u64) -> Result<(), OperationError> {
    if from < to {
        part(buffer, start, from, to)?.fill(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk whose sectors at `bad` fail with EIO, any read that touches one as a whole.
    struct Scratched {
        bytes: Vec<u8>,
        bad: Extents,
    }

    impl ReadAt for Scratched {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            if self.bad.within(offset, offset + buf.len() as u64).next().is_some() {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.bytes.read_at(offset, buf)
        }
    }

    fn disk(bad: &[(u64, u64)]) -> Scratched {
        let bytes = (0..1 << 20).map(|at: u32| (at % 251 + 1).to_le_bytes()[0]).collect();
        Scratched { bytes, bad: Extents::from(bad.to_vec()) }
    }

    #[test]
    fn unused_bytes_are_zero_even_in_a_reused_buffer() {
        let disk = disk(&[]);
        let used = Extents::from(vec![(4096, 4096), (12288, 512), (400_000, 1000)]);
        let mut buffer = vec![0xff; 77];
        let mut reader = ChunkReader::new(&disk, 512);
        for _ in 0..2 {
            assert_eq!(reader.fill(0, 1 << 20, &used, &mut buffer).unwrap(), 4096 + 512 + 1000);
            for (at, byte) in (0u64..).zip(&buffer) {
                let is_used = used.within(at, at + 1).next().is_some();
                let expected = if is_used { disk.bytes[usize::try_from(at).unwrap()] } else { 0 };
                assert_eq!(*byte, expected, "byte {at}");
            }
        }
    }

    #[test]
    fn a_bad_sector_costs_only_itself() {
        let disk = disk(&[(5000, 1), (9000, 2)]);
        let mut buffer = Vec::new();
        let mut reader = ChunkReader::new(&disk, 512);
        reader.fill(0, 65536, &Extents::of(0, 65536), &mut buffer).unwrap();
        assert_eq!(buffer[4607], disk.bytes[4607]);
        assert!(buffer[4608..5120].iter().all(|byte| *byte == 0));
        assert_eq!(buffer[5120..8704], disk.bytes[5120..8704]);
        assert_eq!(reader.into_unreadable(), Extents::from(vec![(4608, 512), (8704, 512)]));
    }

    #[test]
    fn a_disk_that_goes_away_is_an_error_not_zeros() {
        let disk = disk(&[]);
        let mut reader = ChunkReader::new(&disk, 512);
        let past_the_end = Extents::of(1 << 20, (1 << 20) + 512);
        assert!(reader.fill(1 << 20, 512, &past_the_end, &mut Vec::new()).is_err());
    }
}
