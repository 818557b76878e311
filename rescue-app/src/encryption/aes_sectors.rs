//! Sectors encrypted with AES, for the containers that use it.
//!
//! Sources: FIPS 197 (AES), NIST SP 800-38A (CBC), IEEE 1619 (XTS).

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockSizeUser, InnerIvInit, KeyInit,
};
use aes::{Aes128, Aes256};
use xts_mode::Xts128;

use crate::volume::Doubt;

/// A key for single blocks, from which initialisation vectors are made.
pub(crate) enum BlockKey {
    /// 16 bytes of key.
    Aes128(Box<Aes128>),
    /// 32 bytes of key.
    Aes256(Box<Aes256>),
}

impl BlockKey {
    /// A key of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Result<Self, Doubt> {
        match key.len() {
            16 => Ok(Self::Aes128(Box::new(keyed(key)?))),
            32 => Ok(Self::Aes256(Box::new(keyed(key)?))),
            _ => Err(unknown_length(key)),
        }
    }

    /// A block, encrypted.
    pub(crate) fn encrypted(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = Array::from(block);
        match self {
            Self::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Self::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }
}

/// A mode with its key.
pub(crate) enum SectorKey {
    /// AES-XTS with two keys of 128 bits.
    Xts128(Box<Xts128<Aes128>>),
    /// AES-XTS with two keys of 256 bits.
    Xts256(Box<Xts128<Aes256>>),
    /// AES-CBC.
    Cbc(BlockKey),
}

impl SectorKey {
    /// AES-XTS: the first half of the key is for the data, the second for the tweak.
    pub(crate) fn xts(key: &[u8]) -> Result<Self, Doubt> {
        match key.len() {
            32 => Ok(Self::Xts128(Box::new(xts(key)?))),
            64 => Ok(Self::Xts256(Box::new(xts(key)?))),
            _ => Err(unknown_length(key)),
        }
    }

    /// AES-CBC.
    pub(crate) fn cbc(key: &[u8]) -> Result<Self, Doubt> {
        BlockKey::new(key).map(Self::Cbc)
    }

    /// Decrypts a sector, of a whole number of blocks, in place.
    pub(crate) fn decrypt(&self, sector: &mut [u8], vector: [u8; 16]) {
        match self {
            Self::Xts128(cipher) => cipher.decrypt_sector(sector, vector.into()),
            Self::Xts256(cipher) => cipher.decrypt_sector(sector, vector.into()),
            Self::Cbc(BlockKey::Aes128(cipher)) => cbc_sector(cipher.as_ref(), vector, sector),
            Self::Cbc(BlockKey::Aes256(cipher)) => cbc_sector(cipher.as_ref(), vector, sector),
        }
    }
}

fn unknown_length(key: &[u8]) -> Doubt {
    let bits = key.len().saturating_mul(8);
    Doubt::because(format!("keys of {bits} bits are not known to it"))
}

fn keyed<C: KeyInit>(key: &[u8]) -> Result<C, Doubt> {
    C::new_from_slice(key).map_err(|_| Doubt::because("its key has the wrong length"))
}

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
