//! The header of version 1.
//!
//! Source: "LUKS1 On-Disk Format Specification" §2.1, table "PHDR" and "key slot".

use super::cipher::Specification;
use super::container::{Container, Digest, Segment, Slot};
use super::hash::Hash;
use super::kdf::Kdf;
use crate::bytes::{be32, slice};
use crate::volume::{Doubt, text};

/// Key slots of 48 bytes each start here.
const SLOTS: usize = 208;
const SLOT: usize = 48;
/// `LUKS_KEY_ENABLED`.
const ENABLED: u32 = 0x00ac_71f3;
const SECTOR: u64 = 512;

/// Reads the header.
pub(super) fn parse(head: &[u8], volume_size: u64) -> Result<Container, Doubt> {
    let short = || Doubt::because("its header makes no sense");
    let word = |at: usize, len: usize| slice(head, at, len).and_then(text::label).ok_or_else(short);
    let field = |at: usize| be32(head, at).ok_or_else(short);
    let cipher = Specification::parse(&format!("{}-{}", word(8, 32)?, word(40, 32)?))?;
    let hash = Hash::named(&word(72, 32)?)?;
    let offset = u64::from(field(104)?).saturating_mul(SECTOR);
    let digest = Digest {
        hash,
        iterations: field(164)?,
        salt: slice(head, 132, 32).ok_or_else(short)?.to_vec(),
        value: slice(head, 112, 20).ok_or_else(short)?.to_vec(),
    };
    let key = usize::try_from(field(108)?).map_err(|_| short())?;
    let all = slice(head, SLOTS, SLOT.saturating_mul(8)).ok_or_else(short)?;
    let enabled = all.chunks_exact(SLOT).filter(|slot| be32(slot, 0) == Some(ENABLED));
    let slots = enabled.map(|slot| {
        Some(Slot {
            kdf: Kdf::Pbkdf2 {
                hash,
                iterations: be32(slot, 4)?,
                salt: slice(slot, 8, 32)?.to_vec(),
            },
            area_key: key,
            cipher: cipher.clone(),
            offset: u64::from(be32(slot, 40)?).checked_mul(SECTOR)?,
            key,
            stripes: usize::try_from(be32(slot, 44)?).ok()?,
            hash,
        })
    });
    let slots = slots.collect::<Option<Vec<Slot>>>().ok_or_else(short)?;
    let size = volume_size.saturating_sub(offset) / SECTOR;
    let size = size.saturating_mul(SECTOR);
    let segment = Segment { offset, size, sector_size: 512, iv_tweak: 0, cipher };
    Ok(Container { segment, slots, closed: Vec::new(), digests: vec![digest] })
}
