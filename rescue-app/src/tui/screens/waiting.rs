//! Lines that several pages have.

use std::time::Duration;

use ratatui::text::Line;

use crate::tui::look::Look;
use crate::tui::model::Failure;
use crate::tui::widgets::{Lines, spinner};

/// A failure and what to do about it.
pub(super) fn failure_lines(lines: &mut Lines, failure: &Failure, look: Look) {
    lines.text(&failure.text, look.bad());
    if let Some(next) = &failure.next_step {
        lines.gap().text(next, look.heading());
    }
}

/// Lines of a page that only waits.
pub(super) fn waiting(text: &str, now: Duration) -> Vec<Line<'static>> {
    vec![Line::default(), Line::raw(format!("{} {text}", spinner(now)))]
}
