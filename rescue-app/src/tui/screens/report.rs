//! How a job ended, and what to do next.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::failure_lines;
use super::log::LogView;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Job, Origin, Outcome, WriteOrder};
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
    job: Job,
    ending: Ending,
    log_path: Option<String>,
    /// Where the log was kept, once that was asked for.
    kept: Option<Result<String, Failure>>,
    document: Document,
}

impl Report {
    /// The report on `job`.
    pub(super) fn new(job: Job, ending: Ending) -> Self {
        Self { job, ending, log_path: None, kept: None, document: Document::default() }
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
                let title = self.job.repository().map_or("", |repository| &repository.title);
                lines.fact("Kept", &format!("{path} in {title}"));
            }
            Some(Err(failure)) => failure_lines(&mut lines, failure, look),
        }
        lines.finish()
    }

    fn success_lines(&self, outcome: &Outcome, lines: &mut Lines, look: Look) {
        let text = match &self.job {
            Job::Capture(_) => "The disk is stored, and what was stored has been checked.",
            Job::Write(order) => written(order),
            Job::Verify { .. } if !outcome.warnings.is_empty() => {
                "What is stored is whole: every byte was read and matches its hash."
            }
            Job::Verify { .. } => "Everything is whole: every byte was read and matches its hash.",
            Job::Check { .. } => "All files are there and fit together.",
            Job::Free { .. } => "What no image uses is gone.",
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
        let next = match &self.job {
            Job::Capture(_) => {
                "You can capture this disk again at any time: only what changed is stored."
            }
            Job::Write(order) => match order.from {
                Origin::Image { .. } => "You can now start a computer from this disk.",
                Origin::Disk(_) => {
                    "Detach one of the two disks before a computer starts from the other: systems \
                     tell disks apart by what both of them carry now."
                }
            },
            Job::Check { .. } => "Verify reads all data as well, which takes longer.",
            Job::Verify { .. } | Job::Free { .. } => "",
        };
        if !next.is_empty() {
            lines.gap().text(next, Style::new());
        }
        if !outcome.warnings.is_empty() {
            lines.gap().text("Warnings", look.heading());
        }
        for warning in &outcome.warnings {
            lines.item("!", warning, look.warning());
        }
    }

    fn failed_lines(&self, failure: &Failure, writing: bool, lines: &mut Lines, look: Look) {
        let (what, left) = match &self.job {
            Job::Capture(_) => (
                "The capture",
                "Images stored earlier are whole. What was stored so far is used when you capture \
                 this disk again.",
            ),
            Job::Write(order) if !writing => (
                order.from.work(),
                "It ended before the target was written. If the target was changed all the same, \
                 the list of disks says that it is incomplete.",
            ),
            Job::Write(order) => (
                order.from.work(),
                "The target is not complete and will not start a computer. The same again with \
                 \"compare first\" carries on from where it stopped.",
            ),
            Job::Verify { .. } | Job::Check { .. } => ("The check", "Nothing was changed."),
            Job::Free { .. } => (
                "Freeing space",
                "All images that are in the list are whole. Freeing space again carries on.",
            ),
        };
        if failure.cancelled {
            lines.item("!", &format!("{what} was stopped."), look.warning());
        } else {
            lines.item("!", &format!("{what} failed."), look.bad()).gap();
            failure_lines(lines, failure, look);
        }
        lines.gap().text(left, Style::new());
    }
}

/// What became of a target.
fn written(order: &WriteOrder) -> &'static str {
    match (&order.from, order.read_back) {
        (Origin::Image { .. }, true) => {
            "The disk is restored. Every byte was read back and matches the image."
        }
        (Origin::Image { .. }, false) => "The disk is restored. It was not read back.",
        (Origin::Disk(_), true) => {
            "The disk is cloned. Every byte was read back and matches what was read."
        }
        (Origin::Disk(_), false) => "The disk is cloned. It was not read back.",
    }
}

impl Page for Report {
    fn title(&self) -> String {
        let what = match &self.job {
            Job::Capture(_) => "Capture",
            Job::Write(order) => order.from.verb(),
            Job::Verify { .. } => "Verify",
            Job::Check { .. } => "Check",
            Job::Free { .. } => "Free space",
        };
        let how = match &self.ending {
            Ending::Done(outcome) if outcome.warnings.is_empty() => "done",
            Ending::Done(_) => "done, with warnings",
            Ending::Failed { failure, .. } if failure.cancelled => "stopped",
            Ending::Failed { .. } => "failed",
        };
        format!("{what}: {how}")
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("Enter", "Main menu"), ("L", "Log")];
        if self.job.repository().is_some() {
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
                let repository = self.job.repository();
                repository.map_or(Action::None, |it| ask(Request::KeepLog(it.clone())))
            }
            _ => Action::None,
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        self.document.render(&self.lines(area.width, look), area, buffer, look);
    }
}
