//! Makes a volume smaller without `ntfsresize`, which refuses some that Windows 11 makes: clusters that are marked
//! though no file has them, bad clusters, run lists that find no room when what they describe is torn apart,
//! and a `$MFTMirr` where the new end is (ntfs-3g issues 142, 204 and 209, FOG's fos pull request 174).
//!
//! What lies behind the new end moves into the smallest hole that holds it, so that run lists stay as short as they
//! were; where they do not, all of what one describes moves together. `$Bitmap` is written anew from the
//! runs of all files, and bad clusters are forgotten: they were those of another disk.
//!
//! Sources: ntfs-3g `include/ntfs-3g/layout.h`, `ntfsprogs/ntfsresize.c` for what has to be changed.

// What is reckoned with here lies on the volume: `stream::runs` and the geometry were held against its size.
#![allow(clippy::arithmetic_side_effects)]

mod mover;
mod record;

use std::cmp::Reverse;

use self::mover::Mover;
use self::record::Editable;
use super::super::moving::unwritten;
use super::super::space::{Bits, Space};
use super::boot_sector::BootSector;
use super::master::{self, Master};
use super::record::{Attribute, IN_USE, kind};
use super::stream::{self, Run, Stream};
use super::{BITMAP, DIRTY, VOLUME};
use crate::bytes::{WriteAt, le16};
use crate::progress::Cancel;
use crate::volume::Doubt;
use crate::volume::probe::has;

/// File records that are treated by themselves.
const MFT: u64 = 0;
const MIRROR: u64 = 1;
const LOG_FILE: u64 = 2;
const BAD_CLUSTERS: u64 = 8;
/// The attribute of [`BAD_CLUSTERS`] that has all clusters, bad ones in runs: "$Bad".
const BAD: &[u8] = b"$\0B\0a\0d\0";
/// Flags of `$VOLUME_INFORMATION`, and where in its value they are.
const FLAGS: usize = 10;
/// Places of fields of the boot sector.
const SECTORS: usize = 40;
const MFT_CLUSTER: usize = 48;
const MIRROR_CLUSTER: usize = 56;
/// Bytes written at once.
const PIECE: usize = 1 << 20;

/// Makes the NTFS on `volume` smaller, so that it ends at byte `size`, a multiple of the sector size. It is
/// marked, so that Windows checks it at its next start.
///
/// # Errors
/// What it is about the volume that is not understood, or that what is used does not fit. The volume then may be
/// changed in part.
pub(crate) fn shrink(volume: &dyn WriteAt, size: u64, cancel: &Cancel) -> Result<(), Doubt> {
    let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
    let boot = BootSector::parse(&sector).ok_or_else(|| Doubt::because("it is damaged"))?;
    let after = BootSector { size, ..boot.clone() };
    if after.clusters() >= boot.clusters() || boot.size > volume.size() {
        return Err(Doubt::because("it is not larger than that"));
    }
    let old = Master::open(volume, boot)?;
    let survey = Survey::of(&old, after.clusters())?;
    let mut mover = Mover {
        volume,
        unit: u64::from(after.cluster_size),
        before: old.boot.clusters(),
        end: after.clusters(),
        space: Space::of(&survey.taken),
        taken: survey.taken,
        table: old.table.clone(),
        record_size: after.record_size as usize,
        cancel,
    };
    for number in survey.table.iter().chain(&survey.others) {
        mover.move_record(*number)?;
    }
    let now = finish(mover, &after)?;
    write_boot_sectors(volume, sector, &now)
}

/// What there is on a volume.
struct Survey {
    /// Clusters before the new end that files have.
    taken: Bits,
    /// Records that tell where `$MFT` is.
    table: Vec<u64>,
    /// Those that have something behind the new end, those with most first.
    others: Vec<u64>,
}

impl Survey {
    fn of(master: &Master<'_>, end: u64) -> Result<Self, Doubt> {
        let many = || Doubt::because("it has too many clusters");
        let mut taken = Bits::free(end).ok_or_else(many)?;
        let mut others = Vec::new();
        let mut table = Vec::new();
        master.each_record(|number, bytes| {
            let bytes = bytes.map_err(Doubt::reading("a file record of $MFT"))?;
            let record = match Editable::new(bytes) {
                Some(record) => record,
                None if is_in_use(bytes) => return Err(master::damaged(number)),
                None => return Ok(()),
            };
            let mut behind = 0;
            for (_, attribute) in record.attributes() {
                for run in real_runs(number, attribute, master.boot.clusters())? {
                    let Some(lcn) = run.lcn else { continue };
                    if !taken.take(lcn, lcn + run.len) {
                        let words =
                            format!("clusters of file record {number} are another file's too");
                        return Err(Doubt::because(words));
                    }
                    behind += (lcn + run.len).saturating_sub(end.max(lcn));
                }
            }
            let is_changed = behind > 0 || matches!(number, BITMAP | BAD_CLUSTERS);
            match number == MFT || record.extends(MFT) {
                true => table.push(number),
                false if is_changed => others.push((Reverse(behind), number)),
                false => {}
            }
            Ok(())
        })?;
        // The mirror needs a hole for all of it, and large files need large ones.
        others.sort_unstable_by_key(|&(behind, number)| (number != MIRROR, behind, number));
        let others = others.into_iter().map(|(_, number)| number).collect();
        Ok(Self { taken, table, others })
    }
}

