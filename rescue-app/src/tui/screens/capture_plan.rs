//! The summary before a capture.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::clock::Clock;
use super::waiting::{failure_lines, waiting};
use crate::operation::{self, Reading, SourceSummary, Unpartitioned, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::{CaptureOrder, CapturePlan, Failure};
use crate::tui::page::{Action, Context, Hint, Page, Then, ask, open};
use crate::tui::widgets::{Document, Lines};

/// How often sectors that cannot be read may be tried again; chosen in turn.
const RETRIES: [u32; 4] = [1, 3, 10, 0];

/// What will be read and stored, and the command that does the same.
pub(in crate::tui) struct CapturePlanPage {
    order: CaptureOrder,
    then: Then<CaptureOrder>,
    plan: Option<Result<CapturePlan, Failure>>,
    document: Document,
}

impl CapturePlanPage {
    /// Plans `order` once the page is in view.
    pub(in crate::tui) fn new(order: CaptureOrder, then: Then<CaptureOrder>) -> Self {
        Self { order, then, plan: None, document: Document::default() }
    }

    fn lines(&self, columns: u16, look: Look, now: Duration) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        lines.fact("Disk", &self.order.disk.line());
        lines.fact("Content", &self.content());
        if !self.order.keys.is_empty() {
            let names: Vec<String> = self.order.keys.keys().map(ToString::to_string).collect();
            lines.fact("Unlocked", &names.join(", "));
        }
        lines.fact("Repository", &self.order.repository.title);
        let secret = if self.order.repository.passphrase.is_some() {
            "yes, with your passphrase"
        } else {
            "no: whoever has the disk can read the image"
        };
        lines.fact("Secret", secret);
        lines.fact("Compression", self.order.args.level.word());
        lines.fact("Bad sectors", &self.bad_sectors());
        if let Some(found) = self.outside() {
            lines.fact("Unpartitioned", &unpartitioned(found));
        }
        if self.offers_choice() {
            lines.fact("Windows", self.unclosed());
        }
        match &self.plan {
            None => {
                let mut lines = lines.finish();
                lines.extend(waiting("Reading tables and filesystems", now));
                return lines;
            }
            Some(Err(failure)) => failure_lines(lines.gap(), failure, look),
            Some(Ok(plan)) => self.plan_lines(plan, &mut lines, look),
        }
        lines.finish()
    }

    /// The plan, once it is made.
    fn ready(&self) -> Option<&CapturePlan> {
        self.plan.as_ref().and_then(|plan| plan.as_ref().ok())
    }

    /// Whether there is an NTFS that was not closed, so that there is something to choose.
    fn offers_choice(&self) -> bool {
        self.reading() != Reading::Whole
            && self.ready().is_some_and(|plan| plan.source.has_unclosed_ntfs)
    }

    /// What the clock says, if that can hardly be right.
    fn wrong_clock(&self) -> Option<&str> {
        self.ready().and_then(|plan| plan.wrong_clock.as_deref())
    }

    /// What lies outside of partitions, if there is much and not every byte is stored anyway.
    fn outside(&self) -> Option<&Unpartitioned> {
        let plan = self.ready().filter(|_| self.reading() != Reading::Whole);
        plan.and_then(|plan| plan.source.unpartitioned.as_ref())
    }

    /// How much of the disk is stored.
    fn content(&self) -> String {
        let which = match self.order.args.source.partitions.as_deref() {
            None => "the whole disk".to_owned(),
            Some(numbers) => format!("partitions {}", format::numbers(numbers)),
        };
        match self.reading() {
            Reading::Whole => format!("{which}, every byte, also what nothing uses"),
            Reading::Used { .. } => format!("{which}, what is in use"),
        }
    }

    fn reading(&self) -> Reading {
        self.order.args.source.reading
    }

    /// Reads the disk so, and plans anew.
    fn read(&mut self, reading: Reading) -> Action {
        self.order.args.source.reading = reading;
        self.on_open()
    }

    /// Every byte, or what is usual if that is so already.
    fn toggle_whole(&mut self) -> Action {
        let usual = Reading::default();
        self.read(if self.reading() == Reading::Whole { usual } else { Reading::Whole })
    }

    /// Leaves out what lies outside of partitions, or no more.
    fn toggle_unpartitioned(&mut self) -> Action {
        let skip_unpartitioned = !self.reading().skips_unpartitioned();
        let trust_unclosed = self.reading().trusts_unclosed();
        self.read(Reading::Used { skip_unpartitioned, trust_unclosed })
    }

    /// Trusts the tables of an NTFS that was not closed, or no more.
    fn toggle_trust(&mut self) -> Action {
        let skip_unpartitioned = self.reading().skips_unpartitioned();
        let trust_unclosed = !self.reading().trusts_unclosed();
        self.read(Reading::Used { skip_unpartitioned, trust_unclosed })
    }

    /// What is stored of an NTFS that was not closed.
    fn unclosed(&self) -> &'static str {
        if self.reading().trusts_unclosed() {
            "was not shut down: stored is what its tables call used"
        } else {
            "was not shut down: every byte is stored"
        }
    }

    /// What is done about sectors that cannot be read.
    fn bad_sectors(&self) -> String {
        let retries = match self.order.args.source.retries {
            0 => "not tried again".to_owned(),
            1 => "tried again once".to_owned(),
            count => format!("tried again {count} times"),
        };
        match self.order.map() {
            None => format!("{retries}, no map kept"),
            Some(name) => format!("{retries}, map kept beside the images as {name}"),
        }
    }

    fn plan_lines(&self, plan: &CapturePlan, lines: &mut Lines, look: Look) {
        lines.gap();
        lines.fact("To be read", &format::size(plan.source.read));
        lines.fact("Left out", &left_out(&plan.source));
        let free = plan
            .outlook
            .space
            .free
            .map_or_else(String::new, |free| format!(" ({} free there)", format::size(free)));
        lines.fact(
            "To be stored",
            &format!("at most {}{free}", format::size(plan.outlook.space.at_most)),
        );
        lines.fact("Likely", &plan.outlook.space.likely());
        if let Some(kept) = plan.source.kept_boot_entries() {
            lines.fact("Besides", &kept);
        }
        if !plan.outlook.warnings.is_empty() {
            lines.gap();
        }
        for warning in &plan.outlook.warnings {
            lines.item("!", warning, look.warning());
        }
        lines
            .gap()
            .text("The disk itself is only read. The same from the command line:", Style::new());
        lines.item(" ", &self.order.verb().command_line(), look.heading());
    }
}

