//! The list of disks: the source of a capture or clone, or the target of a restore or clone.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text_window::TextWindow;
use super::waiting::{failure_lines, waiting};
use crate::operation::safety::{Load, Misfit};
use crate::operation::{Survey, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{DiskList, Failure, Origin};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask, open};
use crate::tui::widgets::{Cursor, Document, Lines, Row, rows, text, volume_bar, volume_lines};

/// How often the kernel is asked whether a disk came or went.
const INTERVAL: Duration = Duration::from_secs(1);

/// What a disk is wanted for.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Wanted {
    title: String,
    role: Role,
}

/// What becomes of the disk.
#[derive(Clone, Debug)]
enum Role {
    /// It is read.
    Read,
    /// That is written to it.
    Written(Origin),
    /// It is erased, and made something else.
    Erased,
}

impl Wanted {
    /// To be read; `title` is the page's.
    pub(in crate::tui) fn to_read(title: &str) -> Self {
        Self { title: title.to_owned(), role: Role::Read }
    }

    /// To be overwritten.
    pub(in crate::tui) fn target(from: Origin) -> Self {
        let title = format!("{}: choose the disk to overwrite", from.verb());
        Self { title, role: Role::Written(from) }
    }

    /// To be erased; `title` is the page's.
    pub(in crate::tui) fn erased(title: &str) -> Self {
        Self { title: title.to_owned(), role: Role::Erased }
    }
}

/// The list of disks.
pub(in crate::tui) struct Disks {
    wanted: Wanted,
    then: Then<Survey>,
    list: Option<DiskList>,
    failure: Option<Failure>,
    cursor: Cursor,
    /// A look is under way.
    asked: bool,
    last: Duration,
    document: Document,
}

impl Disks {
    /// A list to choose from; the first look starts when it opens.
    pub(in crate::tui) fn new(wanted: Wanted, then: Then<Survey>) -> Self {
        Self {
            wanted,
            then,
            list: None,
            failure: None,
            cursor: Cursor::default(),
            asked: false,
            last: Duration::ZERO,
            document: Document::default(),
        }
    }

    fn disks(&self) -> &[Survey] {
        self.list.as_ref().map_or(&[], |list| &list.disks)
    }

    fn current(&self) -> Option<&Survey> {
        self.disks().get(self.cursor.index)
    }

    /// Why `disk` cannot be chosen.
    fn refusal(&self, disk: &Survey) -> Option<String> {
        let from = match &self.wanted.role {
            Role::Read => return disk.source_refusal(),
            Role::Erased => return disk.target_refusal(),
            Role::Written(from) => from,
        };
        let (images_on, source, what) = match from {
            Origin::Image { repository, .. } => (repository.disk.as_deref(), None, "captured disk"),
            Origin::Disk(source) => (None, Some(source.path()), "disk to clone"),
        };
        let load =
            Load { images_on, source, whole: (what, from.size()), least: from.least_target() };
        let words = |misfit: Misfit| misfit.to_string();
        let itself = load.comes_from(disk.path()).map(words);
        itself
            .or_else(|| disk.target_refusal())
            .or_else(|| load.is_too_large(disk.disk.size).map(words))
    }

    fn choose(&self) -> Action {
        let Some(disk) = self.current() else { return Action::None };
        if self.refusal(disk).is_some() {
            return Action::None;
        }
        self.then.go(disk.clone())
    }

    fn look(&mut self, known: Option<u64>) -> Action {
        self.asked = true;
        ask(Request::Disks { known })
    }

    /// Takes a new list; the cursor stays on its disk, and starts on one that can be chosen.
    fn take(&mut self, list: DiskList) {
        let path = self.current().map(|disk| disk.path().to_owned());
        let found = list.disks.iter().position(|disk| match &path {
            Some(path) => disk.path() == path,
            None => self.refusal(disk).is_none(),
        });
        let last = list.disks.len().saturating_sub(1);
        self.cursor.index = found.unwrap_or(self.cursor.index).min(last);
        self.list = Some(list);
        self.failure = None;
    }

    /// What is shown in place of the list: waiting, a failure, or why there is no disk.
    fn message(&self, columns: u16, look: Look, now: Duration) -> Option<Vec<Line<'static>>> {
        let mut lines = Lines::new(columns);
        if let Some(failure) = &self.failure {
            failure_lines(&mut lines, failure, look);
            return Some(lines.finish());
        }
        let Some(list) = &self.list else { return Some(waiting("Looking at the disks", now)) };
        if !list.disks.is_empty() {
            return None;
        }
        lines.text("No disk found.", look.warning());
        lines.text("A disk that is plugged in now appears here by itself.", Style::new());
        if list.controllers.is_empty() {
            lines.gap().text("No storage controller without a driver was seen.", Style::new());
        } else {
            lines
                .gap()
                .text("Storage controllers without a driver, or hiding disks:", look.heading());
            for controller in &list.controllers {
                lines.item(" ", controller, Style::new());
            }
        }
        for hint in &list.hints {
            lines.gap().text(hint, Style::new());
        }
        Some(lines.finish())
    }

    fn has_silent_controllers(&self) -> bool {
        self.list.as_ref().is_some_and(|list| !list.controllers.is_empty())
    }

    /// Why a disk may be missing although others are there.
    fn missing(&self) -> TextWindow {
        let mut text = vec!["Storage controllers without a driver, or hiding disks:".to_owned()];
        if let Some(list) = &self.list {
            text.extend(list.controllers.iter().chain(&list.hints).cloned());
        }
        TextWindow::message("Missing a disk?", text)
    }

    fn row(&self, disk: &Survey, columns: usize, look: Look) -> Row {
        let name = columns.saturating_sub(2 + 10 + 9 + 7 + 3);
        let first = format!(
            "{} {} {} {}",
            text::left(&disk.disk.identity(), name),
            text::right(&format::size(disk.disk.size), 9),
            text::left(&disk.disk.transport.to_string(), 7),
            text::left(&disk.name(), 10),
        );
        let row = Row::new(Line::styled(first, look.heading()));
        match (self.refusal(disk), disk.remark()) {
            (Some(refusal), _) => {
                row.with(Line::styled(format!("  Not possible: {refusal}"), look.warning()))
            }
            (None, Some(remark)) => row.with(Line::styled(format!("  {remark}"), look.warning())),
            (None, None) => row.with(Line::raw(format!("  {}", disk.summary()))),
        }
    }
}

