//! One read in place of the many small ones that recognition makes at the start of a volume.

use std::io;

use crate::bytes::{ReadAt, slice};

/// Reaches past the last fixed superblock position (Btrfs, 68 KiB) and the first ZFS label.
const HEAD: u64 = 256 << 10;

/// A volume whose first 256 KiB are held in memory.
pub(super) struct HeadCache<'a> {
    volume: &'a dyn ReadAt,
    head: Vec<u8>,
}

impl<'a> HeadCache<'a> {
    /// Reads the head. If that fails, every later read goes to the volume itself, so that one bad
    /// sector spoils only what lies in it.
    pub(super) fn new(volume: &'a dyn ReadAt) -> Self {
        let len = usize::try_from(volume.size().min(HEAD)).unwrap_or(0);
        Self { volume, head: volume.read_vec(0, len).unwrap_or_default() }
    }
}

impl ReadAt for HeadCache<'_> {
    fn size(&self) -> u64 {
        self.volume.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let cached = usize::try_from(offset).ok().and_then(|at| slice(&self.head, at, buf.len()));
        match cached {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => self.volume.read_at(offset, buf),
        }
    }
}
