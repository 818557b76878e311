//! The beginning of a file of an image.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Hint, Page};
use crate::tui::widgets::{Document, Lines};

/// Its text.
pub(super) struct FileText {
    name: String,
    text: String,
    document: Document,
}

impl FileText {
    /// What a file called `name` begins with.
    pub(super) fn new(name: String, text: String) -> Self {
        Self { name, text, document: Document::default() }
    }

    fn lines(&self, columns: u16) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        if self.text.is_empty() {
            lines.line("The file is empty.");
        } else {
            lines.text(&self.text, Style::new());
        }
        lines.finish()
    }
}

impl Page for FileText {
    fn title(&self) -> String {
        format!("File: {}", self.name)
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Scroll"), ("PgUp/PgDn", "Page"), ("Home/End", "Ends"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The first 64 KiB of the file as text. What is no text is shown as a replacement character.",
        ]
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width).len();
        self.document.on_key(key, count, context.body.height);
        Action::None
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        self.document.render(&self.lines(area.width), area, buffer, look);
    }
}
