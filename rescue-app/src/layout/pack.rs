//! Places for partitions of given sizes: each stays where it is, or goes as little as needed.

use crate::bytes::Extent;

use super::{ALIGNMENT, Part};

/// Why there are no places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// They do not fit into the room.
    Full,
    /// The partition of this number would have to move and must not.
    Fixed(u32, &'static str),
}

/// The first byte of each partition, for sizes in the same order: all in `room`, in the order that they
/// have, none over another or over the record of a logical one.
pub(super) fn pack(parts: &[&Part], sizes: &[u64], room: Extent) -> Result<Vec<u64>, Stuck> {
    let mut starts = pushed_up(parts, sizes);
    let mut limit = room.end;
    for ((part, size), start) in parts.iter().zip(sizes).zip(&mut starts).rev() {
        if start.saturating_add(*size) > limit {
            *start = limit.checked_sub(*size).ok_or(Stuck::Full)? / ALIGNMENT * ALIGNMENT;
        }
        limit = start.checked_sub(lead(part, *start)).ok_or(Stuck::Full)?;
    }
    let moved = parts.iter().zip(&starts).filter(|(part, start)| part.start != **start);
    if let Some((part, why)) = moved.clone().find_map(|(part, _)| Some((part, part.fixed?))) {
        return Err(Stuck::Fixed(part.number, why));
    }
    // A table can be older than the rule that its first mebibyte is free; what stays may stay there.
    let lowest = room.start.next_multiple_of(ALIGNMENT);
    let fits = moved.into_iter().all(|(part, start)| start - lead(part, *start) >= lowest);
    if fits { Ok(starts) } else { Err(Stuck::Full) }
}

/// The places when each partition leaves to the one before it what that takes; there may be too little
/// room for the last ones.
fn pushed_up(parts: &[&Part], sizes: &[u64]) -> Vec<u64> {
    let mut end = 0u64;
    let places = parts.iter().zip(sizes).map(|(part, size)| {
        let free_from = end.saturating_add(lead(part, part.start));
        let start = match part.start >= free_from {
            true => part.start,
            false => {
                let from = end.saturating_add(part.lead.map_or(0, |_| ALIGNMENT));
                from.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)
            }
        };
        end = start.saturating_add(*size);
        start
    });
    places.collect()
}

/// Bytes before a partition at `start` that belong to it: the extended boot record of a logical one.
pub(super) fn lead(part: &Part, start: u64) -> u64 {
    match part.lead {
        Some(lead) if start == part.start => lead,
        Some(_) => ALIGNMENT,
        None => 0,
    }
}
