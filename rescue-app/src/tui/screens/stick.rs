//! Making a stick: what is written to it, and for the stick that Lifeboat was started from, the partition
//! that is still missing.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::confirm::{Agreed, Confirm, DISK_HELP, Said, Subject};
use super::create::{Create, Target};
use super::errand::Errand;
use super::waiting::failure_lines;
use crate::job::{StickArgs, Verb};
use crate::operation::Survey;
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, StickOrder, StickPlan};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask, open, replace};
use crate::tui::widgets::{Did, Form, FormRow, Lines, below, draw_lines, spinner};

/// The rows of the form, top down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Iso,
    NewData,
    Continue,
}

/// What the form waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Planning,
    Making,
}

/// What follows the agreement.
#[derive(Clone)]
enum Next {
    /// The stick is made.
    Make(Then<StickOrder>),
    /// The running stick gets its data partition here, and that is the place for this.
    UseFor(Errand),
}

/// The form.
pub(in crate::tui) struct StickPage {
    next: Next,
    disk: Survey,
    form: Form<Part>,
    work: Option<Work>,
    failure: Option<Failure>,
    plan: StickPlan,
}

impl StickPage {
    /// The form for a disk that is to be made a stick.
    pub(in crate::tui) fn new(disk: Survey, then: Then<StickOrder>) -> Self {
        let form = Form::new(vec![
            FormRow::text(Part::Iso, "ISO file", "").end(),
            FormRow::tick(Part::NewData, "Erase a data partition that is there already", false)
                .end(),
            FormRow::button(Part::Continue, "Continue").end(),
        ]);
        Self::of(Next::Make(then), disk, form)
    }

    /// The form for the stick that Lifeboat was started from, which has no data partition yet.
    pub(super) fn rest_of(disk: Survey, errand: Errand) -> Self {
        let form = Form::new(vec![FormRow::button(Part::Continue, "Continue").end()]);
        Self::of(Next::UseFor(errand), disk, form)
    }

    fn of(next: Next, disk: Survey, form: Form<Part>) -> Self {
        let (work, failure, plan) = (None, None, StickPlan::default());
        Self { next, disk, form, work, failure, plan }
    }

    fn order(&self) -> StickOrder {
        let mut args = StickArgs::copy_to(self.disk.path(), self.disk.erase());
        match &self.next {
            Next::Make(_) => {
                let iso = self.form.typed(Part::Iso).trim();
                args.iso = (!iso.is_empty()).then(|| PathBuf::from(iso));
                args.new_data = self.form.is_set(Part::NewData);
            }
            Next::UseFor(_) => args.data_only = true,
        }
        StickOrder { disk: self.disk.clone(), args, agreed: self.plan.agreement.clone() }
    }

    fn start(&mut self, work: Work) -> Action {
        self.work = Some(work);
        self.failure = None;
        if work == Work::Planning {
            self.plan = StickPlan::default();
        }
        let order = Box::new(self.order());
        ask(match work {
            Work::Planning => Request::PlanStick(order),
            Work::Making => Request::UseStick(order),
        })
    }

    /// The last question.
    fn confirm(&self) -> Action {
        let first = match &self.next {
            Next::Make(_) => "This disk will be erased and made a stick:",
            Next::UseFor(_) => "This stick will be made a place for images:",
        };
        let mut said = vec![Said::Text(first.into()), Said::Gone(self.disk.line())];
        said.extend(self.plan.said.iter().cloned().map(Said::Text));
        let title = "Make a stick: the last question".into();
        let confirmation = self.disk.confirmation();
        let subject = Subject { title, help: DISK_HELP, said, confirmation };
        let agreed = match &self.next {
            Next::UseFor(_) => Agreed::Answer,
            Next::Make(then) => {
                let (then, order) = (then.clone(), self.order());
                Agreed::Go(Then::new(move |()| then.go(order.clone())))
            }
        };
        open(Confirm::new(subject.losing(&self.plan.lost), agreed))
    }

    /// What is going on, what is wrong, or the command that does the same.
    fn remark(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        match (self.work, &self.failure) {
            (Some(Work::Planning), _) => {
                lines.line(format!("{} Looking at the disk", spinner(now)));
            }
            (Some(Work::Making), _) => {
                lines.line(format!("{} Making the partition for images", spinner(now)));
            }
            (None, Some(failure)) => failure_lines(&mut lines, failure, look),
            (None, None) => {
                if matches!(self.next, Next::Make(_)) {
                    lines.text(
                        "Without an ISO file it becomes a copy of the medium that Lifeboat was \
                         started from. A stick of before keeps its images.",
                        Style::new(),
                    );
                }
                lines.text(
                    "Nothing is written before you have seen what is lost and agreed. The same \
                     from the command line:",
                    Style::new(),
                );
                let verb = Verb::MakeStick(self.order().args);
                lines.item(" ", &verb.command_line(), look.heading());
            }
        }
        lines.finish()
    }
}

impl Page for StickPage {
    fn title(&self) -> String {
        match &self.next {
            Next::Make(_) => "Make a stick: what is written".into(),
            Next::UseFor(errand) => format!("{}: use the rest of this stick", errand.title),
        }
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
            "Lifeboat takes the first 256 MiB of a stick. What is behind them becomes a partition for \
             images, with exFAT: Windows, macOS and Linux read it too.",
            "exFAT has no journal: pull the stick out or switch off only when all is done.",
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
            Did::Chose(Part::Continue) => self.start(Work::Planning),
            _ => Action::None,
        }
    }

    fn on_answer(&mut self, yes: bool) -> Action {
        if yes { self.start(Work::Making) } else { Action::None }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        self.work = None;
        match (reply, &self.next) {
            (Reply::StickPlan(Ok(plan)), _) => {
                self.plan = plan;
                self.confirm()
            }
            (Reply::Prepared(Ok(place)), Next::UseFor(errand))
                if errand.stores() && place.repositories.is_empty() =>
            {
                replace(Create::new(errand.clone(), Target::Place(place)))
            }
            // The list of places finds what is on it.
            (Reply::Prepared(Ok(_)), _) => Action::Back,
            (Reply::StickPlan(Err(failure)) | Reply::Prepared(Err(failure)), _) => {
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
        top.fact("Holds", &self.disk.summary());
        let rest = below(draw_lines(&top.finish(), area, buffer), 1);
        let rest = self.form.render(self.work.is_none(), rest, buffer, look);
        draw_lines(&self.remark(area.width, look, now), rest, buffer);
    }
}
