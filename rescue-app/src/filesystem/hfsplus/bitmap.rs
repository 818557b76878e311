//! The allocation file: a bit for each allocation block, most significant first.
//!
//! Source: Apple Technical Note TN1150, "Allocation File".

use super::header::{Header, Run};
use crate::bytes::{Extents, ReadAt};
use crate::volume::{Doubt, UsedMap};

/// Bytes read at once.
const PIECE: u64 = 1 << 20;

/// The bytes in use. Fails unless they are as many as the header says.
pub(super) fn used(volume: &dyn ReadAt, header: &Header) -> Result<Extents, Doubt> {
    let all = u64::from(header.blocks);
    let mut map = UsedMap::new();
    let mut in_use = 0u64;
    let mut first = 0u64;
    for &run in &header.allocation_file()?.runs {
        let (mut at, end) = header.place(run);
        while at < end && first < all {
            let left = all.saturating_sub(first);
            let len = end.saturating_sub(at).min(PIECE).min(left.div_ceil(8));
            let bytes = volume.read_vec(at, usize::try_from(len).unwrap_or(0));
            let mut bytes = bytes.map_err(Doubt::reading("the allocation file"))?;
            bytes.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
            let bits = left.min(len.saturating_mul(8));
            let count = map.add_bits(&bytes, bits, first, header.block_size.into());
            in_use = in_use.saturating_add(count);
            first = first.saturating_add(bits);
            at = at.saturating_add(len);
        }
    }
    let free = all.saturating_sub(in_use);
    if free != u64::from(header.free) {
        let words = format!("{free} blocks are marked as free and {} counted", header.free);
        return Err(Doubt::because(words));
    }
    Ok(map.finish())
}

/// Fails when the map leaves out what is in use for certain.
pub(super) fn check(header: &Header, used: &Extents, places: &[(u64, u64)]) -> Result<(), Doubt> {
    let runs = header.special_runs().map(|run: Run| header.place(run));
    let free = |(start, end): (u64, u64)| !used.gaps_within(start, end).is_empty();
    if runs.chain(places.iter().copied()).any(free) {
        return Err(Doubt::because("its bitmap calls blocks of its own tables free"));
    }
    Ok(())
}
