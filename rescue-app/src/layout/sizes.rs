//! Sizes for partitions, so that they fit.

use crate::bytes::Extent;

use super::pack::{Stuck, pack};
use super::{ALIGNMENT, Misfit, Mode, Part, Wishes};

/// Steps between nothing and all of what partitions may shrink or grow by.
const STEPS: u64 = 1 << 32;

/// Sizes and places, by the rules of [`super`].
pub(super) fn find(
    parts: &[&Part],
    room: Extent,
    wishes: &Wishes,
) -> Result<(Vec<u64>, Vec<u64>), Misfit> {
    check(parts, wishes)?;
    let wished: Vec<u64> = parts
        .iter()
        .map(|part| match wishes.size_of(part.number) {
            Some(size) if size != part.size => size.next_multiple_of(ALIGNMENT),
            _ => part.size,
        })
        .collect();
    let placed = |sizes: &[u64]| pack(parts, sizes, room).ok();
    if let Some(starts) = placed(&wished) {
        let growing = growing(parts, wishes);
        if growing.is_empty() {
            return Ok((wished, starts));
        }
        // What has its place does not make room for others in front of it.
        let has_places = parts.iter().zip(&starts).all(|(part, start)| part.start == *start);
        let fits = |sizes: &[u64]| {
            let found = placed(sizes)?;
            let moves_up = found.iter().zip(&starts).all(|(now, before)| now >= before);
            (moves_up || !has_places).then_some(found)
        };
        let step = last_that(|step| fits(&grown(parts, &wished, &growing, room, step)).is_some());
        let sizes = grown(parts, &wished, &growing, room, step);
        return fits(&sizes)
            .map(|starts| (sizes, starts))
            .ok_or_else(|| too_small(parts, &wished, room));
    }
    let least = shrunk(parts, &wished, wishes, STEPS);
    if wishes.mode == Some(Mode::Keep) || placed(&least).is_none() {
        let floor = if wishes.mode == Some(Mode::Keep) { &wished } else { &least };
        return Err(too_small(parts, floor, room));
    }
    // The less they shrink the better: from the end where all fit, as far back as they still do.
    let back = last_that(|step| placed(&shrunk(parts, &wished, wishes, STEPS - step)).is_some());
    let sizes = shrunk(parts, &wished, wishes, STEPS - back);
    placed(&sizes).map(|starts| (sizes, starts)).ok_or_else(|| too_small(parts, &least, room))
}

/// Refuses wishes that name no partition, or that contradict it or each other.
fn check(parts: &[&Part], wishes: &Wishes) -> Result<(), Misfit> {
    let sized = wishes.sizes.iter().map(|(number, _)| *number);
    for number in sized.chain(wishes.grow.iter().chain(&wishes.shrink).copied()) {
        if !parts.iter().any(|part| part.number == number && part.wanted) {
            return Err(Misfit::Wish(format!(
                "partition {number} is not among those that are restored"
            )));
        }
        let asked = [
            wishes.size_of(number).is_some(),
            wishes.grow.contains(&number),
            wishes.shrink.contains(&number),
        ];
        if asked.iter().filter(|asked| **asked).count() > 1 {
            return Err(Misfit::Wish(format!("two sizes are asked for of partition {number}")));
        }
    }
    for (number, size) in &wishes.sizes {
        let part = parts.iter().find(|part| part.number == *number);
        if let Some(part) = part.filter(|part| part.least > *size) {
            return Err(Misfit::Wish(format!(
                "partition {number} cannot have {size} bytes: it needs at least {}",
                part.least
            )));
        }
    }
    let cannot = wishes.shrink.iter().find_map(|number| {
        parts.iter().find(|part| part.number == *number && part.least >= part.size)
    });
    match cannot {
        Some(part) => {
            Err(Misfit::Wish(format!("partition {} cannot be made smaller", part.number)))
        }
        None => Ok(()),
    }
}

