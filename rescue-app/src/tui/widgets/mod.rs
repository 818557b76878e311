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

/// A sign of life, turning four times a second.
pub(super) fn spinner(now: Duration) -> &'static str {
    const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];
    let step = usize::try_from(now.as_millis() / 250).unwrap_or(0);
    FRAMES[step % FRAMES.len()]
}
