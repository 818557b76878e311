//! CRC-32 as GPT uses it (UEFI specification, 5.3.2: the CRC of ISO 3309).

/// CRC-32 of the bytes.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let reduce = 0xedb8_8320 & (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ reduce;
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
