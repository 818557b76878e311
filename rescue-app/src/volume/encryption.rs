//! Encrypted containers and their keys, and what is shown of a container that was opened.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::doubt::Doubt;
use super::kind::Kind;
use crate::bytes::{Extents, ReadAt};

/// The key that a secret opened, or why it opened none.
pub(crate) type Unlocked = Result<VolumeKey, UnlockError>;

/// A way of encrypting whole volumes.
pub(crate) trait Encryption: Sync {
    /// The key that a secret opens. Reads only; takes the seconds that guessing is made to take.
    fn unlock(&self, volume: &dyn ReadAt, secret: &[u8], effort: Effort) -> Unlocked;

    /// The content of a container whose key is known.
    fn decrypted<'a>(
        &self,
        volume: &'a dyn ReadAt,
        key: &VolumeKey,
    ) -> Result<OpenContainer<'a>, Doubt>;

    /// The key, where it lies in the container unprotected.
    fn key_on_disk(&self, _volume: &dyn ReadAt) -> Option<VolumeKey> {
        None
    }
}

/// A header may ask for this many hash rounds, or KiB of memory times passes, and not for more:
/// some minutes of work. `cryptsetup` aims at two seconds.
const MOST_WORK: u64 = 1 << 28;

/// What may be spent on one way of opening a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Bytes of memory.
    pub memory: u64,
    /// Rounds of the hash; for Argon2 KiB of memory times passes over it.
    pub work: u64,
}

impl Effort {
    /// Everything within reason, on a machine with that many bytes of free memory.
    pub fn with_memory(memory: u64) -> Self {
        Self { memory, work: MOST_WORK }
    }
}

/// The key that opens a container; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct VolumeKey(Zeroizing<Vec<u8>>);

impl VolumeKey {
    /// A key.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VolumeKey(…)")
    }
}

/// Why a container stays closed.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// No key slot takes it.
    #[error("the passphrase is wrong: it opens none of the {0} key slots")]
    WrongPassphrase(usize),
    /// Neither the password nor the recovery key of a BitLocker volume.
    #[error("this is neither its password nor its recovery key")]
    WrongSecret,
    /// A recovery key with a mistake in it.
    #[error("group {0} of the recovery key is mistyped")]
    Mistyped(usize),
    /// BitLocker without a password.
    #[error("it has no password of its own and opens with its recovery key only, 48 digits")]
    RecoveryKeyNeeded,
    /// A key slot asks for more memory than there is.
    #[error(
        "opening a key slot takes {} MiB of memory, and {} MiB are free",
        .needed.div_ceil(1 << 20), .free >> 20
    )]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// Not something this version opens.
    #[error("{0}")]
    Unknown(String),
}

impl From<Doubt> for UnlockError {
    fn from(doubt: Doubt) -> Self {
        Self::Unknown(doubt.to_string())
    }
}

/// An encrypted container that takes a secret to be opened, by what is told of it without its key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockedContainer {
    /// Its identity, as its own tools print it.
    pub uuid: String,
    /// How it is encrypted.
    pub kind: Kind,
    /// The logical volume (`group/name`) that it fills; `None` for a partition or an array.
    pub logical_volume: Option<String>,
}

impl LockedContainer {
    /// What opens it, for a person.
    pub fn secret(&self) -> &'static str {
        match self.kind {
            Kind::BitLocker => "password or recovery key (48 digits)",
            _ => "passphrase",
        }
    }
}

/// Keys of opened containers by the containers' identities. Copies of a container, such as on both
/// sides of a mirror, have the same.
pub type VolumeKeys = BTreeMap<String, VolumeKey>;

/// A container that was opened.
pub(crate) struct OpenContainer<'a> {
    /// Its content.
    pub(crate) content: Box<dyn ReadAt + 'a>,
    /// Byte of the volume at which the content's first byte is stored.
    pub(crate) start: u64,
    /// Bytes that are encrypted as one.
    pub(crate) sector_size: u64,
    /// What of the volume is stored whatever the content says.
    pub(crate) always: Extents,
}

impl OpenContainer<'_> {
    /// The ciphertext of `used`, in whole sectors; and all that is always stored.
    pub(crate) fn translated(&self, used: &Extents) -> Extents {
        let (size, sector) = (self.content.size(), self.sector_size);
        let mut found = Extents::new();
        for extent in used.iter() {
            let start = extent.start.saturating_sub(extent.start.checked_rem(sector).unwrap_or(0));
            let end = extent.end.checked_next_multiple_of(sector).unwrap_or(size).min(size);
            found.push(self.start.saturating_add(start), self.start.saturating_add(end));
        }
        found.union(&self.always)
    }
}
