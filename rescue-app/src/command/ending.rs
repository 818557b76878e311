//! How a run ends.

/// How a run ended; `--help` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// All was done.
    Done,
    /// All was done, but not all is there: sectors of the source, room for tidying up.
    NeedsAttention,
    /// A report told of damage.
    Damaged,
}

impl Ending {
    /// Of something that lacks so many bytes, which the captured disk did not give.
    pub(super) fn lacking(unreadable: u64) -> Self {
        if unreadable > 0 { Self::NeedsAttention } else { Self::Done }
    }
}
