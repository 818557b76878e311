//! The decrypted content of a container, as something to read.

use std::io;

use crate::bytes::ReadAt;

/// Bytes decrypted at once; a multiple of every sector size.
const PIECE: u64 = 256 << 10;

/// What decrypts whole sectors.
pub(crate) trait Sectors: Send + Sync {
    /// Size of the content in bytes, a multiple of the sector size.
    fn size(&self) -> u64;

    /// Bytes that are encrypted as one.
    fn sector_size(&self) -> u64;

    /// The content from byte `start` to byte `end`, both multiples of the sector size.
    fn decrypted(&self, start: u64, end: u64) -> io::Result<Vec<u8>>;
}

/// Decrypts what is read; cannot write.
pub(crate) struct Decrypted<S>(pub(crate) S);

impl<S: Sectors> ReadAt for Decrypted<S> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.0.size()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let sector = self.0.sector_size();
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let start = at.saturating_sub(at.checked_rem(sector).unwrap_or(0));
            let inside = usize::try_from(at.saturating_sub(start)).unwrap_or(0);
            let wanted = (inside as u64).saturating_add(rest.len() as u64).min(PIECE);
            let end = start.saturating_add(wanted.next_multiple_of(sector));
            let bytes = self.0.decrypted(start, end)?;
            let found = bytes.get(inside..).unwrap_or_default();
            let len = found.len().min(rest.len());
            let (piece, after) = rest.split_at_mut_checked(len).unwrap_or_default();
            piece.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at = at.saturating_add(len as u64);
            rest = after;
        }
        Ok(())
    }
}
