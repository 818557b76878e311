//! Access to repositories, and asking for their passphrases.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::console;
use crate::job::RepoArgs;
use crate::operation::{OperationError, Passphrase, RepoAccess, Want};

use super::given::{given, of_file};
use super::network;
use super::signals::{self, CANCEL};

/// How often a person may mistype.
pub(super) const ATTEMPTS: u32 = 3;

/// The longest line that is read from a terminal, bytes (`N_TTY_BUF_SIZE` of Linux).
const LONGEST_LINE: usize = 4096;

/// Why a repository is not opened, where no person could have answered otherwise.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPassphrase {
    #[error("the passphrase in {from} does not open the repository in {location}")]
    Wrong { from: String, location: String },
    #[error(
        "the passphrase in {from} does not open the repository in {location}, which has none of its \
         own: give none"
    )]
    NotNeeded { from: String, location: String },
    #[error(
        "the repository in {location} needs a passphrase and there is no terminal to ask at; use \
         --passphrase-file or LIFEBOAT_PASSPHRASE, or --no-passphrase for a new one"
    )]
    NobodyToAsk { location: String },
}

/// What is wanted of a repository in which something is stored or removed, unless that is only planned.
pub(super) fn writing_unless(planned: bool) -> Want {
    if planned { Want::Read } else { Want::Write }
}

/// Access to an existing repository, which is opened to see whether the passphrase fits: deriving
/// its key may take long, and before an operation begins Ctrl-C ends the program at once. Without a
/// given passphrase the public word is tried; when the repository has its own, a person at a
/// terminal is asked.
pub(super) fn access(args: &RepoArgs, want: Want) -> anyhow::Result<RepoAccess> {
    let network = network::options(args)?;
    let (word, from) = given(args)?.map(|given| (given.word, given.from)).unzip();
    let access = RepoAccess::at(&args.repo, want, word, &network)?;
    match (access.try_open(), from) {
        (Ok(()), _) => Ok(access),
        (Err(error), Some(from)) if error.needs_passphrase() => {
            Err(does_not_fit(access, from).into())
        }
        (Err(error), None) if error.needs_passphrase() => attempts(&access),
        (Err(error), _) => Err(error.into()),
    }
}

/// What is said of a passphrase that was given and is wrong.
fn does_not_fit(access: RepoAccess, from: String) -> NoPassphrase {
    let location = access.location().to_string();
    match access.without_passphrase().try_open() {
        Ok(()) => NoPassphrase::NotNeeded { from, location },
        Err(_) => NoPassphrase::Wrong { from, location },
    }
}

/// Asks until a passphrase fits.
fn attempts(access: &RepoAccess) -> anyhow::Result<RepoAccess> {
    let prompt = format!("Passphrase of {}: ", access.location());
    let mut left = ATTEMPTS;
    loop {
        let word = ask_for_repository(&access.location().to_string(), &prompt)?;
        let access = access.clone().with_passphrase(Passphrase::new(&word));
        left = left.saturating_sub(1);
        match access.try_open() {
            Ok(()) => return Ok(access),
            Err(error) if error.needs_passphrase() && left > 0 => {
                console::tell(&format!("{error}: try again"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Access to a repository that is to be created.
pub(super) fn new_access(args: &RepoArgs, no_passphrase: bool) -> anyhow::Result<RepoAccess> {
    let options = network::options(args)?;
    let given = given(args)?.map(|given| given.word);
    let word = match (no_passphrase, given) {
        (true, _) => None,
        (false, Some(word)) => Some(word),
        (false, None) => Some(ask_for_new(&args.repo.to_string())?),
    };
    Ok(RepoAccess::at(&args.repo, Want::Write, word, &options)?)
}

/// A new passphrase for a repository that is there, from a file or a person.
pub(super) fn new_passphrase(
    file: Option<&Path>,
    access: &RepoAccess,
) -> anyhow::Result<Passphrase> {
    match file {
        Some(file) => Ok(of_file(file, format!("the file {}", console::path(file)))?.word),
        None if !std::io::stdin().is_terminal() => {
            bail!(
                "there is no terminal to ask for the new passphrase at; use --new-passphrase-file"
            )
        }
        None => ask_for_new(&access.location().to_string()),
    }
}

fn ask_for_new(location: &str) -> anyhow::Result<Passphrase> {
    let first = ask_for_repository(location, "New passphrase: ")?;
    if first.is_empty() {
        bail!(
            "an empty passphrase cannot be used; only a new repository can do without, by --no-passphrase"
        );
    }
    if ask_for_repository(location, "The same again: ")? != first {
        bail!("the two passphrases differ; nothing was changed");
    }
    Ok(Passphrase::new(&first))
}

fn ask_for_repository(location: &str, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(NoPassphrase::NobodyToAsk { location: location.to_owned() }.into());
    }
    ask(prompt)
}

/// Asks at the terminal for what nobody should see.
pub(super) fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    // The prompt comes after the echo is off: what is typed before that is thrown away.
    let word = without_echo(|| {
        console::draw(&console::name(prompt));
        line()
    });
    console::draw("\n");
    let word = word?;
    let word = std::str::from_utf8(&word).context("what was typed is not UTF-8")?;
    Ok(Zeroizing::new(word.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks at the terminal for what may be seen.
pub(super) fn ask_openly(prompt: &str) -> anyhow::Result<String> {
    console::draw(&console::name(prompt));
    let answer = line()?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A line of standard input. Ctrl-C ends it, and leaves time to put the echo back.
fn line() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let _caught = signals::Caught::now();
    let (mut line, mut byte) = (Zeroizing::new(Vec::new()), [0]);
    while line.len() < LONGEST_LINE && line.last() != Some(&b'\n') {
        match nix::unistd::read(std::io::stdin().as_fd(), &mut byte) {
            Ok(0) => break,
            Ok(_) => line.push(byte[0]),
            Err(nix::Error::EINTR) if CANCEL.is_requested() => {
                return Err(OperationError::Cancelled.into());
            }
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error).context("reading what is typed"),
        }
    }
    Ok(line)
}

/// Runs `read` with the terminal's echo off; it is back on afterwards whatever happens.
fn without_echo<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent)?;
    let result = read();
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &before)?;
    result
}
