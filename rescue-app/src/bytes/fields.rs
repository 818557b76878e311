//! Integer fields at fixed offsets in foreign bytes; `None` instead of a panic past the end.

/// `len` bytes at `at`, or `None` when they reach past the end.
pub fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// Whether every byte is zero. Most that are not say so early: a block is looked at at a time.
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|block| block.iter().fold(0, |any, byte| any | byte) == 0)
}

/// Whether both hold the same bytes, a block at a time: `==` on slices calls the C library's `memcmp`,
/// which in musl looks at one byte after the other.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let same_block = |(one, other): (&[u8], &[u8])| {
        one.iter().zip(other).fold(0, |any, (one, other)| any | (one ^ other)) == 0
    };
    one.len() == other.len() && one.chunks(4096).zip(other.chunks(4096)).all(same_block)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    slice(bytes, at, N)?.try_into().ok()
}

/// Little-endian `u16` at byte `at`.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Little-endian `u32` at byte `at`.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// Little-endian `u64` at byte `at`.
pub fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Big-endian `u16` at byte `at`.
pub fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// Big-endian `u32` at byte `at`.
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// Big-endian `u64` at byte `at`.
pub fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// Puts `field` over the bytes from `at` on, as far as there are any.
pub fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(field) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_anywhere_makes_a_difference() {
        let one: Vec<u8> = (0..9000).map(|at: u32| (at % 251) as u8).collect();
        assert!(is_same(&one, &one.clone()) && is_same(&[], &[]));
        assert!(!is_same(&one, &one[..8999]) && !is_same(&[0], &[]));
        for at in [0, 4095, 4096, 8191, 8192, 8999] {
            let mut other = one.clone();
            other[at] ^= 0x80;
            assert!(!is_same(&one, &other), "byte {at}");
        }
    }

    #[test]
    fn fields_past_the_end_are_none() {
        assert_eq!(le32(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(be32(&[1, 0, 0, 0], 0), Some(0x0100_0000));
        assert_eq!(le32(&[1, 0, 0, 0], 1), None);
        assert_eq!(le64(&[0; 8], usize::MAX), None);
    }
}
