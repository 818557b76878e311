//! What a repository is looked for.

use crate::operation::{ImageSummary, Survey};
use crate::tui::model::Repository;
use crate::tui::page::Then;

/// A repository that opens, and the images in it, newest first.
pub(in crate::tui) type Opened = (Repository, Vec<ImageSummary>);

/// What the person is up to while choosing a repository.
#[derive(Clone)]
pub(in crate::tui) struct Errand {
    /// The first word of page titles.
    pub(in crate::tui) title: &'static str,
    /// The disk that is to be stored in it, if one is.
    pub(in crate::tui) source: Option<Box<Survey>>,
    /// What follows once it is open.
    pub(in crate::tui) then: Then<Opened>,
}

impl Errand {
    /// Whether the repository will be written to.
    pub(super) fn stores(&self) -> bool {
        self.source.is_some()
    }
}
