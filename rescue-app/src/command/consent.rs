//! The consent to overwrite a disk: said with the command, or by a person who was shown the plan.

use std::io::{IsTerminal, stderr, stdin};

use anyhow::bail;

use crate::console;
use crate::job::TargetArgs;
use crate::operation::{OperationError, TargetPlan};
use crate::store::Location;

use super::output::is_quiet;
use super::passphrase::ask_openly;

/// Characters at the end of a serial number that are typed.
const TYPED: usize = 4;

/// What `--erase` says; without it the answer of a person at a terminal to the plan that was printed.
/// A file that does not exist yet loses nothing; one that is there and made anew does. `None` where nobody
/// agreed: the work refuses then.
pub(super) fn given(
    args: &TargetArgs,
    plan: &TargetPlan,
    json: bool,
) -> anyhow::Result<Option<String>> {
    if let Some(name) = &args.erase {
        return Ok(Some(name.to_string_lossy().into_owned()));
    }
    if plan.creates_file && plan.preview.lost.is_empty() {
        return Ok(Some(plan.erase.clone()));
    }
    if json || !is_attended() {
        return Ok(None);
    }
    let word = plan.agreed()?;
    let has_number = plan.target.serial.is_some() || plan.target.wwn.is_some();
    let (before, marked) = marked(&word, has_number);
    let typed = ask_openly(&format!(
        "{} will be overwritten; to agree, type what is in brackets: {before}[{marked}] ",
        plan.target.identity(),
    ))?;
    match typed.trim().eq_ignore_ascii_case(marked) || typed.trim().eq_ignore_ascii_case(&word) {
        true => Ok(Some(word)),
        false => bail!(
            "{:?} is not {:?}; nothing was written",
            console::name(typed.trim()),
            console::name(marked)
        ),
    }
}

/// Asks a person at a terminal whether really all images are to go.
///
/// # Errors
/// When they are not, or nobody can be asked.
pub(super) fn to_forget_all(location: &Location, json: bool) -> anyhow::Result<()> {
    if json || !is_attended() {
        let why = format!("every image of every disk in {location} would be forgotten");
        return Err(OperationError::refused(why, "say --yes, or look first with --dry-run").into());
    }
    let answer = ask_openly(&format!(
        "Every image of every disk in {location} will be forgotten; to agree, type all: "
    ))?;
    match answer.trim() == "all" {
        true => Ok(()),
        false => bail!("{:?} is not \"all\"; nothing was forgotten", console::name(answer.trim())),
    }
}

/// Whether there is a person who can be asked.
fn is_attended() -> bool {
    stdin().is_terminal() && stderr().is_terminal() && !is_quiet()
}

/// A word in two: what is shown, and what of it is typed: the end of a number, else all of it.
fn marked(word: &str, is_number: bool) -> (&str, &str) {
    if !is_number {
        return ("", word);
    }
    let at = word.char_indices().rev().nth(TYPED.saturating_sub(1)).map_or(0, |(at, _)| at);
    word.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_marked() {
        assert_eq!(marked("PCDISK01", true), ("PCDI", "SK01"));
        assert_eq!(marked("a\u{fc}b", true), ("", "a\u{fc}b"));
        assert_eq!(marked("1\u{fc}2345", true), ("1\u{fc}", "2345"));
        assert_eq!(marked("/mnt/disk.img", false), ("", "/mnt/disk.img"));
    }
}
