//! Progress and results on a terminal, in a log, or as JSON lines.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::console::{self, say, say_json, tell};
use crate::operation::format;
use crate::operation::log::{self, Log};
use crate::operation::{Control, Event, Level, Meter, OperationError, Phase, RepoAccess, Volume};
use crate::volume::LogicalVolume;

use super::args::MannerArgs;
use super::signals::{self, CANCEL};

/// Version of the JSON events; a reader should refuse another first number.
pub(super) const SCHEMA: &str = "1.0";

/// How often a line of progress is printed where lines cannot be overwritten.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Columns of a terminal that does not tell how many it has.
const USUAL_COLUMNS: usize = 80;

/// How much is told, as the person asked for it.
static MANNER: OnceLock<MannerArgs> = OnceLock::new();

/// Tells from now on as much as was asked for.
///
/// # Errors
/// When the log that was named cannot be written.
pub(super) fn tell_as(manner: MannerArgs) -> anyhow::Result<()> {
    manner.log.clone().map_or(Ok(()), log::keep_in)?;
    let _ = MANNER.set(manner);
    Ok(())
}

/// Whether little is to be told, and so nothing asked: the plan that a question is about is not shown.
pub(super) fn is_quiet() -> bool {
    MANNER.get().is_some_and(|manner| manner.quiet)
}

/// Prints the events of one operation.
pub(super) struct Printer {
    mode: Mode,
    manner: MannerArgs,
    started: Instant,
    log: Log,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One line, overwritten.
    Bar,
    /// A line every few seconds, where it was asked for.
    Plain,
    /// One JSON object a line, on standard output.
    Json,
}

