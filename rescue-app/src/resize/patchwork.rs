//! Bytes that come from several places.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;

/// Bytes, part of which are others' and the rest zero.
pub(super) struct Patchwork {
    size: u64,
    /// In the order of their places; a later one that begins inside of an earlier one ends that.
    pieces: Vec<Piece>,
}

/// Bytes of another.
struct Piece {
    to: u64,
    len: u64,
    bytes: Arc<dyn ReadAt>,
    from: u64,
}

impl Patchwork {
    /// So many zeros.
    pub(super) fn new(size: u64) -> Self {
        Self { size, pieces: Vec::new() }
    }

    /// Puts `len` bytes from byte `from` of others to byte `to`, over what is there.
    pub(super) fn put(&mut self, to: u64, len: u64, bytes: Arc<dyn ReadAt>, from: u64) {
        let end = to.saturating_add(len).min(self.size);
        let first = self.pieces.partition_point(|piece| piece.end() <= to);
        let last = self.pieces.partition_point(|piece| piece.to < end);
        let mut kept = Vec::new();
        for old in self.pieces.drain(first..last.max(first)) {
            if old.to < to {
                kept.push(Piece { len: to - old.to, bytes: Arc::clone(&old.bytes), ..old });
            }
            if old.end() > end {
                let skipped = end - old.to;
                let (len, from) = (old.len - skipped, old.from + skipped);
                kept.push(Piece { to: end, len, bytes: old.bytes, from });
            }
        }
        if end > to {
            kept.push(Piece { to, len: end - to, bytes, from });
        }
        kept.sort_by_key(|piece| piece.to);
        self.pieces.splice(first..first, kept);
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.to.saturating_add(self.len)
    }
}

impl ReadAt for Patchwork {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        let first = self.pieces.partition_point(|piece| piece.end() <= offset);
        let hit = self.pieces.iter().skip(first).take_while(|piece| piece.to < end);
        for piece in hit {
            let (from, to) = (piece.to.max(offset), piece.end().min(end));
            let [start, stop] = [from, to].map(|at| usize::try_from(at - offset).unwrap_or(0));
            let part = buf.get_mut(start..stop).unwrap_or_default();
            piece.bytes.read_at(piece.from + (from - piece.to), part)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_last_is_read(
            puts in prop::collection::vec((0u64..60, 0u64..30, 0u64..40), 0..12),
            (start, len) in (0usize..80, 0usize..40),
        ) {
            let mut expected = [0u8; 80];
            let mut patchwork = Patchwork::new(80);
            for (seed, (to, len, from)) in (1u8..).zip(puts) {
                let bytes: Vec<u8> = (0..70u8).map(|at| at.wrapping_mul(7).wrapping_add(seed)).collect();
                for at in 0..len {
                    if let Some(byte) = expected.get_mut(usize::try_from(to + at).unwrap()) {
                        *byte = bytes[usize::try_from(from + at).unwrap()];
                    }
                }
                patchwork.put(to, len, Arc::new(bytes), from);
            }
            let end = (start + len).min(80);
            let start = start.min(end);
            let read = patchwork.read_vec(start as u64, end - start).unwrap();
            prop_assert_eq!(&read[..], &expected[start..end]);
            prop_assert!(patchwork.read_vec(79, 2).is_err());
        }
    }
}
