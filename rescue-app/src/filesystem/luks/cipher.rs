//! Decryption of sectors as `dm-crypt` does it.
//!
//! Sources: Linux `drivers/md/dm-crypt.c` (`crypt_iv_plain64_gen`, `crypt_iv_essiv_gen`), IEEE
//! 1619 (XTS).

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockSizeUser, InnerIvInit, KeyInit,
};
use aes::{Aes128, Aes256};
use xts_mode::Xts128;
use zeroize::Zeroizing;

use super::hash::Hash;
use crate::filesystem::format::Doubt;

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
        let sectors = match (self.mode, key.len()) {
            (Mode::Xts, 32) => Sectors::Xts128(Box::new(xts(key)?)),
            (Mode::Xts, 64) => Sectors::Xts256(Box::new(xts(key)?)),
            (Mode::Cbc, 16) => Sectors::Cbc128(Box::new(keyed(key)?)),
            (Mode::Cbc, 32) => Sectors::Cbc256(Box::new(keyed(key)?)),
            (_, len) => {
                let bits = len.saturating_mul(8);
                return Err(Doubt::because(format!("keys of {bits} bits are not known to it")));
            }
        };
        let essiv = match self.vector {
            Vector::Essiv(hash) => Some(Essiv::new(&Zeroizing::new(hash.of(&[key])))?),
            Vector::Plain | Vector::Plain64 => None,
        };
        Ok(Cipher { sectors, short: self.vector == Vector::Plain, essiv })
    }
}

/// A cipher ready to decrypt.
pub(super) struct Cipher {
    sectors: Sectors,
    short: bool,
    essiv: Option<Essiv>,
}

enum Sectors {
    Xts128(Box<Xts128<Aes128>>),
    Xts256(Box<Xts128<Aes256>>),
    Cbc128(Box<Aes128>),
    Cbc256(Box<Aes256>),
}

enum Essiv {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
}

impl Essiv {
    fn new(key: &[u8]) -> Result<Self, Doubt> {
        match key.len() {
            16 => Ok(Self::Aes128(Box::new(keyed(key)?))),
            32 => Ok(Self::Aes256(Box::new(keyed(key)?))),
            _ => Err(Doubt::because("the hash of its ESSIV makes no key of AES")),
        }
    }
}

impl Cipher {
    /// Decrypts whole sectors of `size` bytes in place; `first` is the number of the first one in
    /// units of [`IV_UNIT`].
    pub(super) fn decrypt(&self, bytes: &mut [u8], size: usize, first: u64) {
        let step = (size as u64).checked_div(IV_UNIT).unwrap_or(1);
        let mut number = first;
        for sector in bytes.chunks_exact_mut(size.max(16)) {
            let vector = self.vector(number);
            match &self.sectors {
                Sectors::Xts128(cipher) => cipher.decrypt_sector(sector, vector.into()),
                Sectors::Xts256(cipher) => cipher.decrypt_sector(sector, vector.into()),
                Sectors::Cbc128(cipher) => cbc_sector(cipher.as_ref(), vector, sector),
                Sectors::Cbc256(cipher) => cbc_sector(cipher.as_ref(), vector, sector),
            }
            number = number.wrapping_add(step);
        }
    }

    fn vector(&self, number: u64) -> [u8; 16] {
        let number = if self.short { number & 0xffff_ffff } else { number };
        let mut vector = Array::from(u128::from(number).to_le_bytes());
        match &self.essiv {
            None => {}
            Some(Essiv::Aes128(cipher)) => cipher.encrypt_block(&mut vector),
            Some(Essiv::Aes256(cipher)) => cipher.encrypt_block(&mut vector),
        }
        vector.into()
    }
}

fn keyed<C: KeyInit>(key: &[u8]) -> Result<C, Doubt> {
    C::new_from_slice(key).map_err(|_| Doubt::because("its key has the wrong length"))
}

/// The first half of the key is for the data, the second for the tweak.
fn xts<C>(key: &[u8]) -> Result<Xts128<C>, Doubt>
where
    C: KeyInit + BlockSizeUser<BlockSize = U16>,
{
    let (data, tweak) = key.split_at_checked(key.len() / 2).unwrap_or_default();
    Ok(Xts128::new(keyed(data)?, keyed(tweak)?))
}

fn cbc_sector<C>(cipher: &C, vector: [u8; 16], sector: &mut [u8])
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + Clone,
{
    let mut chain = cbc::Decryptor::inner_iv_init(cipher.clone(), &vector.into());
    let (blocks, _) = Array::slice_as_chunks_mut(sector);
    chain.decrypt_blocks(blocks);
}
