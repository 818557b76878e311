//! The signal corner: the handler does nothing but set a flag.
#![allow(unsafe_code)]

use nix::libc::{c_int, c_void, siginfo_t};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::operation::Cancel;

/// Set by Ctrl-C and SIGTERM; every operation looks at it between chunks.
pub(super) static CANCEL: Cancel = Cancel::new();

const CAUGHT: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

extern "C" fn request_cancel(_: c_int) {
    CANCEL.request();
}

/// A hang-up counts when the kernel tells of it: the terminal is gone. `restic unlock` sends one to
/// whoever holds a lock, to see whether that process exists (restic, `processExists` in
/// `internal/restic/lock_unix.go`).
extern "C" fn hang_up(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a valid `siginfo_t` to a handler with SA_SIGINFO.
    if unsafe { (*info).si_code } > 0 {
        CANCEL.request();
    }
}

/// As long as this lives, Ctrl-C, SIGTERM and a hang-up of the terminal ask the running operation to
/// stop at the next safe point; before and after they end the program at once. A second Ctrl-C or
/// SIGTERM does so meanwhile: the handler is gone by then. What was ignored at the start stays ignored: `nohup` and shells'
/// background jobs ask for it so (POSIX, `nohup`).
pub(super) struct Caught(Vec<(Signal, SigAction)>);

impl Caught {
    /// From now on.
    pub(super) fn now() -> Self {
        let action = |handler, flags| SigAction::new(handler, flags, SigSet::empty());
        let asked = action(SigHandler::Handler(request_cancel), SaFlags::SA_RESETHAND);
        let hung_up = action(SigHandler::SigAction(hang_up), SaFlags::SA_SIGINFO);
        let handled_by = |signal| if signal == Signal::SIGHUP { &hung_up } else { &asked };
        // SAFETY: the handlers only store to an atomic, which is async-signal-safe.
        let catch = |signal| unsafe { sigaction(signal, handled_by(signal)) };
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
