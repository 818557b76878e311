//! A window with a question; the answer is No unless the person moves to Yes.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::page::{Action, Context, Hint, Page};
use crate::tui::widgets::{Lines, draw_lines};

/// Columns of the text.
const COLUMNS: u16 = 54;

/// A question; its answer goes to the page below.
pub(super) struct Question {
    title: String,
    text: String,
    yes: String,
    no: String,
    on_yes: bool,
}

impl Question {
    /// A question with the words for both answers.
    pub(super) fn new(title: &str, text: &str, yes: &str, no: &str) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            yes: yes.into(),
            no: no.into(),
            on_yes: false,
        }
    }

    fn lines(&self, columns: u16) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        lines.text(&self.text, Style::new()).gap();
        lines.finish()
    }
}

impl Page for Question {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("←→", "Move"), ("Y/N", "Answer"), ("Enter", "Choose"), ("Esc", "No")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn window(&self) -> Option<(u16, u16)> {
        let height = self.lines(COLUMNS).len() + 1;
        Some((COLUMNS, u16::try_from(height).unwrap_or(u16::MAX - 2)))
    }

    fn on_escape(&mut self) -> Action {
        Action::Answer(false)
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match key {
            Key::Left | Key::Right | Key::Tab | Key::BackTab | Key::Up | Key::Down => {
                self.on_yes = !self.on_yes;
                Action::None
            }
            Key::Enter => Action::Answer(self.on_yes),
            Key::Char('y' | 'Y') => Action::Answer(true),
            Key::Char('n' | 'N') => Action::Answer(false),
            _ => Action::None,
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        draw_lines(&self.lines(area.width), area, buffer);
        let button = |text: &str, chosen: bool| {
            let style = if chosen { look.selected() } else { Style::new() };
            let mark = if chosen { '►' } else { ' ' };
            Span::styled(format!("{mark} {text}  "), style)
        };
        let no = button(&format!("N  {}", self.no), !self.on_yes);
        let yes = button(&format!("Y  {}", self.yes), self.on_yes);
        let line = Line::from(vec![no, Span::raw("   "), yes]);
        if area.height > 0 {
            buffer.set_line(area.x, area.bottom() - 1, &line, area.width);
        }
    }
}
