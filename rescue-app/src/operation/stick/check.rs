//! Whether a medium still holds the bytes that it was built with.
//!
//! `scripts/seal-iso` notes the SHA-256 of every part of the ISO on the ISO itself, and in the primary volume
//! descriptor where that list is. Only the list and the entry of the data partition are in none of the parts.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::bytes::{Extents, ReadAt};
use crate::operation::error::OperationError;
use crate::operation::timed::Timed;
use crate::progress::{Control, Phase, Reporter};

use super::PIECE;
use super::iso::Iso;

/// Where the volume descriptor says where the list is: its field for applications (ECMA-119, 8.4.33).
const POINTER: u64 = 16 * 2048 + 883;
const POINTER_LEN: usize = 512;
/// What stands there: `lifeboat.sums=START+LENGTH`, bytes, and blanks.
const POINTER_NAME: &str = "lifeboat.sums=";

/// A longer list is none of ours, bytes.
const MOST_LIST: u64 = 64 << 10;

/// The entry of the data partition: first byte and length.
const OWN_ENTRY: (u64, u64) = (446 + 2 * 16, 16);

/// A part of the medium, as the list names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediumPart {
    /// A file of the ISO, or what else it is.
    pub name: String,
    /// First byte on the medium.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    #[serde(skip)]
    sum: String,
}

/// What was found out about a medium.
#[derive(Clone, Debug, Serialize)]
pub struct MediumReport {
    /// What was read.
    pub path: PathBuf,
    /// Its volume id.
    pub volume_id: String,
    /// Bytes that were read and compared.
    pub checked: u64,
    /// The parts that are not as they were built.
    pub damaged: Vec<MediumPart>,
}

/// Reads a medium, a stick or an ISO file, or without one the medium that Lifeboat was started from, and
/// compares every part of it with its sum.
///
/// # Errors
/// When it is no medium of Lifeboat, has no list of sums, or cannot be read.
pub fn check_medium(
    path: Option<&Path>,
    control: Control<'_>,
) -> Result<Timed<MediumReport>, OperationError> {
    Timed::run(|| {
        let iso = path.map_or_else(Iso::of_medium, Iso::open)?;
        let damaged = damaged_parts(&iso, control)?.ok_or_else(|| {
            OperationError::refused(
                format!("{} has no list of sums to check it by", iso.volume_id),
                "compare the ISO file with the SHA256SUMS that came with it",
            )
        })?;
        let (path, volume_id, checked) = (iso.path(), iso.volume_id.clone(), iso.size);
        Ok(MediumReport { path, volume_id, checked, damaged })
    })
}

/// Refuses an ISO that is not as it was built; one without a list of sums is taken as it is.
pub(super) fn is_whole(iso: &Iso, control: Control<'_>) -> Result<(), OperationError> {
    match damaged_parts(iso, control)?.as_deref() {
        None => {
            control.info(format!("{} has no list of sums: it is written as it is", iso.volume_id));
            Ok(())
        }
        Some([]) => Ok(()),
        Some([first, ..]) => Err(OperationError::refused(
            format!("{} is damaged: {} is not as it was built", iso.volume_id, first.name),
            "download or build the ISO again, and name the new file",
        )),
    }
}

/// The parts that differ from their sums; `None` when there are no sums.
fn damaged_parts(
    iso: &Iso,
    control: Control<'_>,
) -> Result<Option<Vec<MediumPart>>, OperationError> {
    let reading = |error: io::Error| OperationError::io("reading the medium", error);
    let Some(place) = list_place(&iso.read_vec(POINTER, POINTER_LEN).map_err(reading)?) else {
        return Ok(None);
    };
    let list = read_list(iso, place).map_err(reading)?;
    let Some(parts) = parse(&list).filter(|parts| are_all(parts, place, iso.size)) else {
        let (start, size) = place;
        let name = "the list of sums itself".into();
        return Ok(Some(vec![MediumPart { name, start, size, sum: String::new() }]));
    };
    let reporter = Reporter::start(control, Phase::Verifying, iso.size, 0);
    let mut damaged = Vec::new();
    for part in parts {
        if sum(iso, &part, &reporter)?.as_deref() != Some(part.sum.as_str()) {
            damaged.push(part);
        }
    }
    reporter.finish();
    Ok(Some(damaged))
}

/// First byte and length of the list.
fn list_place(pointer: &[u8]) -> Option<(u64, u64)> {
    let place = std::str::from_utf8(pointer).ok()?.trim().strip_prefix(POINTER_NAME)?;
    let (start, len) = place.split_once('+')?;
    Some((start.parse().ok()?, len.parse().ok()?))
}

/// Empty when it cannot be where it is said to be.
fn read_list(iso: &Iso, (start, len): (u64, u64)) -> io::Result<String> {
    let is_inside = start.checked_add(len).is_some_and(|end| end <= iso.size);
    let len = if is_inside && len <= MOST_LIST { len } else { 0 };
    let list = iso.read_vec(start, usize::try_from(len).unwrap_or_default())?;
    Ok(String::from_utf8_lossy(&list).into_owned())
}

/// The parts that a list names: a line each, `SHA256 START LENGTH NAME`.
fn parse(list: &str) -> Option<Vec<MediumPart>> {
    let part = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let sum = words.next()?.to_owned();
        let (start, size) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(MediumPart { name: words.next()?.to_owned(), start, size, sum })
    };
    list.lines().filter(|line| !line.is_empty()).map(part).collect()
}

/// Whether every byte that can be in a part is in one.
fn are_all(parts: &[MediumPart], list: (u64, u64), size: u64) -> bool {
    let places = parts.iter().map(|part| (part.start, part.size));
    let covered = Extents::from(places.chain([list, OWN_ENTRY]).collect::<Vec<_>>());
    covered.gaps_within(0, size).is_empty() && covered.iter().all(|extent| extent.end <= size)
}

/// The sum of a part as it is now; `None` where it cannot be read.
fn sum(
    iso: &Iso,
    part: &MediumPart,
    reporter: &Reporter<'_>,
) -> Result<Option<String>, OperationError> {
    let mut hash = Sha256::new();
    let mut done = 0;
    while done < part.size {
        let len = PIECE.min(part.size - done);
        let Ok(piece) = iso.read_vec(part.start + done, usize::try_from(len).unwrap_or_default())
        else {
            return Ok(None);
        };
        hash.update(&piece);
        done += len;
        reporter.advance(len, 0, 0).map_err(|_| OperationError::Cancelled)?;
    }
    let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_leaves_out_a_byte_proves_nothing() {
        let list =
            "aa 0 478 the table\nbb 494 1554 the boot loader\n\ncc 4096 4096 /boot/kernel x\n\n";
        let parts = parse(list).unwrap();
        assert_eq!(parts[2].name, "/boot/kernel x");
        assert!(are_all(&parts, (2048, 2048), 8192));
        assert!(!are_all(&parts, (2048, 2047), 8192), "a byte before the kernel");
        assert!(!are_all(&parts, (2048, 2048), 8193), "a byte behind it");
        assert!(!are_all(&parts, (2048, 2048), 8191), "a part that is not there");
        assert!(!are_all(&parts[1..], (2048, 2048), 8192), "the table");
        assert_eq!(parse("aa 0 many the table"), None);
    }

    #[test]
    fn where_the_list_is_stands_in_the_volume_descriptor() {
        assert_eq!(list_place(b"lifeboat.sums=2048+4096   "), Some((2048, 4096)));
        assert_eq!(list_place(&[0; 512]), None);
        assert_eq!(list_place(b"lifeboat.sums=2048"), None);
    }
}
