//! The summary before a restore or clone: the target before and after, and what is lost.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::waiting::{failure_lines, waiting};
use crate::operation::{LayoutEntry, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{Failure, WriteOrder, WritePlan};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask};
use crate::tui::widgets::{Document, Lines, layout_bar, text};

/// Columns of the names before the two drawn disks.
const BAR_INDENT: u16 = 7;

/// What was planned, and what the target loses by it.
pub(in crate::tui) type Agreeable = (WriteOrder, Vec<String>);

/// The plan, and the way to the typed agreement.
pub(in crate::tui) struct WritePlanPage {
    order: WriteOrder,
    then: Then<Agreeable>,
    plan: Option<Result<WritePlan, Failure>>,
    document: Document,
}

impl WritePlanPage {
    /// Plans `order` once the page is in view.
    pub(in crate::tui) fn new(order: WriteOrder, then: Then<Agreeable>) -> Self {
        Self { order, then, plan: None, document: Document::default() }
    }

    /// Whether it is an image that is written, which can be proven first.
    fn is_restore(&self) -> bool {
        self.order.from.repository().is_some()
    }

    fn lines(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let plan = match &self.plan {
            None => return waiting("Planning", now),
            Some(Err(failure)) => {
                let mut lines = Lines::new(columns);
                lines
                    .text(
                        &format!("This {} is not possible.", self.order.from.verb().to_lowercase()),
                        look.heading(),
                    )
                    .gap();
                failure_lines(&mut lines, failure, look);
                return lines.finish();
            }
            Some(Ok(plan)) => plan,
        };
        let mut lines = Lines::new(columns);
        for lost in &plan.preview.lost {
            lines.item("!", lost, look.bad());
        }
        if plan.preview.lost.is_empty() {
            lines.text("The target holds nothing that was recognised.", Style::new());
        }
        for notice in &plan.preview.notices {
            lines.item("-", notice, Style::new());
        }
        lines.gap().text("Now", look.heading());
        layout_lines(&mut lines, &plan.preview.before, columns, look, "lost");
        lines.gap().text("Afterwards", look.heading());
        layout_lines(&mut lines, &plan.preview.after, columns, look, "written");
        lines.gap();
        lines.fact(self.order.from.name(), &self.order.from.line());
        for other in &plan.with {
            lines.fact("and image", &other.line());
        }
        lines.fact("To be written", &writes(plan.preview.writes, &self.order));
        lines.gap().text("The same from the command line:", Style::new());
        lines.item(" ", &self.order.verb().command_line(), look.heading());
        lines.finish()
    }
}

fn writes(bytes: u64, order: &WriteOrder) -> String {
    let first = if order.verify_first { ", once the image was read and proven" } else { "" };
    let most = if order.target.only_changed { "at most " } else { "" };
    let back =
        if order.target.no_read_back { ", not read back" } else { ", then read back and compared" };
    format!("{most}{}{first}{back}", format::size(bytes))
}

fn layout_lines(
    lines: &mut Lines,
    entries: &[LayoutEntry],
    columns: u16,
    look: Look,
    changed: &str,
) {
    if entries.is_empty() {
        lines.line("    empty");
    }
    for entry in entries {
        let number = entry.number.map_or_else(|| "-".into(), |number| number.to_string());
        let room = usize::from(columns).saturating_sub(26);
        let state = if entry.kept { "stays" } else { changed };
        let line = format!(
            "{} {} {}  {state}",
            text::right(&number, 4),
            text::right(&format::size(entry.size), 9),
            text::left(&entry.text, room),
        );
        let style = if !entry.kept && changed == "lost" { look.bad() } else { Style::new() };
        lines.line(Line::styled(line, style));
    }
}

impl Page for WritePlanPage {
    fn title(&self) -> String {
        format!("{}: summary", self.order.from.verb())
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = Vec::new();
        if matches!(self.plan, Some(Ok(_))) {
            hints.push(("Enter", "Continue"));
            if self.is_restore() {
                hints.push(("V", "Verify first"));
            }
        }
        hints.extend([("↑↓", "Scroll"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The target as it is and as it will be. Nothing has been written yet: Enter leads to \
             one more question, which must be answered by typing.",
            "V reads and proves all that is needed of the image before anything is written: for images \
             on a disk that may be failing. Otherwise only the lengths and headers of its files are \
             looked at first.",
            "The beginning of the disk is written last, so that a half-written disk is never \
             taken for a whole one.",
        ]
    }

    fn on_open(&mut self) -> Action {
        self.plan = None;
        // What fits may have changed since.
        self.order.others_are(Vec::new());
        self.order.planned = None;
        ask(Request::PlanWrite(Box::new(self.order.clone())))
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        if let Reply::WritePlan(plan) = reply {
            let with = plan.iter().flat_map(|plan| &plan.with).map(|image| image.id.clone());
            self.order.others_are(with.collect());
            self.order.planned = plan.as_ref().ok().and_then(|plan| plan.planned.clone());
            self.plan = Some(plan);
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width, Look::PLAIN, context.now).len();
        let height = body(context.body).height;
        if self.document.on_key(key, count, height) {
            return Action::None;
        }
        match (key, &self.plan) {
            (Key::Enter, Some(Ok(plan))) => {
                let lost = plan.preview.lost.clone();
                let order = self.order.clone();
                // From here on it is the next page's; this one plans anew when it comes into view.
                (self.plan, self.order.planned) = (None, None);
                self.then.go((order, lost))
            }
            (Key::Char('v' | 'V'), Some(Ok(_))) if self.is_restore() => {
                self.order.verify_first = !self.order.verify_first;
                Action::None
            }
            _ => Action::None,
        }
    }

    fn is_busy(&self) -> bool {
        self.plan.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let disk = &self.order.disk;
        buffer.set_stringn(area.x, area.y, disk.line(), usize::from(area.width), look.heading());
        if let Some(Ok(plan)) = &self.plan {
            let bars = [
                ("Now", &plan.preview.before, look.bad()),
                ("After", &plan.preview.after, look.bar()),
            ];
            for (y, (name, entries, style)) in (area.y + 1..area.bottom()).zip(bars) {
                buffer.set_stringn(area.x, y, name, usize::from(area.width), Style::new());
                let indent = BAR_INDENT.min(area.width);
                let bar = Rect { x: area.x + indent, y, width: area.width - indent, height: 1 };
                layout_bar(disk.disk.size, entries, style, bar, buffer);
            }
        }
        self.document.render(&self.lines(area.width, look, now), body(area), buffer, look);
    }
}

/// The scrolling part of the page, below the two drawn disks.
fn body(area: Rect) -> Rect {
    Rect { y: area.y + 4, height: area.height.saturating_sub(4), ..area }
}
