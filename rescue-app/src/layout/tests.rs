//! Whatever the table, the disk and the wishes: what every layout keeps.

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// What a partition is made of: free sectors before it, its size in sectors, how much of it can go (of
/// 100), whether it is restored, may not move, and grows.
type Seed = (u64, u64, u64, bool, bool, bool);

fn seed() -> impl Strategy<Value = Seed> {
    let gap = prop_oneof![Just(0u64), 1u64..300, (1u64..5).prop_map(|mib| mib * 2048)];
    let size = prop_oneof![1u64..5000, (1u64..200).prop_map(|mib| mib * 2048)];
    (gap, size, 0u64..=100, prop::bool::weighted(0.8), prop::bool::weighted(0.1), any::<bool>())
}

/// Partitions in a row, `logical` of them inside an extended one, and that.
fn disk(seeds: &[Seed], logical: &std::ops::Range<usize>) -> (Vec<Part>, Option<Position>) {
    let mut end = 2048 * SECTOR;
    let mut parts = Vec::new();
    let mut primary = 0..;
    let mut inner = 5..;
    let mut frame: Option<Position> = None;
    for (at, &(gap, size, less, wanted, fixed, grows)) in seeds.iter().enumerate() {
        let is_logical = logical.contains(&at);
        let gap = gap.max(u64::from(is_logical)) * SECTOR;
        if is_logical && frame.is_none() {
            frame = Some(Position { number: 4, start: end, size: 0, record: 0 });
        }
        let (start, size) = (end + gap, size * SECTOR);
        let number = if is_logical { inner.next() } else { primary.next().map(|n| n + 20) };
        let least = (size - size * less / 100).next_multiple_of(SECTOR).clamp(SECTOR, size);
        parts.push(Part {
            number: number.unwrap(),
            start,
            size,
            least,
            shrunk: (least * less / 100).next_multiple_of(SECTOR).clamp(SECTOR, least),
            wanted,
            fixed: fixed.then_some("it is fixed"),
            grows,
            lead: is_logical.then_some(gap.min(ALIGNMENT)),
        });
        end = start + size;
        if let Some(frame) = frame.as_mut().filter(|_| is_logical) {
            frame.size = end - frame.start;
        }
    }
    (parts, frame)
}

/// Mode, and the places of partitions that grow, that shrink, and one with its size in MiB.
type Wished = (Option<Mode>, Vec<usize>, Vec<usize>, Option<(usize, u64)>);

fn wishes() -> impl Strategy<Value = Wished> {
    let mode = prop_oneof![Just(None), Just(Some(Mode::Keep)), Just(Some(Mode::Fit))];
    let some = || prop::collection::vec(0usize..9, 0..2);
    (mode, some(), some(), prop::option::weighted(0.2, (0usize..9, 1u64..300)))
}

fn room(end: u64) -> Room {
    Room { first: 34 * SECTOR, end, behind: 33 * SECTOR }
}

/// What holds of every layout.
fn check(parts: &[Part], layout: &Layout, room: Room) -> Result<(), TestCaseError> {
    let frame =
        layout.placed.iter().find(|it| parts.iter().all(|p| p.number != it.position.number));
    let mut end = 0;
    let mut order = Vec::new();
    for placed in layout.placed.iter().filter(|it| Some(*it) != frame) {
        let new = placed.position;
        let old = parts.iter().find(|part| part.number == new.number).unwrap();
        let at = parts.iter().position(|part| part.number == new.number).unwrap();
        prop_assert!(order.last().is_none_or(|before| *before < at), "order");
        order.push(at);
        prop_assert!(new.start >= end, "overlap");
        end = new.start + new.size;
        if new.start != old.start {
            prop_assert!(new.start % MIB == 0, "not aligned");
            prop_assert!(old.fixed.is_none(), "moved what must not move");
            prop_assert!(new.start >= room.first);
        }
        prop_assert!(new.size > 0 && (!placed.wanted || new.size >= old.shrunk), "too small");
        prop_assert!(
            [old.size, old.least, old.shrunk].contains(&new.size)
                || new.size % MIB == 0
                || !placed.wanted
        );
        if old.lead.is_some() {
            let frame = frame.unwrap().position;
            prop_assert!(frame.start <= new.record && end <= frame.start + frame.size);
            prop_assert!(new.record < new.start, "no room for a record");
            let inside = |it: &&Placed| {
                Some(*it) != frame_of(layout, parts)
                    && (it.position.start..it.position.start + it.position.size)
                        .contains(&new.record)
            };
            prop_assert!(layout.placed.iter().find(inside).is_none(), "a record in a partition");
        }
    }
    prop_assert!(end <= room.end, "behind the room");
    if let Some(frame) = frame {
        let (start, end) = (frame.position.start, frame.position.start + frame.position.size);
        for other in layout.placed.iter().filter(|it| Some(*it) != Some(frame)) {
            let is_logical =
                parts.iter().any(|p| p.number == other.position.number && p.lead.is_some());
            let apart =
                other.position.start >= end || other.position.start + other.position.size <= start;
            prop_assert!(is_logical != apart, "the extended partition is over others");
        }
    }
    for part in parts {
        let there = layout.position(part.number).is_some();
        prop_assert!(there != layout.left_out.contains(&part.number));
        prop_assert!(there || !part.wanted, "left out though it is restored");
    }
    Ok(())
}

