//! A running job: how far it is, how fast, and how to stop it.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::paused::{Choice, Paused, WAYS};
use super::question::Question;
use super::report::{Ending, Report};
use super::text_window::TextWindow;
use super::words::Words;
use crate::operation::{Event, Level, Meter, Notice, Phase, format};
use crate::tui::key::Key;
use crate::tui::look::Look;
use crate::tui::machine::{Reply, Request};
use crate::tui::model::Job;
use crate::tui::page::{Action, Context, Hint, Page, ask, open, replace};
use crate::tui::widgets::{History, Lines, below, draw_lines, gauge, speed_graph, spinner, text};

/// Notices kept for the page.
const NOTICES: usize = 8;

/// Silence after which the page says that nothing moves.
const STALLED: Duration = Duration::from_secs(10);

/// The page of a running job.
pub(in crate::tui) struct ProgressPage {
    job: Job,
    words: Words,
    started: Option<Duration>,
    phase: Option<Phase>,
    meter: Meter,
    /// When the count last grew.
    moved: Duration,
    history: History,
    notices: VecDeque<Notice>,
    warnings: Vec<String>,
    stopping: bool,
    /// The place of the images is full.
    paused: Option<Paused>,
    /// The target is being written.
    writing: bool,
}

impl ProgressPage {
    /// Starts `job` once the page is in view; `words` are said of it.
    pub(in crate::tui) fn new(job: Job, words: Words) -> Self {
        Self {
            job,
            words,
            started: None,
            phase: None,
            meter: Meter::default(),
            moved: Duration::ZERO,
            history: History::default(),
            notices: VecDeque::new(),
            warnings: Vec::new(),
            stopping: false,
            paused: None,
            writing: false,
        }
    }

    fn elapsed(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started.unwrap_or(now))
    }

    /// How long nothing has moved, once that is long enough to say so.
    fn stall(&self, now: Duration) -> Option<Duration> {
        let progress = self.meter.progress().filter(|progress| progress.done < progress.total)?;
        let silence = now.saturating_sub(self.moved);
        (silence >= STALLED && progress.total > 0).then_some(silence)
    }

    /// The speed now; the meter hears nothing of a job that stands still.
    fn speed(&self, now: Duration) -> f64 {
        if self.stall(now).is_some() { 0.0 } else { self.meter.current_speed() }
    }

    fn render_heading(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        let [first, second] = &self.words.subjects;
        let columns = usize::from(area.width);
        buffer.set_stringn(area.x, area.y, first, columns, look.heading());
        buffer.set_stringn(area.x, area.y + 1, second, columns, Style::new());
        if self.paused.is_some() && !self.stopping {
            return;
        }
        let phase = match (self.stopping, self.phase) {
            (true, _) => "Stopping at the next safe point".to_owned(),
            (false, Some(Phase::Verifying)) => self.words.checking.to_owned(),
            (false, Some(phase)) => phase.title().to_owned(),
            (false, None) => "Starting".to_owned(),
        };
        let mut line = Line::styled(format!("{} {phase}", spinner(now)), look.heading());
        let bad_areas = self.meter.progress().map_or(0, |progress| progress.bad_areas);
        if bad_areas > 0 {
            let areas = format::count(bad_areas, "bad area");
            let text = format!("   {areas}, reading around");
            line.push_span(Span::styled(text, look.warning()));
        }
        if let Some(silence) = self.stall(now) {
            let text = format!("   nothing moved for {}", format::duration(silence));
            line.push_span(Span::styled(text, look.warning()));
        }
        buffer.set_line(area.x, area.y + 3, &line, area.width);
    }

    /// Numbers in two columns, or one below the other where there is no room.
    fn facts(&self, columns: u16, now: Duration) -> Vec<String> {
        let progress = self.meter.progress();
        let done = progress.map_or_else(String::new, |progress| {
            format!("{} of {}", format::size(progress.done), format::size(progress.total))
        });
        let bytes = |value: Option<u64>| value.map_or_else(String::new, format::size);
        let left = self.meter.time_left().map_or_else(|| "...".into(), format::duration);
        let facts = [
            ("Done", done),
            ("Speed now", format::speed(self.speed(now))),
            ("Left out", bytes(progress.map(|progress| progress.skipped))),
            ("Average", format::speed(self.meter.average_speed())),
            (self.words.written, bytes(progress.map(|progress| progress.written))),
            ("Time left", left),
            ("", String::new()),
            ("Elapsed", format::duration(self.elapsed(now))),
        ];
        // What is left out and stored belongs to the main phase alone.
        let main = matches!(self.phase, Some(Phase::Capturing | Phase::Restoring | Phase::Cloning));
        let is_shown = |index: usize| main || !matches!(index, 2 | 4);
        let cells: Vec<String> = facts
            .iter()
            .enumerate()
            .map(|(index, (name, value))| match is_shown(index) {
                true => format!("{} {value}", text::left(name, 10)),
                false => String::new(),
            })
            .collect();
        let half = usize::from(columns / 2);
        cells
            .chunks(2)
            .map(|pair| pair.iter().map(|cell| text::left(cell, half)).collect())
            .collect()
    }

    fn notice_lines(&self, columns: u16, room: usize, look: Look) -> Vec<Line<'static>> {
        let mut lines = Lines::new(columns);
        for notice in &self.notices {
            match notice.level {
                Level::Warning => lines.item("!", &notice.text, look.warning()),
                Level::Info => lines.item("-", &notice.text, Style::new()),
            };
        }
        let lines = lines.finish();
        let skip = lines.len().saturating_sub(room);
        lines.into_iter().skip(skip).collect()
    }
}

