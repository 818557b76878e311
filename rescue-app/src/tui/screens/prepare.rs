//! Making a disk a place for images: which filesystem, and its label.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::confirm::{Confirm, Then};
use super::create::{Create, Target};
use super::{Goal, failure_lines};
use crate::operation::PlaceFilesystem;
use crate::tui::command_line;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Disk, Failure, PrepareOrder, PreparePlan};
use crate::tui::page::{Action, Context, Hint, Page, ask, open, replace};
use crate::tui::widgets::{Field, Lines, spinner};

/// The rows of the form, top down.
const ROWS: [Part; 4] = [
    Part::Kind(PlaceFilesystem::Ext4),
    Part::Kind(PlaceFilesystem::Exfat),
    Part::Label,
    Part::Continue,
];

/// Column of the label, behind its name.
const FIELD_INDENT: u16 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Kind(PlaceFilesystem),
    Label,
    Continue,
}

/// What the form waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Planning,
    Preparing,
}

/// The form.
pub(super) struct Prepare {
    goal: Goal,
    disk: Disk,
    filesystem: PlaceFilesystem,
    label: Field,
    at: usize,
    work: Option<Work>,
    failure: Option<Failure>,
    plan: PreparePlan,
}

impl Prepare {
    /// The form for `disk`, filled in as is usual.
    pub(super) fn new(goal: Goal, disk: Disk) -> Self {
        let filesystem = PlaceFilesystem::default();
        let label = Field::new(filesystem.usual_label());
        Self {
            goal,
            disk,
            filesystem,
            label,
            at: 0,
            work: None,
            failure: None,
            plan: PreparePlan::default(),
        }
    }

    fn part(&self) -> Part {
        ROWS.get(self.at).copied().unwrap_or(Part::Continue)
    }

    fn order(&self) -> PrepareOrder {
        PrepareOrder {
            disk: self.disk.clone(),
            filesystem: self.filesystem,
            label: self.label.text().trim().to_owned(),
            agreed: self.plan.agreement.clone(),
        }
    }

    /// Chooses a filesystem; a label that nobody typed goes with it.
    fn choose(&mut self, filesystem: PlaceFilesystem) {
        if self.label.text() == self.filesystem.usual_label() {
            self.label = Field::new(filesystem.usual_label());
        }
        self.filesystem = filesystem;
    }

    fn step(&mut self, forward: bool) {
        let by = if forward { 1 } else { ROWS.len() - 1 };
        self.at = (self.at + by) % ROWS.len();
    }

    fn start(&mut self, work: Work) -> Action {
        self.work = Some(work);
        self.failure = None;
        if work == Work::Planning {
            self.plan = PreparePlan::default();
        }
        ask(match work {
            Work::Planning => Request::PlanPrepare(self.order()),
            Work::Preparing => Request::Prepare(self.order()),
        })
    }

    fn row(&self, index: usize, look: Look) -> (String, Style) {
        let part = ROWS.get(index).copied().unwrap_or(Part::Continue);
        let mark = if self.at == index { "►" } else { " " };
        let text = match part {
            Part::Kind(kind) => {
                let set = if self.filesystem == kind { "(*)" } else { "( )" };
                format!("{set} {}", description(kind))
            }
            Part::Label => "Label".into(),
            Part::Continue => "[ Continue ]".into(),
        };
        let is_button = part != Part::Label && self.at == index;
        let style = if is_button { look.selected() } else { Style::new() };
        (format!("{mark} {text}"), style)
    }

    /// What is going on, what is wrong, or the command that does the same.
    fn remark(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        match (self.work, &self.failure) {
            (Some(Work::Planning), _) => {
                lines.line(format!("{} Looking at the disk", spinner(now)));
            }
            (Some(Work::Preparing), _) => {
                lines.line(format!("{} Preparing the disk", spinner(now)));
            }
            (None, Some(failure)) => failure_lines(&mut lines, failure, look),
            (None, None) => {
                lines.text(
                    "Nothing is written before you have seen what is lost and agreed. The same \
                     from the command line:",
                    Style::new(),
                );
                lines.item(" ", &command_line::prepare(&self.order()), look.heading());
            }
        }
        lines.finish()
    }
}

