//! The images of a repository.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::errand::Opened;
use super::image::{Deeds, ImagePage};
use super::waiting::failure_lines;
use crate::operation::{ImageSummary, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, Repository};
use crate::tui::page::{Action, Context, Hint, Page, ask, open};
use crate::tui::widgets::{Cursor, Lines, Row, below, draw_lines, rows, text, volume_bar};

/// Rows of the drawing of the image under the cursor.
const DETAILS: u16 = 4;

/// Columns of a time with its zone.
const TIME: usize = 20;

/// What the list is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Purpose {
    /// Choosing one to restore.
    Restore,
    /// Choosing one, or all, to verify.
    Verify,
    /// Looking at them, and caring for the repository.
    Tend,
}

/// The list of images, newest first.
pub(in crate::tui) struct Images {
    purpose: Purpose,
    deeds: Deeds,
    repository: Repository,
    images: Vec<ImageSummary>,
    failure: Option<Failure>,
    cursor: Cursor,
    opened: bool,
}

impl Images {
    /// A list that was just read.
    pub(in crate::tui) fn new(purpose: Purpose, deeds: Deeds, opened: Opened) -> Self {
        let ((repository, images), cursor) = (opened, Cursor::default());
        Self { purpose, deeds, repository, images, failure: None, cursor, opened: false }
    }

    /// Whether the first row stands for all images.
    fn has_all(&self) -> bool {
        self.purpose == Purpose::Verify && !self.images.is_empty()
    }

    fn count(&self) -> usize {
        self.images.len() + usize::from(self.has_all())
    }

    fn current(&self) -> Option<&ImageSummary> {
        let index = self.cursor.index.checked_sub(usize::from(self.has_all()))?;
        self.images.get(index)
    }

    fn choose(&self) -> Action {
        if self.images.is_empty() {
            return Action::None;
        }
        let repository = self.repository.clone();
        match (self.purpose, self.current()) {
            (Purpose::Verify, image) => self.deeds.verify.go((repository, image.cloned())),
            (Purpose::Restore, Some(image)) => self.deeds.restore.go((repository, image.clone())),
            (Purpose::Tend, Some(_)) => self.details(),
            (Purpose::Restore | Purpose::Tend, None) => Action::None,
        }
    }

    /// What can be done to the repository as a whole.
    fn tend(&self, key: Key) -> Action {
        let repository = self.repository.clone();
        match (self.purpose, key.letter()) {
            (Purpose::Tend, Some('k')) => self.deeds.check.go(repository),
            (Purpose::Tend, Some('f')) => self.deeds.free.go((repository, self.images.clone())),
            _ => Action::None,
        }
    }

    fn details(&self) -> Action {
        self.current().map_or(Action::None, |image| {
            open(ImagePage::new(self.repository.clone(), image.clone(), self.deeds.clone()))
        })
    }

    fn rows(&self, columns: usize, look: Look) -> Vec<Row> {
        let all = self.has_all().then(|| {
            let text = format!("All images ({})", self.images.len());
            Row::new(Line::styled(text, look.heading()))
        });
        all.into_iter().chain(self.images.iter().map(|image| row(image, columns, look))).collect()
    }
}

fn row(image: &ImageSummary, columns: usize, look: Look) -> Row {
    let name = columns.saturating_sub(2 + TIME + 2 + 10 + 1);
    let first = format!(
        "{}  {} {}",
        text::left(&image.when(), TIME),
        text::left(&image.disk_name, name),
        text::right(&format::size(image.size), 10),
    );
    let second = format!(
        "  {} stored   {}{}",
        format::size(image.used),
        image.short_id(),
        if image.warnings.is_empty() { "" } else { "   ! has warnings" },
    );
    let row = Row::new(Line::styled(first, look.heading())).with(Line::raw(second));
    let marks = image.marks();
    if marks.is_empty() {
        return row;
    }
    let marks = text::clip(&format!("  ! {}", marks.join("; ")), columns.saturating_sub(2));
    row.with(Line::styled(marks, look.warning()))
}

impl Page for Images {
    fn title(&self) -> String {
        let title = match self.purpose {
            Purpose::Restore => "Restore: choose the image to restore",
            Purpose::Verify => "Verify: choose what to check",
            Purpose::Tend => "Images: in this repository",
        };
        title.into()
    }

