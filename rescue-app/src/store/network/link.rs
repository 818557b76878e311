//! The way to a server: what is tried again, for how long, and who is told.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::remote::{Attempt, Failure};
use crate::store::StoreError;

/// How long a server that was never reached is tried: a mistyped name shall not take long to show.
const FIRST_CONTACT: Duration = Duration::from_secs(15);

/// The shortest and the longest pause between two attempts; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Attempts that fail before anybody is told: a connection that is cut is nothing special.
const QUIET: u32 = 3;

/// The way to one server, shared by all who use it.
pub struct Link {
    patience: Duration,
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether the server ever answered.
    reached: bool,
    /// Whether it was waited for in vain: from then on each attempt is the last.
    given_up: bool,
    /// Whether somebody asked to stop.
    stopped: bool,
    /// Whether it was told that the server is waited for.
    told: bool,
    notices: Vec<String>,
}

/// One thing that is done until it succeeds.
struct Trouble {
    since: Instant,
    attempts: u32,
}

impl Link {
    /// A way on which whatever is temporary is tried again for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, state: Mutex::default(), stop: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Valid at every step, whatever became of another thread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is waited for, and what is tried fails.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.stop.notify_all();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// What a person should know of the way, each once.
    pub(super) fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.state().notices)
    }

    /// Does something until it succeeds, fails for good, or patience ends.
    pub(super) fn persist<T>(
        &self,
        location: &str,
        mut attempt: impl FnMut() -> Attempt<T>,
    ) -> Attempt<T> {
        let mut trouble: Option<Trouble> = None;
        loop {
            if self.is_stopped() {
                return Err(StoreError::Stopped.into());
            }
            let (why, asked, moved) = match attempt() {
                Err(Failure::Temporary { why, wait, moved }) => (why, wait, moved),
                done => {
                    self.reached(location);
                    return done;
                }
            };
            if moved {
                self.reached(location);
                trouble = None;
            }
            let trouble =
                trouble.get_or_insert_with(|| Trouble { since: Instant::now(), attempts: 0 });
            self.pause(location, why, asked, trouble)?;
        }
    }

    fn reached(&self, location: &str) {
        let mut state = self.state();
        (state.reached, state.given_up) = (true, false);
        if std::mem::take(&mut state.told) {
            state.notices.push(format!("{location} answers again"));
        }
    }

    /// Waits before the next attempt, unless that was the last.
    fn pause(
        &self,
        location: &str,
        why: String,
        asked: Option<Duration>,
        trouble: &mut Trouble,
    ) -> Attempt<()> {
        let mut state = self.state();
        let limit = match (state.given_up, state.reached) {
            (true, _) => Duration::ZERO,
            (false, true) => self.patience,
            (false, false) => self.patience.min(FIRST_CONTACT),
        };
        let tried = trouble.since.elapsed();
        let doubled = PAUSE.saturating_mul(1 << trouble.attempts.min(10));
        let pause = asked.unwrap_or_default().max(doubled).min(LONGEST_PAUSE);
        if tried + pause > limit && !state.stopped {
            state.given_up = true;
            let location = location.to_owned();
            return Err(StoreError::Unreachable { location, why, seconds: tried.as_secs() }.into());
        }
        trouble.attempts += 1;
        if trouble.attempts >= QUIET && state.reached && !std::mem::replace(&mut state.told, true) {
            state.notices.push(format!(
                "{location} does not answer ({why}): it is tried again for {} minutes; nothing is \
                 lost meanwhile",
                self.patience.as_secs().div_ceil(60)
            ));
        }
        let waited = self.stop.wait_timeout_while(state, pause, |state| !state.stopped);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(moved: bool) -> Failure {
        Failure::Temporary { why: "cut".to_owned(), wait: None, moved }
    }

    #[test]
    fn what_is_temporary_is_tried_again_and_told_once() {
        let link = Link::new(Duration::from_secs(60));
        link.persist("x", || Ok(())).unwrap_or_default();
        let mut left = 4;
        let done = link.persist("x", || {
            left -= 1;
            if left > 0 { Err(temporary(false)) } else { Ok(7) }
        });
        assert!(matches!(done, Ok(7)));
        let notices = link.take_notices();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("(cut)") && notices[1].contains("answers again"));
    }

    #[test]
    fn patience_ends_and_then_each_attempt_is_the_last() {
        let link = Link::new(Duration::ZERO);
        for _ in 0..2 {
            let mut attempts = 0;
            let given_up = link.persist("x", || {
                attempts += 1;
                Err::<(), _>(temporary(false))
            });
            assert!(matches!(given_up, Err(Failure::Final(StoreError::Unreachable { .. }))));
            assert_eq!(attempts, 1);
        }
    }

    #[test]
    fn what_moves_is_not_given_up() {
        let link = Link::new(Duration::from_millis(300));
        let mut left = 4;
        let done = link.persist("x", || {
            left -= 1;
            if left > 0 { Err(temporary(true)) } else { Ok(()) }
        });
        assert!(done.is_ok(), "three pauses are longer than the patience");
    }

    #[test]
    fn whoever_asks_to_stop_does_not_wait() {
        let link = Link::new(Duration::from_secs(1000));
        let stopped = std::thread::scope(|scope| {
            let (tried, first) = std::sync::mpsc::channel();
            let link = &link;
            let waiting = scope.spawn(move || {
                link.persist("x", || {
                    let _ = tried.send(());
                    let wait = Some(Duration::from_secs(999));
                    Err::<(), _>(Failure::Temporary { why: String::new(), wait, moved: true })
                })
            });
            first.recv().unwrap();
            link.stop();
            waiting.join().unwrap()
        });
        assert!(matches!(stopped, Err(Failure::Final(StoreError::Stopped))));
    }
}
