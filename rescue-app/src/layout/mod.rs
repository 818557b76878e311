//! Where the partitions of a captured disk go on a disk of another size.
//!
//! [`plan`] is a pure function: from the partitions as they were ([`Part`]), the room that the new disk
//! leaves them ([`Room`]) and what a person wishes ([`Wishes`]) to each one's new place and size, or why
//! they do not fit, with the least size that would do ([`Misfit`]). Its rules, in the order in which they count:
//!
//! * What fits in its place stays there.
//! * A partition that has to move goes as little as needed, to a whole mebibyte; order and numbers stay.
//! * What must not move does not ([`Part::fixed`]).
//! * Partitions that are not restored are left out once anything has to change. A logical one in
//!   front of others is left as an empty one of a mebibyte: theirs would get other numbers.
//! * On a disk that is too small, partitions shrink in proportion to what of each could go: first of all what
//!   lies behind their filesystems, and only where that does not do, filesystems are made smaller.
//! * With [`Mode::Fit`], the largest partition whose filesystem can grow takes what a larger disk has
//!   more; those behind it move to the end.
//!
//! `parts` reads the partitions out of a manifest, `fields` makes the bytes that tell a partition's place
//! or size inside it, and `outside` decides on what lies between partitions.

mod fields;
mod outside;
mod pack;
mod parts;
mod sizes;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::bytes::Extent;
use crate::table::{Position, Room};

pub use fields::{patches, place_patches, swap_patches};
pub use outside::{Outside, outside};
pub use parts::{frame, is_shrunk, least_size, obstacle, parts, shrunk_size};

/// What moved partitions are aligned to, bytes; what `fdisk`, `parted` and Windows align to.
pub const ALIGNMENT: u64 = 1 << 20;

/// A partition as it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// The least size that its content allows as it is, bytes.
    pub least: u64,
    /// The least size that its filesystem can be given, bytes; `least` where it keeps its size.
    pub shrunk: u64,
    /// Whether it is restored.
    pub wanted: bool,
    /// Why it must stay where it is.
    pub fixed: Option<&'static str>,
    /// Whether it is the kind of partition that takes what a larger disk has more.
    pub grows: bool,
    /// Of a logical partition the bytes before it that its extended boot record may take; at most
    /// [`ALIGNMENT`].
    pub lead: Option<u64>,
}

/// What is done about the difference of the two disks' sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Every partition keeps its size.
    Keep,
    /// Partitions shrink on a smaller disk and grow on a larger one.
    Fit,
}

/// What a person wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What is done about another size; where nothing is said, a smaller disk is fitted, and a larger one
    /// as far as that can be done.
    pub mode: Option<Mode>,
    /// Sizes of partitions by their numbers, bytes.
    pub sizes: Vec<(u32, u64)>,
    /// Partitions that take what room is left.
    pub grow: Vec<u32>,
    /// Partitions that may shrink, when others may not.
    pub shrink: Vec<u32>,
}

impl Wishes {
    /// Whether other sizes are asked for than those that were captured.
    pub fn ask_for_sizes(&self) -> bool {
        self.mode == Some(Mode::Fit) || self.name_partitions()
    }

    /// Whether something is said of single partitions.
    pub fn name_partitions(&self) -> bool {
        let named = [self.sizes.len(), self.grow.len(), self.shrink.len()];
        named.iter().any(|count| *count > 0)
    }

    fn size_of(&self, number: u32) -> Option<u64> {
        self.sizes.iter().find(|(wished, _)| *wished == number).map(|(_, size)| *size)
    }
}

/// A partition on the new disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it is.
    pub position: Position,
    /// Whether it is restored; else it stands in the table only.
    pub wanted: bool,
}

/// The partitions on the new disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Those that the table will have, extended ones besides, in the order of the disk.
    pub placed: Vec<Placed>,
    /// Numbers of those that it will not have any more.
    pub left_out: Vec<u32>,
}

impl Layout {
    /// The place of the partition `number`.
    pub fn position(&self, number: u32) -> Option<&Position> {
        let mut positions = self.placed.iter().map(|placed| &placed.position);
        positions.find(|position| position.number == number)
    }

    /// Whether each of the partitions is where it was, with the size that it had.
    pub fn is_as_captured(&self, parts: &[Part]) -> bool {
        let is_same = |part: &Part| {
            self.position(part.number)
                .is_some_and(|new| (new.start, new.size) == (part.start, part.size))
        };
        parts.iter().all(is_same)
    }
}

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Not enough room.
    #[error("the partitions need {least_end} bytes")]
    TooSmall {
        /// One past the last byte that they take when they are as small as can be.
        least_end: u64,
        /// The partition that is in the way of a smaller disk, where one must not move, and why.
        fixed: Option<(u32, &'static str)>,
    },
    /// A wish that cannot be fulfilled.
    #[error("{0}")]
    Wish(String),
}

