//! Where files of an image are copied to.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::places::place_lines;
use super::waiting::{failure_lines, waiting};
use crate::operation::Place;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Places};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask};
use crate::tui::widgets::{Cursor, Lines, Row, below, draw_lines, rows};

/// The partitions that can be written to.
pub(in crate::tui) struct Destination {
    then: Then<Place>,
    places: Option<Result<Places, Failure>>,
    cursor: Cursor,
}

impl Destination {
    /// A list; the search starts when it opens.
    pub(in crate::tui) fn new(then: Then<Place>) -> Self {
        Self { then, places: None, cursor: Cursor::default() }
    }

    fn usable(&self) -> Vec<&Place> {
        let Some(Ok(places)) = &self.places else { return Vec::new() };
        let is_usable = |place: &&Place| place.writable && place.problem.is_none();
        places.found.iter().filter(is_usable).collect()
    }

    fn search(&mut self) -> Action {
        self.places = None;
        ask(Request::Places)
    }
}

impl Page for Destination {
    fn title(&self) -> String {
        "Copy: choose where the files go".into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Move"), ("Enter", "Choose"), ("R", "Search"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "Partitions that can be written to. The files go into a new folder there, with their owners and times \
             as far as the filesystem has such.",
            "A disk that is plugged in now is found with R.",
        ]
    }

    fn on_open(&mut self) -> Action {
        if self.places.is_some() { Action::None } else { self.search() }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        if let Reply::Places(places) = reply {
            self.places = Some(places);
            self.cursor = Cursor::default();
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.usable().len();
        if self.cursor.on_key(key, count, usize::from(context.body.height / 3)) {
            return Action::None;
        }
        let chosen = self.usable().get(self.cursor.index).copied().cloned();
        match (key, chosen) {
            (Key::Enter, Some(place)) => self.then.go(place),
            (Key::Char('r' | 'R'), _) if self.places.is_some() => self.search(),
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.places.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let usable = self.usable();
        let mut lines = Lines::new(area.width);
        let top = match &self.places {
            None => waiting("Looking at all partitions, read-only", now),
            Some(Err(failure)) => {
                failure_lines(&mut lines, failure, look);
                lines.finish()
            }
            Some(Ok(_)) if usable.is_empty() => {
                let text = "No partition here can be written to. Plug a disk in, then press R.";
                lines.text(text, look.warning());
                lines.finish()
            }
            Some(Ok(_)) => {
                lines.text("The files go into a new folder on this partition:", Style::new());
                lines.finish()
            }
        };
        let rest = below(draw_lines(&top, area, buffer), 1);
        let columns = usize::from(area.width);
        let list = usable.iter().map(|place| {
            let mut lines = place_lines(place, columns, look).into_iter();
            let row = Row::new(lines.next().unwrap_or_default());
            lines.fold(row, Row::with)
        });
        let list: Vec<Row> = list.collect();
        rows(&list, (!list.is_empty()).then_some(self.cursor.index), rest, buffer, look);
    }
}
