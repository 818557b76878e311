//! Progress of one phase, counted by several threads and reported a few times a second.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Cancelled;
use super::event::{Control, Phase, Progress};

const INTERVAL: Duration = Duration::from_millis(100);

/// Counts a phase and reports it through a [`Control`].
pub(crate) struct Reporter<'a> {
    control: Control<'a>,
    phase: Phase,
    total: u64,
    done: AtomicU64,
    skipped: AtomicU64,
    written: AtomicU64,
    bad_areas: AtomicU64,
    last: Mutex<Instant>,
}

impl<'a> Reporter<'a> {
    /// Announces `phase` with `total` bytes to do.
    pub(crate) fn start(control: Control<'a>, phase: Phase, total: u64, skipped: u64) -> Self {
        control.phase(phase);
        let reporter = Self {
            control,
            phase,
            total,
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(skipped),
            written: AtomicU64::new(0),
            bad_areas: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        };
        reporter.report();
        reporter
    }

    /// Adds to the counts, bytes each; an error when the person asked to stop.
    pub(crate) fn advance(&self, done: u64, written: u64, skipped: u64) -> Result<(), Cancelled> {
        self.done.fetch_add(done, Ordering::Relaxed);
        self.written.fetch_add(written, Ordering::Relaxed);
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
        self.report_if_due();
        self.check_cancel()
    }

    /// Sets the number of places on the source that cannot be read so far.
    pub(crate) fn bad_areas(&self, count: u64) {
        self.bad_areas.store(count, Ordering::Relaxed);
        self.report_if_due();
    }

    /// A line for the log.
    pub(crate) fn info(&self, text: String) {
        self.control.info(text);
    }

    /// A line for the log and for the result page.
    pub(crate) fn warn(&self, text: String) {
        self.control.warn(text);
    }

    fn report_if_due(&self) {
        // A thread that finds the clock taken leaves the report to the one that holds it.
        if let Ok(mut last) = self.last.try_lock()
            && last.elapsed() >= INTERVAL
        {
            *last = Instant::now();
            self.report();
        }
    }

    /// An error when the person asked to stop.
    pub(crate) fn check_cancel(&self) -> Result<(), Cancelled> {
        self.control.check_cancel()
    }

    /// Reports the last state of the phase and returns it.
    pub(crate) fn finish(&self) -> Progress {
        self.report();
        self.snapshot()
    }

    fn report(&self) {
        self.control.progress(self.snapshot());
    }

    fn snapshot(&self) -> Progress {
        Progress {
            phase: self.phase,
            done: self.done.load(Ordering::Relaxed),
            total: self.total,
            skipped: self.skipped.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            bad_areas: self.bad_areas.load(Ordering::Relaxed),
        }
    }
}
