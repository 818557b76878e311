//! A window with text: help, or a message.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Hint, Page};
use crate::tui::widgets::{Document, Lines};

/// Columns of the text.
const COLUMNS: u16 = 60;

/// A window with a few paragraphs.
pub(in crate::tui) struct TextWindow {
    title: &'static str,
    text: Vec<String>,
    document: Document,
}

impl TextWindow {
    /// The help text of the page below.
    pub(in crate::tui) fn help(text: &[&str]) -> Self {
        let text = text.iter().map(ToString::to_string).collect();
        Self { title: "Help", text, document: Document::default() }
    }

    /// A message.
    pub(in crate::tui) fn message(title: &'static str, text: Vec<String>) -> Self {
        Self { title, text, document: Document::default() }
    }

    fn lines(&self, columns: u16) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        for paragraph in &self.text {
            lines.gap().text(paragraph, Style::new());
        }
        lines.finish()
    }
}

impl Page for TextWindow {
    fn title(&self) -> String {
        self.title.into()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Scroll"), ("Enter", "Close"), ("Esc", "Close")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[]
    }

    fn window(&self) -> Option<(u16, u16)> {
        Some((COLUMNS, u16::try_from(self.lines(COLUMNS).len()).unwrap_or(u16::MAX - 2)))
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width).len();
        if self.document.on_key(key, count, context.body.height) || key == Key::Tab {
            Action::None
        } else {
            Action::Back
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        self.document.render(&self.lines(area.width), area, buffer, look);
    }
}
