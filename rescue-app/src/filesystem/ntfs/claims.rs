//! The clusters of all files against `$Bitmap`.
//!
//! `$Bitmap` has no checksum and no count, so a bit that fell out of it shows nowhere but here:
//! some file record says that the cluster is its own.

use super::master::Master;
use super::record::Record;
use super::stream;
use crate::bytes::{Extents, le16};
use crate::volume::Doubt;
use crate::volume::probe::has;

/// Fails when a file record in use has a cluster outside of `used`. Records that cannot be read or
/// are damaged claim nothing.
pub(super) fn check(master: &Master<'_>, used: &Extents) -> Result<(), Doubt> {
    let unit = u64::from(master.boot.cluster_size);
    let mut buffer = Vec::new();
    master.each_record(|number, bytes| {
        let Ok(bytes) = bytes else { return Ok(()) };
        // Most records that were never used, or no longer are, need no copy.
        if !has(bytes, 0, b"FILE") || le16(bytes, 22).is_none_or(|flags| flags == 0) {
            return Ok(());
        }
        buffer.clear();
        buffer.extend_from_slice(bytes);
        let Some(record) = Record::new(std::mem::take(&mut buffer)) else { return Ok(()) };
        check_record(master, number, &record, (unit, used))?;
        buffer = record.into_bytes();
        Ok(())
    })
}

fn check_record(
    master: &Master<'_>,
    number: u64,
    record: &Record,
    (unit, used): (u64, &Extents),
) -> Result<(), Doubt> {
    let places =
        record.attributes().flat_map(|attribute| stream::places(attribute, master.boot.clusters()));
    for (lcn, len) in places {
        let start = lcn.saturating_mul(unit);
        let end = start.saturating_add(len.saturating_mul(unit));
        if !used.gaps_within(start, end).is_empty() {
            let words = format!("$Bitmap calls clusters of file record {number} free");
            return Err(Doubt::because(words));
        }
    }
    Ok(())
}
