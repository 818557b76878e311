//! A few choices, each with what it means, below what they are about.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Cursor, Row, below, draw_lines, rows};
use crate::tui::look::Look;

/// Draws the lines of `top` and below them a choice of (name, meaning).
pub(in crate::tui) fn choices<'c>(
    top: &[Line<'_>],
    choices: impl Iterator<Item = (&'c str, &'c str)>,
    cursor: Cursor,
    area: Rect,
    (buffer, look): (&mut Buffer, Look),
) {
    let list: Vec<Row> = choices
        .map(|(name, meaning)| {
            Row::new(Line::styled(name.to_owned(), look.heading()))
                .with(Line::raw(format!("   {meaning}")))
                .with(Line::default())
        })
        .collect();
    let list_area = below(draw_lines(top, area, buffer), 1);
    rows(&list, Some(cursor.index), list_area, buffer, look);
}
