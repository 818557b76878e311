//! Speed and time left, folded from progress events; the same numbers for menu and command line.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{Event, Phase, Progress};

/// Span of the "current" speed.
const WINDOW: Duration = Duration::from_secs(5);

/// Folds [`Event`]s with the time since the start into speeds and an estimate.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    progress: Option<Progress>,
    phase_start: Duration,
    samples: VecDeque<(Duration, u64)>,
    now: Duration,
}

impl Meter {
    /// Takes one event at `now`, counted from the operation's start.
    pub fn on_event(&mut self, event: &Event, now: Duration) {
        self.now = now;
        match event {
            Event::Phase { .. } => *self = Self { phase_start: now, now, ..Self::default() },
            Event::Progress(progress) => self.on_progress(progress, now),
            Event::Notice(_) | Event::Paused(_) | Event::Continued => {}
        }
    }

    fn on_progress(&mut self, progress: &Progress, now: Duration) {
        if self.progress.as_ref().is_some_and(|last| last.phase != progress.phase) {
            *self = Self { phase_start: now, now, ..Self::default() };
        }
        self.samples.push_back((now, progress.done));
        while self.samples.front().is_some_and(|(at, _)| now.saturating_sub(*at) > WINDOW)
            && self.samples.len() > 2
        {
            self.samples.pop_front();
        }
        self.progress = Some(progress.clone());
    }

    /// The newest progress of the current phase.
    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// The current phase, once it reported progress.
    pub fn phase(&self) -> Option<Phase> {
        self.progress.as_ref().map(|progress| progress.phase)
    }

    /// Share done, 0.0 to 1.0; an empty phase counts as done.
    pub fn fraction(&self) -> f64 {
        self.progress.as_ref().map_or(0.0, |p| ratio(p.done, p.total))
    }

    /// Bytes a second over the last five seconds.
    pub fn current_speed(&self) -> f64 {
        match (self.samples.front(), self.samples.back()) {
            (Some((t0, d0)), Some((t1, d1))) => {
                speed(d1.saturating_sub(*d0), t1.saturating_sub(*t0))
            }
            _ => 0.0,
        }
    }

    /// Bytes a second since the phase began.
    pub fn average_speed(&self) -> f64 {
        let done = self.progress.as_ref().map_or(0, |p| p.done);
        speed(done, self.now.saturating_sub(self.phase_start))
    }

    /// Time the phase still needs at its average speed; `None` before there is one.
    pub fn time_left(&self) -> Option<Duration> {
        let progress = self.progress.as_ref()?;
        let speed = self.average_speed();
        if speed <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(as_f64(progress.total.saturating_sub(progress.done)) / speed)
            .ok()
    }
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { (as_f64(part) / as_f64(whole)).min(1.0) }
}

fn speed(bytes: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { as_f64(bytes) / span.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(done: u64) -> Event {
        let phase = Phase::Capturing;
        Event::Progress(Progress { phase, done, total: 1000, skipped: 0, written: 0, bad_areas: 0 })
    }

    #[test]
    fn speeds_and_time_left_follow_the_samples() {
        let mut meter = Meter::default();
        meter.on_event(&Event::Phase { phase: Phase::Capturing }, Duration::from_secs(10));
        meter.on_event(&copied(0), Duration::from_secs(10));
        meter.on_event(&copied(100), Duration::from_secs(20));
        assert!((meter.average_speed() - 10.0).abs() < 1e-9);
        assert_eq!(meter.time_left(), Some(Duration::from_secs(90)));
        meter.on_event(&copied(200), Duration::from_secs(21));
        assert!((meter.current_speed() - 100.0).abs() < 1e-9);
        assert!((meter.fraction() - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_new_phase_starts_the_clock_again() {
        let mut meter = Meter::default();
        meter.on_event(&copied(500), Duration::from_secs(50));
        meter.on_event(&Event::Phase { phase: Phase::Verifying }, Duration::from_secs(60));
        assert!(meter.progress().is_none());
        assert!(meter.time_left().is_none());
    }
}
