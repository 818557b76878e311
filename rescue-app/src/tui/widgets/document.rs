//! A text that may be longer than its area and then scrolls.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{draw_lines, text};
use crate::tui::key::Key;
use crate::tui::look::Look;

/// How far a text is scrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Document {
    first: usize,
}

impl Document {
    /// Scrolls a text of `count` lines in an area of `height`; false for other keys.
    pub(in crate::tui) fn on_key(&mut self, key: Key, count: usize, height: u16) -> bool {
        let height = usize::from(height);
        let last = count.saturating_sub(height);
        let page = height.saturating_sub(1).max(1);
        self.first = match key {
            Key::Up => self.first.saturating_sub(1),
            Key::Down => self.first + 1,
            Key::PageUp => self.first.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => self.first + page,
            Key::Home => 0,
            Key::End => last,
            _ => return false,
        }
        .min(last);
        true
    }

    /// Goes to the end of a text of `count` lines in an area of `height`.
    pub(in crate::tui) fn go_to_end(&mut self, count: usize, height: u16) {
        self.first = count.saturating_sub(usize::from(height));
    }

    /// Draws the lines in view.
    pub(in crate::tui) fn render(
        self,
        lines: &[Line<'_>],
        area: Rect,
        buffer: &mut Buffer,
        look: Look,
    ) {
        let first = self.first.min(lines.len().saturating_sub(usize::from(area.height)));
        draw_lines(lines.get(first..).unwrap_or_default(), area, buffer);
        if area.height == 0 {
            return;
        }
        if first > 0 {
            buffer.set_string(area.right(), area.y, "▲", look.key());
        }
        if first + usize::from(area.height) < lines.len() {
            buffer.set_string(area.right(), area.bottom() - 1, "▼", look.key());
        }
    }
}

/// Lines of a page, built top down.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Lines {
    columns: usize,
    lines: Vec<Line<'static>>,
}

impl Lines {
    /// No lines yet, for an area of `columns`.
    pub(in crate::tui) fn new(columns: u16) -> Self {
        Self { columns: usize::from(columns), lines: Vec::new() }
    }

    /// A line as it is.
    pub(in crate::tui) fn line(&mut self, line: impl Into<Line<'static>>) -> &mut Self {
        self.lines.push(line.into());
        self
    }

    /// An empty line, unless there is one already.
    pub(in crate::tui) fn gap(&mut self) -> &mut Self {
        if self.lines.last().is_some_and(|line| line.width() > 0) {
            self.lines.push(Line::default());
        }
        self
    }

    /// A paragraph, broken into lines.
    pub(in crate::tui) fn text(&mut self, text: &str, style: ratatui::style::Style) -> &mut Self {
        for line in text::wrap(text, self.columns) {
            self.lines.push(Line::styled(line, style));
        }
        self
    }

    /// A paragraph behind a mark, its further lines indented.
    pub(in crate::tui) fn item(
        &mut self,
        mark: &str,
        text: &str,
        style: ratatui::style::Style,
    ) -> &mut Self {
        let indent = text::width(mark) + 1;
        let mut mark = format!("{mark} ");
        for line in text::wrap(text, self.columns.saturating_sub(indent)) {
            self.lines.push(Line::styled(format!("{mark}{line}"), style));
            mark = " ".repeat(indent);
        }
        self
    }

    /// A name and its value, the values in one column.
    pub(in crate::tui) fn fact(&mut self, name: &str, value: &str) -> &mut Self {
        let name_width = if self.columns < 60 { 13 } else { 16 };
        let mut name = text::left(name, name_width);
        for line in text::wrap(value, self.columns.saturating_sub(name_width)) {
            self.lines.push(Line::raw(format!("{name}{line}")));
            name = " ".repeat(name_width);
        }
        self
    }

    /// The finished lines.
    pub(in crate::tui) fn finish(self) -> Vec<Line<'static>> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolling_stops_where_the_last_line_is_in_view() {
        let mut document = Document::default();
        let keys = [(Key::PageDown, 9), (Key::End, 20), (Key::Down, 20), (Key::Up, 19)];
        for (key, first) in keys {
            assert!(document.on_key(key, 30, 10));
            assert_eq!(document.first, first, "{key:?}");
        }
        assert!(document.on_key(Key::Down, 3, 10));
        assert_eq!(document.first, 0, "a short text does not scroll");
        assert!(!document.on_key(Key::Enter, 3, 10));
    }

    #[test]
    fn items_and_facts_keep_their_columns() {
        let mut lines = Lines::new(20);
        lines.item("!", "one two three four five", ratatui::style::Style::new());
        lines.fact("Size", "12 GiB of 20");
        let text: Vec<String> = lines.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            ["! one two three four", "  five", "Size         12 GiB", "             of 20"]
        );
    }
}
