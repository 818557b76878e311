//! What Lifeboat does: blocking functions with typed events, shared by menu and command line.

mod event;
pub mod format;
mod meter;

pub use event::{Cancel, Control, Event, Level, Notice, Phase, Progress};
pub use meter::Meter;
