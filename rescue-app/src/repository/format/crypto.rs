//! Sealing and opening: AES-256 in counter mode with a Poly1305-AES tag over the ciphertext
//! (restic `doc/design.rst`, "Keys, Encryption and MAC"; Bernstein, "The Poly1305-AES
//! message-authentication code", 2005).
//!
//! A sealed message is `IV (16) || ciphertext || tag (16)`.

use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use poly1305::Poly1305;
use zeroize::Zeroize;

use crate::repository::error::{RepositoryError, Result};

type Cipher = ctr::Ctr128BE<aes::Aes256>;

/// Bytes of the initialisation vector before the ciphertext.
pub(in crate::repository) const IV_LEN: usize = 16;
/// Bytes of the tag after the ciphertext.
const TAG_LEN: usize = 16;
/// What sealing adds to a message, in bytes.
pub(in crate::repository) const OVERHEAD: usize = IV_LEN + TAG_LEN;

/// An encryption key with its authentication key; wiped from memory when dropped.
#[derive(Clone)]
pub(in crate::repository) struct Key {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
}

impl Key {
    /// Length of all parts in bytes.
    pub(in crate::repository) const LEN: usize = 64;

    /// The key made of `encrypt (32) || k (16) || r (16)`, the order scrypt's output is used in.
    pub(in crate::repository) fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut key = Self { encrypt: [0; 32], mac_k: [0; 16], mac_r: [0; 16] };
        key.encrypt.copy_from_slice(&bytes[..32]);
        key.mac_k.copy_from_slice(&bytes[32..48]);
        key.mac_r.copy_from_slice(&bytes[48..]);
        key
    }

    /// The three parts: encryption key, `k` and `r` of the authentication key.
    pub(super) fn parts(&self) -> (&[u8; 32], &[u8; 16], &[u8; 16]) {
        (&self.encrypt, &self.mac_k, &self.mac_r)
    }

    /// A new random key.
    pub(in crate::repository) fn random() -> Result<Self> {
        let mut bytes = [0; Self::LEN];
        fill_random(&mut bytes)?;
        let key = Self::from_bytes(&bytes);
        bytes.zeroize();
        Ok(key)
    }

    fn tag(&self, iv: &[u8; IV_LEN], ciphertext: &[u8]) -> [u8; TAG_LEN] {
        let mut encrypted_nonce = (*iv).into();
        aes::Aes128::new(&self.mac_k.into()).encrypt_block(&mut encrypted_nonce);
        let mut one_time = [0; 32];
        one_time[..16].copy_from_slice(&self.mac_r);
        one_time[16..].copy_from_slice(&encrypted_nonce);
        let tag = Poly1305::new(&one_time.into()).compute_unpadded(ciphertext);
        one_time.zeroize();
        tag.into()
    }

    /// Seals in place: `message` has [`IV_LEN`] spare bytes before the plain text and 16 after.
    pub(in crate::repository) fn seal_in_place(&self, message: &mut [u8]) -> Result<()> {
        let (iv, body, tag) = split(message).ok_or(RepositoryError::Internal("seal too short"))?;
        fill_random(iv)?;
        Cipher::new(&self.encrypt.into(), &(*iv).into()).apply_keystream(body);
        *tag = self.tag(iv, body);
        Ok(())
    }

    /// Opens in place and returns the plain text; `None` when the message was altered or sealed
    /// with another key. Nothing is decrypted before the tag is known to be right.
    pub(in crate::repository) fn open_in_place<'m>(
        &self,
        message: &'m mut [u8],
    ) -> Option<&'m mut [u8]> {
        let (iv, body, tag) = split(message)?;
        if !equal(&self.tag(iv, body), tag) {
            return None;
        }
        Cipher::new(&self.encrypt.into(), &(*iv).into()).apply_keystream(body);
        Some(body)
    }

    /// A sealed copy of `plain`.
    pub(in crate::repository) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut message = vec![0; plain.len() + OVERHEAD];
        message[IV_LEN..IV_LEN + plain.len()].copy_from_slice(plain);
        self.seal_in_place(&mut message)?;
        Ok(message)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.encrypt.zeroize();
        self.mac_k.zeroize();
        self.mac_r.zeroize();
    }
}

fn split(message: &mut [u8]) -> Option<(&mut [u8; IV_LEN], &mut [u8], &mut [u8; TAG_LEN])> {
    let (iv, rest) = message.split_first_chunk_mut()?;
    let (body, tag) = rest.split_last_chunk_mut()?;
    Some((iv, body, tag))
}

/// Compares without telling by the time taken where the first difference is.
fn equal(a: &[u8; TAG_LEN], b: &[u8; TAG_LEN]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (x, y)| std::hint::black_box(sum | (x ^ y)));
    difference == 0
}

/// Fills `bytes` from the kernel's random source.
pub(in crate::repository) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| RepositoryError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys, nonces, texts and tags from Bernstein's paper, appendix B.
    #[test]
    fn the_tag_agrees_with_the_published_examples() {
        let unhex = |text: &str| <[u8; 16]>::try_from(hex::decode(text).unwrap()).unwrap();
        let key = Key {
            encrypt: [0; 32],
            mac_k: unhex("ec074c835580741701425b623235add6"),
            mac_r: unhex("851fc40c3467ac0be05cc20404f3f700"),
        };
        let tag = key.tag(&unhex("fb447350c4e868c52ac3275cf9d4327e"), &[0xf3, 0xf6]);
        assert_eq!(tag, unhex("f4c633c3044fc145f84f335cb81953de"));
        let key = Key {
            encrypt: [0; 32],
            mac_k: unhex("6acb5f61a7176dd320c5c1eb2edcdc74"),
            mac_r: unhex("48443d0bb0d21109c89a100b5ce2c208"),
        };
        let text = hex::decode("663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136");
        let tag = key.tag(&unhex("ae212a55399729595dea458bc621ff0e"), &text.unwrap());
        assert_eq!(tag, unhex("0ee1c16bb73f0f4fd19881753c01cdbe"));
    }

    proptest! {
        #[test]
        fn only_the_untouched_message_opens(
            plain in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let key = Key::random().unwrap();
            let sealed = key.seal(&plain).unwrap();
            let mut untouched = sealed.clone();
            prop_assert_eq!(&*key.open_in_place(&mut untouched).unwrap(), &plain[..]);
            prop_assert!(Key::random().unwrap().open_in_place(&mut sealed.clone()).is_none());
            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(key.open_in_place(&mut flipped).is_none());
            let cut = at.index(sealed.len());
            prop_assert!(key.open_in_place(&mut sealed[..cut].to_vec()).is_none());
        }
    }
}
