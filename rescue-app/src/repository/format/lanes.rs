//! SHA-256 of up to four messages at once with the processor's SHA instructions (Intel SDM
//! volume 2, `SHA256RNDS2`, `SHA256MSG1`, `SHA256MSG2`; FIPS 180-4 §6.2).
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use sha2::block_api::compress256;

use super::hasher::Blocks;

/// Messages that one pass takes; with more of them registers run out.
const LANES: usize = 4;

/// The round constants (FIPS 180-4 §4.2.2), four for each step.
#[rustfmt::skip]
const CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5], [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3], [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc], [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7], [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13], [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3], [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5], [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208], [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Compresses all blocks of all messages, as many messages at once as there are left.
pub(super) fn compress_all(messages: &mut [Blocks<'_>]) {
    let able = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if !able {
        return messages.iter_mut().for_each(|(state, blocks)| compress256(state, blocks));
    }
    loop {
        // Longest first: short ones end together rather than leaving a long one alone.
        messages.sort_unstable_by_key(|(_, blocks)| std::cmp::Reverse(blocks.len()));
        // SAFETY: the processor has the instructions that `pass` is compiled to.
        let more = unsafe { pass::<LANES>(messages) || pass::<3>(messages) || pass::<2>(messages) };
        if !more {
            break;
        }
    }
    if let Some((state, blocks)) = messages.first_mut() {
        compress256(state, std::mem::take(blocks));
    }
}

/// One pass over the first `L` messages, as far as the shortest of them goes. Does nothing and
/// says so when fewer are left.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn pass<const L: usize>(messages: &mut [Blocks<'_>]) -> bool {
    let Some(lanes) = messages.first_chunk_mut::<L>() else { return false };
    let len = lanes.iter().map(|(_, blocks)| blocks.len()).min().unwrap_or(0);
    if len == 0 {
        return false;
    }
    let mut states = [[0; 8]; L];
    let mut data: [&[[u8; 64]]; L] = [&[]; L];
    for ((state, data), (from, blocks)) in states.iter_mut().zip(&mut data).zip(&mut *lanes) {
        (*data, *blocks) = blocks.split_at(len);
        *state = **from;
    }
    compress(&mut states, &data, len);
    for (state, (to, _)) in states.iter().zip(lanes) {
        **to = *state;
    }
    true
}

/// The working variables of each message, in the order the instructions want them.
struct Working<const L: usize> {
    abef: [__m128i; L],
    cdgh: [__m128i; L],
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const L: usize>(states: &mut [[u32; 8]; L], data: &[&[[u8; 64]]; L], len: usize) {
    let mut now = load_states(states);
    for block in 0..len {
        let (abef, cdgh) = (now.abef, now.cdgh);
        let mut words = [[_mm_setzero_si128(); 4]; L];
        for (words, data) in words.iter_mut().zip(data) {
            *words = load_block(&data[block]);
        }
        // Written out so that every index is known when compiling and all stays in registers.
        steps::<L, 0, 4>(&mut now, &mut words);
        steps::<L, 4, 16>(&mut now, &mut words);
        for lane in 0..L {
            now.abef[lane] = _mm_add_epi32(now.abef[lane], abef[lane]);
            now.cdgh[lane] = _mm_add_epi32(now.cdgh[lane], cdgh[lane]);
        }
    }
    store_states(&now, states);
}

/// Steps `FROM..TO` of the sixteen, four rounds each.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn steps<const L: usize, const FROM: usize, const TO: usize>(
    now: &mut Working<L>,
    words: &mut [[__m128i; 4]; L],
) {
    for step in FROM..TO {
        let [k0, k1, k2, k3] = CONSTANTS[step].map(u32::cast_signed);
        let constants = _mm_set_epi32(k3, k2, k1, k0);
        for lane in 0..L {
            let words = &mut words[lane];
            let (w0, w1) = (words[step % 4], words[(step + 1) % 4]);
            let (w2, w3) = (words[(step + 2) % 4], words[(step + 3) % 4]);
            if FROM > 0 {
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
                words[step % 4] = _mm_sha256msg2_epu32(sum, w3);
            }
            let input = _mm_add_epi32(words[step % 4], constants);
            let (abef, cdgh) = (now.abef[lane], now.cdgh[lane]);
            now.cdgh[lane] = _mm_sha256rnds2_epu32(cdgh, abef, input);
            let input = _mm_shuffle_epi32(input, 0x0e);
            now.abef[lane] = _mm_sha256rnds2_epu32(abef, now.cdgh[lane], input);
        }
    }
}

/// The sixteen words of a block, which are big-endian.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_block(block: &[u8; 64]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [_mm_setzero_si128(); 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        let [low, high] = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&bytes[at..at + 8]);
            i64::from_le_bytes(half)
        });
        *words = _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap);
    }
    words
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_states<const L: usize>(states: &[[u32; 8]; L]) -> Working<L> {
    let zero = [_mm_setzero_si128(); L];
    let mut now = Working { abef: zero, cdgh: zero };
    for (lane, state) in states.iter().enumerate() {
        let [a, b, c, d, e, f, g, h] = state.map(u32::cast_signed);
        now.abef[lane] = _mm_set_epi32(a, b, e, f);
        now.cdgh[lane] = _mm_set_epi32(c, d, g, h);
    }
    now
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store_states<const L: usize>(now: &Working<L>, states: &mut [[u32; 8]; L]) {
    for (state, (&abef, &cdgh)) in states.iter_mut().zip(now.abef.iter().zip(&now.cdgh)) {
        let [a, b] = [_mm_extract_epi32::<3>(abef), _mm_extract_epi32::<2>(abef)];
        let [c, d] = [_mm_extract_epi32::<3>(cdgh), _mm_extract_epi32::<2>(cdgh)];
        let [e, f] = [_mm_extract_epi32::<1>(abef), _mm_extract_epi32::<0>(abef)];
        let [g, h] = [_mm_extract_epi32::<1>(cdgh), _mm_extract_epi32::<0>(cdgh)];
        *state = [a, b, c, d, e, f, g, h].map(i32::cast_unsigned);
    }
}
