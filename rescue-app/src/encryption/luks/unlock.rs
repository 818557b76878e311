//! From a passphrase to the volume key.

use zeroize::Zeroizing;

use super::antiforensic;
use super::container::{Container, Digest, Slot};
use crate::bytes::ReadAt;
use crate::volume::{Doubt, Effort, UnlockError, VolumeKey};

/// Tries a passphrase (or the content of a key file) on every key slot of the LUKS container that
/// `volume` is. What kept a slot from being tried goes before a wrong passphrase.
pub(super) fn unlock(
    volume: &dyn ReadAt,
    passphrase: &[u8],
    effort: Effort,
) -> Result<VolumeKey, UnlockError> {
    let container = Container::read(volume)?;
    let mut obstacle = None;
    for slot in &container.slots {
        match key_of(slot, volume, passphrase, effort) {
            Ok(key) if container.is_key(&key, effort)? => return Ok(VolumeKey::new(key)),
            Ok(_) => {}
            Err(error) => obstacle = obstacle.or(Some(error)),
        }
    }
    let count = container.slots.len().saturating_add(container.closed.len());
    let closed = container.closed.into_iter().next();
    Err(obstacle.or(closed.map(Into::into)).unwrap_or(UnlockError::WrongPassphrase(count)))
}

/// What a slot holds if the passphrase is its.
fn key_of(
    slot: &Slot,
    volume: &dyn ReadAt,
    passphrase: &[u8],
    effort: Effort,
) -> Result<Zeroizing<Vec<u8>>, UnlockError> {
    let len = slot.material()?;
    let area_key = slot.kdf.derive(passphrase, slot.area_key, effort)?;
    let material = volume.read_vec(slot.offset, len).map_err(Doubt::reading("a key slot"))?;
    let mut material = Zeroizing::new(material);
    slot.cipher.with_key(&area_key)?.decrypt(&mut material, 512, 0);
    let split = slot.key.saturating_mul(slot.stripes);
    let merged =
        material.get(..split).and_then(|split| antiforensic::merge(split, slot.stripes, slot.hash));
    Ok(merged.ok_or_else(|| Doubt::because("a key slot makes no sense"))?)
}

impl Container {
    /// Whether this is the key of its data.
    pub(super) fn is_key(&self, key: &[u8], effort: Effort) -> Result<bool, Doubt> {
        for digest in &self.digests {
            if digest.fits(key, effort)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Digest {
    fn fits(&self, key: &[u8], effort: Effort) -> Result<bool, Doubt> {
        let blocks = self.value.len().div_ceil(self.hash.len()) as u64;
        if self.value.is_empty() || u64::from(self.iterations).saturating_mul(blocks) > effort.work
        {
            return Err(Doubt::because("the digest of its key makes no sense"));
        }
        let mut found = Zeroizing::new(vec![0; self.value.len()]);
        self.hash.pbkdf2(key, &self.salt, self.iterations, &mut found);
        Ok(*found == self.value)
    }
}