/// Places the partitions, which are given in the order of the disk, in `room`. `frame` is the
/// extended partition around the logical ones.
///
/// # Errors
/// When they do not fit, or a wish cannot be fulfilled.
pub fn plan(
    parts: &[Part],
    frame: Option<Position>,
    room: Room,
    wishes: &Wishes,
) -> Result<Layout, Misfit> {
    let found = place(parts, frame, room, wishes);
    if found.is_ok() || parts.iter().all(|part| part.shrunk >= part.least) {
        return found;
    }
    let shrunk: Vec<Part> = parts
        .iter()
        .map(|part| Part { least: part.least.min(part.shrunk), ..part.clone() })
        .collect();
    place(&shrunk, frame, room, wishes)
}

/// [`plan`], with no partition smaller than [`Part::least`].
fn place(
    parts: &[Part],
    frame: Option<Position>,
    room: Room,
    wishes: &Wishes,
) -> Result<Layout, Misfit> {
    let inside = Extent { start: room.first, end: room.end };
    let all: Vec<&Part> = parts.iter().collect();
    let as_they_are: Vec<u64> = all.iter().map(|part| part.size).collect();
    if !wishes.ask_for_sizes()
        && let Ok(starts) = pack::pack(&all, &as_they_are, inside)
        && is_in_place(&all, &starts)
    {
        return Ok(layout(parts, &all, &as_they_are, &starts, frame, inside));
    }
    let kept = kept(parts);
    let kept: Vec<&Part> = kept.iter().collect();
    let (sizes, starts) = sizes::find(&kept, inside, wishes)?;
    Ok(layout(parts, &kept, &sizes, &starts, frame, inside))
}

fn is_in_place(parts: &[&Part], starts: &[u64]) -> bool {
    parts.iter().zip(starts).all(|(part, start)| part.start == *start)
}

/// The partitions that stay in the table of a disk on which something changes.
fn kept(parts: &[Part]) -> Vec<Part> {
    let last_logical = parts.iter().filter(|part| part.wanted && part.lead.is_some());
    let last_logical = last_logical.map(|part| part.number).max().unwrap_or(0);
    let holds_number = |part: &Part| part.lead.is_some() && part.number < last_logical;
    let kept = parts.iter().filter(|part| part.wanted || holds_number(part));
    kept.map(|part| match part.wanted {
        true => part.clone(),
        false => {
            let size = part.size.min(ALIGNMENT);
            Part { size, least: size, shrunk: size, ..part.clone() }
        }
    })
    .collect()
}

fn layout(
    parts: &[Part],
    kept: &[&Part],
    sizes: &[u64],
    starts: &[u64],
    frame: Option<Position>,
    room: Extent,
) -> Layout {
    let at = kept.iter().zip(sizes).zip(starts);
    let mut placed: Vec<Placed> = at
        .map(|((part, size), start)| Placed {
            position: Position {
                number: part.number,
                start: *start,
                size: *size,
                record: start.saturating_sub(pack::lead(part, *start)),
            },
            wanted: part.wanted,
        })
        .collect();
    let position = |number: u32| placed.iter().any(|placed| placed.position.number == number);
    let mut left_out: Vec<u32> =
        parts.iter().map(|part| part.number).filter(|number| !position(*number)).collect();
    if let Some(frame) = frame {
        match around(frame, kept, &placed, room) {
            Some((at, frame)) => placed.insert(at, Placed { position: frame, wanted: false }),
            None => left_out.push(frame.number),
        }
    }
    let first_record =
        placed.iter().find(|it| Some(it.position.number) == frame.map(|it| it.number));
    let first_record = first_record.map(|frame| frame.position.start);
    apart(&mut placed, kept, first_record);
    Layout { placed, left_out }
}

/// The extended partition around the logical ones, and its place among the others; `None` where
/// there are none. It stays as it is as far as its neighbours let it.
fn around(
    frame: Position,
    kept: &[&Part],
    placed: &[Placed],
    room: Extent,
) -> Option<(usize, Position)> {
    let is_logical = |part: &&Part| part.lead.is_some();
    let first = kept.iter().position(&is_logical)?;
    let last = kept.iter().rposition(is_logical)?;
    let end =
        |at: usize| placed.get(at).map(|it| it.position.start.saturating_add(it.position.size));
    let before = first.checked_sub(1).and_then(end).unwrap_or(room.start);
    let behind = placed.get(last + 1).map_or(room.end, |next| next.position.start);
    let record = placed.get(first)?.position.record;
    let start = if frame.start >= before && frame.start <= record { frame.start } else { record };
    let content_end = end(last)?;
    let old_end = frame.start.saturating_add(frame.size);
    let end = if (content_end..=behind).contains(&old_end) { old_end } else { content_end };
    let size = end.saturating_sub(start);
    Some((first, Position { number: frame.number, start, size, record: 0 }))
}

/// The chain begins at the start of the extended partition. Where its first partition is not
/// the first on the disk, the one that is has its record in the sector behind.
fn apart(placed: &mut [Placed], kept: &[&Part], first_record: Option<u64>) {
    const RECORD: u64 = 4096;
    let first = kept.iter().filter(|part| part.lead.is_some()).map(|part| part.number).min();
    for placed in placed {
        let Position { number, record, .. } = &mut placed.position;
        if Some(*record) == first_record && Some(*number) != first && *record != 0 {
            *record = record.saturating_add(RECORD);
        }
    }
}
