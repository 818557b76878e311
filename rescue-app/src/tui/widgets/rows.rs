//! A list with a cursor; scrolls so that the row under the cursor is always in view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::tui::key::Key;
use crate::tui::look::Look;

/// The place of the cursor in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Cursor {
    pub(in crate::tui) index: usize,
}

impl Cursor {
    /// Moves over `count` rows, `page` rows at a time for the page keys; false for other keys.
    pub(in crate::tui) fn on_key(&mut self, key: Key, count: usize, page: usize) -> bool {
        let last = count.saturating_sub(1);
        let page = page.max(1);
        self.index = match key {
            Key::Up => self.index.saturating_sub(1),
            Key::Down => self.index + 1,
            Key::PageUp => self.index.saturating_sub(page),
            Key::PageDown => self.index + page,
            Key::Home => 0,
            Key::End => last,
            _ => return false,
        }
        .min(last);
        true
    }
}

/// One entry of a list.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Row {
    lines: Vec<Line<'static>>,
    /// The line that the cursor marks; those before it are a heading.
    marked: usize,
}

impl Row {
    /// A row of one line.
    pub(in crate::tui) fn new(line: impl Into<Line<'static>>) -> Self {
        Self { lines: vec![line.into()], marked: 0 }
    }

    /// The row with heading lines above it.
    pub(in crate::tui) fn under(mut self, heading: Vec<Line<'static>>) -> Self {
        self.marked += heading.len();
        self.lines.splice(0..0, heading);
        self
    }

    /// The row with another line below.
    pub(in crate::tui) fn with(mut self, line: impl Into<Line<'static>>) -> Self {
        self.lines.push(line.into());
        self
    }

    fn height(&self) -> usize {
        self.lines.len()
    }
}

/// Columns taken by the cursor's mark.
const MARK: u16 = 2;

/// Draws a list with the cursor on `selected`.
pub(in crate::tui) fn rows(
    rows: &[Row],
    selected: Option<usize>,
    area: Rect,
    buffer: &mut Buffer,
    look: Look,
) {
    let first = first_visible(rows, selected.unwrap_or(0), usize::from(area.height));
    let mut y = area.y;
    for (index, row) in rows.iter().enumerate().skip(first) {
        for (line_index, line) in row.lines.iter().enumerate() {
            if y >= area.bottom() {
                break;
            }
            let marked = selected == Some(index) && line_index == row.marked;
            draw_line(line, marked, Rect { y, height: 1, ..area }, buffer, look);
            y += 1;
        }
    }
    if area.height == 0 {
        return;
    }
    if first > 0 {
        buffer.set_string(area.right(), area.y, "▲", look.key());
    }
    let height: usize = rows.iter().skip(first).map(Row::height).sum();
    if height > usize::from(area.height) {
        buffer.set_string(area.right(), area.bottom() - 1, "▼", look.key());
    }
}

fn draw_line(line: &Line<'_>, marked: bool, area: Rect, buffer: &mut Buffer, look: Look) {
    let text_x = area.x + MARK.min(area.width);
    buffer.set_line(text_x, area.y, line, area.width.saturating_sub(MARK));
    if marked {
        buffer.set_stringn(area.x, area.y, "►", usize::from(area.width), look.selected());
        buffer.set_style(area, look.selected());
    }
}

/// The first row to draw, so that `selected` fits below it.
fn first_visible(rows: &[Row], selected: usize, height: usize) -> usize {
    let mut left = height;
    let mut first = selected.min(rows.len().saturating_sub(1));
    for (index, row) in rows.iter().enumerate().take(selected + 1).rev() {
        if row.height() > left {
            break;
        }
        left -= row.height();
        first = index;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look::PLAIN;

    fn draw(count: usize, selected: usize, height: u16) -> Vec<String> {
        let list: Vec<Row> =
            (0..count).map(|i| Row::new(format!("row {i}")).with(format!("  more {i}"))).collect();
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, height));
        rows(&list, Some(selected), Rect::new(0, 0, 11, height), &mut buffer, LOOK);
        (0..height)
            .map(|y| (0..12).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().into())
            .collect()
    }

    #[test]
    fn the_cursor_is_always_in_view() {
        assert_eq!(draw(4, 0, 4), ["► row 0", "    more 0", "  row 1", "    more 1 ▼"]);
        assert_eq!(draw(4, 3, 4), ["  row 2    ▲", "    more 2", "► row 3", "    more 3"]);
        assert_eq!(draw(4, 2, 1), ["► row 2    ▼"]);
        assert_eq!(draw(1, 0, 3), ["► row 0", "    more 0", ""]);
    }

    #[test]
    fn the_cursor_stops_at_both_ends() {
        let mut cursor = Cursor::default();
        assert!(cursor.on_key(Key::Up, 3, 2));
        assert_eq!(cursor.index, 0);
        cursor.on_key(Key::PageDown, 3, 2);
        cursor.on_key(Key::PageDown, 3, 2);
        assert_eq!(cursor.index, 2);
        cursor.on_key(Key::Home, 3, 2);
        assert_eq!(cursor.index, 0);
        cursor.on_key(Key::End, 0, 2);
        assert_eq!(cursor.index, 0);
        assert!(!cursor.on_key(Key::Enter, 3, 2));
    }
}
