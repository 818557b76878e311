//! Space outside of all partitions: how much of it there is, how long reading it takes, and what of
//! it turns out to be zero.

use std::time::Instant;

use serde::Serialize;

use crate::bytes::{AlignedBuffer, Extent, Extents, ReadAt, is_zero};
use crate::image::chunks::{MIB, Piece, pieces};
use crate::image::content::ChunkSlot;
use crate::image::layout::between_edges;
use crate::image::manifest::{Region, Stored};
use crate::operation::format::{duration, size};
use crate::table::{Scheme, Table};

/// Places looked at to say whether all of it may be zero, and the bytes read at each.
const SAMPLES: u64 = 32;
const SAMPLE: usize = 64 << 10;
/// Bytes read in a row to say how long all of it takes.
const PROBE: u64 = 32 * MIB;

/// Large stretches outside of partitions, without their edges, which are always stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unpartitioned {
    /// Bytes in them; holes of an image file do not count.
    pub bytes: u64,
    /// Whether they are left out.
    pub left_out: bool,
    /// How long reading them takes, seconds; `None` where the disk could not be read.
    pub seconds: Option<f64>,
    /// Whether samples all over them are zero.
    pub samples_are_zero: bool,
}

impl Unpartitioned {
    /// Looks at the regions that are no partitions; `None` when there is nothing but edges, or all
    /// of it are holes.
    pub(in crate::operation) fn sample(
        source: &dyn ReadAt,
        table: &Table,
        regions: &[Region],
        data: &Extents,
    ) -> Option<Self> {
        let mut inner = Extents::new();
        for region in gaps(table, regions) {
            let Extent { start, end } = between_edges(region.start, region.size);
            inner.push(start, end);
        }
        let present = inner.intersection(data);
        let bytes = present.total();
        (bytes > 0).then(|| Self {
            bytes,
            left_out: gaps(table, regions).any(|region| region.stored != Stored::Whole),
            seconds: seconds_per_byte(source, &present).map(|pace| pace * bytes as f64),
            samples_are_zero: samples_are_zero(source, &present),
        })
    }

    /// Bytes of it that are read and, as the samples say, will turn out to be zero.
    pub(in crate::operation) fn likely_zero(&self) -> u64 {
        if self.samples_are_zero && !self.left_out { self.bytes } else { 0 }
    }

    /// In words, for a plan.
    pub fn sentence(&self) -> String {
        let zero = match self.samples_are_zero {
            true => format!("; {SAMPLES} samples of it are all zero"),
            false => String::new(),
        };
        if self.left_out {
            return format!("{} outside of partitions are left out{zero}", size(self.bytes));
        }
        let time = self.seconds.map_or_else(String::new, |seconds| {
            let time = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            format!(", which takes about {}", duration(time))
        });
        format!(
            "{} outside of partitions are read as well{time}{zero}; --skip-unpartitioned leaves \
             them out",
            size(self.bytes)
        )
    }
}

/// The regions that are no partitions. A disk without a table is one volume, and no gap.
fn gaps<'r>(table: &Table, regions: &'r [Region]) -> impl Iterator<Item = &'r Region> {
    let has_table = table.scheme != Scheme::None;
    regions.iter().filter(move |region| has_table && region.partition.is_none())
}

fn seconds_per_byte(source: &dyn ReadAt, present: &Extents) -> Option<f64> {
    let longest = present.iter().max_by_key(|extent| extent.len())?;
    let len = longest.len().min(PROBE);
    let mut buffer = AlignedBuffer::default();
    buffer.set_len(usize::try_from(len).ok()?);
    let started = Instant::now();
    source.read_at(longest.start, &mut buffer).ok()?;
    Some(started.elapsed().as_secs_f64() / len as f64)
}

/// A bad sector ends it: the disk is not to be worn before anything of it is stored.
fn samples_are_zero(source: &dyn ReadAt, present: &Extents) -> bool {
    let step = (present.total() / SAMPLES).max(1);
    let (mut passed, mut next) = (0, 0);
    for extent in present.iter() {
        while next < passed + extent.len() {
            let at = extent.start + (next - passed);
            let len = usize::try_from(extent.end - at).map_or(SAMPLE, |rest| rest.min(SAMPLE));
            match source.read_vec(at, len) {
                Ok(bytes) if is_zero(&bytes) => next += step,
                _ => return false,
            }
        }
        passed += extent.len();
    }
    true
}

/// Leaves out of unpartitioned space, but for its edges, the chunks that were read and are zero, and
/// the holes: a restore need not write them. `reads` are the bytes read of each region, `slots` what
/// they became, and `unreadable` the bytes that are only known to be missing.
pub(in crate::operation) fn without_zeros(
    table: &Table,
    regions: &mut [Region],
    reads: &[Extents],
    (slots, chunk_size): (&[ChunkSlot], u64),
    unreadable: &Extents,
) {
    let mut slots = slots.iter();
    for (region, reads) in regions.iter_mut().zip(reads) {
        let mut filled = Extents::new();
        for piece in pieces(region.start, region.size, chunk_size, reads) {
            let blob = slots.next().and_then(|slot| slot.blob);
            if let (Piece::Chunk { start, len }, Some(_)) = (piece, blob) {
                filled.push(start, start + len);
            }
        }
        if table.scheme == Scheme::None || region.partition.is_some() {
            continue;
        }
        let Extent { start, end } = between_edges(region.start, region.size);
        let zero = Extents::of(start, end).without(&filled).without(unreadable);
        if !zero.intersection(&region.used).is_empty() {
            region.used = region.used.without(&zero);
            region.stored = Stored::Used;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_see_what_is_not_zero_and_stop_at_the_end() {
        let mut disk = vec![0; 8 << 20];
        let present = Extents::from(vec![(100, 4000), (1 << 20, 7 << 20)]);
        assert!(samples_are_zero(&disk, &present));
        disk[(7 << 20) + 77] = 1;
        assert!(samples_are_zero(&disk, &Extents::of(0, 7 << 20)));
        assert!(!samples_are_zero(&disk, &Extents::of(7 << 20, 8 << 20)));
    }
}
