//! Cyclic redundancy checks as filesystems use them: chained, without final inversion.

use crc::{Algorithm, Crc, Table};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&Algorithm {
    width: 32,
    poly: 0x1edc_6f41,
    init: 0,
    refin: true,
    refout: true,
    xorout: 0,
    check: 0x58e3_fa20,
    residue: 0,
});

static CRC32: Crc<u32> = Crc::<u32>::new(&Algorithm {
    width: 32,
    poly: 0x04c1_1db7,
    init: 0,
    refin: true,
    refout: true,
    xorout: 0,
    check: 0x2dfd_2d88,
    residue: 0,
});

static CRC16: Crc<u16> = Crc::<u16>::new(&Algorithm {
    width: 16,
    poly: 0x8005,
    init: 0,
    refin: true,
    refout: true,
    xorout: 0,
    check: 0xbb3d,
    residue: 0,
});

/// CRC-32C carried on from `seed`; a first call is given `!0`.
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = CRC32C.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// CRC-32 (polynomial 0x04c11db7, reflected) carried on from `seed`; a first call is given `!0`.
pub(crate) fn crc32(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = CRC32.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// CRC-16 (polynomial 0x8005, reflected) carried on from `seed`; a first call is given `!0`.
pub(crate) fn crc16(seed: u16, bytes: &[u8]) -> u16 {
    let mut digest = CRC16.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283, "CRC-32/ISCSI");
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926, "CRC-32/ISO-HDLC");
        assert_eq!(crc16(0, b"123456789"), 0xbb3d, "CRC-16/ARC");
        assert_eq!(crc16(!0, b"123456789"), 0x4b37, "CRC-16/MODBUS");
        assert_eq!(crc32c(crc32c(!0, b"12345"), b"6789"), crc32c(!0, b"123456789"));
    }
}
