//! Content of files that lies in runs of a volume's bytes, or has to be made from them.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::bytes::ReadAt;

/// A file in more pieces than this is not opened.
const MOST_RUNS: usize = 1 << 20;

/// Bytes of a file that lie together on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// First byte in the file.
    at: u64,
    /// First byte on the volume.
    start: u64,
    len: u64,
}

/// A file in runs; what is in none is a hole and reads as zeros.
pub(crate) struct Runs<'a> {
    volume: &'a dyn ReadAt,
    size: u64,
    runs: Vec<Run>,
}

impl<'a> Runs<'a> {
    /// A file of `size` bytes without any.
    pub(crate) fn new(volume: &'a dyn ReadAt, size: u64) -> Self {
        Self { volume, size, runs: Vec::new() }
    }

    /// The `len` bytes of the file from its byte `at` lie from byte `start` of the volume on; what
    /// lies behind the file's end does not count. `None` when they do not follow those that are
    /// known, lie outside the volume, or are too many.
    pub(crate) fn push(&mut self, at: u64, start: u64, len: u64) -> Option<()> {
        let len = len.min(self.size.saturating_sub(at));
        if len == 0 {
            return Some(());
        }
        start.checked_add(len).filter(|end| *end <= self.volume.size())?;
        let has_room = self.runs.len() < MOST_RUNS;
        match self.runs.last_mut() {
            Some(last) if last.at.checked_add(last.len)? > at => None,
            Some(last)
                if last.at.checked_add(last.len)? == at
                    && last.start.checked_add(last.len)? == start =>
            {
                last.len = last.len.checked_add(len)?;
                Some(())
            }
            _ if !has_room => None,
            _ => {
                self.runs.push(Run { at, start, len });
                Some(())
            }
        }
    }

    /// Where byte `at` of the file lies, and how many bytes are there, or are a hole.
    fn place(&self, at: u64) -> Option<Place> {
        let next = self.runs.partition_point(|run| run.at <= at);
        let run = next.checked_sub(1).and_then(|index| self.runs.get(index));
        let inside = run.and_then(|run| {
            let inside = at.checked_sub(run.at)?;
            let left = run.len.checked_sub(inside).filter(|left| *left != 0)?;
            Some((Some(run.start.checked_add(inside)?), left))
        });
        let end = self.runs.get(next).map_or(self.size, |run| run.at);
        inside.or_else(|| Some((None, end.checked_sub(at)?)))
    }
}

impl ReadAt for Runs<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        read_in_places(self.volume, self.size, |at| self.place(at), offset, buf)
    }
}

/// Where bytes lie on a volume, `None` where they are zeros, and how many of them do.
pub(crate) type Place = (Option<u64>, u64);

/// Fills `buf` from byte `offset` of what has `size` bytes, each of which lies in the place that
/// `place` says.
pub(crate) fn read_in_places(
    volume: &dyn ReadAt,
    size: u64,
    place: impl Fn(u64) -> Option<Place>,
    offset: u64,
    buf: &mut [u8],
) -> io::Result<()> {
    check_end(offset, buf.len(), size)?;
    let mut at = offset;
    let mut rest = buf;
    while !rest.is_empty() {
        let (start, most) =
            place(at).filter(|(_, most)| *most != 0).ok_or(io::ErrorKind::InvalidData)?;
        let len = usize::try_from(most).unwrap_or(usize::MAX).min(rest.len());
        let (piece, after) = rest.split_at_mut_checked(len).unwrap_or_default();
        match start {
            Some(start) => volume.read_at(start, piece)?,
            None => piece.fill(0),
        }
        at = at.saturating_add(len as u64);
        rest = after;
    }
    Ok(())
}

fn check_end(offset: u64, len: usize, size: u64) -> io::Result<()> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Bytes of a file that were made as a whole.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// First byte in the file.
    pub(crate) at: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

impl Piece {
    /// Those from byte `at` of the file on; none where it is in another piece.
    fn from(&self, at: u64) -> &[u8] {
        let inside = at.checked_sub(self.at).and_then(|inside| usize::try_from(inside).ok());
        inside.and_then(|inside| self.bytes.get(inside..)).unwrap_or_default()
    }
}

/// A file that has to be made piece by piece, such as a compressed one: `make` makes the piece with
/// a given byte. The last one is kept.
pub(crate) struct InPieces<F> {
    size: u64,
    make: F,
    last: Mutex<Piece>,
}

impl<F: Fn(u64) -> io::Result<Piece> + Send + Sync> InPieces<F> {
    /// A file of `size` bytes.
    pub(crate) fn new(size: u64, make: F) -> Self {
        Self { size, make, last: Mutex::default() }
    }
}

impl<F: Fn(u64) -> io::Result<Piece> + Send + Sync> ReadAt for InPieces<F> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        check_end(offset, buf.len(), self.size)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            if last.from(at).is_empty() {
                *last = (self.make)(at)?;
            }
            let known = last.from(at);
            let len = known.len().min(rest.len());
            if len == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let (to, after) = rest.split_at_mut_checked(len).unwrap_or_default();
            to.iter_mut().zip(known).for_each(|(to, from)| *to = *from);
            at = at.saturating_add(len as u64);
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_holes_read_as_one_file() {
        let volume: Vec<u8> = (0..=255).collect();
        let mut file = Runs::new(&volume, 40);
        // Bytes 10 to 20, joined of two; 25 to 30; the rest are holes.
        file.push(10, 100, 5).unwrap();
        file.push(15, 105, 5).unwrap();
        file.push(25, 50, 5).unwrap();
        assert_eq!(file.runs.len(), 2);
        let mut expected = [0; 40];
        expected[10..20].copy_from_slice(&volume[100..110]);
        expected[25..30].copy_from_slice(&volume[50..55]);
        for start in 0..40usize {
            for end in start..=40 {
                let found = file.read_vec(start as u64, end - start).unwrap();
                assert_eq!(found, expected[start..end], "{start}..{end}");
            }
        }
        assert!(file.read_at(39, &mut [0; 2]).is_err());
    }

    #[test]
    fn runs_that_cannot_be_are_refused_and_those_behind_the_end_do_not_count() {
        let volume = vec![1; 100];
        let mut file = Runs::new(&volume, 50);
        assert_eq!(file.push(10, 0, 10), Some(()));
        assert_eq!(file.push(19, 50, 1), None, "over one before");
        assert_eq!(file.push(20, 95, 6), None, "outside the volume");
        assert_eq!(file.push(20, u64::MAX, 6), None);
        assert_eq!(file.push(45, 95, 10), Some(()), "cut at the end of the file");
        assert_eq!(file.push(60, 5000, 10), Some(()));
        assert_eq!(file.read_vec(40, 10).unwrap(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn pieces_are_made_once_in_a_row_and_have_to_hold_what_was_asked_for() {
        let made = std::sync::atomic::AtomicU32::new(0);
        let file = InPieces::new(100, |at| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let start = u8::try_from(at / 30 * 30).unwrap();
            Ok(Piece { at: start.into(), bytes: (start..start + 30).collect() })
        });
        let mut all = Vec::new();
        for at in (0..100u8).step_by(7) {
            all.extend(file.read_vec(at.into(), usize::from(7.min(100 - at))).unwrap());
        }
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
        assert_eq!(made.into_inner(), 4);
        let empty = InPieces::new(100, |_| Ok(Piece::default()));
        assert!(empty.read_at(0, &mut [0]).is_err());
    }
}
