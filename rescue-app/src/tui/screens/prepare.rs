//! Making a disk a place for images: which filesystem, and its label.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::confirm::{Agreed, Confirm, DISK_HELP, Said, Subject};
use super::create::{Create, Target};
use super::errand::Errand;
use super::waiting::failure_lines;
use crate::job::{PrepareArgs, Verb};
use crate::operation::{PlaceFilesystem, Survey};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, PrepareOrder, PreparePlan};
use crate::tui::page::{Action, Context, Hint, Page, ask, open, replace};
use crate::tui::widgets::{Did, Form, FormRow, Lines, below, draw_lines, spinner};

/// The rows of the form, top down.
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
    errand: Errand,
    disk: Survey,
    filesystem: PlaceFilesystem,
    form: Form<Part>,
    work: Option<Work>,
    failure: Option<Failure>,
    plan: PreparePlan,
}

impl Prepare {
    /// The form for `disk`, filled in as is usual.
    pub(super) fn new(errand: Errand, disk: Survey) -> Self {
        let filesystem = PlaceFilesystem::default();
        let kind = |kind| FormRow::choice(Part::Kind(kind), description(kind), kind == filesystem);
        let form = Form::new(vec![
            kind(PlaceFilesystem::Ext4),
            kind(PlaceFilesystem::Exfat).end(),
            FormRow::text(Part::Label, "Label", filesystem.usual_label()).end(),
            FormRow::button(Part::Continue, "Continue").end(),
        ]);
        let (work, failure, plan) = (None, None, PreparePlan::default());
        Self { errand, disk, filesystem, form, work, failure, plan }
    }

    fn order(&self) -> PrepareOrder {
        let mut args = PrepareArgs::all_of(self.disk.path(), self.disk.erase());
        args.filesystem = self.filesystem;
        args.label = Some(self.form.typed(Part::Label).trim().to_owned());
        PrepareOrder { disk: self.disk.clone(), args, agreed: self.plan.agreement.clone() }
    }

    /// Chooses a filesystem; a label that nobody typed goes with it.
    fn choose(&mut self, filesystem: PlaceFilesystem) {
        if self.form.typed(Part::Label) == self.filesystem.usual_label() {
            self.form.put(Part::Label, filesystem.usual_label());
        }
        self.filesystem = filesystem;
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
                let verb = Verb::Prepare(self.order().args);
                lines.item(" ", &verb.command_line(), look.heading());
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

/// The last question.
fn agreement(disk: &Survey, lost: &[String]) -> Subject {
    let mut said = vec![
        Said::Text("This disk will be erased and made a place for images:".into()),
        Said::Gone(disk.line()),
    ];
    if lost.is_empty() {
        said.extend([Said::Gap, Said::Text("It holds nothing that was recognised.".into())]);
    }
    let title = "Prepare a disk: the last question".into();
    Subject { title, help: DISK_HELP, said, confirmation: disk.confirmation() }.losing(lost)
}

impl Page for Prepare {
    fn title(&self) -> String {
        format!("{}: prepare a disk for images", self.errand.title)
    }

    fn hints(&self) -> Vec<Hint> {
        if self.work.is_some() {
            return vec![("", "Please wait")];
        }
        let enter = self.form.enter("Continue");
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
        if self.work.is_some() {
            return Action::None;
        }
        match self.form.on_key(key) {
            Did::Chose(Part::Continue) => return self.start(Work::Planning),
            Did::Chose(Part::Kind(kind)) => {
                self.choose(kind);
                if key == Key::Enter {
                    self.form.leave_choice();
                }
            }
            Did::Chose(Part::Label) | Did::Moved | Did::Nothing => {}
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
                open(Confirm::new(agreement(&self.disk, &lost), Agreed::Answer))
            }
            Reply::Prepared(Ok(place)) => {
                replace(Create::new(self.errand.clone(), Target::Place(place)))
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
        let mut top = Lines::new(area.width);
        top.fact("Disk", &self.disk.line());
        top.fact("Holds", &self.disk.holds());
        let rest = below(draw_lines(&top.finish(), area, buffer), 1);
        let rest = self.form.render(self.work.is_none(), rest, buffer, look);
        draw_lines(&self.remark(area.width, look, now), rest, buffer);
    }
}
