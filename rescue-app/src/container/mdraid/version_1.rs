//! Superblocks of version 1 (`struct mdp_superblock_1`): 1.0 at the end of the device, 1.1 at its
//! start, 1.2 at 4 KiB.

use crate::bytes::{Extent, le16, le32, le64, slice};
use crate::volume::probe::piece;
use crate::volume::text;

use super::{Level, MAGIC, Member, SUPERBLOCK, Share, checksum, data};

/// Features that leave what lies in the data area as it is: a bitmap of regions that may differ.
/// All others tell of bad blocks, recovery, reshaping, a journal or a cluster.
const HARMLESS: u32 = 1;

/// Says how a striped array orders members that differ in size; it has to be there since Linux 5.4.
const STRIPED_LAYOUT: u32 = 1 << 12;

/// Where the sum stands.
const SUM: usize = 216;

/// Bytes before the list of roles.
const FIXED: usize = 256;

/// The superblock at byte `at` of a device of `size` bytes.
pub(super) fn parse(block: &[u8], at: u64, size: u64) -> Option<Member> {
    let here = le64(block, 144)?.checked_mul(512)? == at;
    if le32(block, 0)? != MAGIC || le32(block, 4)? != 1 || !here {
        return None;
    }
    Some(Member {
        label: text::label(slice(block, 32, 32)?),
        uuid: text::uuid(piece(block, 16)?),
        share: share(block, at, size)
            .unwrap_or_else(|| Err("its superblock is cut short".to_owned())),
    })
}

fn share(block: &[u8], at: u64, size: u64) -> Option<Result<Share, String>> {
    let features = le32(block, 8)?;
    let covered = covered(block)?;
    if le32(block, SUM)? != checksum(covered, SUM) {
        return Some(Err("its superblock's checksum is wrong".to_owned()));
    }
    let chunk = u64::from(le32(block, 88)?).checked_mul(512)?;
    let level = match Level::of(le32(block, 72)?, chunk) {
        Ok(level) => level,
        Err(words) => return Some(Err(words)),
    };
    let harmless = match level {
        Level::Striped(_) => HARMLESS | STRIPED_LAYOUT,
        _ => HARMLESS,
    };
    if features & !harmless != 0 {
        let words =
            format!("bad blocks, a rebuild or a reshape are noted (features {features:#x})");
        return Some(Err(words));
    }
    let members = le32(block, 92)?;
    let number = usize::try_from(le32(block, 160)?).ok()?;
    let role = FIXED.checked_add(number.checked_mul(2)?).and_then(|at| le16(covered, at));
    let Some(role) = role.map(u32::from).filter(|role| *role < members) else {
        return Some(Err("it is no active member of its array".to_owned()));
    };
    // All ones: nothing is left to be brought in line.
    if le64(block, 208)? != u64::MAX {
        return Some(Err("its array was not stopped in sync".to_owned()));
    }
    // Only what is redundant is as long on every member as the superblock says.
    let (sectors, chunk) = match level {
        Level::Mirror => (le64(block, 80)?, 0),
        _ => (le64(block, 136)?, chunk),
    };
    let superblock = Extent { start: at, end: at.checked_add(SUPERBLOCK as u64)? };
    let place = data((le64(block, 128)?, sectors), chunk, superblock, size);
    let events = le64(block, 200)?;
    Some(place.map(|data| Share { data, level, role, members, events }))
}

/// What the sum is taken of: all up to the last role.
fn covered(block: &[u8]) -> Option<&[u8]> {
    let roles = usize::try_from(le32(block, 220)?).ok()?;
    slice(block, 0, roles.checked_mul(2)?.checked_add(FIXED)?)
}

/// The right sum, and where it stands.
#[cfg(any(test, fuzzing))]
pub(super) fn seal(block: &[u8]) -> Option<(usize, [u8; 4])> {
    Some((SUM, checksum(covered(block)?, SUM).to_le_bytes()))
}
