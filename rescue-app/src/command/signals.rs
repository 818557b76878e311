//! The signal corner: the handler does nothing but set a flag.
#![allow(unsafe_code)]

use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::CANCEL;

const CAUGHT: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

extern "C" fn request_cancel(_: c_int) {
    CANCEL.request();
}

/// As long as this lives, Ctrl-C, SIGTERM and SIGHUP ask the running operation to stop at the next
/// safe point; before and after they end the program at once. A second one does so meanwhile: the
/// handler is gone by then. What was ignored at the start stays ignored: `nohup` and shells'
/// background jobs ask for it so (POSIX, `nohup`).
pub(super) struct Caught(Vec<(Signal, SigAction)>);

impl Caught {
    /// From now on.
    pub(super) fn now() -> Self {
        let handler = SigHandler::Handler(request_cancel);
        let action = SigAction::new(handler, SaFlags::SA_RESETHAND, SigSet::empty());
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        let catch = |signal| unsafe { sigaction(signal, &action) };
        let before = CAUGHT.map(|signal| Some((signal, catch(signal).ok()?)));
        let before: Vec<_> = before.into_iter().flatten().collect();
        let is_ignored = |action: &SigAction| matches!(action.handler(), SigHandler::SigIgn);
        let (ignored, caught): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|(_, action)| is_ignored(action));
        restore(&ignored);
        Self(caught)
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        restore(&self.0);
    }
}

fn restore(actions: &[(Signal, SigAction)]) {
    for (signal, action) in actions {
        // SAFETY: each was in place before, and is the default or one of these handlers.
        let _ = unsafe { sigaction(*signal, action) };
    }
}