fn frame_of<'l>(layout: &'l Layout, parts: &[Part]) -> Option<&'l Placed> {
    layout.placed.iter().find(|it| parts.iter().all(|p| p.number != it.position.number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_layout_keeps_the_rules(
        seeds in prop::collection::vec(seed(), 1..9),
        first in 0usize..9, count in 0usize..5,
        percent in 1u64..200,
        (mode, grow, shrink, size) in wishes(),
    ) {
        let (parts, frame) = disk(&seeds, &(first..first + count));
        let number = |at: &usize| parts.get(*at).map_or(99, |part| part.number);
        let wishes = Wishes {
            mode,
            sizes: size.iter().map(|(at, mib)| (number(at), mib * MIB)).collect(),
            grow: grow.iter().map(number).collect(),
            shrink: shrink.iter().map(number).collect(),
        };
        let last = parts.last().map(|part| part.start + part.size).unwrap();
        let room = room(last * percent / 100 / SECTOR * SECTOR);
        match plan(&parts, frame, room, &wishes) {
            Ok(layout) => {
                check(&parts, &layout, room)?;
                for (number, size) in &wishes.sizes {
                    prop_assert_eq!(layout.position(*number).map(|it| it.size), Some(*size));
                }
                let kept = |part: &Part| Part { shrunk: part.least, ..part.clone() };
                let kept: Vec<Part> = parts.iter().map(kept).collect();
                // No filesystem is made smaller when it fits without.
                if let Ok(without) = plan(&kept, frame, room, &wishes) {
                    prop_assert_eq!(&without, &layout);
                }
                if percent >= 100 && !wishes.ask_for_sizes() {
                    prop_assert!(layout.is_as_captured(&parts));
                }
            }
            Err(Misfit::TooSmall { least_end, .. }) => {
                prop_assert!(least_end > room.end);
                let enough = Room { end: least_end, ..room };
                let layout = plan(&parts, frame, enough, &wishes);
                prop_assert!(layout.is_ok(), "{:?} does not do", least_end);
                check(&parts, &layout.unwrap(), enough)?;
            }
            Err(Misfit::Wish(_)) => prop_assert!(wishes.ask_for_sizes()),
        }
    }
}

fn part(number: u32, start: u64, size: u64, least: u64) -> Part {
    Part {
        number,
        start: start * MIB,
        size: size * MIB,
        least: least * MIB,
        shrunk: least * MIB,
        wanted: true,
        fixed: None,
        grows: false,
        lead: None,
    }
}

fn placed(parts: &[Part], end: u64, wishes: &Wishes) -> Vec<(u32, u64, u64)> {
    let layout = plan(parts, None, room(end * MIB), wishes).unwrap();
    layout
        .placed
        .iter()
        .map(|it| it.position)
        .map(|it| (it.number, it.start / MIB, it.size / MIB))
        .collect()
}

#[test]
fn what_fits_stays_and_what_does_not_moves_as_little_as_needed() {
    let parts = [part(1, 1, 10, 10), part(2, 20, 10, 10), part(3, 40, 10, 10)];
    let none = Wishes::default();
    assert_eq!(placed(&parts, 50, &none), [(1, 1, 10), (2, 20, 10), (3, 40, 10)]);
    assert_eq!(placed(&parts, 45, &none), [(1, 1, 10), (2, 20, 10), (3, 35, 10)]);
    assert_eq!(placed(&parts, 35, &none), [(1, 1, 10), (2, 15, 10), (3, 25, 10)]);
    let misfit = plan(&parts, None, room(30 * MIB), &none);
    assert_eq!(misfit, Err(Misfit::TooSmall { least_end: 31 * MIB, fixed: None }));
}

#[test]
fn partitions_shrink_in_proportion_to_what_of_each_can_go() {
    let parts = [part(1, 1, 10, 10), part(2, 11, 100, 20), part(3, 111, 40, 0)];
    // 60 of 151 have to go, of 80 and 40 that can.
    assert_eq!(placed(&parts, 91, &Wishes::default()), [(1, 1, 10), (2, 11, 60), (3, 71, 20)]);
    let only = Wishes { shrink: vec![2], ..Wishes::default() };
    assert_eq!(placed(&parts, 91, &only), [(1, 1, 10), (2, 11, 40), (3, 51, 40)]);
}

#[test]
fn filesystems_are_made_smaller_only_where_nothing_else_does() {
    let mut parts = [part(1, 1, 10, 10), part(2, 11, 100, 80), part(3, 111, 40, 40)];
    parts[1].shrunk = 20 * MIB;
    parts[2].shrunk = 20 * MIB;
    assert_eq!(placed(&parts, 131, &Wishes::default()), [(1, 1, 10), (2, 11, 80), (3, 91, 40)]);
    // 50 have to go, of 80 and 20 that can.
    assert_eq!(placed(&parts, 101, &Wishes::default()), [(1, 1, 10), (2, 11, 60), (3, 71, 30)]);
    assert_eq!(placed(&parts, 51, &Wishes::default()), [(1, 1, 10), (2, 11, 20), (3, 31, 20)]);
    let misfit = plan(&parts, None, room(50 * MIB), &Wishes::default());
    assert_eq!(misfit, Err(Misfit::TooSmall { least_end: 51 * MIB, fixed: None }));
    let sized = Wishes { sizes: vec![(2, 30 * MIB)], ..Wishes::default() };
    assert_eq!(placed(&parts, 200, &sized), [(1, 1, 10), (2, 11, 30), (3, 111, 40)]);
}

#[test]
fn the_largest_that_can_takes_what_a_larger_disk_has_more() {
    let mut parts = [part(1, 1, 10, 10), part(2, 11, 100, 100), part(3, 111, 5, 5)];
    parts[1].grows = true;
    let fit = Wishes { mode: Some(Mode::Fit), ..Wishes::default() };
    assert_eq!(placed(&parts, 216, &fit), [(1, 1, 10), (2, 11, 200), (3, 211, 5)]);
    assert_eq!(placed(&parts, 216, &Wishes::default()), [(1, 1, 10), (2, 11, 100), (3, 111, 5)]);
    let both = Wishes { grow: vec![1, 2], ..Wishes::default() };
    assert_eq!(placed(&parts, 226, &both), [(1, 1, 20), (2, 21, 200), (3, 221, 5)]);
}

#[test]
fn what_must_not_move_is_named() {
    let mut parts = [part(1, 1, 10, 10), part(2, 20, 10, 10)];
    parts[1].fixed = Some("it is fixed");
    let misfit = plan(&parts, None, room(25 * MIB), &Wishes::default());
    let fixed = Some((2, "it is fixed"));
    assert_eq!(misfit, Err(Misfit::TooSmall { least_end: 30 * MIB, fixed }));
}

#[test]
fn only_what_is_restored_counts_and_numbers_stay() {
    let mut parts = [part(1, 1, 10, 10), part(5, 20, 50, 50), part(6, 80, 10, 10)];
    parts[0].wanted = false;
    parts[1].wanted = false;
    for part in &mut parts[1..] {
        part.lead = Some(MIB);
    }
    let frame = Position { number: 4, start: 19 * MIB, size: 71 * MIB, record: 0 };
    let layout = plan(&parts, Some(frame), room(60 * MIB), &Wishes::default()).unwrap();
    assert_eq!(layout.left_out, [1]);
    let sizes: Vec<_> =
        layout.placed.iter().map(|it| (it.position.number, it.position.size / MIB)).collect();
    assert_eq!(sizes, [(4, 41), (5, 1), (6, 10)]);
}
