//! Checksums of superblocks and tree blocks.
//!
//! Source: btrfs documentation, "Checksumming"; Linux `fs/btrfs/fs.h`, `btrfs_csum_type`.

use blake2::Blake2b;
use blake2::digest::consts::U32;
use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

use crate::volume::checksum::crc32c;

/// Bytes at the start of a block that are kept for its checksum and not covered by it.
const FIELD: usize = 32;

/// An algorithm, chosen for the whole filesystem when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// CRC-32C.
    Crc32c,
    /// xxHash of 64 bits with seed 0.
    XxHash64,
    /// SHA-256.
    Sha256,
    /// BLAKE2b of 256 bits without a key.
    Blake2b,
}

impl Checksum {
    /// By its number in the superblock; `None` for one that is not known.
    pub(super) fn from_number(number: u16) -> Option<Self> {
        [Self::Crc32c, Self::XxHash64, Self::Sha256, Self::Blake2b]
            .get(usize::from(number))
            .copied()
    }

    /// Whether `block` starts with the checksum of what follows the checksum's field.
    pub(super) fn is_right(self, block: &[u8]) -> bool {
        let Some((field, covered)) = block.split_at_checked(FIELD) else { return false };
        match self {
            Self::Crc32c => field.starts_with(&(!crc32c(!0, covered)).to_le_bytes()),
            Self::XxHash64 => field.starts_with(&XxHash64::oneshot(0, covered).to_le_bytes()),
            Self::Sha256 => field == Sha256::digest(covered).as_slice(),
            Self::Blake2b => field == Blake2b::<U32>::digest(covered).as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksums of "123456789" behind the field: the catalogue of CRCs for CRC-32C, and `xxhsum`,
    /// `sha256sum` and `b2sum -l 256` for the others.
    #[test]
    fn known_sums_are_right() {
        for (number, sum) in [
            (0, "839206e3"),
            (1, "83aee640db41b88c"),
            (2, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
            (3, "16e0bf1f85594a11e75030981c0b670370b3ad83a43f49ae58a2fd6f6513cde9"),
        ] {
            let mut block = vec![0; FIELD];
            let sum = hex::decode(sum).unwrap();
            block.splice(..sum.len(), sum);
            block.extend(b"123456789");
            let checksum = Checksum::from_number(number).unwrap();
            assert!(checksum.is_right(&block), "{checksum:?}");
            block.push(0);
            assert!(!checksum.is_right(&block), "{checksum:?}");
        }
        assert_eq!(Checksum::from_number(4), None);
    }
}