/// What becomes of the space outside of partitions.
fn unpartitioned(found: &Unpartitioned) -> String {
    let zero = if found.samples_are_zero { "; samples of it are all zero" } else { "" };
    let size = format::size(found.bytes);
    if found.left_out {
        return format!("{size}, left out{zero}");
    }
    let time = found.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time =
        time.map_or_else(String::new, |time| format!(" in about {}", format::duration(time)));
    format!("{size}, read{time}, stored where not zero{zero}")
}

/// What is not read, and why.
fn left_out(source: &SourceSummary) -> String {
    let parts = [
        (source.unused, "that no file uses"),
        (source.not_chosen(), "in partitions not chosen"),
        (source.outside(), "outside of partitions"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(bytes, _)| *bytes > 0)
        .map(|(bytes, which)| format!("{} {which}", format::size(*bytes)))
        .chain(operation::not_stored(&source.left_out))
        .collect();
    if told.is_empty() { "nothing".into() } else { told.join(", ") }
}

impl Page for CapturePlanPage {
    fn title(&self) -> String {
        "Capture: summary".into()
    }

    fn hints(&self) -> Vec<Hint> {
        let mut hints = Vec::new();
        if self.ready().is_some() {
            hints.push(("Enter", "Start"));
        }
        if self.offers_choice() {
            hints.push(("W", "Windows"));
        }
        if self.outside().is_some() {
            hints.push(("U", "Outside"));
        }
        if self.wrong_clock().is_some() {
            hints.push(("C", "Clock"));
        }
        hints.extend([("A", "All bytes"), ("T", "Tries"), ("M", "Map")]);
        hints.extend([("↑↓", "Scroll"), ("Esc", "Back")]);
        hints
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "What will be done, before it is done. Press Enter to start.",
            "The image is checked after it was stored. You can stop at any time: images stored \
             earlier stay whole, and capturing the same disk again carries on from where it stopped.",
            "A stores every byte, also what no file uses: for looking for deleted files later. U leaves \
             out what lies outside of all partitions, but for 64 MiB at the start of the disk and \
             1 MiB at both ends of every other stretch; otherwise it is read, which takes long on a \
             large disk, and what is not zero is stored.",
            "C sets this machine's clock where it can hardly be right: images are told apart by their \
             times.",
            "For a failing disk: T sets how often sectors that cannot be read are tried again, after \
             everything else was read. M keeps a map of what was read, which GNU ddrescue \
             understands, beside the images: captured again, the disk's bad places come last.",
            "Windows that was hibernated, or shut down with Fast Startup, has not written all that its \
             disk has to hold, so every byte is stored; shut it down with `shutdown /s /t 0` and \
             capture it again. W stores only what its tables call used: smaller, but what it had \
             not written yet is missing after a restore, and it has to start afresh.",
        ]
    }

    fn on_open(&mut self) -> Action {
        // The disk is free for the next plan only once nobody keeps this one.
        (self.plan, self.order.planned) = (None, None);
        ask(Request::PlanCapture(Box::new(self.order.clone())))
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        if let Reply::CapturePlan(plan) = reply {
            self.plan = Some(plan);
        }
        Action::None
    }

    fn on_key(&mut self, key: Key, context: &Context) -> Action {
        let count = self.lines(context.body.width, Look::PLAIN, context.now).len();
        if self.document.on_key(key, count, context.body.height) {
            return Action::None;
        }
        match key.letter() {
            Some('t') => {
                let retries = &mut self.order.args.source.retries;
                let now = RETRIES.iter().position(|count| count == retries);
                let next = now.map_or(0, |index| (index + 1) % RETRIES.len());
                *retries = RETRIES.get(next).copied().unwrap_or_default();
            }
            Some('w') if self.offers_choice() => return self.toggle_trust(),
            Some('u') if self.outside().is_some() => return self.toggle_unpartitioned(),
            Some('c') => {
                let clock = self.wrong_clock().map(str::to_owned);
                return clock.map_or(Action::None, |says| open(Clock::new(says)));
            }
            Some('a') if self.plan.is_some() => return self.toggle_whole(),
            Some('m') => self.order.args.keep_map = !self.order.args.keep_map,
            _ if key == Key::Enter && self.ready().is_some() => {
                let planned = self.ready().and_then(|plan| plan.planned.clone());
                // From here on it is the next page's; this one plans anew when it comes into view.
                self.plan = None;
                let order = CaptureOrder { planned, ..self.order.clone() };
                return self.then.go(order);
            }
            _ => {}
        }
        Action::None
    }

    fn is_busy(&self) -> bool {
        self.plan.is_none()
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        self.document.render(&self.lines(area.width, look, now), area, buffer, look);
    }
}
