//! Superblocks of version 0.90 (`mdp_super_t`): in the last 64 KiB that begin at a multiple of that,
//! in the byte order of the machine that made the array (here the little-endian ones).

use crate::bytes::{Extent, le32};
use crate::filesystem::text;

use super::{Level, MAGIC, Member, Share, checksum, data};

/// `state`: stopped in sync, and no errors.
const CLEAN: u32 = 1;
/// `state`: errors were found.
const ERRORS: u32 = 2;
/// A device's `state`: it is there, and in sync; nothing else.
const ACTIVE_SYNC: u32 = 0b110;
/// A device's `state`: reads go elsewhere first.
const WRITE_MOSTLY: u32 = 1 << 9;

/// The superblock at byte `at`.
pub(super) fn parse(block: &[u8], at: u64) -> Option<Member> {
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

fn word(block: &[u8], index: usize) -> Option<u32> {
    le32(block, index.checked_mul(4)?)
}

fn share(block: &[u8], at: u64) -> Option<Result<Share, String>> {
    if word(block, 38)? != checksum(block, 38 * 4) {
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
    let events = u64::from(word(block, 39)?) | u64::from(word(block, 40)?) << 32;
    let (role, members) = (word(block, 995)?, word(block, 10)?);
    let place = data((0, sectors), chunk, Extent { start: at, end: u64::MAX }, at);
    Some(place.map(|data| Share { data, level, role, members, events }))
}
