//! The frame every page is drawn in: header, box with the page's title, and the keys valid now.

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

use super::look::{Look, restrict};
use super::model::Facts;
use super::page::{Hint, Page};

/// Below this nothing sensible can be drawn.
const SMALLEST: (u16, u16) = (30, 8);

/// The area inside the frame for a page, or for a window of the wanted size over it.
pub(super) fn body(size: (u16, u16), window: Option<(u16, u16)>) -> Rect {
    outer(Rect::new(0, 0, size.0, size.1), window).inner(Margin::new(2, 1))
}

/// The area of the frame itself.
fn outer(screen: Rect, window: Option<(u16, u16)>) -> Rect {
    let page = Rect::new(0, 1, screen.width, screen.height.saturating_sub(2));
    let Some((columns, rows)) = window else { return page };
    let width = (columns + 4).min(page.width);
    let height = (rows + 2).min(page.height);
    let x = (page.width - width) / 2;
    let y = page.y + (page.height - height) / 2;
    Rect::new(x, y, width, height)
}

/// Draws the stack of pages: the topmost full page and the windows above it.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    facts: &Facts,
    pages: &[&dyn Page],
    look: Look,
    now: Duration,
) {
    let screen = frame.area();
    let buffer = frame.buffer_mut();
    if screen.width < SMALLEST.0 || screen.height < SMALLEST.1 {
        buffer.set_stringn(0, 0, "Screen too small", usize::from(screen.width), look.heading());
        return;
    }
    header(screen, buffer, facts, look);
    let full = pages.iter().rposition(|page| page.window().is_none()).unwrap_or(0);
    for page in pages.iter().skip(full) {
        let area = outer(screen, page.window());
        let style = if page.window().is_some() { look.heading() } else { look.frame() };
        Clear.render(area, buffer);
        let title = Line::styled(format!(" {} ", page.title()), look.heading());
        Block::bordered().border_style(style).title(title).render(area, buffer);
        let size = (screen.width, screen.height);
        page.render(body(size, page.window()), buffer, look, now);
    }
    if let Some(top) = pages.last() {
        footer(screen, buffer, &top.hints(), top.window().is_none() && !top.takes_text(), look);
    }
    restrict(buffer, look);
}

fn header(screen: Rect, buffer: &mut Buffer, facts: &Facts, look: Look) {
    let area = Rect::new(0, 0, screen.width, 1);
    buffer.set_style(area, look.header());
    let left = format!(" Lifeboat {}", facts.version);
    let right = format!("{} ", facts.host);
    let width = usize::from(screen.width);
    buffer.set_stringn(0, 0, &left, width, look.header());
    let right_at = width.saturating_sub(right.chars().count());
    let left_end = left.chars().count();
    let middle = facts.firmware.chars().count();
    let middle_at = width.saturating_sub(middle) / 2;
    if middle_at > left_end && middle_at + middle < right_at {
        buffer.set_string(column(middle_at), 0, &facts.firmware, look.header());
    }
    if right_at > left_end {
        buffer.set_string(column(right_at), 0, &right, look.header());
    }
}

fn footer(screen: Rect, buffer: &mut Buffer, hints: &[Hint], help: bool, look: Look) {
    let mut hints = hints.to_vec();
    if help {
        hints.push(("?", "Help"));
    }
    let width = |hints: &[Hint]| -> usize {
        hints.iter().map(|(key, text)| key.chars().count() + text.chars().count() + 4).sum()
    };
    // Keys dropped for want of room are the ones before the last two: Esc and help stay.
    while width(&hints) > usize::from(screen.width) && hints.len() > 3 {
        hints.remove(hints.len() - 3);
    }
    let mut spans = Vec::new();
    for (key, text) in hints {
        spans.push(Span::styled(format!(" {key} "), look.key()));
        spans.push(Span::raw(format!("{text}  ")));
    }
    let y = screen.height.saturating_sub(1);
    buffer.set_line(0, y, &Line::from(spans), screen.width);
}

/// A column number; beyond the widest terminal it stays at its edge.
fn column(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}
