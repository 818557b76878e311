//! Decryption of sectors as `dm-crypt` does it.
//!
//! Source: Linux `drivers/md/dm-crypt.c` (`crypt_iv_plain64_gen`, `crypt_iv_essiv_gen`).

use zeroize::Zeroizing;

use super::hash::Hash;
use crate::encryption::aes_sectors::{BlockKey, SectorKey};
use crate::volume::Doubt;

/// Initialisation vectors count in units of this size, whatever the sector size of the cipher.
pub(super) const IV_UNIT: u64 = 512;

/// A cipher as `cryptsetup` names it, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Specification {
    mode: Mode,
    vector: Vector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Xts,
    Cbc,
}

/// How the initialisation vector follows from the sector's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vector {
    /// Its low 32 bits.
    Plain,
    /// The number itself.
    Plain64,
    /// The number, encrypted with a hash of the key.
    Essiv(Hash),
}

impl Specification {
    /// Reads `aes-xts-plain64` and its like.
    pub(super) fn parse(text: &str) -> Result<Self, Doubt> {
        let unknown = || Doubt::because(format!("its cipher {text:?} is not known"));
        let mut words = text.splitn(3, '-');
        let (Some("aes"), Some(mode), Some(vector)) = (words.next(), words.next(), words.next())
        else {
            return Err(unknown());
        };
        let mode = match mode {
            "xts" => Mode::Xts,
            "cbc" => Mode::Cbc,
            _ => return Err(unknown()),
        };
        let vector = match (vector, vector.strip_prefix("essiv:")) {
            ("plain", _) => Vector::Plain,
            ("plain64", _) => Vector::Plain64,
            (_, Some(hash)) => Vector::Essiv(Hash::named(hash)?),
            _ => return Err(unknown()),
        };
        Ok(Self { mode, vector })
    }

    /// The cipher with its key.
    pub(super) fn with_key(&self, key: &[u8]) -> Result<Cipher, Doubt> {
        let sectors = match self.mode {
            Mode::Xts => SectorKey::xts(key)?,
            Mode::Cbc => SectorKey::cbc(key)?,
        };
        let essiv = match self.vector {
            Vector::Essiv(hash) => Some(BlockKey::new(&Zeroizing::new(hash.of(&[key])))?),
            Vector::Plain | Vector::Plain64 => None,
        };
        Ok(Cipher { sectors, short: self.vector == Vector::Plain, essiv })
    }
}

/// A cipher ready to decrypt.
pub(super) struct Cipher {
    sectors: SectorKey,
    short: bool,
    essiv: Option<BlockKey>,
}

impl Cipher {
    /// Decrypts whole sectors of `size` bytes in place; `first` is the number of the first one in
    /// units of [`IV_UNIT`].
    pub(super) fn decrypt(&self, bytes: &mut [u8], size: usize, first: u64) {
        let step = (size as u64).checked_div(IV_UNIT).unwrap_or(1);
        let mut number = first;
        for sector in bytes.chunks_exact_mut(size.max(16)) {
            self.sectors.decrypt(sector, self.vector(number));
            number = number.wrapping_add(step);
        }
    }

    fn vector(&self, number: u64) -> [u8; 16] {
        let number = if self.short { number & 0xffff_ffff } else { number };
        let vector = u128::from(number).to_le_bytes();
        self.essiv.as_ref().map_or(vector, |essiv| essiv.encrypted(vector))
    }
}