#[derive(Default)]
struct State {
    meter: Meter,
    phase: Option<Phase>,
    last_line: Option<Instant>,
    bar_width: usize,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let mode = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Json,
            (false, true) => Mode::Bar,
            (false, false) => Mode::Plain,
        };
        let words: Vec<String> = std::env::args_os().map(console::path).collect();
        let log = Log::start(&words.join(" "));
        let manner = MANNER.get().cloned().unwrap_or_default();
        Self { mode, manner, started: Instant::now(), log, state: Mutex::default() }
    }

    /// Runs an operation, printing what it tells; its result is left to the caller.
    pub(super) fn watch<T>(
        &self,
        operation: impl FnOnce(Control<'_>) -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        let sink = |event: Event| self.on_event(&event);
        let caught = signals::Caught::now();
        let result = operation(Control { sink: &sink, cancel: &CANCEL, resume: None });
        drop(caught);
        self.clear_bar();
        match &result {
            Ok(_) => self.log.line("done"),
            Err(error) => self.log.line(&format!("failed: {error}")),
        }
        result
    }

    /// [`Self::watch`] for an operation on this repository, which it may have to wait for.
    pub(super) fn watch_on<T>(
        &self,
        access: &RepoAccess,
        operation: impl FnOnce(Control<'_>) -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        self.watch(|control| access.attended(control, operation))
    }

    /// [`Self::watch_on`] for an operation beside whose images the log is kept if it would be lost.
    pub(super) fn watch_at<T>(
        &self,
        access: &RepoAccess,
        operation: impl FnOnce(Control<'_>) -> Result<T, OperationError>,
    ) -> Result<T, OperationError> {
        let result = self.watch_on(access, operation);
        log::keep_what_would_be_lost(access);
        result
    }

    /// Whether lines and events of progress are told.
    fn shows_progress(&self) -> bool {
        let is_asked = self.mode != Mode::Plain || self.manner.verbose;
        is_asked && !self.manner.quiet && !self.manner.no_progress
    }

    /// Prints what came of work that went well: `text` for people, unless they want none of it, the whole
    /// of `value` for programs.
    pub(super) fn report(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        match self.manner.quiet && self.mode != Mode::Json {
            true => Ok(()),
            false => self.answer(value, text),
        }
    }

    /// Prints what was asked for: `text` for people, the whole of `value` for programs.
    pub(super) fn answer(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.mode == Mode::Json {
            print_json(&json!({"event": "result", "result": serde_json::to_value(value)?}));
        } else {
            say(text);
        }
        Ok(())
    }

    /// Prints a plan that `--erase ERASE` agrees to, and says so where it is all that was asked for.
    pub(super) fn plan(
        &self,
        plan: &impl Serialize,
        text: &str,
        (erase, is_all): (&str, bool),
    ) -> anyhow::Result<()> {
        if is_all {
            return self.answer(plan, &format!("{text}\nto agree: --erase {erase}"));
        }
        if self.mode != Mode::Json && !self.manner.quiet {
            say(text);
        }
        Ok(())
    }

    fn on_event(&self, event: &Event) {
        self.log.event(event);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.meter.on_event(event, self.started.elapsed());
        if matches!(event, Event::Progress(_)) && !self.shows_progress() {
            return;
        }
        if self.mode == Mode::Json {
            if let Ok(value) = serde_json::to_value(event) {
                print_json(&value);
            }
            return;
        }
        match event {
            Event::Phase { phase } => {
                state.phase = Some(*phase);
                state.last_line = None;
                if self.manner.verbose {
                    erase(&mut state);
                    let since = format::duration(self.started.elapsed());
                    tell(&format!("{} ({since} after the start)", phase.title()));
                }
            }
            Event::Notice(notice) if self.manner.quiet && notice.level != Level::Warning => {}
            Event::Notice(notice) => {
                erase(&mut state);
                let mark = if notice.level == Level::Warning { "warning: " } else { "" };
                tell(&format!("{mark}{}", console::without_numbers(&notice.text)));
            }
            Event::Progress(_) => self.draw(&mut state),
            // Nobody can be asked here: a full place ends the operation instead.
            Event::Paused(_) | Event::Continued => {}
        }
    }

    fn draw(&self, state: &mut State) {
        let due = state.last_line.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL);
        let complete = state.meter.progress().is_some_and(|p| p.done >= p.total);
        if self.mode == Mode::Plain && !due && !complete {
            return;
        }
        state.last_line = Some(Instant::now());
        let line = line(state, true);
        if self.mode == Mode::Bar {
            // A line that fills the last column makes the terminal scroll, and is then not overwritten.
            let line = fitted(line, state, columns().saturating_sub(1));
            erase(state);
            state.bar_width = line.chars().count();
            console::draw(&line);
        } else {
            tell(&line);
        }
    }

    fn clear_bar(&self) {
        erase(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn erase(state: &mut State) {
    if state.bar_width > 0 {
        console::draw(&format!("\r{:width$}\r", "", width = state.bar_width));
        state.bar_width = 0;
    }
}

/// Columns of the terminal. Many serial lines tell none, or that there are 0.
fn columns() -> usize {
    let told = crossterm::terminal::window_size().map(|size| usize::from(size.columns));
    told.ok().filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}

/// `line`, or without what can best be spared, in at most `room` columns.
fn fitted(full: String, state: &State, room: usize) -> String {
    if full.chars().count() <= room {
        return full;
    }
    line(state, false).chars().take(room).collect()
}

fn line(state: &State, with_average: bool) -> String {
    let meter = &state.meter;
    let Some(progress) = meter.progress() else { return String::new() };
    let mut line = format!(
        "{:<12} {:>5.1} %  {}  {}",
        progress.phase.title(),
        meter.fraction() * 100.0,
        format::size_of(progress.done, progress.total),
        format::speed(meter.current_speed()),
    );
    if with_average {
        line.push_str(&format!(" (average {})", format::speed(meter.average_speed())));
    }
    if let Some(left) = meter.time_left() {
        line.push_str(&format!(", {} left", format::duration(left)));
    }
    if progress.skipped > 0 {
        line.push_str(&format!(", {} skipped", format::size(progress.skipped)));
    }
    if progress.bad_areas > 0 {
        line.push_str(&format!(", {}", format::count(progress.bad_areas, "bad area")));
    }
    line
}

/// Prints how a run failed, as the last line for programs.
pub(super) fn error(message: &str, status: u8) {
    print_json(&json!({"event": "error", "message": message, "status": status}));
}

fn print_json(value: &Value) {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), Value::from(SCHEMA));
    }
    // A value has a form in JSON: nothing can fail but the writing.
    let _ = say_json(&value, false);
}

/// A line below the partition that a logical volume lies in.
pub(super) fn logical_volume(volume: &LogicalVolume) -> String {
    let mut text = format!("       {:>10}  {volume}", format::size(volume.size));
    if let Some(filesystem) = &volume.filesystem {
        text.push_str(&format!("  {}", filesystem.kind));
        if let Some(label) = &filesystem.label {
            text.push_str(&format!(" {}", label));
        }
        if let Some(used) = filesystem.used {
            text.push_str(&format!(", {} used", format::size(used)));
        }
        if let Some(last_use) = &filesystem.last_use {
            text.push_str(&format!(", {}", last_use));
        }
    }
    for inside in &volume.inside {
        text.push_str(&format!(" > {}", inside.kind));
    }
    if !volume.complete {
        text.push_str("  (not all of it is here)");
    }
    text
}

/// Prints what a partition could be shrunk to, if that is less than it has.
pub(super) fn least_size(volume: &Volume) {
    if let Some(least) = volume.least_size() {
        say(&format!("       could be shrunk to about {}", format::size(least)));
    }
}

/// Prints one JSON document.
pub(super) fn document(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(say_json(value, true)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Progress;

    #[test]
    fn a_progress_line_stays_on_one_line_of_the_terminal() {
        let mut state = State::default();
        let progress = Progress {
            phase: Phase::ReadingBack,
            done: 123 << 30,
            total: 4567 << 30,
            skipped: 890 << 30,
            written: 0,
            bad_areas: 12,
        };
        state.meter.on_event(&Event::Progress(progress), Duration::from_secs(1));
        let full = line(&state, true);
        assert!(full.contains("average") && full.chars().count() > 79, "{full}");
        assert_eq!(fitted(full.clone(), &state, 200), full);
        let short = fitted(full.clone(), &state, 79);
        assert!(short.chars().count() <= 79 && !short.contains("average"), "{short}");
        assert_eq!(fitted(full, &state, 20).chars().count(), 20);
    }
}
