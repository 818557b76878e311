//! What both versions of the header say: where the data lie, what encrypts them, which key slots
//! there are.

use super::cipher::Specification;
use super::hash::Hash;
use super::kdf::Kdf;
use super::{luks1, luks2};
use crate::bytes::{ReadAt, be16};
use crate::volume::Doubt;
use crate::volume::probe::has;

/// Starts a container and the first copy of its header.
pub(super) const MAGIC: &[u8] = b"LUKS\xba\xbe";
/// A larger key than this (`cryptsetup` has 512 bits at most for AES) is not believed, bytes.
pub(super) const LONGEST_KEY: usize = 512;
/// More encrypted key material than this is not read, bytes: 4000 stripes of the longest key.
const MOST_MATERIAL: u64 = 2 << 20;

/// A header that made sense.
pub(super) struct Container {
    /// The encrypted data.
    pub(super) segment: Segment,
    /// Key slots in use, in the order they are tried.
    pub(super) slots: Vec<Slot>,
    /// Key slots in use that this version cannot open, and why.
    pub(super) closed: Vec<Doubt>,
    /// What a volume key is recognised by.
    pub(super) digests: Vec<Digest>,
}

/// Where the data are and how they are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First byte on the volume.
    pub(super) offset: u64,
    /// Bytes, a multiple of the sector size.
    pub(super) size: u64,
    /// Bytes that are encrypted as one.
    pub(super) sector_size: usize,
    /// Number of the first sector in initialisation vectors.
    pub(super) iv_tweak: u64,
    /// The cipher.
    pub(super) cipher: Specification,
}

/// A key slot: the volume key, encrypted with a key that follows from a passphrase.
pub(super) struct Slot {
    /// How that key follows from the passphrase.
    pub(super) kdf: Kdf,
    /// Its length in bytes.
    pub(super) area_key: usize,
    /// What the key material is encrypted with.
    pub(super) cipher: Specification,
    /// Where the key material is on the volume.
    pub(super) offset: u64,
    /// Length of the volume key in bytes.
    pub(super) key: usize,
    /// Anti-forensic stripes.
    pub(super) stripes: usize,
    /// Hash of the anti-forensic splitter.
    pub(super) hash: Hash,
}

/// A fingerprint of the volume key.
pub(super) struct Digest {
    /// Hash of PBKDF2.
    pub(super) hash: Hash,
    /// Rounds.
    pub(super) iterations: u32,
    /// Salt.
    pub(super) salt: Vec<u8>,
    /// The fingerprint.
    pub(super) value: Vec<u8>,
}

impl Container {
    /// Reads the header at the start of a volume.
    pub(super) fn read(volume: &dyn ReadAt) -> Result<Self, Doubt> {
        let head = volume.read_vec(0, 4096).map_err(Doubt::reading("its header"))?;
        let version = be16(&head, 6).filter(|_| has(&head, 0, MAGIC));
        let container = match version {
            Some(1) => luks1::parse(&head, volume.size()),
            Some(2) => luks2::read(volume),
            _ => Err(Doubt::because("it is no LUKS container")),
        }?;
        container.segment.check(volume.size())?;
        Ok(container)
    }
}

impl Segment {
    fn check(&self, volume_size: u64) -> Result<(), Doubt> {
        if !matches!(self.sector_size, 512 | 1024 | 2048 | 4096) {
            let words = format!("its sectors have {} bytes", self.sector_size);
            return Err(Doubt::because(words));
        }
        if self.offset == 0 {
            return Err(Doubt::because("its header lies on another device"));
        }
        let end = self.offset.checked_add(self.size).filter(|end| *end <= volume_size);
        if end.is_none() || !self.size.is_multiple_of(self.sector_size as u64) {
            return Err(Doubt::because("its data do not fit the volume"));
        }
        Ok(())
    }
}

impl Slot {
    /// Bytes of key material, whole sectors.
    pub(super) fn material(&self) -> Result<usize, Doubt> {
        let len =
            self.key.checked_mul(self.stripes).and_then(|len| len.checked_next_multiple_of(512));
        let believable = len.filter(|len| *len != 0 && *len as u64 <= MOST_MATERIAL);
        believable
            .filter(|_| self.key <= LONGEST_KEY && self.area_key <= LONGEST_KEY)
            .ok_or_else(|| Doubt::because("the length of a key slot makes no sense"))
    }
}
