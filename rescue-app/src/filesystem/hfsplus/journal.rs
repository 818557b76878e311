//! Whether the journal holds transactions that were not written back.
//!
//! Source: Apple Technical Note TN1150, "Journal".

use super::header::Header;
use crate::bytes::{ReadAt, be32, be64, le32, le64};
use crate::volume::Doubt;

/// Bytes of the journal header that its checksum covers, and the place of the sum in them.
const HEADER: usize = 44;
const SUM: usize = 36;
/// `magic` and `endian`, as who wrote them sees them.
const MAGIC: u32 = 0x4a4e_4c78;
const ENDIAN: u32 = 0x1234_5678;
/// Flags of the journal info block.
const IN_FILESYSTEM: u32 = 1;
const OTHER_DEVICE: u32 = 2;
const NEEDS_INITIALISING: u32 = 4;

/// What the journal info block says.
pub(super) struct Journal {
    /// Bytes of the volume: the info block and the journal.
    pub(super) places: Vec<(u64, u64)>,
    /// Whether transactions wait.
    pub(super) is_open: bool,
}

impl Journal {
    /// Reads info block and journal header.
    pub(super) fn read(volume: &dyn ReadAt, header: &Header) -> Result<Self, Doubt> {
        let at = header.block(header.journal_info);
        let info = volume.read_vec(at, 52).map_err(Doubt::reading("the journal info block"))?;
        let fields = (be32(&info, 0), be64(&info, 36), be64(&info, 44));
        let (Some(flags), Some(start), Some(len)) = fields else { return Err(nonsense()) };
        if flags & OTHER_DEVICE != 0 || flags & IN_FILESYSTEM == 0 {
            return Err(Doubt::because("its journal lies on another device"));
        }
        let end = start.checked_add(len).filter(|end| *end <= header.block(header.blocks));
        let end = end.ok_or_else(nonsense)?;
        let block_end = at.saturating_add(header.block_size.into());
        let is_open = flags & NEEDS_INITIALISING == 0 && is_open(volume, start)?;
        Ok(Self { places: vec![(at, block_end), (start, end)], is_open })
    }
}

fn nonsense() -> Doubt {
    Doubt::because("its journal makes no sense")
}

/// A journal is empty where its end is its start. Its header is in the writer's order of bytes.
fn is_open(volume: &dyn ReadAt, at: u64) -> Result<bool, Doubt> {
    let mut bytes = volume.read_vec(at, HEADER).map_err(Doubt::reading("the journal"))?;
    let (word, long): (Word<u32>, Word<u64>) =
        if le32(&bytes, 4) == Some(ENDIAN) { (le32, le64) } else { (be32, be64) };
    let sum = word(&bytes, SUM);
    let known = word(&bytes, 0) == Some(MAGIC) && word(&bytes, 4) == Some(ENDIAN);
    let (start, end) = (long(&bytes, 8), long(&bytes, 16));
    if let Some(place) = bytes.get_mut(SUM..SUM.saturating_add(4)) {
        place.fill(0);
    }
    if !known || sum != Some(checksum(&bytes)) {
        return Err(nonsense());
    }
    Ok(start != end)
}

/// Reads a field in one order of bytes.
type Word<T> = fn(&[u8], usize) -> Option<T>;

/// `calc_checksum` of the note.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(0u32, |sum, &byte| (sum << 8) ^ sum.wrapping_add(byte.into()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn header(start: u64, end: u64, little: bool) -> Vec<u8> {
        let word = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u64| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut bytes = vec![0u8; HEADER];
        bytes[..4].copy_from_slice(&word(MAGIC));
        bytes[4..8].copy_from_slice(&word(ENDIAN));
        bytes[8..16].copy_from_slice(&long(start));
        bytes[16..24].copy_from_slice(&long(end));
        let sum = checksum(&bytes);
        bytes[SUM..SUM + 4].copy_from_slice(&word(sum));
        bytes
    }

    #[test]
    fn both_orders_of_bytes_tell_whether_transactions_wait() {
        for little in [true, false] {
            assert!(!is_open(&header(512, 512, little), 0).unwrap());
            assert!(is_open(&header(512, 1024, little), 0).unwrap());
            let mut damaged = header(512, 512, little);
            damaged[30] ^= 1;
            assert!(is_open(&damaged, 0).is_err());
        }
        assert!(is_open(&vec![0u8; 512], 0).is_err());
    }
}
