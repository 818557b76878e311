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

/// Bytes of `$MFT` read at once.
const PIECE: u64 = 1 << 20;

/// Fails when a file record in use has a cluster outside of `used`. Records that cannot be read or
/// are damaged claim nothing.
pub(super) fn check(master: &Master<'_>, used: &Extents) -> Result<(), Doubt> {
    let size = master.boot.record_size as usize;
    let unit = u64::from(master.boot.cluster_size);
    let table_len = master.table.size.min(master.boot.size);
    let mut piece = vec![0; usize::try_from(PIECE.min(table_len)).unwrap_or(0)];
    let mut at = 0u64;
    while at < table_len {
        let len =
            usize::try_from(table_len.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        let bytes = piece.get_mut(..len).unwrap_or_default();
        if master.read(&master.table, at, bytes).is_ok() {
            let first = at.checked_div(size as u64).unwrap_or(0);
            for (number, record) in (first..).zip(bytes.chunks_exact(size)) {
                check_record(master, number, record, unit, used)?;
            }
        }
        at = at.saturating_add(len as u64);
    }
    Ok(())
}

fn check_record(
    master: &Master<'_>,
    number: u64,
    bytes: &[u8],
    unit: u64,
    used: &Extents,
) -> Result<(), Doubt> {
    // Most records that were never used, or no longer are, need no copy.
    if !has(bytes, 0, b"FILE") || le16(bytes, 22).is_none_or(|flags| flags == 0) {
        return Ok(());
    }
    let Some(record) = Record::new(bytes.to_vec()) else { return Ok(()) };
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
