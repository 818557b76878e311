//! A file that is put together from bytes of a disk.

use std::io;

use crate::bytes::{Changes, Extents, ReadAt, WriteAt};
use crate::transfer::Transfer;

/// A file put together from bytes of a disk; what none of its pieces covers is zero.
pub(super) struct Pieces<D> {
    pub(super) disk: D,
    pub(super) size: u64,
    /// In the order of the file.
    pub(super) pieces: Vec<Transfer>,
}

/// Bytes of the file that lie in a row on the disk.
#[derive(Clone, Copy)]
struct Span {
    /// In the file.
    at: u64,
    on_disk: u64,
    len: u64,
}

impl<D: ReadAt> Pieces<D> {
    /// What of `start..end` lies on the disk, and where.
    fn spans(&self, start: u64, end: u64) -> impl Iterator<Item = Span> + '_ {
        let first = self.pieces.partition_point(|piece| piece.to + piece.len <= start);
        let pieces = self.pieces.iter().skip(first).take_while(move |piece| piece.to < end);
        pieces.map(move |piece| {
            let (at, stop) = (piece.to.max(start), (piece.to + piece.len).min(end));
            Span { at, on_disk: piece.from + (at - piece.to), len: stop - at }
        })
    }

    /// The end of `len` bytes from `offset`, which must not be beyond that of the file.
    fn end_of(&self, offset: u64, len: u64) -> io::Result<u64> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        end.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl<D: ReadAt> ReadAt for Pieces<D> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = self.end_of(offset, buf.len() as u64)?;
        buf.fill(0);
        for span in self.spans(offset, end) {
            let within = |at: u64| usize::try_from(at - offset).map_err(io::Error::other);
            let part = buf.get_mut(within(span.at)?..within(span.at + span.len)?);
            self.disk.read_at(span.on_disk, part.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        }
        Ok(())
    }
}

impl<D: WriteAt> WriteAt for Pieces<D> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = self.end_of(offset, bytes.len() as u64)?;
        if self.spans(offset, end).map(|span| span.len).sum::<u64>() < end - offset {
            return Err(io::Error::other("this part of it lies on no disk of the image"));
        }
        for span in self.spans(offset, end) {
            let within = |at: u64| usize::try_from(at - offset).map_err(io::Error::other);
            let part = bytes.get(within(span.at)?..within(span.at + span.len)?);
            self.disk.write_at(span.on_disk, part.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        }
        Ok(())
    }

    fn zero_at(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = self.end_of(offset, len)?;
        self.spans(offset, end).try_for_each(|span| self.disk.zero_at(span.on_disk, span.len))
    }

    fn changes_within(&self, start: u64, end: u64) -> Changes {
        let mut changes = Changes::default();
        for span in self.spans(start, end.min(self.size)) {
            let found = self.disk.changes_within(span.on_disk, span.on_disk + span.len);
            let add = |to: &mut Extents, found: &Extents| {
                let in_file = |at: u64| at - span.on_disk + span.at;
                found.iter().for_each(|it| to.push(in_file(it.start), in_file(it.end)));
            };
            add(&mut changes.data, &found.data);
            add(&mut changes.zero, &found.zero);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{OVERLAY_BLOCK, Overlay, OverlayRoom};

    fn piece(from: u64, to: u64, len: u64) -> Transfer {
        Transfer { from, to, len, used: Extents::of(from, from + len), is_cut: false }
    }

    #[test]
    fn pieces_are_put_together_and_gaps_are_zero() {
        let disk: Vec<u8> = (0..100).collect();
        let pieces = vec![piece(50, 0, 10), piece(10, 10, 5), piece(90, 20, 10)];
        let file = Pieces { disk, size: 40, pieces };
        let mut expected: Vec<u8> = (50..60).chain(10..15).collect();
        expected.extend([0; 5]);
        expected.extend(90..100);
        expected.extend([0; 10]);
        assert_eq!(file.read_vec(0, 40).unwrap(), expected);
        assert_eq!(file.read_vec(8, 14).unwrap(), expected[8..22]);
        assert!(file.read_vec(30, 11).is_err());
    }

    #[test]
    fn what_is_written_goes_to_its_places_on_the_disk_and_gaps_take_none() {
        let (block, base) = (OVERLAY_BLOCK, vec![9; 1 << 20]);
        let disk = Overlay::new(base, OverlayRoom { memory: 1 << 20, folder: None });
        let pieces = vec![piece(4 * block, 0, block), piece(block, block, block)];
        let file = Pieces { disk, size: 4 * block, pieces };
        file.write_at(block - 2, &[1, 2, 3, 4]).unwrap();
        assert_eq!(file.disk.read_vec(5 * block - 2, 3).unwrap(), [1, 2, 9]);
        assert_eq!(file.disk.read_vec(block, 3).unwrap(), [3, 4, 9]);
        assert!(file.write_at(2 * block - 1, &[1, 2]).is_err());
        assert_eq!(file.read_vec(2 * block - 1, 2).unwrap(), [9, 0], "nothing of it was written");
        file.zero_at(block, 3 * block).unwrap();
        assert_eq!(file.disk.read_vec(block, 3).unwrap(), [0, 0, 0]);
        assert_eq!(file.disk.read_vec(2 * block, 1).unwrap(), [9]);
        let changes = file.changes_within(10, 4 * block);
        assert_eq!(changes.data, Extents::of(10, block));
        assert_eq!(changes.zero, Extents::of(block, 2 * block));
    }
}
