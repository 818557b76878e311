//! How far a piece of work has come, how it is stopped, and how many threads do it: the same for every
//! kind of work, and below all of them.

mod event;
mod memory;
mod meter;
mod parallel;
mod reporter;

pub use event::{Cancel, Control, Event, Level, Notice, Phase, Progress, Resume, Shortage};
pub(crate) use memory::available as available_memory;
pub use meter::Meter;
pub(crate) use parallel::{for_each, join, mixed_workers, workers};
pub(crate) use reporter::Reporter;

/// The person asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped on request")]
pub struct Cancelled;

/// Told how many more bytes were dealt with, by any thread; an error asks to stop.
pub type Advance<'a> = &'a (dyn Fn(u64) -> Result<(), Cancelled> + Sync);
