//! The allocation bitmap.
//!
//! Source: Microsoft, "exFAT file system specification", §7.1.

use super::boot_region::{FIRST_CLUSTER, Layout};
use super::directory::{self, Item};
use super::fat::{Fat, Length, Place, Run};
use crate::bytes::{Extents, ReadAt};
use crate::volume::{Doubt, UsedMap};

/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// Where the bitmap that counts lies.
pub(super) struct Bitmap {
    runs: Vec<Run>,
}

impl Bitmap {
    /// Looks it up in the root directory and follows its chain.
    pub(super) fn find(fat: &mut Fat<'_>) -> Result<Self, Doubt> {
        let wanted = fat.boot.active_fat();
        let mut found = None;
        let root = directory::root(&fat.boot.layout);
        directory::read(fat, root, |_, item| match item {
            Item::Bitmap { copy, first, size } if copy == wanted => {
                found = Some((first, size));
                Ok(false)
            }
            _ => Ok(true),
        })?;
        let (first, size) = found.ok_or_else(|| Doubt::because("it has no allocation bitmap"))?;
        let layout = &fat.boot.layout;
        if size < u64::from(layout.clusters).div_ceil(8) {
            return Err(Doubt::because("its allocation bitmap is shorter than the volume"));
        }
        let clusters = layout.clusters_of(size).filter(|clusters| *clusters != 0);
        let clusters =
            clusters.ok_or_else(|| Doubt::because("its allocation bitmap is too large"))?;
        let place = Place { first, length: Length::Exactly(clusters), contiguous: false };
        let mut runs = Vec::new();
        fat.runs(place, |_, run| {
            runs.push(run);
            Ok(())
        })?;
        Ok(Self { runs })
    }

    /// The clusters in use, in bytes from the start of the heap, and their number.
    pub(super) fn used(
        &self,
        volume: &dyn ReadAt,
        layout: &Layout,
    ) -> Result<(Extents, u32), Doubt> {
        let mut map = UsedMap::new();
        let mut in_use = 0u64;
        let mut first = 0u64;
        let all = u64::from(layout.clusters);
        for &run in &self.runs {
            let start = layout.cluster(run.first);
            let end = start.saturating_add(layout.bytes(run.count));
            let mut at = start;
            while at < end && first < all {
                let len =
                    end.saturating_sub(at).min(PIECE).min(all.saturating_sub(first).div_ceil(8));
                let bytes = volume
                    .read_vec(at, usize::try_from(len).unwrap_or(0))
                    .map_err(Doubt::reading("the allocation bitmap"))?;
                let bits = all.saturating_sub(first).min(len.saturating_mul(8));
                let unit = layout.cluster_size.into();
                in_use = in_use.saturating_add(map.add_bits(&bytes, bits, first, unit));
                first = first.saturating_add(bits);
                at = at.saturating_add(len);
            }
        }
        let used = map.finish();
        self.check_itself(layout, &used)?;
        Ok((used, u32::try_from(in_use).unwrap_or(layout.clusters)))
    }

    /// A bitmap that calls its own clusters free is none.
    fn check_itself(&self, layout: &Layout, used: &Extents) -> Result<(), Doubt> {
        let free = self.runs.iter().any(|run| {
            let start = layout.bytes(run.first.saturating_sub(FIRST_CLUSTER));
            let end = start.saturating_add(layout.bytes(run.count));
            !used.gaps_within(start, end).is_empty()
        });
        if free { Err(Doubt::because("its bitmap calls its own clusters free")) } else { Ok(()) }
    }
}
