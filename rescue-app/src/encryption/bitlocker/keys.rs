//! From a password or recovery key to the master key.
//!
//! Source: libbde, "Keys" and "FVE AES-CCM encrypted key".

use aes::Aes256;
use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U12, U16};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::metadata::Metadata;
use super::protectors::{Entry, Protector, Secret};
use crate::volume::probe::piece;
use crate::volume::{Doubt, Effort, UnlockError, VolumeKey};

/// Rounds of the hash between a secret and its key.
const ROUNDS: u32 = 0x10_0000;
/// More protectors than this are not tried: each takes half a second.
const MOST_PROTECTORS: usize = 16;
/// What stands before a key that was unsealed: lengths, version, method; bytes.
const KEY_HEADER: usize = 12;

/// A key sealed with another by AES-CCM.
pub(super) struct Sealed {
    nonce: [u8; 12],
    tag: [u8; 16],
    bytes: Vec<u8>,
}

impl Sealed {
    /// `None` where the entry is none.
    pub(super) fn parse(entry: &Entry<'_>) -> Option<Self> {
        let data = entry.sealed()?;
        let bytes = data.get(28..)?.to_vec();
        Some(Self { nonce: piece(data, 0)?, tag: piece(data, 12)?, bytes })
    }

    /// The key; `None` with any other than the one it was sealed with.
    pub(super) fn opened(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = Ccm::<Aes256, U16, U12>::new_from_slice(key).ok()?;
        let mut bytes = Zeroizing::new(self.bytes.clone());
        let buffer = bytes.as_mut_slice().into();
        let (nonce, tag) = (self.nonce.into(), self.tag.into());
        cipher.decrypt_inout_detached(&nonce, &[], buffer, &tag).ok()?;
        Some(Zeroizing::new(bytes.get(KEY_HEADER..)?.to_vec()))
    }
}

/// The master key of a volume whose protection is suspended.
pub(super) fn key_on_disk(metadata: &Metadata) -> Option<VolumeKey> {
    metadata.protectors.iter().find_map(|protector| match &protector.by {
        Secret::Clear(key) => master_key(metadata, protector, key),
        Secret::Password(_) | Secret::RecoveryKey(_) => None,
    })
}

/// The master key in a protector, if `key` opens that, and the master key the key of the data.
fn master_key(metadata: &Metadata, protector: &Protector, key: &[u8]) -> Option<VolumeKey> {
    let master = protector.master_key.opened(key)?;
    metadata.data_key(&master)?;
    Some(VolumeKey::new(master))
}

/// Tries a password or recovery key on the protectors of a volume.
pub(super) fn unlock(
    metadata: &Metadata,
    secret: &[u8],
    effort: Effort,
) -> Result<VolumeKey, UnlockError> {
    if let Some(key) = key_on_disk(metadata) {
        return Ok(key);
    }
    let recovery = recovery_key(secret)?;
    let password = password_hash(secret);
    let mut tried = 0u32;
    for protector in metadata.protectors.iter().take(MOST_PROTECTORS) {
        let (start, salt) = match (&protector.by, &recovery, &password) {
            (Secret::Password(salt), _, Some(hash)) => (hash, salt),
            (Secret::RecoveryKey(salt), Some(hash), _) => (hash, salt),
            _ => continue,
        };
        if u64::from(ROUNDS) > effort.work {
            return Err(Doubt::because("a key protector takes more work than is granted").into());
        }
        tried = tried.saturating_add(1);
        let key = stretched(start, salt);
        if let Some(key) = master_key(metadata, protector, key.as_slice()) {
            return Ok(key);
        }
    }
    Err(failure(&metadata.protectors, tried))
}

fn failure(protectors: &[Protector], tried: u32) -> UnlockError {
    let recovery = |protector: &Protector| matches!(protector.by, Secret::RecoveryKey(_));
    if tried > 0 {
        return UnlockError::WrongSecret;
    }
    if protectors.iter().any(recovery) {
        return UnlockError::RecoveryKeyNeeded;
    }
    let words = "it has neither a password nor a recovery key; TPM, smart cards and key files are \
                 not supported";
    Doubt::because(words).into()
}

/// Passwords are hashed twice, in UTF-16.
fn password_hash(secret: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let units = std::str::from_utf8(secret).ok()?.encode_utf16();
    let bytes = Zeroizing::new(units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    let once = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(bytes.as_slice())));
    Some(Zeroizing::new(Sha256::digest(once.as_slice()).into()))
}

/// The hash of a recovery key; `None` for what has not the form of one, with or without hyphens
/// or blanks between its groups.
fn recovery_key(secret: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, UnlockError> {
    /// Groups, their digits, and what each is a multiple of.
    const GROUPS: usize = 8;
    const DIGITS: usize = 6;
    const FACTOR: u32 = 11;
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    if !secret.iter().all(|byte| is_digit(byte) || b"- ".contains(byte)) {
        return Ok(None);
    }
    let digits = Zeroizing::new(secret.iter().copied().filter(is_digit).collect::<Vec<u8>>());
    if digits.len() != GROUPS.saturating_mul(DIGITS) {
        return Ok(None);
    }
    let mut key = Zeroizing::new(Vec::with_capacity(16));
    for (group, number) in digits.chunks_exact(DIGITS).zip(1..) {
        let value = group.iter().fold(0u32, |value, digit| {
            value.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
        });
        let part = value.checked_div(FACTOR).and_then(|part| u16::try_from(part).ok());
        let part = part.filter(|_| value.checked_rem(FACTOR) == Some(0));
        key.extend(part.ok_or(UnlockError::Mistyped(number))?.to_le_bytes());
    }
    Ok(Some(Zeroizing::new(Sha256::digest(key.as_slice()).into())))
}

/// The key that follows from the hash of a secret.
fn stretched(start: &[u8; 32], salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut last = Zeroizing::new([0; 32]);
    for count in 0..u64::from(ROUNDS) {
        let hash = Sha256::new().chain_update(last.as_slice()).chain_update(start);
        let hash = hash.chain_update(salt).chain_update(count.to_le_bytes());
        *last = hash.finalize().into();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_group_is_named() {
        let key = "471207-278498-422125-177177-561902-537405-468006-693451";
        assert!(recovery_key(key.as_bytes()).unwrap().is_some());
        let bare = recovery_key(key.replace('-', "").as_bytes()).unwrap();
        assert!(bare == recovery_key(key.replace('-', " ").as_bytes()).unwrap());
        for (wrong, group) in [("471208", 1), ("999999", 1)] {
            let typed = key.replace("471207", wrong);
            let error = recovery_key(typed.as_bytes()).unwrap_err();
            assert!(matches!(error, UnlockError::Mistyped(found) if found == group), "{error}");
        }
        let error = recovery_key(key.replace("693451", "693450").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "group 8 of the recovery key is mistyped");
        assert!(recovery_key(b"471207-278498").unwrap().is_none());
        assert!(recovery_key(b"a password").unwrap().is_none());
    }
}
