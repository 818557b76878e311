//! SHA-256 of messages that come in pieces, several messages at once.
//!
//! A capture, its proof and a restore are bound by SHA-256 where data do not compress. The
//! instructions for it wait for each other within one message (FIPS 180-4 §6.2.2: every round needs
//! the one before); the rounds of other messages fill the gaps.

use sha2::block_api::compress256;

use super::Id;

/// Messages that a thread hashes at once; with more, buffers cost more than it gains.
pub const TOGETHER: usize = 4;

/// Bytes the compression function takes (FIPS 180-4 §5.2.1).
const BLOCK: usize = 64;

/// The initial hash value (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Hashes bytes that come in pieces.
#[derive(Clone)]
pub struct IdHasher {
    state: [u32; 8],
    /// The start of a block that is not complete.
    rest: [u8; BLOCK],
    rest_len: usize,
    /// Bytes taken so far.
    len: u64,
}

impl Default for IdHasher {
    fn default() -> Self {
        Self { state: INITIAL, rest: [0; BLOCK], rest_len: 0, len: 0 }
    }
}

/// Whole blocks and the message they belong to.
pub(super) type Blocks<'a> = (&'a mut [u32; 8], &'a [[u8; BLOCK]]);

impl IdHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (state, blocks) = self.take(bytes);
        compress256(state, blocks);
    }

    /// Takes the next bytes of each message; several at once where the processor can.
    pub fn update_all<'a>(messages: impl IntoIterator<Item = (&'a mut Self, &'a [u8])>) {
        let blocks = messages.into_iter().map(|(hasher, bytes)| hasher.take(bytes));
        compress_all(&mut blocks.collect::<Vec<_>>());
    }

    /// The sum of all bytes since the start or the last call; starts afresh.
    pub fn finish(&mut self) -> Id {
        let bits = self.len.wrapping_mul(8).to_be_bytes();
        // FIPS 180-4 §5.1.1: a set bit, zeros, and the length in bits at the end of a block.
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        let zeros = if self.rest_len < BLOCK - bits.len() { BLOCK } else { 2 * BLOCK };
        let end = zeros - self.rest_len;
        padding[end - bits.len()..end].copy_from_slice(&bits);
        self.update(&padding[..end]);
        let mut sum = [0; Id::LEN];
        for (bytes, word) in sum.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        *self = Self::default();
        Id::from_bytes(sum)
    }

    /// Keeps what does not fill a block and gives the whole blocks, which must be compressed
    /// before anything else is taken.
    fn take<'a>(&'a mut self, mut bytes: &'a [u8]) -> Blocks<'a> {
        self.len = self.len.wrapping_add(bytes.len() as u64);
        if self.rest_len > 0 {
            let (first, others) = bytes.split_at(bytes.len().min(BLOCK - self.rest_len));
            self.rest[self.rest_len..][..first.len()].copy_from_slice(first);
            self.rest_len += first.len();
            bytes = others;
            if self.rest_len == BLOCK {
                compress256(&mut self.state, &[self.rest]);
                self.rest_len = 0;
            }
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        if !rest.is_empty() {
            self.rest[..rest.len()].copy_from_slice(rest);
            self.rest_len = rest.len();
        }
        (&mut self.state, blocks)
    }
}

impl Id {
    /// The SHA-256 sums of several messages; several at once where the processor can.
    pub fn of_all(messages: &[&[u8]]) -> Vec<Self> {
        Self::of_all_along(messages, [])
    }

    /// The same, while other hashers take their next bytes.
    pub(in crate::repository) fn of_all_along<'a>(
        messages: &[&[u8]],
        along: impl IntoIterator<Item = (&'a mut IdHasher, &'a [u8])>,
    ) -> Vec<Self> {
        let mut hashers = vec![IdHasher::default(); messages.len()];
        let along = along.into_iter().map(|(hasher, bytes)| hasher.take(bytes));
        let taken = hashers.iter_mut().zip(messages).map(|(hasher, bytes)| hasher.take(bytes));
        compress_all(&mut taken.chain(along).collect::<Vec<_>>());
        hashers.iter_mut().map(IdHasher::finish).collect()
    }
}

#[cfg(target_arch = "x86_64")]
use super::lanes::compress_all;

/// Compresses all blocks of all messages.
#[cfg(not(target_arch = "x86_64"))]
fn compress_all(messages: &mut [Blocks<'_>]) {
    messages.iter_mut().for_each(|(state, blocks)| compress256(state, blocks));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    proptest! {
        /// Judged by the hash crate.
        #[test]
        fn messages_in_pieces_hash_alone_and_together_as_they_should(
            messages in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(0usize..400, 0..4)), 0..7),
        ) {
            let byte = |start: u8, at: usize| start.wrapping_mul(31).wrapping_add((at * 7 / 3).to_le_bytes()[0]);
            let whole = |(start, pieces): &(u8, Vec<usize>)| -> Vec<u8> {
                (0..pieces.iter().sum()).map(|at| byte(*start, at)).collect()
            };
            let plain: Vec<Vec<u8>> = messages.iter().map(whole).collect();
            let expected: Vec<Id> = plain
                .iter()
                .map(|bytes| Id::from_bytes(Sha256::digest(bytes).into()))
                .collect();
            let mut hashers = vec![IdHasher::default(); messages.len()];
            let mut done = vec![0; messages.len()];
            for round in 0..4 {
                let pieces = hashers.iter_mut().zip(&messages).zip(&plain).zip(&mut done);
                IdHasher::update_all(pieces.map(|(((hasher, (_, lens)), bytes), done)| {
                    let len = lens.get(round).copied().unwrap_or(0);
                    *done += len;
                    (hasher, &bytes[*done - len..*done])
                }));
            }
            for (hasher, expected) in hashers.iter_mut().zip(&expected) {
                prop_assert_eq!(&hasher.finish(), expected);
                prop_assert_eq!(&hasher.finish(), &Id::of(b""), "it starts afresh");
            }
        }
    }
}
