//! Where the bytes of a volume lie that a container deals out over its own bytes.

use std::io;

use crate::bytes::{Extent, Extents, ReadAt, Window};

use super::used_map::UsedMap;

/// The place of every byte of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    stretches: Vec<Stretch>,
    size: u64,
}

/// Consecutive bytes of the volume, dealt out over columns in turns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    start: u64,
    len: u64,
    /// Bytes that one column takes in its turn; positive.
    stripe: u64,
    /// First byte of each column; `None` where it is on a device that is not there.
    columns: Vec<Option<Spot>>,
}

/// A place on the container, or on a device that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The device's place among the others that are there; `None` for the container itself.
    pub(crate) other: Option<usize>,
    /// Byte on it.
    pub(crate) at: u64,
}

/// Consecutive bytes of the volume that lie together on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// First byte in the volume.
    pub(crate) start: u64,
    /// Length in bytes.
    pub(crate) len: u64,
    /// Its first byte; `None` on a device that is not there.
    pub(crate) at: Option<Spot>,
}

impl Placement {
    /// A volume whose bytes lie together on the container.
    pub(crate) fn at(place: Extent) -> Self {
        let mut placement = Self::default();
        placement.push(place.len(), place.len(), vec![Some(Spot::here(place.start))]);
        placement
    }

    /// Appends `len` bytes that go to the columns in turns of `stripe` bytes. `len` has to be a
    /// multiple of one turn of all columns.
    pub(crate) fn push(&mut self, len: u64, stripe: u64, columns: Vec<Option<Spot>>) {
        if len == 0 || stripe == 0 || columns.is_empty() {
            return;
        }
        self.stretches.push(Stretch { start: self.size, len, stripe, columns });
        self.size = self.size.saturating_add(len);
    }

    /// Length of the volume in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether no stretch of it has several columns.
    pub(crate) fn is_linear(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.columns.len() == 1)
    }

    /// Whether every byte lies on this container.
    pub(crate) fn is_complete(&self) -> bool {
        let mut columns = self.stretches.iter().flat_map(|stretch| &stretch.columns);
        columns.all(|column| column.is_some_and(|spot| spot.other.is_none()))
    }

    /// Whether every byte lies on a device that is there.
    pub(crate) fn is_present(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.columns.iter().all(Option::is_some))
    }

    /// Marks what `used` bytes of the volume take of the container.
    pub(crate) fn translate(&self, used: &Extents, to: &mut UsedMap) {
        for stretch in &self.stretches {
            for part in used.within(stretch.start, stretch.end()) {
                let from = part.start.saturating_sub(stretch.start);
                stretch.translate(from, part.end.saturating_sub(stretch.start), to);
            }
        }
    }

    /// Which bytes of the volume lie in `places` of the container.
    pub(crate) fn translate_back(&self, places: &Extents) -> Extents {
        let mut found = Vec::new();
        for piece in self.pieces(0, self.size) {
            let Some(Spot { other: None, at }) = piece.at else { continue };
            let hit = places.within(at, at.saturating_add(piece.len));
            found.extend(hit.map(|part| {
                (piece.start.saturating_add(part.start.saturating_sub(at)), part.len())
            }));
        }
        Extents::from(found)
    }

    /// The pieces of the volume's bytes `start..end`, in order.
    pub(crate) fn pieces(&self, start: u64, end: u64) -> impl Iterator<Item = Piece> + '_ {
        let end = end.min(self.size);
        let mut at = start;
        let mut index = self.stretches.partition_point(|stretch| stretch.end() <= start);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let mut stretch = self.stretches.get(index)?;
            if at >= stretch.end() {
                index = index.saturating_add(1);
                stretch = self.stretches.get(index)?;
            }
            let piece = stretch.piece(at, end.min(stretch.end()))?;
            at = at.saturating_add(piece.len);
            Some(piece)
        })
    }
}

impl Stretch {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }

    /// Bytes of one turn of all columns.
    fn row(&self) -> u64 {
        self.stripe.saturating_mul(self.columns.len() as u64).max(1)
    }

    /// How many of the stretch's first `count` bytes are column `index`'s.
    fn column_part(&self, index: u64, count: u64) -> u64 {
        let rows = count.checked_div(self.row()).unwrap_or(0);
        let rest = count.checked_rem(self.row()).unwrap_or(0);
        let own = rest.saturating_sub(index.saturating_mul(self.stripe)).min(self.stripe);
        rows.saturating_mul(self.stripe).saturating_add(own)
    }

    /// Consecutive bytes of a stretch are consecutive in each of its columns.
    fn translate(&self, from: u64, to: u64, map: &mut UsedMap) {
        for (index, column) in (0u64..).zip(&self.columns) {
            let Some(Spot { other: None, at: column }) = column else { continue };
            let (first, last) = (self.column_part(index, from), self.column_part(index, to));
            map.add(column.saturating_add(first), column.saturating_add(last));
        }
    }

    /// The longest piece from byte `at` of the volume that ends by `end`.
    fn piece(&self, at: u64, end: u64) -> Option<Piece> {
        let within = at.checked_sub(self.start)?;
        let turn = within.checked_div(self.stripe)?;
        let index = turn.checked_rem(self.columns.len() as u64)?;
        let left = self.stripe.checked_sub(within.checked_rem(self.stripe)?)?;
        let column = *self.columns.get(usize::try_from(index).ok()?)?;
        let len = left.min(end.checked_sub(at)?);
        let skipped = self.column_part(index, within);
        let spot = column.map(|spot| Spot { at: spot.at.saturating_add(skipped), ..spot });
        (len > 0).then_some(Piece { start: at, len, at: spot })
    }
}

