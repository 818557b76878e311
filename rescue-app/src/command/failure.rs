//! A run that failed: what is said of it, and the exit status.

use crate::console::without_numbers;
use crate::operation::OperationError;

use super::passphrase::NoPassphrase;

/// The error and what caused it, each cause once: many errors have the text of theirs in their own.
pub(super) fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    without_numbers(&text)
}

/// The exit status; those from 10 on are those of restic since 0.17 (its
/// `doc/075_scripting.rst`, "Exit codes").
pub(super) fn status(error: &anyhow::Error) -> u8 {
    if error.is::<NoPassphrase>() {
        return 12;
    }
    match error.downcast_ref::<OperationError>() {
        Some(error) if error.is_cancelled() => 130,
        Some(error) if error.is_refusal() => 4,
        Some(error) if error.is_full() => 5,
        Some(error) if error.is_no_repository() => 10,
        Some(error) if error.is_locked() => 11,
        Some(error) if error.needs_passphrase() => 12,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_cause_is_told_once_and_without_a_number() {
        let denied = || io::Error::from_raw_os_error(13);
        let error = OperationError::io("looking at /x", denied());
        let error = anyhow::Error::from(error).context("opening");
        assert_eq!(text(&error), "opening: looking at /x: Permission denied");
        assert_eq!(text(&anyhow::Error::from(denied())), "Permission denied");
    }
}
