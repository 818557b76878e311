//! Opening encrypted containers. Ciphertext shows no unused blocks to leave out; with the key the
//! map is made of the decrypted content ([`super::opened`]), and only the ciphertext that matters
//! is stored.

use super::recognition;
use crate::bytes::ReadAt;
use crate::volume::{
    Companions, Doubt, Effort, Filesystem, Format, LockedContainer, OpenContainer, UnlockError,
    VolumeKey, VolumeKeys,
};

/// What was found on a volume as a container that takes a secret to be opened; `None` for anything
/// else. `logical_volume` is the one that it fills.
pub(super) fn locked(
    volume: &dyn ReadAt,
    (format, found): (&dyn Format, &Filesystem),
    logical_volume: Option<&str>,
) -> Option<LockedContainer> {
    let encryption = format.encryption()?;
    let uuid = identity(found).to_owned();
    let logical_volume = logical_volume.map(str::to_owned);
    let locked = encryption.key_on_disk(volume).is_none();
    locked.then_some(LockedContainer { uuid, kind: found.kind, logical_volume })
}

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
