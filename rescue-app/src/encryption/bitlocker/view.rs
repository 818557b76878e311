//! The decrypted content of a volume.
//!
//! Source: libbde, "Virtual sector(s)".

use std::io;

use super::cipher::Cipher;
use super::metadata::Metadata;
use crate::bytes::ReadAt;
use crate::encryption::decrypted::Sectors;

/// The encrypted data with their key.
pub(super) struct Data<'a> {
    /// The whole volume.
    pub(super) volume: &'a dyn ReadAt,
    /// What is where.
    pub(super) metadata: Metadata,
    /// What decrypts it.
    pub(super) cipher: Cipher,
}

/// Where a stretch of the content comes from.
enum Origin {
    /// It is stored from this byte on.
    Stored(u64),
    /// BitLocker keeps something there that the content does not show.
    Zeros,
}

impl Data<'_> {
    /// Where the content's byte `at` comes from, and up to which byte those after it come from
    /// there too.
    fn origin(&self, at: u64) -> (Origin, u64) {
        let replaced = self.metadata.replaced();
        if replaced.contains(&at) {
            return (Origin::Stored(self.metadata.moved(at)), replaced.end);
        }
        let own = self.metadata.own();
        if let Some(place) = own.iter().find(|place| place.contains(&at)) {
            return (Origin::Zeros, place.end);
        }
        let next = own.iter().map(|place| place.start).filter(|start| *start > at).min();
        (Origin::Stored(at), next.unwrap_or(self.metadata.size))
    }
}

impl Sectors for Data<'_> {
    fn size(&self) -> u64 {
        self.metadata.size
    }

    fn sector_size(&self) -> u64 {
        self.metadata.sector_size
    }

    fn decrypted(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let wrong = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let size = usize::try_from(self.metadata.sector_size).map_err(wrong)?;
        let mut content = Vec::new();
        let mut at = start;
        while at < end {
            let (origin, stop) = self.origin(at);
            let stop = stop.min(end);
            let len = usize::try_from(stop.saturating_sub(at)).map_err(wrong)?;
            match origin {
                Origin::Zeros => content.resize(content.len().saturating_add(len), 0),
                Origin::Stored(place) => {
                    let mut bytes = self.volume.read_vec(place, len)?;
                    self.cipher.decrypt(&mut bytes, size, place);
                    content.append(&mut bytes);
                }
            }
            at = stop.max(at.saturating_add(self.metadata.sector_size));
        }
        Ok(content)
    }
}
