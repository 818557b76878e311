//! The decrypted content of a container, as something to read.

use std::io;

use super::cipher::{Cipher, IV_UNIT};
use super::container::Segment;
use crate::bytes::ReadAt;

/// Bytes decrypted at once; a multiple of every sector size.
const PIECE: u64 = 256 << 10;

/// Decrypts what is read; cannot write.
pub(super) struct Decrypted<'a> {
    volume: &'a dyn ReadAt,
    segment: &'a Segment,
    cipher: Cipher,
}

impl<'a> Decrypted<'a> {
    /// The content of `segment` on `volume`.
    pub(super) fn new(volume: &'a dyn ReadAt, segment: &'a Segment, cipher: Cipher) -> Self {
        Self { volume, segment, cipher }
    }

    /// The whole sectors `start..end`.
    fn sectors(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
        let len = end.checked_sub(start).and_then(|len| usize::try_from(len).ok());
        let at = self.segment.offset.checked_add(start).ok_or_else(wrong)?;
        let mut bytes = self.volume.read_vec(at, len.ok_or_else(wrong)?)?;
        let number = start.checked_div(IV_UNIT).ok_or_else(wrong)?;
        let number = number.wrapping_add(self.segment.iv_tweak);
        self.cipher.decrypt(&mut bytes, self.segment.sector_size, number);
        Ok(bytes)
    }
}

impl ReadAt for Decrypted<'_> {
    fn size(&self) -> u64 {
        self.segment.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.segment.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let sector = self.segment.sector_size as u64;
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let start = at.saturating_sub(at.checked_rem(sector).unwrap_or(0));
            let inside = usize::try_from(at.saturating_sub(start)).unwrap_or(0);
            let wanted = (inside as u64).saturating_add(rest.len() as u64).min(PIECE);
            let end = start.saturating_add(wanted.next_multiple_of(sector));
            let bytes = self.sectors(start, end)?;
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
