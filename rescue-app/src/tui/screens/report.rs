//! How a job ended, and what to do next.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::log::LogView;
use super::waiting::failure_lines;
use super::words::Words;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Outcome, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask, open};
use crate::tui::widgets::{Document, Lines};

/// The two ways a job ends.
pub(super) enum Ending {
    Done(Outcome),
    /// `writing` tells whether it had come to writing the target.
    Failed {
        failure: Failure,
        writing: bool,
    },
}

/// The last page of a job.
pub(super) struct Report {
    /// The repository it worked on: the log can be kept there.
    repository: Option<Repository>,
    words: Words,
    ending: Ending,
    log_path: Option<String>,
    /// Where the log was kept, once that was asked for.
    kept: Option<Result<String, Failure>>,
    document: Document,
}

impl Report {
    /// The report on a job that worked on `repository`; `words` are said of it.
    pub(super) fn new(repository: Option<Repository>, words: Words, ending: Ending) -> Self {
        let document = Document::default();
        Self { repository, words, ending, log_path: None, kept: None, document }
    }

    fn lines(&self, columns: u16, look: Look) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        match &self.ending {
            Ending::Done(outcome) => self.success_lines(outcome, &mut lines, look),
            Ending::Failed { failure, writing } => {
                self.failed_lines(failure, *writing, &mut lines, look);
            }
        }
        if let Some(path) = &self.log_path {
            lines.gap().fact("Log", path);
        }
        match &self.kept {
            None => {}
            Some(Ok(path)) => {
                let title = self.repository.as_ref().map_or("", |it| &it.title);
                lines.fact("Kept", &format!("{path} in {title}"));
            }
            Some(Err(failure)) => failure_lines(&mut lines, failure, look),
        }
        lines.finish()
    }

    fn success_lines(&self, outcome: &Outcome, lines: &mut Lines, look: Look) {
        let text = match outcome.warnings.is_empty() {
            true => self.words.done,
            false => self.words.done_with_warnings,
        };
        lines.item("√", text, look.good());
        if !outcome.warnings.is_empty() {
            let text = match outcome.warnings.len() {
                1 => "There is 1 warning, see below.".into(),
                count => format!("There are {count} warnings, see below."),
            };
            lines.item("!", &text, look.warning());
        }
        lines.gap();
        for (name, value) in &outcome.facts {
            lines.fact(name, value);
        }
        if !self.words.next.is_empty() {
            lines.gap().text(self.words.next, Style::new());
        }
        if !outcome.warnings.is_empty() {
            lines.gap().text("Warnings", look.heading());
        }
        for warning in &outcome.warnings {
            lines.item("!", warning, look.warning());
        }
    }

    fn failed_lines(&self, failure: &Failure, writing: bool, lines: &mut Lines, look: Look) {
        let what = self.words.work;
        let left = if writing { self.words.left_half_written } else { self.words.left };
        if failure.cancelled {
            lines.item("!", &format!("{what} was stopped."), look.warning());
        } else {
            lines.item("!", &format!("{what} failed."), look.bad()).gap();
            failure_lines(lines, failure, look);
        }
        lines.gap().text(left, Style::new());
    }
}

impl Page for Report {
    fn title(&self) -> String {
        let how = match &self.ending {
            Ending::Done(outcome) if outcome.warnings.is_empty() => "done",
            Ending::Done(_) => "done, with warnings",
            Ending::Failed { failure, .. } if failure.cancelled => "stopped",
            Ending::Failed { .. } => "failed",
        };
        format!("{}: {how}", self.words.title)
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("Enter", "Main menu"), ("L", "Log")];
        if self.repository.is_some() {
            hints.push(("K", "Keep log"));
        }
        hints.extend([("↑↓", "Scroll"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "How it went. Enter returns to the main menu; Esc to the page before, for another try.",
            "L shows the log with all details.",
            "K writes the log into the folder \"logs\" beside the images, where it outlasts the power. \
             It can be read there without a passphrase, and it names the disks, and the files that \
             were lost. Beside images without a passphrase it is kept anyway.",
        ]
    }

    fn on_open(&mut self) -> Action {
        ask(Request::Log)
    }

    fn on_reply(&mut self, reply: Reply, context: &Context) -> Action {
        match reply {
            Reply::Log(Ok(log)) => self.log_path = Some(log.path),
            Reply::LogKept(kept) => {
                self.kept = Some(kept);
                let count = self.lines(context.body.width, Look::PLAIN).len();
                self.document.go_to_end(count, context.body.height);
            }
            _ => {}
        }
        Action::None
    }

    fn on_escape(&mut self) -> Action {
        match self.ending {
            Ending::Done(_) => Action::Home,
            Ending::Failed { .. } => Action::Back,
        }
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width, Look::PLAIN).len();
        if self.document.on_key(key, count, context.body.height) {
            return Action::None;
        }
        match key {
            Key::Enter => Action::Home,
            Key::Char('l' | 'L') => open(LogView::default()),
            Key::Char('k' | 'K') => {
                let repository = self.repository.clone();
                repository.map_or(Action::None, |it| ask(Request::KeepLog(it)))
            }
            _ => Action::None,
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        self.document.render(&self.lines(area.width, look), area, buffer, look);
    }
}