impl Page for ProgressPage {
    fn title(&self) -> String {
        format!("{}: running", self.words.title)
    }

    fn hints(&self) -> Vec<Hint> {
        match &self.paused {
            _ if self.stopping => vec![("", "Please wait")],
            Some(paused) => paused.hints(),
            None => vec![("Esc", "Stop")],
        }
    }

    fn help(&self) -> &'static [&'static str] {
        &[
            "The work runs by itself. Esc asks whether to stop it; it then stops at the next safe \
             point.",
            "Left out is what no file uses or what is there already.",
            "Bad areas are places of the disk that cannot be read so far. Everything else is read \
             first; then they are tried again piece by piece, which can take long.",
            "The graph shows the speed of the last minutes, one column a second.",
            "When the place of the images is full, the capture waits until space was made.",
        ]
    }

    fn on_open(&mut self) -> Action {
        if self.started.is_some() || self.phase.is_some() {
            return Action::None;
        }
        ask(Request::Run(self.job.clone()))
    }

    fn on_tick(&mut self, context: &Context) -> Action {
        self.started.get_or_insert(context.now);
        if self.meter.phase().is_some() {
            self.history.sample(context.now, self.speed(context.now));
        }
        Action::None
    }

    fn on_progress(&mut self, event: &Event, context: &Context) {
        self.started.get_or_insert(context.now);
        let before = self.meter.progress().map(|progress| (progress.phase, progress.done));
        self.meter.on_event(event, context.now);
        if self.meter.progress().map(|progress| (progress.phase, progress.done)) != before {
            self.moved = context.now;
        }
        match event {
            Event::Phase { phase } => {
                if self.phase != Some(*phase) {
                    self.history = History::default();
                }
                self.phase = Some(*phase);
                self.writing |= matches!(phase, Phase::Restoring | Phase::Cloning);
            }
            Event::Progress(progress) => self.phase = Some(progress.phase),
            Event::Paused(shortage) => match &mut self.paused {
                Some(paused) => paused.update(shortage),
                None => self.paused = Some(Paused::new(shortage.clone())),
            },
            Event::Continued => (self.paused, self.moved) = (None, context.now),
            Event::Notice(notice) => {
                if notice.level == Level::Warning {
                    self.warnings.push(notice.text.clone());
                }
                self.notices.push_back(notice.clone());
                if self.notices.len() > NOTICES {
                    self.notices.pop_front();
                }
            }
        }
    }

    fn on_reply(&mut self, reply: Reply, _context: &Context) -> Action {
        let Reply::Finished(result) = reply else { return Action::None };
        let ending = match result {
            Ok(mut outcome) => {
                for warning in &self.warnings {
                    if !outcome.warnings.contains(warning) {
                        outcome.warnings.push(warning.clone());
                    }
                }
                Ending::Done(outcome)
            }
            Err(failure) => Ending::Failed { failure, writing: self.writing },
        };
        replace(Report::new(self.job.repository().cloned(), self.words.clone(), ending))
    }

    fn on_escape(&mut self) -> Action {
        if self.stopping {
            return Action::None;
        }
        open(Question::new("Stop?", self.words.stop, "Stop", "Carry on"))
    }

    fn on_answer(&mut self, yes: bool) -> Action {
        if !yes {
            return Action::None;
        }
        self.stopping = true;
        Action::Cancel
    }

    fn on_key(&mut self, key: Key, _context: &Context) -> Action {
        let paused = self.paused.as_mut().filter(|_| !self.stopping);
        match paused.and_then(|paused| paused.on_key(key)) {
            None => Action::None,
            Some(Choice::TryAgain) => Action::Resume,
            Some(Choice::Ways) => {
                let text = WAYS.iter().map(ToString::to_string).collect();
                open(TextWindow::message("More space", text))
            }
            Some(Choice::Stop) => self.on_escape(),
        }
    }

    fn is_busy(&self) -> bool {
        true
    }

    fn render(&self, area: Rect, buffer: &mut Buffer, look: Look, now: Duration) {
        if area.height < 6 {
            gauge(self.meter.fraction(), Rect { height: 1, ..area }, buffer, look);
            return;
        }
        self.render_heading(area, buffer, look, now);
        if let Some(paused) = self.paused.as_ref().filter(|_| !self.stopping) {
            let below = Rect { y: area.y + 3, height: area.height - 3, ..area };
            paused.render(below, buffer, look);
            return;
        }
        gauge(self.meter.fraction(), Rect { y: area.y + 4, height: 1, ..area }, buffer, look);
        let mut y = area.y + 6;
        for line in self.facts(area.width, now) {
            if y < area.bottom() {
                buffer.set_stringn(area.x, y, line, usize::from(area.width), Style::new());
            }
            y += 1;
        }
        let room = area.bottom().saturating_sub(y + 1);
        let notices = self.notice_lines(area.width, usize::from(room / 2), look);
        let notice_rows = u16::try_from(notices.len()).unwrap_or(0);
        let graph_rows = room.saturating_sub(notice_rows + 1 + u16::from(notice_rows > 0)).min(10);
        if graph_rows >= 3 && self.history.highest() > 0.0 {
            let title = format!("Speed, highest {}", format::speed(self.history.highest()));
            buffer.set_stringn(area.x, y + 1, title, usize::from(area.width), look.frame());
            let graph = Rect { y: y + 2, height: graph_rows - 1, ..area };
            speed_graph(&self.history, graph, buffer, look);
            let rule = "─".repeat(usize::from(area.width));
            buffer.set_string(area.x, graph.bottom(), rule, look.frame());
        }
        draw_lines(&notices, below(area, area.height.saturating_sub(notice_rows)), buffer);
    }
}
