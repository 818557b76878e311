//! A place that fills up: the work pauses, a person is asked, and it goes on or ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};

use crate::progress::{Control, Event, Phase, Progress, Shortage};
use crate::repository::RepositoryError;
use crate::store::{PausingStore, Store, StoreError, WhenFull};

use super::error::OperationError;
use super::format::size;

/// How often a paused operation looks whether it may go on.
const POLL: Duration = Duration::from_millis(100);

/// A thread whose file did not fit, waiting for a decision.
type Question = Sender<WhenFull>;

/// What storing is done with while [`pausing_when_full`] watches over the free space.
pub(super) struct Pausing<'a> {
    /// The place; a write that does not fit waits there.
    pub(super) store: Arc<dyn Store>,
    /// The caller's, its events seen on the way.
    pub(super) control: Control<'a>,
    questions: Sender<Question>,
}

impl Pausing<'_> {
    /// Does something that writes past [`PausingStore`]'s waiting, such as taking a lock, again
    /// and again until it fits or is given up.
    pub(super) fn retry_when_freed<T>(
        &self,
        mut act: impl FnMut() -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        loop {
            match act() {
                Err(RepositoryError::Store(StoreError::Full { .. }))
                    if wait(&self.questions) == WhenFull::TryAgain => {}
                done => return done,
            }
        }
    }
}

/// Asks, and waits for the answer; when nobody listens any more the work is at its end anyway.
fn wait(questions: &Sender<Question>) -> WhenFull {
    let (answer, answered) = bounded(1);
    let asked = questions.send(answer);
    asked.ok().and_then(|()| answered.recv().ok()).unwrap_or(WhenFull::GiveUp)
}

/// Runs `work` on a store that pauses when its place is full, as far as `control` lets a person
/// decide. Ends with [`OperationError::Full`] when it could not go on.
pub(super) fn pausing_when_full<T>(
    store: Arc<dyn Store>,
    control: Control<'_>,
    work: impl FnOnce(&Pausing<'_>) -> Result<T, OperationError>,
) -> Result<T, OperationError> {
    let (questions, asked) = unbounded::<Question>();
    let asking = questions.clone();
    let store = Arc::new(PausingStore::new(store, move || wait(&asking)));
    let gauge =
        Gauge { store: &store, to_come: AtomicU64::new(0), given_up: AtomicBool::new(false) };
    let sink = |event: Event| {
        if let Event::Progress(progress) = &event {
            gauge.on_progress(progress);
        }
        (control.sink)(event);
    };
    let result = thread::scope(|scope| {
        // Dropped when the work has ended, whichever way.
        let (_end, ended) = bounded::<()>(0);
        let attendant = Attendant { gauge: &gauge, control, asked, ended };
        scope.spawn(move || attendant.run());
        let store = Arc::clone(&store) as Arc<dyn Store>;
        work(&Pausing { store, control: Control { sink: &sink, ..control }, questions })
    });
    // Other threads fail with what the first failure left them: what counts is that space ran out.
    result.map_err(|error| match gauge.given_up.load(Ordering::Acquire) {
        true if control.cancel.is_requested() => OperationError::Cancelled,
        true => OperationError::Full { shortage: gauge.shortage() },
        false => error,
    })
}

/// How much space there is and how much is wanted.
struct Gauge<'a> {
    store: &'a PausingStore,
    /// Bytes not yet read, and those stored in memory or in packs.
    to_come: AtomicU64,
    given_up: AtomicBool,
}

impl Gauge<'_> {
    fn on_progress(&self, progress: &Progress) {
        if progress.phase == Phase::Capturing {
            let unread = progress.total.saturating_sub(progress.done);
            self.to_come.store(unread + progress.written, Ordering::Relaxed);
        }
    }

    fn shortage(&self) -> Shortage {
        let to_come = self.to_come.load(Ordering::Relaxed);
        Shortage {
            location: self.store.location(),
            free: self.store.free_space(),
            needed: to_come.saturating_sub(self.store.packs_written()),
        }
    }
}

/// Answers the threads that wait, by asking a person.
struct Attendant<'a> {
    gauge: &'a Gauge<'a>,
    control: Control<'a>,
    asked: Receiver<Question>,
    ended: Receiver<()>,
}

impl Attendant<'_> {
    fn run(&self) {
        loop {
            select! {
                recv(self.asked) -> question => match question {
                    Ok(question) => self.settle(&question),
                    Err(_) => return,
                },
                recv(self.ended) -> _ => return,
            }
        }
    }

    /// One decision for everybody who waits by then.
    fn settle(&self, first: &Question) {
        let verdict = self.decide();
        if verdict == WhenFull::GiveUp {
            self.gauge.given_up.store(true, Ordering::Release);
        }
        let _ = first.send(verdict);
        for question in self.asked.try_iter() {
            let _ = question.send(verdict);
        }
    }

    fn decide(&self) -> WhenFull {
        // After a failure the others are not asked again what was decided once.
        let Some(resume) =
            self.control.resume.filter(|_| !self.gauge.given_up.load(Ordering::Acquire))
        else {
            return WhenFull::GiveUp;
        };
        let mut told = self.gauge.shortage();
        let free = told.free.map_or_else(String::new, |free| format!(", {} free", size(free)));
        self.control.info(format!("{} is full{free}: waiting for space", told.location));
        // A wish from before the question is no answer to it.
        resume.take();
        (self.control.sink)(Event::Paused(told.clone()));
        let verdict = loop {
            if self.control.cancel.is_requested() {
                break WhenFull::GiveUp;
            }
            if resume.take() {
                break WhenFull::TryAgain;
            }
            if self.ended.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
                break WhenFull::GiveUp;
            }
            let now = self.gauge.shortage();
            if now != told {
                (self.control.sink)(Event::Paused(now.clone()));
                told = now;
            }
        };
        (self.control.sink)(Event::Continued);
        verdict
    }
}
