//! Entries of the segment information table.
//!
//! Source: Linux `include/linux/f2fs_fs.h`, `struct f2fs_sit_entry`.

use crate::bytes::{le16, slice};

/// One segment by the segment information table.
pub(super) struct SegmentInfo<'a> {
    /// Blocks in use.
    valid: u16,
    /// A bit for each block, most significant first.
    map: &'a [u8],
}

impl<'a> SegmentInfo<'a> {
    /// Bytes of an entry.
    pub(super) const LEN: usize = 74;

    /// The entry at byte `at`.
    pub(super) fn parse(bytes: &'a [u8], at: usize) -> Option<Self> {
        let entry = slice(bytes, at, Self::LEN)?;
        Some(Self { valid: le16(entry, 0)? & 0x3ff, map: slice(entry, 2, 64)? })
    }

    /// The bits, least significant first, when they are as many as the entry says.
    pub(super) fn bits(&self) -> Option<[u8; 64]> {
        let mut bits: [u8; 64] = self.map.try_into().ok()?;
        bits.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        let count: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
        (count == u32::from(self.valid)).then_some(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_count_their_own_bits() {
        let mut entry = [0u8; SegmentInfo::LEN];
        entry[0] = 3;
        entry[1] = 0x0c;
        entry[2] = 0x81;
        entry[65] = 0x01;
        let bits = SegmentInfo::parse(&entry, 0).unwrap().bits().unwrap();
        assert_eq!((bits[0], bits[63]), (0x81, 0x80));
        entry[30] = 1;
        assert!(SegmentInfo::parse(&entry, 0).unwrap().bits().is_none());
        assert!(SegmentInfo::parse(&entry, 1).is_none());
    }
}
