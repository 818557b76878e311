//! What a page of the menu is, and what it can ask for.

use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::key::Key;
use super::look::Look;
use super::machine::{Reply, Request};
use crate::operation::Event;

/// One page. Pages never block and never touch the machine: they fold keys and replies into
/// themselves and return an [`Action`].
pub(super) trait Page: Send {
    /// The path to it, for the frame: `Capture: choose the disk`.
    fn title(&self) -> String;

    /// The keys that do something now, most important first.
    fn hints(&self) -> Vec<Hint>;

    /// What a person should know here, for the help window; one paragraph each.
    fn help(&self) -> &'static [&'static str];

    /// The page came into view: newly, or because the one above it was left.
    fn on_open(&mut self) -> Action {
        Action::None
    }

    /// A key other than Esc and the help key.
    fn on_key(&mut self, key: Key, context: &Context) -> Action;

    /// Esc.
    fn on_escape(&mut self) -> Action {
        Action::Back
    }

    /// A request of this page was answered.
    fn on_reply(&mut self, _reply: Reply, _context: &Context) -> Action {
        Action::None
    }

    /// A job of this page moved on.
    fn on_progress(&mut self, _event: &Event, _context: &Context) {}

    /// A quarter of a second passed.
    fn on_tick(&mut self, _context: &Context) -> Action {
        Action::None
    }

    /// A question asked by this page was answered.
    fn on_answer(&mut self, _yes: bool) -> Action {
        Action::None
    }

    /// Whether the page shows something that moves by itself.
    fn is_busy(&self) -> bool {
        false
    }

    /// Whether letters are text now, not accelerators.
    fn takes_text(&self) -> bool {
        false
    }

    /// Size of the window in which the page is drawn over the page below; `None` for a full page.
    fn window(&self) -> Option<(u16, u16)> {
        None
    }

    /// Draws the page into `area`.
    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration);
}

/// A key and what it does, for the last line of the screen.
pub(super) type Hint = (&'static str, &'static str);

/// What a page may need to know when something happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// Time since the menu started.
    pub(super) now: Duration,
    /// The area the page is drawn in.
    pub(super) body: Rect,
}

/// What is to happen after a page handled something.
pub(super) enum Action {
    /// Nothing.
    None,
    /// Open a page above this one.
    Push(Box<dyn Page>),
    /// Open a page instead of this one.
    Replace(Box<dyn Page>),
    /// Return to the page below.
    Back,
    /// Return to the main menu.
    Home,
    /// Ask the machine; the reply comes to this page.
    Ask(Box<Request>),
    /// Stop what this page asked for at the next safe point.
    Cancel,
    /// Let what this page asked for try again to store what did not fit.
    Resume,
    /// Return to the page below and tell it the answer to its question.
    Answer(bool),
    /// Leave the menu for a while or for good.
    Leave(Exit),
}

impl Action {
    /// The same, but a page that opens takes the place of this one.
    pub(super) fn replacing(self) -> Self {
        match self {
            Self::Push(page) => Self::Replace(page),
            other => other,
        }
    }
}

/// Ways out of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The program ends.
    Quit,
    /// A command line, then back to the menu.
    Shell,
    /// The computer starts again.
    Reboot,
    /// The computer is switched off.
    PowerOff,
}

/// What follows once a page has what it asks for: pages do not know each other, a verb lines them up.
pub(super) struct Then<T>(Arc<dyn Fn(T) -> Action + Send + Sync>);

impl<T> Then<T> {
    /// `next` follows.
    pub(super) fn new(next: impl Fn(T) -> Action + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    /// Goes on with what was chosen.
    pub(super) fn go(&self, chosen: T) -> Action {
        (self.0)(chosen)
    }
}

impl<T> Clone for Then<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A request to be made.
pub(super) fn ask(request: Request) -> Action {
    Action::Ask(Box::new(request))
}

/// A page to be opened.
pub(super) fn open(page: impl Page + 'static) -> Action {
    Action::Push(Box::new(page))
}

/// A page to be opened instead of the current one.
pub(super) fn replace(page: impl Page + 'static) -> Action {
    Action::Replace(Box::new(page))
}
