//! The random irreducible polynomial restic demands in `config`, though fixed-size chunks have
//! no use for it (restic `internal/restic/config.go`; a polynomial over GF(2), bit n standing
//! for x^n).

use super::crypto::fill_random;
use crate::repository::error::Result;

/// restic uses degree 53: a prime, which makes the test for irreducibility short.
const DEGREE: u32 = 53;

/// A random irreducible polynomial of degree 53.
pub(in crate::repository) fn random() -> Result<u64> {
    loop {
        let mut bytes = [0; 8];
        fill_random(&mut bytes)?;
        let low = u64::from_le_bytes(bytes) & ((1 << DEGREE) - 1);
        let candidate = 1 << DEGREE | low | 1;
        if is_irreducible(candidate) {
            return Ok(candidate);
        }
    }
}

/// Rabin's test for prime degree n: f divides x^(2^n) - x and has no linear factor.
fn is_irreducible(f: u64) -> bool {
    let has_root = f & 1 == 0 || f.count_ones().is_multiple_of(2);
    let power = (0..DEGREE).fold(2, |power, _| multiply(power, power, f));
    !has_root && power == 2
}

/// a·b mod f for a, b of lower degree than f.
fn multiply(a: u64, b: u64, f: u64) -> u64 {
    (0..DEGREE).rev().fold(0, |product, bit| {
        let doubled = product << 1;
        let reduced = if doubled >> DEGREE & 1 == 1 { doubled ^ f } else { doubled };
        if b >> bit & 1 == 1 { reduced ^ a } else { reduced }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_polynomials_are_told_apart() {
        // restic's chunker package uses this one in its tests and examples.
        assert!(is_irreducible(0x3D_A335_8B4D_C173));
        // (x + 1)(x^52 + 1), (x^2 + x + 1)·x^51 + …: reducible.
        assert!(!is_irreducible(1 << 53 | 1));
        assert!(!is_irreducible(0x3D_A335_8B4D_C172));
    }

    #[test]
    fn products_of_smaller_polynomials_are_reducible() {
        let (quadratic, mut other) = (0b111u64, 1u64 << 51 | 1);
        for step in 0..200 {
            other = 1 << 51 | (other.wrapping_mul(6_364_136_223_846_793_005) >> 14) | step | 1;
            let product =
                (0..3).filter(|bit| quadratic >> bit & 1 == 1).fold(0, |p, bit| p ^ other << bit);
            assert!(!is_irreducible(product), "{product:x}");
        }
    }

    #[test]
    fn random_ones_have_the_right_form() {
        let polynomial = random().unwrap();
        assert_eq!(64 - polynomial.leading_zeros(), 54);
        assert!(is_irreducible(polynomial));
    }
}