    fn hints(&self) -> Vec<Hint> {
        if self.images.is_empty() {
            return match self.purpose {
                Purpose::Tend => vec![("K", "Check"), ("F", "Free space"), ("Esc", "Back")],
                _ => vec![("Esc", "Back")],
            };
        }
        let enter = match self.purpose {
            Purpose::Verify => "Check",
            Purpose::Restore => "Choose",
            Purpose::Tend => "Details",
        };
        let mut hints = vec![("↑↓", "Move"), ("Enter", enter)];
        if self.current().is_some() && self.purpose != Purpose::Tend {
            hints.push(("D", "Details"));
        }
        if self.purpose == Purpose::Tend {
            hints.extend([("K", "Check"), ("F", "Free space")]);
        }
        hints.push(("Esc", "Back"));
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "All images of this repository, the newest first. Every image is complete in itself.",
            "\"Stored\" is what the image holds of the disk; what it shares with other images is in \
             the repository once.",
            "An image that lacks something of its disk says so in a line of its own: only some partitions, \
             sectors that could not be read, or data that the repository has lost.",
            "Check looks at the repository's structure, without reading all data as Verify does. \
             Free space removes what no image uses, and old images if you like.",
        ]
    }

    fn on_open(&mut self) -> Action {
        // The list was read just before; coming back to it, something may have been forgotten.
        let again = self.opened;
        self.opened = true;
        if again { ask(Request::Images(self.repository.clone())) } else { Action::None }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        match reply {
            Reply::Images(Ok(images)) => {
                self.images = images;
                self.failure = None;
                self.cursor.index = self.cursor.index.min(self.count().saturating_sub(1));
            }
            Reply::Images(Err(failure)) => self.failure = Some(failure),
            _ => {}
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let page = usize::from(context.body.height / 2);
        if self.cursor.on_key(key, self.count(), page) {
            return Action::None;
        }
        match key {
            Key::Enter => self.choose(),
            Key::Char('d' | 'D') => self.details(),
            _ => self.tend(key),
        }
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, _now: Duration) {
        let mut top = Lines::new(area.width);
        top.text(&self.repository.title, look.frame());
        if let Some(failure) = &self.failure {
            failure_lines(&mut top, failure, look);
        } else if self.images.is_empty() {
            top.gap().text("There are no images in this repository yet.", Style::new());
        }
        let rest = below(draw_lines(&top.finish(), area, buffer), 1);
        let has_room = rest.height > DETAILS + 4;
        let details = if self.current().is_some() && has_room { DETAILS } else { 0 };
        let list_area = Rect { height: rest.height - details, ..rest };
        let list = self.rows(usize::from(area.width), look);
        rows(&list, (!list.is_empty()).then_some(self.cursor.index), list_area, buffer, look);
        if let Some(image) = self.current().filter(|_| details > 0) {
            let area = Rect { y: area.bottom() - details, height: details, ..area };
            render_details(image, area, buffer, look);
        }
    }
}

/// The image under the cursor, drawn to scale.
fn render_details(image: &ImageSummary, area: Rect, buffer: &mut Buffer, look: Look) {
    let rule = "─".repeat(usize::from(area.width));
    buffer.set_string(area.x, area.y, rule, look.frame());
    let bar = Rect { y: area.y + 1, height: 1, ..area };
    let volumes = image.partitions.iter().map(|partition| &partition.volume);
    volume_bar(image.size, volumes, bar, buffer, look);
    let parts: Vec<String> = image
        .partitions
        .iter()
        .map(|partition| {
            let volume = &partition.volume;
            let number = volume.partition.map_or_else(String::new, |number| format!("{number} "));
            let label = volume.label().map_or_else(String::new, |label| format!(" {label}"));
            let left_out = if partition.is_stored() { "" } else { " (left out)" };
            format!("{number}{}{label}{left_out}", volume.content)
        })
        .collect();
    let mut lines = Lines::new(area.width);
    lines.text(&parts.join(", "), Style::new());
    draw_lines(&lines.finish(), below(area, 2), buffer);
}
