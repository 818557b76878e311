//! Opening a repository, with its passphrase if it has one of its own.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::errand::Errand;
use super::waiting::failure_lines;
use crate::operation::Passphrase;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask};
use crate::tui::widgets::{Field, Lines, draw_lines, spinner};

enum Stage {
    /// Being tried.
    Opening,
    /// It wants a passphrase; `wrong` after one was tried.
    Asking { field: Field, wrong: bool },
    /// It cannot be opened.
    Failed(Failure),
}

/// The page between choosing a repository and using it.
pub(super) struct Open {
    errand: Errand,
    repository: Repository,
    stage: Stage,
}

impl Open {
    /// Opens `repository` once the page is in view.
    pub(super) fn new(errand: Errand, repository: Repository) -> Self {
        Self { errand, repository, stage: Stage::Opening }
    }

    fn try_again(&mut self) -> Action {
        self.stage = Stage::Opening;
        ask(Request::Images(self.repository.clone()))
    }
}

impl Page for Open {
    fn title(&self) -> String {
        format!("{}: open the repository", self.errand.title)
    }

    fn hints(&self) -> Vec<Hint> {
        match &self.stage {
            Stage::Opening => vec![("Esc", "Back")],
            Stage::Asking { field, .. } => {
                let mut hints = vec![("Enter", "Open")];
                hints.extend(field.hint());
                hints.extend([("F1", "Help"), ("Esc", "Back")]);
                hints
            }
            Stage::Failed(_) => vec![("R", "Try again"), ("Esc", "Back")],
        }
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "This repository has a passphrase of its own. Type the one that was chosen when it was \
             created; letter case matters.",
            "The passphrase is kept in memory only, and only while this menu needs it.",
        ]
    }

    fn takes_text(&self) -> bool {
        matches!(self.stage, Stage::Asking { .. })
    }

    fn on_open(&mut self) -> Action {
        self.try_again()
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        match reply {
            Reply::Images(Ok(images)) => {
                return self.errand.then.go((self.repository.clone(), images)).replacing();
            }
            Reply::Images(Err(failure)) if failure.needs_passphrase => {
                let wrong = self.repository.passphrase.is_some();
                self.stage = Stage::Asking { field: Field::hidden(), wrong };
            }
            Reply::Images(Err(failure)) => self.stage = Stage::Failed(failure),
            _ => {}
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match &mut self.stage {
            Stage::Asking { field, .. } => {
                if key == Key::Enter && !field.text().is_empty() {
                    self.repository.passphrase = Some(Passphrase::new(field.text()));
                    return self.try_again();
                }
                field.on_key(key);
                Action::None
            }
            Stage::Failed(_) if key.letter() == Some('r') => self.try_again(),
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Opening)
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut lines = Lines::new(area.width);
        lines.text(&self.repository.title, look.heading()).gap();
        let mut field_line = None;
        match &self.stage {
            Stage::Opening => {
                lines.line(format!("{} Opening", spinner(now)));
            }
            Stage::Asking { field, wrong } => {
                lines.text("This repository is protected by a passphrase:", Style::new());
                field_line = Some(field);
                if *wrong {
                    lines.line("").gap().text("That passphrase does not open it.", look.warning());
                }
            }
            Stage::Failed(failure) => failure_lines(&mut lines, failure, look),
        }
        draw_lines(&lines.finish(), area, buffer);
        if let Some(field) = field_line
            && area.height > 3
        {
            field.render(true, Rect { y: area.y + 3, height: 1, ..area }, buffer, look);
        }
    }
}
