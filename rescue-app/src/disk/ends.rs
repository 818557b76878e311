//! Both ends of a disk: tables and their copies, boot sectors, what RAID and encryption leave there.

use std::io;

use sha2::{Digest, Sha256};

use crate::bytes::{self, AlignedBuffer, ReadAt};

/// How much of each end counts, bytes.
const LEN: u64 = 1 << 20;

/// What lies in the first and in the last mebibyte of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// SHA-256 of one after the other.
    pub hash: [u8; 32],
    /// Whether it is zeros only.
    pub blank: bool,
}

impl Ends {
    /// Reads both, of a device past the page cache: a cache may hold what another medium held.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn read(disk: &dyn ReadAt) -> io::Result<Self> {
        let len = usize::try_from(LEN.min(disk.size())).unwrap_or_default();
        let mut buffer = AlignedBuffer::default();
        buffer.set_len(len);
        let (mut hash, mut blank) = (Sha256::new(), true);
        for at in [0, disk.size().saturating_sub(LEN)] {
            disk.read_at(at, &mut buffer)?;
            blank &= bytes::is_zero(&buffer);
            hash.update(&buffer[..]);
        }
        Ok(Self { hash: hash.finalize().into(), blank })
    }

    /// The start of the hash, for a person's eyes: `5f3a9c01`.
    pub fn short(&self) -> String {
        self.hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}
