//! The anti-forensic splitter: a key blown up to stripes, all of which are needed.
//!
//! Source: "LUKS1 On-Disk Format Specification" §2.4, "AF splitter".

use zeroize::Zeroizing;

use super::hash::Hash;

/// The key that was split into `stripes`, which are of equal length.
pub(super) fn merge(split: &[u8], stripes: usize, hash: Hash) -> Option<Zeroizing<Vec<u8>>> {
    let len = split.len().checked_div(stripes).filter(|len| *len != 0)?;
    let mut key = Zeroizing::new(vec![0; len]);
    let mut stripes = split.chunks_exact(len).peekable();
    while let Some(stripe) = stripes.next() {
        key.iter_mut().zip(stripe).for_each(|(byte, other)| *byte ^= other);
        if stripes.peek().is_some() {
            diffuse(&mut key, hash);
        }
    }
    Some(key)
}

/// Each piece of digest length becomes the digest of its number (32 bits, big-endian) and itself.
fn diffuse(key: &mut [u8], hash: Hash) {
    for (number, piece) in (0u32..).zip(key.chunks_mut(hash.len())) {
        let digest = Zeroizing::new(hash.of(&[&number.to_be_bytes(), piece]));
        piece.iter_mut().zip(digest.iter()).for_each(|(byte, other)| *byte = *other);
    }
}
