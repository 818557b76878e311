//! Whether a repository is whole, and making a damaged one whole again.

mod consistency;
mod repair;

pub use consistency::{CheckReport, Finding};
pub use repair::{Dropped, RebuiltIndex, RepairedPacks};
