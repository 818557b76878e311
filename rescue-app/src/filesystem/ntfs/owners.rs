//! Which files belong to given clusters: a scan of `$MFT`.

use std::collections::HashSet;

use super::directory::{DOS, ROOT};
use super::master::Master;
use super::record::{REFERENCE_MASK, Record, kind};
use super::stream;
use crate::bytes::{le64, slice};
use crate::volume::owners::{Tally, join};
use crate::volume::probe::byte;
use crate::volume::{Doubt, text};

/// Records below this belong to the filesystem itself, but for the root.
pub(super) const FIRST_FREE: u64 = 16;
/// A path with more folders is cut off.
const DEEPEST: usize = 255;

/// Goes through all file records that can be read.
pub(super) fn records(master: &Master<'_>, tally: &mut Tally<'_>) {
    let unit = u64::from(master.boot.cluster_size);
    // What cannot be read is no record; nothing here fails.
    let _ = master.each_record(|number, bytes| {
        let record = bytes.ok().and_then(|bytes| Record::new(bytes.to_vec()));
        let Some(record) = record else { return Ok(()) };
        let base = record.base().filter(|base| *base != 0).unwrap_or(number);
        for attribute in record.attributes() {
            for (lcn, len) in stream::places(attribute, master.boot.clusters()) {
                let start = lcn.saturating_mul(unit);
                let end = start.saturating_add(len.saturating_mul(unit));
                if base < FIRST_FREE && base != ROOT {
                    tally.metadata(start, end);
                } else {
                    tally.file(base, start, end);
                }
            }
        }
        Ok(())
    });
}

/// Names the files found by their own record and those of the folders above.
pub(super) fn names(master: &Master<'_>, tally: &mut Tally<'_>) {
    for number in tally.ids() {
        if let Ok(path) = path(master, number) {
            tally.name(number, &path);
        }
    }
}

fn path(master: &Master<'_>, number: u64) -> Result<String, Doubt> {
    let mut steps = Vec::new();
    let mut seen = HashSet::new();
    let mut at = number;
    while at != ROOT && steps.len() < DEEPEST && seen.insert(at) {
        let record = master.record(at)?;
        let (parent, name) = name(&record).ok_or_else(|| Doubt::because("it has no name"))?;
        steps.push(name);
        at = parent;
    }
    let path = steps.iter().rev().fold(String::from("/"), |path, name| join(&path, name));
    Ok(path)
}

/// Parent and name of a record; the long name where there are two.
fn name(record: &Record) -> Option<(u64, String)> {
    let names = record.attributes().filter(|attribute| attribute.is(kind::FILE_NAME, &[]));
    let mut best = None;
    for value in names.filter_map(|attribute| attribute.value()) {
        let (units, space) = (byte(value, 64)?, byte(value, 65)?);
        let name = text::utf16(slice(value, 66, usize::from(units).checked_mul(2)?)?);
        let parent = le64(value, 0)? & REFERENCE_MASK;
        if best.is_none() || space != DOS {
            best = Some((parent, name));
        }
        if space != DOS {
            break;
        }
    }
    best
}
