//! The two directions in which a stretch of disk is read.

use crate::bytes::Extent;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Direction {
    /// The byte of `rest` that is next.
    pub(super) fn edge(self, rest: Extent) -> u64 {
        match self {
            Self::Up => rest.start,
            Self::Down => rest.end.saturating_sub(1),
        }
    }

    /// The next piece of `rest`, at most `most` bytes.
    pub(super) fn piece(self, rest: Extent, most: u64) -> Extent {
        let len = rest.len().min(most.max(1));
        match self {
            Self::Up => Extent { end: rest.start + len, ..rest },
            Self::Down => Extent { start: rest.end - len, ..rest },
        }
    }

    /// The next piece of `rest` that lies within one sector.
    pub(super) fn sector(self, rest: Extent, sector: u64) -> Extent {
        let start = self.edge(rest) / sector * sector;
        Extent { start: start.max(rest.start), end: (start + sector).min(rest.end) }
    }

    /// What of `rest` is left behind `piece`.
    pub(super) fn after(self, rest: Extent, piece: Extent) -> Extent {
        match self {
            Self::Up => Extent { start: piece.end, ..rest },
            Self::Down => Extent { end: piece.start, ..rest },
        }
    }
}
