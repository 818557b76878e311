//! The header of version 2: two copies of a binary header with JSON behind it.
//!
//! Source: "LUKS2 On-Disk Format Specification" §2 (binary header) and §3 (JSON area).

mod json;

use super::container::{Container, MAGIC};
use super::hash::Hash;
use crate::bytes::{ReadAt, be16, be64, slice};
use crate::volume::probe::has;
use crate::volume::{Doubt, text};

/// Bytes of the binary header.
const BINARY: usize = 4096;
/// Sizes of binary header and JSON area together, bytes (§2.2).
const SIZES: [u64; 9] =
    [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
/// `csum`, within the binary header.
const CHECKSUM: usize = 448;
const CHECKSUM_LEN: usize = 64;

/// A copy of the header whose checksum is right.
struct Copy {
    sequence: u64,
    json: Vec<u8>,
}

/// Reads the newer of the two copies of which the checksum is right.
pub(super) fn read(volume: &dyn ReadAt) -> Result<Container, Doubt> {
    let first = copy(volume, 0, MAGIC);
    // The second copy follows the first, which may be too damaged to say how long it is.
    let second = SIZES.iter().find_map(|at| copy(volume, *at, b"SKUL\xba\xbe"));
    let newer = [first, second].into_iter().flatten().max_by_key(|copy| copy.sequence);
    let newer = newer.ok_or_else(|| Doubt::because("both copies of its header are damaged"))?;
    json::parse(&newer.json, volume.size())
}

/// The copy that starts at byte `at`, if it is one and not damaged.
fn copy(volume: &dyn ReadAt, at: u64, magic: &[u8]) -> Option<Copy> {
    let binary = volume.read_vec(at, BINARY).ok()?;
    let size = be64(&binary, 8).filter(|size| SIZES.contains(size))?;
    let in_place = be64(&binary, 256) == Some(at) && (at == 0 || at == size);
    if !has(&binary, 0, magic) || be16(&binary, 6) != Some(2) || !in_place {
        return None;
    }
    let area = volume.read_vec(at, usize::try_from(size).ok()?).ok()?;
    let hash = Hash::named(&text::label(slice(&area, 72, 32)?)?).ok()?;
    let (head, rest) = area.split_at_checked(CHECKSUM)?;
    let (checksum, rest) = rest.split_at_checked(CHECKSUM_LEN)?;
    let expected = hash.of(&[head, &[0; CHECKSUM_LEN], rest]);
    if checksum.get(..hash.len())? != expected {
        return None;
    }
    let json = area.get(BINARY..)?;
    let end = json.iter().position(|byte| *byte == 0).unwrap_or(json.len());
    Some(Copy { sequence: be64(&binary, 16)?, json: json.get(..end)?.to_vec() })
}
