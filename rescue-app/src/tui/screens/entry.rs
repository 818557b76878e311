//! A field whose text is acted upon, and what came of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::Reply;
use crate::tui::model::Failure;
use crate::tui::page::Action;
use crate::tui::widgets::{Field, below};

/// The field, and the work that its text is given to.
pub(super) struct Entry {
    pub(super) field: Field,
    /// It is under way.
    pub(super) working: bool,
    /// Why it did not succeed.
    pub(super) failure: Option<Failure>,
}

/// What a key did to an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Nothing that matters.
    Nothing,
    /// The text changed.
    Changed,
    /// The text is what was meant.
    Finished,
}

impl Entry {
    /// An entry with nothing under way.
    pub(super) fn new(field: Field) -> Self {
        Self { field, working: false, failure: None }
    }

    /// Takes a key, unless the work is under way.
    pub(super) fn on_key(&mut self, key: Key) -> Typed {
        match key {
            _ if self.working => Typed::Nothing,
            Key::Enter => Typed::Finished,
            key if self.field.on_key(key) => Typed::Changed,
            _ => Typed::Nothing,
        }
    }

    /// Takes the end of the work: success leads back.
    pub(super) fn on_done(&mut self, reply: Reply) -> Action {
        self.working = false;
        match reply {
            Reply::Done(Ok(())) => return Action::Back,
            Reply::Done(Err(failure)) => self.failure = Some(failure),
            _ => {}
        }
        Action::None
    }

    /// Draws the field into the first row of `area`, if there is one; what is left is below it.
    pub(super) fn render(&self, area: Rect, buffer: &mut Buffer, look: Look) -> Rect {
        if area.height > 0 {
            self.field.render(!self.working, Rect { height: 1, ..area }, buffer, look);
        }
        below(area, 1)
    }
}
