//! The run's log.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::waiting::{failure_lines, waiting};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Log};
use crate::tui::page::{Action, Context, Hint, Page, ask};
use crate::tui::widgets::{Document, Lines};

/// The log, opened at its end.
#[derive(Default)]
pub(super) struct LogView {
    log: Option<Result<Log, Failure>>,
    document: Document,
}

impl LogView {
    fn lines(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        match &self.log {
            None => return waiting("Reading the log", now),
            Some(Ok(log)) if log.text.is_empty() => {
                lines.line("The log is empty.");
            }
            Some(Ok(log)) => {
                lines.text(&log.text, Style::new());
            }
            Some(Err(failure)) => failure_lines(&mut lines, failure, look),
        }
        lines.finish()
    }
}

impl Page for LogView {
    fn title(&self) -> String {
        match &self.log {
            Some(Ok(log)) => format!("Log: {}", log.path),
            _ => "Log".into(),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        vec![("↑↓", "Scroll"), ("PgUp/PgDn", "Page"), ("Home/End", "Ends"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "What Lifeboat did since it was started, the newest at the end.",
            "The log is kept in memory when Lifeboat runs from its boot medium: K on the page before \
             writes it beside the images.",
        ]
    }

    fn on_open(&mut self) -> Action {
        ask(Request::Log)
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width, Look::PLAIN, context.now).len();
        self.document.on_key(key, count, context.body.height);
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, context: &Context) -> Action {
        if let Reply::Log(log) = reply {
            self.log = Some(log);
            let count = self.lines(context.body.width, Look::PLAIN, context.now).len();
            self.document.go_to_end(count, context.body.height);
        }
        Action::None
    }

    fn is_busy(&self) -> bool {
        self.log.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let lines = self.lines(area.width, look, now);
        self.document.render(&lines, area, buffer, look);
    }
}
