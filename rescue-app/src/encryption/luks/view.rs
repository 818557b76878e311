//! The decrypted content of a container.

use std::io;

use super::cipher::{Cipher, IV_UNIT};
use super::container::Segment;
use crate::bytes::ReadAt;
use crate::encryption::decrypted::Sectors;

/// The encrypted data with their key.
pub(super) struct Data<'a> {
    /// The whole container.
    pub(super) volume: &'a dyn ReadAt,
    /// Where the data are.
    pub(super) segment: Segment,
    /// What decrypts them.
    pub(super) cipher: Cipher,
}

impl Sectors for Data<'_> {
    fn size(&self) -> u64 {
        self.segment.size
    }

    fn sector_size(&self) -> u64 {
        self.segment.sector_size as u64
    }

    fn decrypted(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
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