impl Spot {
    /// A place on the container itself.
    pub(crate) fn here(at: u64) -> Self {
        Self { other: None, at }
    }
}

/// The volume, read through its container.
pub(crate) struct View<'a> {
    /// The container.
    pub(crate) container: &'a dyn ReadAt,
    /// Other devices that bytes of the volume lie on.
    pub(crate) others: &'a [Window<'a>],
    /// Where the volume's bytes lie on it.
    pub(crate) placement: &'a Placement,
}

impl ReadAt for View<'_> {
    fn size(&self) -> u64 {
        self.placement.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut rest = buf;
        for piece in self.placement.pieces(offset, end) {
            let len = usize::try_from(piece.len).map_err(io::Error::other)?;
            let (part, next) =
                rest.split_at_mut_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
            let missing = || io::Error::other("it lies on another device");
            let Spot { other, at } = piece.at.ok_or_else(missing)?;
            match other {
                None => self.container.read_at(at, part)?,
                Some(other) => self.others.get(other).ok_or_else(missing)?.read_at(at, part)?,
            }
            rest = next;
        }
        if rest.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows, stripe and columns of each stretch; columns follow each other on the container.
    fn placed(stretches: &[(u64, u64, usize)]) -> (Placement, Vec<u8>, Vec<u8>) {
        let mut placement = Placement::default();
        let (mut container, mut volume) = (Vec::new(), Vec::new());
        for (seed, &(rows, stripe, columns)) in (0u64..).zip(stretches) {
            let bases: Vec<u64> =
                (0..columns as u64).map(|i| container.len() as u64 + i * rows * stripe).collect();
            let len = rows * stripe * columns as u64;
            let fresh: Vec<u8> = (0..len).map(|at| (at * 7 + seed).to_le_bytes()[0]).collect();
            container.extend_from_slice(&fresh);
            for row in 0..rows {
                for base in &bases {
                    let at = usize::try_from(base + row * stripe).unwrap();
                    let len = usize::try_from(stripe).unwrap();
                    volume.extend_from_slice(&container[at..at + len]);
                }
            }
            placement.push(len, stripe, bases.into_iter().map(Spot::here).map(Some).collect());
        }
        (placement, container, volume)
    }

    proptest! {
        #[test]
        fn reading_and_translating_agree_with_dealing_out(
            stretches in prop::collection::vec((1u64..5, 1u64..6, 1usize..4), 1..5),
            range in (0u64..200, 0u64..200),
        ) {
            let (placement, container, volume) = placed(&stretches);
            let size = volume.len() as u64;
            prop_assert_eq!(placement.size(), size);
            let view = View { container: &container, others: &[], placement: &placement };
            let (start, end) = (range.0.min(range.1).min(size), range.0.max(range.1).min(size));
            let len = usize::try_from(end - start).unwrap();
            let expected = &volume[usize::try_from(start).unwrap()..][..len];
            prop_assert_eq!(view.read_vec(start, len).unwrap(), expected);
            prop_assert!(view.read_vec(size, 1).is_err());

            let mut map = UsedMap::new();
            placement.translate(&Extents::of(start, end), &mut map);
            let there = map.finish();
            prop_assert_eq!(placement.translate_back(&there), Extents::of(start, end));
            let mut byte_by_byte = UsedMap::new();
            for at in start..end {
                let piece = placement.pieces(at, at + 1).next().unwrap();
                let place = piece.at.unwrap().at;
                prop_assert_eq!(piece.len, 1);
                byte_by_byte.add(place, place + 1);
            }
            prop_assert_eq!(there, byte_by_byte.finish());
        }
    }

    #[test]
    fn what_lies_elsewhere_cannot_be_read() {
        let mut placement = Placement::default();
        placement.push(4, 4, vec![Some(Spot::here(2))]);
        placement.push(4, 4, vec![Some(Spot { other: Some(0), at: 1 })]);
        let container: Vec<u8> = (0..8).collect();
        let view = View { container: &container, others: &[], placement: &placement };
        assert_eq!(view.read_vec(1, 3).unwrap(), [3, 4, 5]);
        assert!(view.read_vec(3, 2).is_err() && !placement.is_complete());
        assert!(placement.is_present());
        let other: Vec<u8> = (100..108).collect();
        let others = [Window::new(&other, 0, 8)];
        let view = View { others: &others, ..view };
        assert_eq!(view.read_vec(3, 3).unwrap(), [5, 101, 102]);
        let mut map = UsedMap::new();
        placement.translate(&Extents::of(3, 6), &mut map);
        assert_eq!(map.finish(), Extents::of(5, 6));
        placement.push(4, 4, vec![None]);
        assert!(!placement.is_present());
    }
}
