//! A few choices, each with what it means, below what they are about.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Cursor, Row, rows};
use crate::tui::look::Look;

/// Draws the lines of `top` and below them a choice of (name, meaning).
pub(in crate::tui) fn choices<'c>(
    top: &[Line<'_>],
    choices: impl Iterator<Item = (&'c str, &'c str)>,
    cursor: Cursor,
    area: Rect,
    (buffer, look): (&mut Buffer, Look),
) {
    let mut y = area.y;
    for line in top {
        if y < area.bottom() {
            buffer.set_line(area.x, y, line, area.width);
        }
        y += 1;
    }
    let list: Vec<Row> = choices
        .map(|(name, meaning)| {
            Row::new(Line::styled(name.to_owned(), look.heading()))
                .with(Line::raw(format!("   {meaning}")))
                .with(Line::default())
        })
        .collect();
    let y = (y + 1).min(area.bottom());
    let list_area = Rect { y, height: area.bottom() - y, ..area };
    rows(&list, Some(cursor.index), list_area, buffer, look);
}