fn description(kind: PlaceFilesystem) -> &'static str {
    match kind {
        PlaceFilesystem::Ext4 => "ext4: for Linux; safest when power fails",
        PlaceFilesystem::Exfat => "exFAT: for Windows and macOS too",
    }
}

impl Page for Prepare {
    fn title(&self) -> String {
        format!("{}: prepare a disk for images", self.goal.title())
    }

    fn hints(&self) -> Vec<Hint> {
        if self.work.is_some() {
            return vec![("", "Please wait")];
        }
        let enter = if self.part() == Part::Continue { "Continue" } else { "Next" };
        vec![("↑↓ Tab", "Move"), ("Enter", enter), ("F1", "Help"), ("Esc", "Back")]
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The disk is erased and gets a new partition table (GPT) with one partition and an empty \
             filesystem. It is then the place where the image goes.",
            "ext4 keeps what is stored when the power fails. exFAT is read by Windows and macOS as \
             well, but has no journal: switch the disk off only when all is done.",
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn on_escape(&mut self) -> Action {
        if self.work.is_some() { Action::None } else { Action::Back }
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        if self.work.is_some() || self.part() == Part::Label && self.label.on_key(key) {
            return Action::None;
        }
        match (key, self.part()) {
            (Key::Enter, Part::Continue) => return self.start(Work::Planning),
            (Key::Char(' '), Part::Kind(kind)) => self.choose(kind),
            (Key::Enter, Part::Kind(kind)) => {
                self.choose(kind);
                self.at = ROWS.iter().position(|part| *part == Part::Label).unwrap_or_default();
            }
            (Key::Enter | Key::Down | Key::Tab, _) => self.step(true),
            (Key::Up | Key::BackTab, _) => self.step(false),
            _ => {}
        }
        Action::None
    }

    fn on_answer(&mut self, yes: bool) -> Action {
        if yes { self.start(Work::Preparing) } else { Action::None }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.work = None;
        match reply {
            Reply::PreparePlan(Ok(plan)) => {
                let lost = plan.lost.clone();
                self.plan = plan;
                open(Confirm::new(Then::Prepare(Box::new(self.disk.clone()), lost)))
            }
            Reply::Prepared(Ok(place)) => {
                replace(Create::new(self.goal.clone(), Target::Place(place)))
            }
            Reply::PreparePlan(Err(failure)) | Reply::Prepared(Err(failure)) => {
                self.failure = Some(failure);
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let columns = usize::from(area.width);
        let mut top = Lines::new(area.width);
        top.fact("Disk", &self.disk.line());
        top.fact("Holds", &self.disk.holds());
        let mut y = area.y;
        for line in top.finish() {
            if y < area.bottom() {
                buffer.set_line(area.x, y, &line, area.width);
            }
            y += 1;
        }
        y += 1;
        for index in 0..ROWS.len() {
            if y >= area.bottom() {
                return;
            }
            let (text, style) = self.row(index, look);
            buffer.set_stringn(area.x, y, &text, columns, style);
            if ROWS.get(index) == Some(&Part::Label) {
                let x = area.x + FIELD_INDENT.min(area.width);
                let field_area = Rect { x, y, width: area.right() - x, height: 1 };
                self.label.render(self.at == index, field_area, buffer, look);
            }
            let ends_group =
                matches!(ROWS.get(index), Some(Part::Kind(PlaceFilesystem::Exfat) | Part::Label));
            y += 1 + u16::from(ends_group);
        }
        for (y, line) in (y + 1..area.bottom()).zip(self.remark(area.width, look, now)) {
            buffer.set_line(area.x, y, &line, area.width);
        }
    }
}
