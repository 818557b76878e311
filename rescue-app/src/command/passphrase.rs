//! Where a repository's passphrase comes from: a file, the environment, or a prompt.

use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::operation::RepoAccess;

use super::args::RepoArgs;

const VARIABLE: &str = "LIFEBOAT_PASSPHRASE";

/// The passphrase that was given with the command, if any.
fn given(args: &RepoArgs) -> anyhow::Result<Option<String>> {
    if let Some(file) = &args.passphrase_file {
        let text = fs::read_to_string(file)
            .with_context(|| format!("reading the passphrase file {}", file.display()))?;
        let first = text.lines().next().unwrap_or_default();
        if first.is_empty() {
            bail!("the passphrase file {} is empty; put it on the first line", file.display());
        }
        return Ok(Some(first.to_owned()));
    }
    Ok(std::env::var(VARIABLE).ok().filter(|word| !word.is_empty()))
}

/// Access to an existing repository. Without a given passphrase the public word is tried; when
/// the repository has its own, a person at a terminal is asked.
pub(super) fn access(args: &RepoArgs) -> anyhow::Result<RepoAccess> {
    let location: PathBuf = args.repo.clone();
    let mut access = RepoAccess { location, passphrase: given(args)? };
    if access.passphrase.is_none()
        && let Err(error) = access.try_open()
    {
        if !error.needs_passphrase() {
            return Err(error.into());
        }
        let word = ask_for_repository(&format!("Passphrase of {}: ", access.location.display()))?;
        access.passphrase = Some(word.to_string());
    }
    Ok(access)
}

/// Access to a repository that is to be created.
pub(super) fn new_access(args: &RepoArgs, no_passphrase: bool) -> anyhow::Result<RepoAccess> {
    let location = args.repo.clone();
    if no_passphrase {
        return Ok(RepoAccess { location, passphrase: None });
    }
    if let Some(passphrase) = given(args)? {
        return Ok(RepoAccess { location, passphrase: Some(passphrase) });
    }
    let first = ask_for_repository("New passphrase: ")?;
    if first.is_empty() {
        bail!("an empty passphrase cannot be used; give one, or say --no-passphrase");
    }
    if ask_for_repository("The same again: ")? != first {
        bail!("the two passphrases differ; nothing was created");
    }
    Ok(RepoAccess { location, passphrase: Some(first.to_string()) })
}

fn ask_for_repository(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "the repository needs a passphrase and there is no terminal to ask at; \
             use --passphrase-file, {VARIABLE}, or --no-passphrase for a new one"
        );
    }
    ask(prompt)
}

/// Asks at the terminal for what nobody should see.
pub(super) fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    // The prompt comes after the echo is off: what is typed before that is thrown away.
    let word = without_echo(|| {
        eprint!("{prompt}");
        std::io::stderr().flush()?;
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })?;
    eprintln!();
    Ok(Zeroizing::new(word.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Runs `read` with the terminal's echo off; it is back on afterwards whatever happens.
fn without_echo<T>(read: impl FnOnce() -> std::io::Result<T>) -> anyhow::Result<T> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent)?;
    let result = read();
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &before)?;
    Ok(result?)
}
