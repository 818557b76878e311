//! The compression of files, LZNT1.
//!
//! Source: MS-XCA, 2.5 "LZNT1 Algorithm Details".

use crate::bytes::{le16, slice};

/// Bytes that a chunk holds, but for the last.
const CHUNK: usize = 4096;
/// Bits of a chunk's header: the length of its data less one, and whether they are compressed.
const LENGTH: u16 = 0xfff;
const COMPRESSED: u16 = 0x8000;
/// The shortest copy.
const SHORTEST: usize = 3;

/// What chunks hold, filled up to `len` bytes with zeros; `None` when they make no sense.
pub(super) fn expand(mut chunks: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    // A header of zeros, or the end, stands behind the last chunk.
    while let Some(header) = le16(chunks, 0).filter(|header| *header != 0 && bytes.len() < len) {
        let size = usize::from(header & LENGTH).checked_add(1)?;
        let data = slice(chunks, 2, size)?;
        let start = bytes.len();
        if header & COMPRESSED == 0 {
            bytes.extend(data);
        } else {
            chunk(data, &mut bytes)?;
        }
        let held = bytes.len().checked_sub(start).filter(|held| *held <= CHUNK)?;
        chunks = chunks.get(size.checked_add(2)?..)?;
        // Each begins where the last one would have ended.
        bytes.resize(bytes.len().checked_add(CHUNK.checked_sub(held)?)?, 0);
    }
    bytes.resize(len, 0);
    Some(bytes)
}

/// Eight flags in a byte tell bytes from copies.
fn chunk(mut data: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    let start = bytes.len();
    while let Some((flags, rest)) = data.split_first() {
        data = rest;
        for bit in 0..8u32 {
            let Some((&literal, rest)) = data.split_first() else { return Some(()) };
            let held = bytes.len().checked_sub(start)?;
            if held > CHUNK {
                return None;
            }
            if flags.checked_shr(bit)? & 1 == 0 {
                bytes.push(literal);
                data = rest;
                continue;
            }
            let (back, len) = copy(le16(data, 0)?, held)?;
            data = data.get(2..)?;
            let from = bytes.len().checked_sub(back).filter(|from| *from >= start)?;
            // A copy may reach into itself.
            for at in from..from.checked_add(len)? {
                bytes.push(*bytes.get(at)?);
            }
        }
    }
    Some(())
}

/// How far back and how long a copy is: the more bytes the chunk has so far, the more bits of the
/// 16 say how far.
fn copy(word: u16, held: usize) -> Option<(usize, usize)> {
    let mut length_bits = 12u32;
    let mut reach = 16usize;
    while reach < held {
        reach = reach.checked_mul(2)?;
        length_bits = length_bits.checked_sub(1)?;
    }
    let mask = 1u16.checked_shl(length_bits)?.checked_sub(1)?;
    let back = usize::from(word.checked_shr(length_bits)?).checked_add(1)?;
    Some((back, usize::from(word & mask).checked_add(SHORTEST)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The example of MS-XCA, 3.3.
    #[test]
    fn the_example_of_the_specification_expands() {
        let stored = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2,
            0x47, 0x01, 0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0,
            0x45, 0x20, 0x05, 0x24, 0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58,
            0x02, 0x8c, 0x09, 0x16, 0x01, 0x48, 0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01,
            0x18, 0x90, 0x00,
        ];
        let expected = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E \
                         E F# D E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        assert_eq!(expand(&stored, expected.len()).unwrap(), expected);
        assert_eq!(expand(&stored, 4096).unwrap().len(), 4096);
    }

    #[test]
    fn nothing_makes_it_panic_or_give_more_than_was_asked_for() {
        let mut random = 1u32;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..40 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(random.to_be_bytes().first().copied().unwrap());
            }
            assert!(expand(&bytes, 5000).is_none_or(|found| found.len() == 5000));
        }
    }
}
