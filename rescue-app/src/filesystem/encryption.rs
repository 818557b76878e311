//! Encrypted containers and their keys. Ciphertext shows no unused blocks to leave out; with the
//! key the map is made of the decrypted content ([`super::opened`]), and only the ciphertext that
//! matters is stored.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::decrypted::OpenContainer;
use super::format::{Doubt, Format};
use super::recognition;
use super::{Companions, Filesystem, Kind};
use crate::bytes::ReadAt;

/// A way of encrypting whole volumes.
pub(super) trait Encryption: Sync {
    /// The key that a secret opens. Reads only; takes the seconds that guessing is made to take.
    fn unlock(
        &self,
        volume: &dyn ReadAt,
        secret: &[u8],
        effort: Effort,
    ) -> Result<VolumeKey, UnlockError>;

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
    pub(super) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
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
    /// `None` for anything else.
    pub(super) fn new(
        volume: &dyn ReadAt,
        (format, found): (&dyn Format, &Filesystem),
        logical_volume: Option<&str>,
    ) -> Option<Self> {
        let encryption = format.encryption()?;
        let uuid = identity(found).to_owned();
        let logical_volume = logical_volume.map(str::to_owned);
        let locked = encryption.key_on_disk(volume).is_none();
        locked.then_some(Self { uuid, kind: found.kind, logical_volume })
    }

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

fn identity(found: &Filesystem) -> &str {
    found.uuid.as_deref().unwrap_or_default()
}

/// The content of what was found; `None` if it is no container whose key is known.
pub(super) fn opened<'a>(
    volume: &'a dyn ReadAt,
    (format, found): (&dyn Format, &Filesystem),
    keys: &VolumeKeys,
) -> Option<Result<OpenContainer<'a>, Doubt>> {
    let encryption = format.encryption()?;
    let known = keys.get(identity(found)).cloned();
    let key = known.or_else(|| encryption.key_on_disk(volume))?;
    Some(encryption.decrypted(volume, &key))
}

/// The locked containers on a volume: itself, or what lies in its logical volumes or on its array.
pub fn locked_containers(volume: &dyn ReadAt, companions: &dyn Companions) -> Vec<LockedContainer> {
    let mut found = Vec::new();
    recognition::first_locked(volume, companions, (None, 0), &mut |container, _| {
        found.push(container.clone());
        None::<()>
    });
    found
}

/// [`unlock`] for one of the [`locked_containers`] of `volume`.
///
/// # Errors
/// See [`UnlockError`].
pub fn unlock_in(
    (volume, companions): (&dyn ReadAt, &dyn Companions),
    wanted: &LockedContainer,
    secret: &[u8],
    effort: Effort,
) -> Result<VolumeKey, UnlockError> {
    let opened = recognition::first_locked(volume, companions, (None, 0), &mut |found, content| {
        (found == wanted).then(|| unlock(content, secret, effort))
    });
    opened.unwrap_or_else(|| Err(UnlockError::Unknown("it is there no longer".to_owned())))
}

/// Tries a passphrase, the content of a key file, or a recovery key of BitLocker on the encrypted
/// container that `volume` is. Reads only; takes the seconds that key slots are made to take.
///
/// # Errors
/// See [`UnlockError`]; what kept a slot from being tried goes before a wrong passphrase.
pub fn unlock(
    volume: &dyn ReadAt,
    secret: &[u8],
    effort: Effort,
) -> Result<VolumeKey, UnlockError> {
    match recognition::found_on(volume).and_then(|(format, _)| format.encryption()) {
        Some(encryption) => encryption.unlock(volume, secret, effort),
        None => Err(UnlockError::Unknown("it is not encrypted in a way that is known".to_owned())),
    }
}