impl Page for Disks {
    fn title(&self) -> String {
        self.wanted.title.clone()
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = vec![("↑↓", "Move")];
        if self.current().is_some_and(|disk| self.refusal(disk).is_none()) {
            hints.push(("Enter", "Choose"));
        }
        if self.has_silent_controllers() && !self.disks().is_empty() {
            hints.push(("M", "Missing a disk?"));
        }
        hints.extend([("R", "Look again"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        match self.wanted.role {
            Role::Read => &[
                "Choose the disk to be read. It is opened for reading only.",
                "The bar shows the disk to scale: full is in use, light is free, half dark is not \
                 known, dots are outside of partitions.",
                "Compare model and serial number with the label of the disk: names such as sda \
                 change from one start to the next.",
                "Disks plugged in later appear by themselves.",
            ],
            Role::Written(_) | Role::Erased => &[
                "Choose the disk that is written to. What it holds now is lost; nothing \
                 is written before the next pages have shown the plan and you have agreed.",
                "Disks that are in use, hold the images or are too small cannot be chosen.",
                "Compare model and serial number with the label of the disk.",
            ],
        }
    }

    fn on_open(&mut self) -> Action {
        self.look(None)
    }

    fn on_tick(&mut self, context: &Context) -> Action {
        if self.asked || context.now.saturating_sub(self.last) < INTERVAL {
            return Action::None;
        }
        let known = self.list.as_ref().map(|list| list.signature);
        self.look(known)
    }

    fn on_reply(&mut self, reply: Reply, context: &Context) -> Action {
        self.asked = false;
        self.last = context.now;
        match reply {
            Reply::Disks(Ok(Some(list))) => self.take(list),
            Reply::Disks(Err(failure)) => self.failure = Some(failure),
            _ => {}
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let page = usize::from(context.body.height / 4);
        if let Some(lines) = self.message(context.body.width, Look::PLAIN, context.now) {
            self.document.on_key(key, lines.len(), context.body.height);
        } else if self.cursor.on_key(key, self.disks().len(), page) {
            return Action::None;
        }
        match key {
            Key::Enter => self.choose(),
            Key::Char('r' | 'R') => self.look(None),
            Key::Char('m' | 'M') if self.has_silent_controllers() => open(self.missing()),
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.list.is_none() && self.failure.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        if let Some(lines) = self.message(area.width, look, now) {
            self.document.render(&lines, area, buffer, look);
            return;
        }
        let Some(disk) = self.current() else { return };
        let lines: usize = disk.volumes.iter().map(|volume| volume_lines(volume, 0).len()).sum();
        let details = u16::try_from(lines + 3).unwrap_or(u16::MAX);
        let details = details.min(area.height / 2);
        let list_area = Rect { height: area.height - details, ..area };
        let list: Vec<Row> =
            self.disks().iter().map(|disk| self.row(disk, usize::from(area.width), look)).collect();
        rows(&list, Some(self.cursor.index), list_area, buffer, look);
        let details_area = Rect { y: list_area.bottom(), height: details, ..area };
        render_details(disk, details_area, buffer, look);
    }
}

/// The disk under the cursor: drawn, and its partitions.
fn render_details(disk: &Survey, area: Rect, buffer: &mut Buffer, look: Look) {
    if area.height < 3 {
        return;
    }
    let rule = "─".repeat(usize::from(area.width));
    buffer.set_string(area.x, area.y, rule, look.frame());
    buffer.set_string(area.x + 1, area.y, format!(" {} ", disk.name()), look.heading());
    let bar = Rect { y: area.y + 1, height: 1, ..area };
    volume_bar(disk.disk.size, &disk.volumes, bar, buffer, look);
    let room = usize::from(area.height - 2);
    let columns = usize::from(area.width);
    let lines: Vec<Line> = disk
        .volumes
        .iter()
        .flat_map(|volume| {
            let mark = Span::styled("█ ", look.content(&volume.content));
            let texts = volume_lines(volume, columns.saturating_sub(2)).into_iter();
            texts.map(move |text| Line::from(vec![mark.clone(), Span::raw(text)]))
        })
        .collect();
    let hidden = lines.len().saturating_sub(room);
    let shown = if hidden > 0 { room.saturating_sub(1) } else { room };
    let mut y = area.y + 2;
    for line in lines.iter().take(shown) {
        buffer.set_line(area.x, y, line, area.width);
        y += 1;
    }
    if hidden > 0 {
        let more = format!("  and {} more", lines.len() - shown);
        buffer.set_stringn(area.x, y, more, columns, Style::new());
    }
}
