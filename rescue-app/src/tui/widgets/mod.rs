//! Pieces that pages are drawn from. Each borrows its data and knows nothing of the pages.

mod choices;
mod disk_bar;
mod document;
mod field;
mod form;
mod gauge;
mod rows;
mod speed_graph;
pub(super) mod text;
mod volumes;

pub(super) use choices::choices;
pub(super) use document::{Document, Lines};
pub(super) use field::Field;
pub(super) use form::{Did, Form, FormRow};
pub(super) use gauge::gauge;
pub(super) use rows::{Cursor, Row, rows};
pub(super) use speed_graph::{History, speed_graph};
pub(super) use volumes::{layout_bar, logical_volume_line, volume_bar, volume_line, volume_lines};

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Draws lines from the top of `area` on, as many as fit; what is left is below them.
pub(super) fn draw_lines(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) -> Rect {
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        buffer.set_line(area.x, y, line, area.width);
    }
    below(area, u16::try_from(lines.len()).unwrap_or(u16::MAX))
}

/// What is left of `area` below its first rows.
pub(super) fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// A sign of life, turning four times a second.
pub(super) fn spinner(now: Duration) -> &'static str {
    const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];
    let step = usize::try_from(now.as_millis() / 250).unwrap_or(0);
    FRAMES[step % FRAMES.len()]
}
