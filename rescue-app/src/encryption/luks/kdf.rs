//! Keys from passphrases.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::hash::Hash;
use crate::volume::{Doubt, Effort, UnlockError};

/// A key derivation function with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kdf {
    /// RFC 8018.
    Pbkdf2 { hash: Hash, iterations: u32, salt: Vec<u8> },
    /// RFC 9106.
    Argon2 { algorithm: Algorithm, passes: u32, memory_kib: u32, lanes: u32, salt: Vec<u8> },
}

impl Kdf {
    /// `len` bytes of key.
    pub(super) fn derive(
        &self,
        passphrase: &[u8],
        len: usize,
        effort: Effort,
    ) -> Result<Zeroizing<Vec<u8>>, UnlockError> {
        let mut key = Zeroizing::new(vec![0; len]);
        match self {
            Self::Pbkdf2 { hash, iterations, salt } => {
                let blocks = len.div_ceil(hash.len()) as u64;
                within(u64::from(*iterations).saturating_mul(blocks), effort)?;
                hash.pbkdf2(passphrase, salt, *iterations, &mut key);
            }
            Self::Argon2 { algorithm, passes, memory_kib, lanes, salt } => {
                let needed = u64::from(*memory_kib).saturating_mul(1024);
                if needed > effort.memory {
                    return Err(UnlockError::Memory { needed, free: effort.memory });
                }
                within(u64::from(*memory_kib).saturating_mul((*passes).into()), effort)?;
                let strange = |error| {
                    Doubt::because(format!(
                        "the Argon2 parameters of a key slot are wrong: {error}"
                    ))
                };
                let params = Params::new(*memory_kib, *passes, *lanes, Some(len));
                let function = Argon2::new(*algorithm, Version::V0x13, params.map_err(strange)?);
                match function.hash_password_into(passphrase, salt, &mut key) {
                    Err(argon2::Error::OutOfMemory) => {
                        return Err(UnlockError::Memory { needed, free: effort.memory });
                    }
                    other => other.map_err(strange)?,
                }
            }
        }
        Ok(key)
    }
}

fn within(work: u64, effort: Effort) -> Result<(), Doubt> {
    if work <= effort.work {
        return Ok(());
    }
    let words = "a key slot asks for more work than any that was ever made in earnest";
    Err(Doubt::because(words))
}