/// Whether a record that makes no sense has something that nobody would know of then.
fn is_in_use(record: &[u8]) -> bool {
    let is_free = le16(record, 22).is_none_or(|flags| flags & IN_USE == 0);
    has(record, 0, b"BAAD") || has(record, 0, b"FILE") && !is_free
}

/// The runs of an attribute that are a file's: bad clusters are nobody's.
fn real_runs(number: u64, attribute: Attribute<'_>, clusters: u64) -> Result<Vec<Run>, Doubt> {
    if !attribute.is_non_resident() || is_bad(number, attribute) {
        return Ok(Vec::new());
    }
    stream::runs(attribute, clusters).ok_or_else(|| strange_runs(number))
}

fn is_bad(number: u64, attribute: Attribute<'_>) -> bool {
    number == BAD_CLUSTERS && attribute.is(kind::DATA, BAD)
}

/// Writes what all of the volume is told by: that it is to be checked, `$Bitmap`, an empty log, and the mirror of the
/// first records. Where the table and its mirror are now.
fn finish(mover: Mover<'_>, after: &BootSector) -> Result<BootSector, Doubt> {
    let mut record = mover.read(VOLUME)?;
    let marked = record.set_bits(kind::VOLUME_INFORMATION, FLAGS, DIRTY);
    marked.ok_or_else(|| master::damaged(VOLUME))?;
    mover.write(VOLUME, record)?;
    let Mover { volume, taken, table, .. } = mover;
    let boot = BootSector { mft: first_cluster(&table, after)?, ..after.clone() };
    let master = Master::open(volume, boot.clone())?;
    let content = |number| master.stream(number, kind::DATA, &[]);
    overwrite(volume, &content(BITMAP)?, &taken.into_bitmap(), 0)?;
    overwrite(volume, &content(LOG_FILE)?, &[], 0xff)?;
    let mirror = content(MIRROR)?;
    let mut records = vec![0; usize::try_from(mirror.size).unwrap_or(0).min(PIECE)];
    let read = master.read(&master.table, 0, &mut records);
    read.map_err(Doubt::reading("the first records of $MFT"))?;
    overwrite(volume, &mirror, &records, 0)?;
    Ok(BootSector { mft_mirror: first_cluster(&mirror, after)?, ..boot })
}

fn first_cluster(stream: &Stream, boot: &BootSector) -> Result<u64, Doubt> {
    let first = stream.places().next().map(|(start, _)| start);
    let cluster = first.and_then(|start| start.checked_div(boot.cluster_size.into()));
    cluster.ok_or_else(|| strange_runs(MFT))
}

/// Writes `bytes` into a stream's clusters, and `rest` into what is left of them.
fn overwrite(volume: &dyn WriteAt, to: &Stream, bytes: &[u8], rest: u8) -> Result<(), Doubt> {
    let mut bytes = bytes.iter().copied().chain(std::iter::repeat(rest));
    for (mut at, end) in to.places() {
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece: Vec<u8> = bytes.by_ref().take(len).collect();
            volume.write_at(at, &piece).map_err(unwritten)?;
            at += len as u64;
        }
    }
    Ok(())
}

fn strange_runs(number: u64) -> Doubt {
    Doubt::because(format!("the runs of file record {number} make no sense"))
}

/// Both of them: the one at the beginning, and its backup in the last sector.
fn write_boot_sectors(
    volume: &dyn WriteAt,
    mut sector: Vec<u8>,
    boot: &BootSector,
) -> Result<(), Doubt> {
    let size = u64::from(boot.sector_size);
    let sectors = (boot.size / size).saturating_sub(1);
    let fields = [(SECTORS, sectors), (MFT_CLUSTER, boot.mft), (MIRROR_CLUSTER, boot.mft_mirror)];
    for (at, value) in fields {
        if let Some(place) = sector.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    for at in [sectors.saturating_mul(size), 0] {
        volume.write_at(at, &sector).map_err(unwritten)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