/// The partitions that take what room is left: those that were named, or with [`Mode::Fit`] the
/// largest that may, when no other size was asked for.
fn growing(parts: &[&Part], wishes: &Wishes) -> Vec<u32> {
    let silent = wishes.sizes.is_empty() && wishes.shrink.is_empty();
    if !wishes.grow.is_empty() || wishes.mode != Some(Mode::Fit) || !silent {
        return wishes.grow.clone();
    }
    // Nothing is won in front of one that cannot make way.
    let fixed = parts.iter().rposition(|part| part.fixed.is_some()).unwrap_or(0);
    let may = parts.iter().skip(fixed).filter(|part| part.grows && part.wanted);
    may.max_by_key(|part| part.size).map(|part| part.number).into_iter().collect()
}

/// The sizes with `step` of [`STEPS`] of the room added to the growing partitions, in proportion to
/// their sizes.
fn grown(parts: &[&Part], sizes: &[u64], growing: &[u32], room: Extent, step: u64) -> Vec<u64> {
    let grows = |part: &Part| growing.contains(&part.number);
    let together: u64 =
        parts.iter().zip(sizes).filter(|(part, _)| grows(part)).map(|(_, size)| *size).sum();
    let share = |size: u64| {
        let more = u128::from(room.len()) * u128::from(step) / u128::from(STEPS);
        let more = more * u128::from(size) / u128::from(together.max(1));
        let whole = size.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        (whole / ALIGNMENT * ALIGNMENT).max(size)
    };
    let each = parts.iter().zip(sizes);
    each.map(|(part, size)| if grows(part) { share(*size) } else { *size }).collect()
}

/// The sizes with `step` of [`STEPS`] of what can go taken away from the partitions that may shrink.
fn shrunk(parts: &[&Part], sizes: &[u64], wishes: &Wishes, step: u64) -> Vec<u64> {
    let fixed = parts.iter().rposition(|part| part.fixed.is_some()).unwrap_or(0);
    let each = parts.iter().zip(sizes).enumerate();
    each.map(|(at, (part, size))| {
        let may = match wishes.shrink.as_slice() {
            [] => {
                let is_asked = wishes.grow.contains(&part.number);
                wishes.size_of(part.number).is_none() && !is_asked && at >= fixed
            }
            named => named.contains(&part.number),
        };
        if !may || part.least >= *size {
            return *size;
        }
        let gone = u128::from(size - part.least) * u128::from(step) / u128::from(STEPS);
        let left = size.saturating_sub(u64::try_from(gone).unwrap_or(u64::MAX));
        left.next_multiple_of(ALIGNMENT).min(*size)
    })
    .collect()
}

/// The last step for which something holds that holds for the first ones.
fn last_that(holds: impl Fn(u64) -> bool) -> u64 {
    let (mut good, mut bad) = (0, STEPS + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if holds(middle) { good = middle } else { bad = middle }
    }
    good
}

/// The refusal, with the least end of the room in which partitions of these sizes find places.
fn too_small(parts: &[&Part], sizes: &[u64], room: Extent) -> Misfit {
    let fits = |end: u64| pack(parts, sizes, Extent { end, ..room });
    let taken = |part: &&Part| part.start.saturating_add(part.size);
    let most = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size + 3 * ALIGNMENT));
    let (mut small, mut large) =
        (0, parts.iter().map(taken).max().unwrap_or(0).saturating_add(most));
    if let Err(Stuck::Fixed(number, why)) = fits(large) {
        return Misfit::Wish(format!(
            "partition {number} must not move ({why}), and there is no room before it for what is \
             asked for"
        ));
    }
    while large - small > 1 {
        let middle = small + (large - small) / 2;
        if fits(middle).is_ok() { large = middle } else { small = middle }
    }
    let fixed = match fits(small) {
        Err(Stuck::Fixed(number, why)) => Some((number, why)),
        _ => None,
    };
    Misfit::TooSmall { least_end: large, fixed }
}
