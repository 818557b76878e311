//! The agreement by typing, before anything is lost.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::failure_lines;
use super::progress::ProgressPage;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Confirmation, Disk, Failure, Image, Job, Keep, Repository, WriteOrder};
use crate::tui::page::{Action, Context, Hint, Page, ask, replace};
use crate::tui::widgets::{Field, Lines, spinner};

/// What follows the agreement.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The disk is written, with what it loses.
    Write(Box<WriteOrder>, Vec<String>),
    /// The page below is told to make the disk a place for images; with what the disk loses.
    Prepare(Box<Disk>, Vec<String>),
    /// The image leaves the repository's list.
    Forget(Repository, Box<Image>),
    /// These images leave the list, and the space is freed.
    Free(Repository, Keep, Vec<Image>),
}

/// The question and the field for the answer.
pub(super) struct Confirm {
    then: Then,
    confirmation: Confirmation,
    field: Field,
    wrong: bool,
    working: bool,
    failure: Option<Failure>,
}

impl Confirm {
    /// The question before `then`.
    pub(super) fn new(then: Then) -> Self {
        let confirmation = match &then {
            Then::Write(order, _) => order.disk.confirmation(),
            Then::Prepare(disk, _) => disk.confirmation(),
            Then::Forget(_, image) => Confirmation {
                ask: "the first 4 characters of its id".into(),
                word: image.id.chars().take(4).collect(),
            },
            Then::Free(_, _, images) => Confirmation {
                ask: "the number of images that go".into(),
                word: images.len().to_string(),
            },
        };
        let field = Field::new("");
        Self { then, confirmation, field, wrong: false, working: false, failure: None }
    }

    fn agree(&mut self) -> Action {
        if !self.confirmation.accepts(self.field.text()) {
            self.wrong = true;
            self.field.clear();
            return Action::None;
        }
        match &self.then {
            Then::Write(order, _) => replace(ProgressPage::new(Job::Write(order.clone()))),
            Then::Prepare(..) => Action::Answer(true),
            Then::Forget(repository, image) => {
                self.working = true;
                ask(Request::Forget(repository.clone(), (**image).clone()))
            }
            Then::Free(repository, keep, _) => {
                let (repository, keep) = (repository.clone(), *keep);
                replace(ProgressPage::new(Job::Free { repository, keep }))
            }
        }
    }

    fn lines(&self, columns: u16, look: Look) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        match &self.then {
            Then::Write(order, lost) => {
                lines.text("This disk will be overwritten:", Style::new());
                lines.item(" ", &order.disk.line(), look.bad());
                if order.from.repository().is_none() {
                    lines.text("with this one, which is only read:", Style::new());
                    lines.item(" ", &order.from.line(), look.heading());
                }
                if order.partitions.is_some() {
                    let numbers = super::capture_plan::partitions(order.partitions.as_deref());
                    lines.item(" ", &format!("only partitions {numbers}"), Style::new());
                }
                if let Some(volume) = &order.volume {
                    let text = format!("with the logical volume {volume} alone");
                    lines.item(" ", &text, Style::new());
                }
                lost_lines(&mut lines, lost, look);
            }
            Then::Prepare(disk, lost) => {
                lines.text("This disk will be erased and made a place for images:", Style::new());
                lines.item(" ", &disk.line(), look.bad());
                if lost.is_empty() {
                    lines.gap().text("It holds nothing that was recognised.", Style::new());
                }
                lost_lines(&mut lines, lost, look);
            }
            Then::Forget(_, image) => {
                lines.text("This image will be forgotten:", Style::new());
                lines.item(" ", &image_line(image), look.bad());
                lines.gap().text("It can then no longer be restored.", Style::new());
            }
            Then::Free(_, _, images) => {
                lines.text("These images will be forgotten and their data removed:", Style::new());
                for image in images {
                    lines.item(" ", &image_line(image), look.bad());
                }
                lines.gap().text("They can then no longer be restored.", Style::new());
            }
        }
        let ask = format!(
            "To agree, type {} and press Enter. To leave everything as it is, press Esc.",
            self.confirmation.ask
        );
        lines.gap().text(&ask, Style::new()).gap();
        lines.finish()
    }
}

fn lost_lines(lines: &mut Lines, lost: &[String], look: Look) {
    lines.gap();
    for lost in lost {
        lines.item("!", lost, look.bad());
    }
}

fn image_line(image: &Image) -> String {
    let marks: String = image.marks.iter().map(|mark| format!(" [{mark}]")).collect();
    format!("{}, {}, {}{marks}", image.short_id(), image.time, image.disk)
}

impl Page for Confirm {
    fn title(&self) -> String {
        match &self.then {
            Then::Write(order, _) => format!("{}: the last question", order.from.verb()),
            Then::Prepare(..) => "Prepare a disk: the last question".into(),
            Then::Forget(..) => "Images: forget".into(),
            Then::Free(..) => "Images: free space".into(),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        if self.working {
            return vec![("", "Please wait")];
        }
        vec![("Enter", "Agree"), ("F1", "Help"), ("Esc", "No, go back")]
    }

    fn help(&self) -> &'static [&'static str] {
        match self.then {
            Then::Write(..) | Then::Prepare(..) => &[
                "Compare the serial number with the label of the disk you mean to overwrite, then \
                 type its end. Letter case does not matter.",
                "Nothing has been written so far. Esc goes back without a change.",
            ],
            Then::Forget(..) => {
                &["The image leaves the list. Data it shares with other images stays; \"Free \
                 space\" on the page of all images gives the rest of the space back."]
            }
            Then::Free(..) => {
                &["The images leave the list, and what no other image uses is removed. This \
                 cannot be undone."]
            }
        }
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_escape(&mut self) -> Action {
        if self.working { Action::None } else { Action::Back }
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        if self.working {
            return Action::None;
        }
        if key == Key::Enter {
            return self.agree();
        }
        if self.field.on_key(key) {
            self.wrong = false;
        }
        Action::None
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.working = false;
        match reply {
            Reply::Done(Ok(())) => Action::Back,
            Reply::Done(Err(failure)) => {
                self.failure = Some(failure);
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.working
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let mut lines = self.lines(area.width, look);
        // The field must stay in view: what does not fit is cut from the middle of the list.
        let room = usize::from(area.height).saturating_sub(3);
        while lines.len() > room && lines.len() > 3 {
            lines.remove(lines.len() / 2);
        }
        let mut y = area.y;
        for line in &lines {
            buffer.set_line(area.x, y, line, area.width);
            y += 1;
        }
        if y >= area.bottom() {
            return;
        }
        let word = self.confirmation.word.chars().count();
        let width = u16::try_from(word + 6).unwrap_or(area.width).min(area.width);
        self.field.render(!self.working, Rect { y, width, height: 1, ..area }, buffer, look);
        let mut below = Lines::new(area.width);
        if self.working {
            below.line(format!("{} Forgetting", spinner(now)));
        } else if let Some(failure) = &self.failure {
            failure_lines(&mut below, failure, look);
        } else if self.wrong {
            below.text("That does not match. Nothing has been changed.", look.warning());
        }
        for (y, line) in (y + 1..area.bottom()).zip(below.finish()) {
            buffer.set_line(area.x, y, &line, area.width);
        }
    }
}
