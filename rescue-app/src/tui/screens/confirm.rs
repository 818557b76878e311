//! The agreement by typing, before anything is lost.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::entry::{Entry, Typed};
use super::waiting::failure_lines;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::Confirmation;
use crate::tui::page::{Action, Context, Hint, Page, Then};
use crate::tui::widgets::{Field, Lines, draw_lines, spinner};

/// What is agreed to, and what is said of it.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Subject {
    /// The page's title.
    pub(in crate::tui) title: String,
    /// Its help; one paragraph each.
    pub(in crate::tui) help: &'static [&'static str],
    /// What will happen.
    pub(in crate::tui) said: Vec<Said>,
    /// The word to be typed.
    pub(in crate::tui) confirmation: Confirmation,
}

/// A line or paragraph before the question.
#[derive(Clone, Debug)]
pub(in crate::tui) enum Said {
    /// A sentence.
    Text(String),
    /// What stays as it is, by name.
    Kept(String),
    /// A restriction.
    Only(String),
    /// What will be gone, by name.
    Gone(String),
    /// What is lost with it.
    Lost(String),
    /// An empty line.
    Gap,
}

/// What follows the agreement.
pub(in crate::tui) enum Agreed {
    /// Another page, instead of this one.
    Go(Then<()>),
    /// The page below is told.
    Answer,
    /// The machine is asked; the page below comes back once it has done it.
    Ask(Box<Request>),
}

/// The question and the field for the answer.
pub(in crate::tui) struct Confirm {
    subject: Subject,
    agreed: Agreed,
    entry: Entry,
    wrong: bool,
}

/// What is said where a disk's name has to be typed.
pub(in crate::tui) const DISK_HELP: &[&str] = &[
    "Compare the serial number with the label of the disk you mean to overwrite, then \
     type its end. Letter case does not matter.",
    "Nothing has been written so far. Esc goes back without a change.",
];

impl Subject {
    /// What a disk loses, below what was said before.
    pub(in crate::tui) fn losing(mut self, lost: &[String]) -> Self {
        self.said.push(Said::Gap);
        self.said.extend(lost.iter().cloned().map(Said::Lost));
        self
    }

    fn lines(&self, columns: u16, look: Look) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        for said in &self.said {
            match said {
                Said::Text(text) => lines.text(text, Style::new()),
                Said::Kept(name) => lines.item(" ", name, look.heading()),
                Said::Only(what) => lines.item(" ", what, Style::new()),
                Said::Gone(name) => lines.item(" ", name, look.bad()),
                Said::Lost(what) => lines.item("!", what, look.bad()),
                Said::Gap => lines.gap(),
            };
        }
        let ask = format!(
            "To agree, type {} and press Enter. To leave everything as it is, press Esc.",
            self.confirmation.ask
        );
        lines.gap().text(&ask, Style::new()).gap();
        lines.finish()
    }
}

impl Confirm {
    /// The question about `subject`.
    pub(in crate::tui) fn new(subject: Subject, agreed: Agreed) -> Self {
        Self { subject, agreed, entry: Entry::new(Field::new("")), wrong: false }
    }

    fn agree(&mut self) -> Action {
        if !self.subject.confirmation.accepts(self.entry.field.text()) {
            self.wrong = true;
            self.entry.field.clear();
            return Action::None;
        }
        match &self.agreed {
            Agreed::Go(then) => then.go(()).replacing(),
            Agreed::Answer => Action::Answer(true),
            Agreed::Ask(request) => {
                self.entry.working = true;
                Action::Ask(request.clone())
            }
        }
    }
}

impl Page for Confirm {
    fn title(&self) -> String {
        self.subject.title.clone()
    }

    fn hints(&self) -> Vec<Hint> {
        if self.entry.working {
            return vec![("", "Please wait")];
        }
        vec![("Enter", "Agree"), ("F1", "Help"), ("Esc", "No, go back")]
    }

    fn help(&self) -> &'static [&'static str] {
        self.subject.help
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_escape(&mut self) -> Action {
        if self.entry.working { Action::None } else { Action::Back }
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        match self.entry.on_key(key) {
            Typed::Finished => return self.agree(),
            Typed::Changed => self.wrong = false,
            Typed::Nothing => {}
        }
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.entry.on_done(reply)
    }

    fn is_busy(&self) -> bool {
        self.entry.working
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut lines = self.subject.lines(area.width, look);
        // The field must stay in view: what does not fit is cut from the middle of the list.
        let room = usize::from(area.height).saturating_sub(3);
        while lines.len() > room && lines.len() > 3 {
            lines.remove(lines.len() / 2);
        }
        let rest = draw_lines(&lines, area, buffer);
        let word = self.subject.confirmation.word.chars().count();
        let width = u16::try_from(word + 6).unwrap_or(area.width).min(area.width);
        let rest =
            Rect { width: area.width, ..self.entry.render(Rect { width, ..rest }, buffer, look) };
        let mut remark = Lines::new(area.width);
        if self.entry.working {
            remark.line(format!("{} Forgetting", spinner(now)));
        } else if let Some(failure) = &self.entry.failure {
            failure_lines(&mut remark, failure, look);
        } else if self.wrong {
            remark.text("That does not match. Nothing has been changed.", look.warning());
        }
        draw_lines(&remark.finish(), rest, buffer);
    }
}
