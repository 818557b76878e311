//! Decryption of sectors.
//!
//! Sources: libbde, "Encryption methods"; N. Ferguson, "AES-CBC + Elephant diffuser" (2006).

use crate::bytes::slice;
use crate::encryption::aes_sectors::{BlockKey, SectorKey};
use crate::volume::Doubt;

/// Where the key of the diffuser stands behind that of the data, bytes.
const DIFFUSER_KEY: usize = 32;
/// Rounds and rotations of the diffusers.
const ROUNDS_A: usize = 5;
const ROTATIONS_A: [u32; 4] = [9, 0, 13, 0];
const ROUNDS_B: usize = 3;
const ROTATIONS_B: [u32; 4] = [0, 10, 0, 25];

/// How sectors are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// AES-CBC, with the length of its key in bytes.
    Cbc(usize),
    /// The same with Elephant diffuser.
    Elephant(usize),
    /// AES-XTS, with the length of its two keys in bytes.
    Xts(usize),
}

impl Method {
    /// The method of that number.
    pub(super) fn of(number: u16) -> Result<Self, Doubt> {
        match number {
            0x8000 => Ok(Self::Elephant(16)),
            0x8001 => Ok(Self::Elephant(32)),
            0x8002 => Ok(Self::Cbc(16)),
            0x8003 => Ok(Self::Cbc(32)),
            0x8004 => Ok(Self::Xts(32)),
            0x8005 => Ok(Self::Xts(64)),
            _ => Err(Doubt::because(format!("its encryption method {number:#06x} is not known"))),
        }
    }

    /// The cipher with its key.
    pub(super) fn with_key(self, key: &[u8]) -> Result<Cipher, Doubt> {
        let part =
            |at, len| slice(key, at, len).ok_or_else(|| Doubt::because("its key is too short"));
        match self {
            Self::Xts(len) => Ok(Cipher::Xts(SectorKey::xts(part(0, len)?)?)),
            Self::Cbc(len) | Self::Elephant(len) => Ok(Cipher::Cbc {
                sectors: SectorKey::cbc(part(0, len)?)?,
                vectors: BlockKey::new(part(0, len)?)?,
                diffuser: match self {
                    Self::Elephant(_) => Some(BlockKey::new(part(DIFFUSER_KEY, len)?)?),
                    Self::Cbc(_) | Self::Xts(_) => None,
                },
            }),
        }
    }
}

/// A cipher ready to decrypt.
pub(super) enum Cipher {
    /// By the number of the sector.
    Xts(SectorKey),
    /// By the first byte of the sector.
    Cbc {
        /// The key of the data.
        sectors: SectorKey,
        /// The same for initialisation vectors.
        vectors: BlockKey,
        /// The key of the diffuser.
        diffuser: Option<BlockKey>,
    },
}

impl Cipher {
    /// Decrypts whole sectors of `size` bytes in place, that are stored from byte `start` of the
    /// volume on.
    pub(super) fn decrypt(&self, bytes: &mut [u8], size: usize, start: u64) {
        let size = size.max(512);
        let mut at = start;
        for sector in bytes.chunks_exact_mut(size) {
            match self {
                Self::Xts(key) => {
                    let number = at.checked_div(size as u64).unwrap_or(0);
                    key.decrypt(sector, u128::from(number).to_le_bytes());
                }
                Self::Cbc { sectors, vectors, diffuser } => {
                    let place = u128::from(at);
                    sectors.decrypt(sector, vectors.encrypted(place.to_le_bytes()));
                    if let Some(key) = diffuser {
                        undiffuse(sector, key, place);
                    }
                }
            }
            at = at.saturating_add(size as u64);
        }
    }
}

/// Both diffusers in reverse, then the sector's own key.
fn undiffuse(sector: &mut [u8], key: &BlockKey, place: u128) {
    let words = sector.chunks_exact(4).filter_map(|word| word.try_into().ok());
    let mut words: Vec<u32> = words.map(u32::from_le_bytes).collect();
    for _ in 0..ROUNDS_B {
        add_neighbours(&mut words, ROTATIONS_B, 2, 5);
    }
    let len = words.len();
    for _ in 0..ROUNDS_A {
        add_neighbours(&mut words, ROTATIONS_A, len.saturating_sub(2), len.saturating_sub(5));
    }
    let halves = [place, place | 0x80 << 120].map(|half| key.encrypted(half.to_le_bytes()));
    let key = halves.as_flattened().iter().cycle();
    let plain = words.iter().flat_map(|word| word.to_le_bytes());
    for ((to, from), key) in sector.iter_mut().zip(plain).zip(key) {
        *to = from ^ key;
    }
}

/// Adds to each word, in order, the one `near` places after it, mixed with the one `far` places
/// after it. The first follows the last.
fn add_neighbours(words: &mut [u32], rotations: [u32; 4], near: usize, far: usize) {
    let len = words.len();
    let word = |words: &[u32], at: usize| {
        at.checked_rem(len).and_then(|at| words.get(at)).copied().unwrap_or(0)
    };
    for (at, rotation) in (0..len).zip(rotations.into_iter().cycle()) {
        let near = word(words, at.saturating_add(near));
        let far = word(words, at.saturating_add(far)).rotate_left(rotation);
        if let Some(word) = words.get_mut(at) {
            *word = word.wrapping_add(near ^ far);
        }
    }
}
