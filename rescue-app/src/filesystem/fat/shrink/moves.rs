//! Old and new numbers of clusters.

use std::cmp::Reverse;

use super::super::super::space::{Bits, Space};
use super::RESERVED;

/// Clusters behind the new end of which each is followed by the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    from: u32,
    len: u32,
    /// What the table says of the last one: an old number, or the mark of an end.
    next: u32,
}

impl Piece {
    /// Appends a cluster, in ascending order, and what the table says of it.
    pub(super) fn add(pieces: &mut Vec<Self>, number: u32, next: u32) {
        match pieces.last_mut() {
            Some(last) if last.next == number && last.from + last.len == number => {
                last.len += 1;
                last.next = next;
            }
            _ => pieces.push(Self { from: number, len: 1, next }),
        }
    }
}

/// Clusters that get other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) len: u32,
    /// As of a [`Piece`].
    pub(super) next: u32,
}

/// All of them, by their old numbers.
pub(super) struct Moves(Vec<Move>);

impl Moves {
    /// Places for the pieces among the clusters that are not marked, the longest first: in one hole each, or in
    /// as few as can be. `None` when there are not so many.
    pub(super) fn find(taken: &Bits, mut pieces: Vec<Piece>) -> Option<Self> {
        pieces.sort_unstable_by_key(|piece| (Reverse(piece.len), piece.from));
        let mut space = Space::of(taken);
        let mut moves = Vec::new();
        for piece in pieces {
            let mut done = 0;
            for (start, len) in space.take(piece.len.into())? {
                let (start, len) = (u32::try_from(start).ok()?, u32::try_from(len).ok()?);
                let (from, to) = (piece.from + done, start + RESERVED);
                done += len;
                let next = if done < piece.len { piece.from + done } else { piece.next };
                moves.push(Move { from, to, len, next });
            }
        }
        moves.sort_unstable_by_key(|it| it.from);
        Some(Self(moves))
    }

    /// In the order of the new numbers.
    pub(super) fn by_place(&self) -> Vec<Move> {
        let mut moves = self.0.clone();
        moves.sort_unstable_by_key(|it| it.to);
        moves
    }

    /// The number that a cluster has now; of what does not move, or is the mark of an end, the same.
    pub(super) fn now(&self, number: u32) -> u32 {
        let before = self.0.partition_point(|it| it.from <= number);
        let found = before.checked_sub(1).and_then(|at| self.0.get(at));
        match found.map(|it| (it, number - it.from)) {
            Some((it, inside)) if inside < it.len => it.to + inside,
            _ => number,
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_wherever_they_go() {
        let mut pieces = Vec::new();
        for (number, next) in [(20, 21), (21, 22), (22, 30), (23, 0xfff), (30, 31), (31, 23)] {
            Piece::add(&mut pieces, number, next);
        }
        let piece = |from, len, next| Piece { from, len, next };
        assert_eq!(pieces, [piece(20, 3, 30), piece(23, 1, 0xfff), piece(30, 2, 23)]);
        // Free are the clusters 4, 5, 9, 11, 12 and 13.
        let mut taken = Bits::free(18).unwrap();
        for (start, end) in [(0, 2), (4, 7), (8, 9), (12, 18)] {
            taken.take(start, end);
        }
        let moves = Moves::find(&taken, pieces.clone()).unwrap();
        let now: Vec<u32> = [20, 21, 22, 30, 31, 23].map(|old| moves.now(old)).to_vec();
        assert_eq!(now, [11, 12, 13, 4, 5, 9]);
        assert_eq!([19, 24, 29, 32, 0xfff].map(|old| moves.now(old)), [19, 24, 29, 32, 0xfff]);
        // One less: the longest is in two.
        taken.take(11, 12);
        pieces.remove(1);
        let moves = Moves::find(&taken, pieces.clone()).unwrap();
        let next: Vec<_> = moves.by_place().iter().map(|it| (it.to, it.len, it.next)).collect();
        assert_eq!(moves.0.iter().map(|it| it.len).sum::<u32>(), 5);
        assert!(next.iter().any(|(.., next)| *next == 30), "{next:?}");
        taken.take(7, 8);
        assert!(Moves::find(&taken, pieces).is_none());
    }
}
