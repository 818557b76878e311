//! Superblocks of version 0.90 (`mdp_super_t`): in the last 64 KiB that begin at a multiple of that,
//! in the byte order of the machine that made the array.

use std::borrow::Cow;

use crate::bytes::{Extent, be32, le32};
use crate::volume::text;

use super::{Level, MAGIC, Member, Share, checksum, data};

/// `state`: stopped in sync, and no errors.
const CLEAN: u32 = 1;
/// `state`: errors were found.
const ERRORS: u32 = 2;
/// A device's `state`: it is there, and in sync; nothing else.
const ACTIVE_SYNC: u32 = 0b110;
/// A device's `state`: reads go elsewhere first.
const WRITE_MOSTLY: u32 = 1 << 9;

/// The words that count events, on a little-endian machine.
const EVENTS_LOW: usize = 39;
const EVENTS_HIGH: usize = 40;

/// Where the sum stands.
const SUM: usize = 38 * 4;

/// The superblock at byte `at`.
pub(super) fn parse(block: &[u8], at: u64) -> Option<Member> {
    let block = &*little_endian(block);
    if word(block, 0)? != MAGIC || word(block, 1)? != 0 {
        return None;
    }
    let mut uuid = [0; 16];
    // Four words in the machine's order of bytes, and not next to each other.
    for (piece, at) in uuid.chunks_exact_mut(4).zip([5, 13, 14, 15]) {
        piece.copy_from_slice(&word(block, at)?.to_be_bytes());
    }
    let share = share(block, at).unwrap_or_else(|| Err("its superblock is cut short".to_owned()));
    Some(Member { label: None, uuid: text::uuid(uuid), share })
}

/// Bytes of a member in front of its superblock that its array uses, where the superblock tells: of
/// levels with redundancy.
pub(super) fn content_len(block: &[u8]) -> Option<u64> {
    let block = &*little_endian(block);
    let kibibytes = word(block, 8).filter(|_| word(block, 0) == Some(MAGIC))?;
    u64::from(kibibytes).checked_mul(1024).filter(|len| *len != 0)
}

/// The block as a little-endian machine would have written it. Only the halves of the count of
/// events are in another order then; what else has two words is not looked at.
fn little_endian(block: &[u8]) -> Cow<'_, [u8]> {
    if be32(block, 0) != Some(MAGIC) {
        return block.into();
    }
    let mut words: Vec<[u8; 4]> =
        block.chunks_exact(4).filter_map(|word| word.try_into().ok()).collect();
    words.iter_mut().for_each(|word| word.reverse());
    if words.len() > EVENTS_HIGH {
        words.swap(EVENTS_HIGH, EVENTS_LOW);
    }
    words.concat().into()
}

fn word(block: &[u8], index: usize) -> Option<u32> {
    le32(block, index.checked_mul(4)?)
}

fn share(block: &[u8], at: u64) -> Option<Result<Share, String>> {
    if le32(block, SUM)? != checksum(block, SUM) {
        return Some(Err("its superblock's checksum is wrong".to_owned()));
    }
    let chunk = u64::from(word(block, 65)?);
    let level = match Level::of(word(block, 7)?, chunk) {
        Ok(level) => level,
        Err(words) => return Some(Err(words)),
    };
    // Minor version 91 is 90 while it is reshaped.
    if word(block, 2)? != 90 {
        return Some(Err("its array is being reshaped".to_owned()));
    }
    if word(block, 33)? & (CLEAN | ERRORS) != CLEAN {
        return Some(Err("its array was not stopped in sync".to_owned()));
    }
    // The device itself is described in the last 32 words: number, major, minor, role, state.
    if word(block, 996)? & !WRITE_MOSTLY != ACTIVE_SYNC || word(block, 995)? >= word(block, 10)? {
        return Some(Err("it is no active member of its array".to_owned()));
    }
    // Only what is redundant is as long on every member as the superblock says.
    let (sectors, chunk) = match level {
        Level::Mirror => (u64::from(word(block, 8)?).checked_mul(2)?, 0),
        _ => (at.checked_div(512)?, chunk),
    };
    let events = u64::from(word(block, EVENTS_HIGH)?) << 32 | u64::from(word(block, EVENTS_LOW)?);
    let (role, members) = (word(block, 995)?, word(block, 10)?);
    let place = data((0, sectors), chunk, Extent { start: at, end: u64::MAX }, at);
    Some(place.map(|data| Share { data, level, role, members, events }))
}

/// The right sum, and where it stands.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(block: &[u8]) -> Option<(usize, [u8; 4])> {
    let sum = checksum(&little_endian(block), SUM);
    let swapped = be32(block, 0) == Some(MAGIC);
    Some((SUM, if swapped { sum.to_be_bytes() } else { sum.to_le_bytes() }))
}
