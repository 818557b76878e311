//! Where a repository's passphrase comes from: a file, the environment, or a prompt.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::console;
use crate::job::RepoArgs;
use crate::operation::{OperationError, Passphrase, RepoAccess, Want};

use super::signals::{self, CANCEL};
use super::{hardening, network};

const VARIABLE: &str = "LIFEBOAT_PASSPHRASE";

/// The largest passphrase file, bytes; whatever is larger is another file named by mistake.
const LONGEST_FILE: u64 = 1 << 20;

/// The longest line that is read from a terminal, bytes (`N_TTY_BUF_SIZE` of Linux).
const LONGEST_LINE: usize = 4096;

/// The passphrase that was given with the command, if any.
fn given(args: &RepoArgs) -> anyhow::Result<Option<Passphrase>> {
    let variable = hardening::take_variable(VARIABLE);
    if let Some(file) = &args.passphrase_file {
        let named = format!("the passphrase file {}", console::path(file));
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(file)
            .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes))
            .with_context(|| format!("reading {named}"))?;
        return match in_file(&bytes) {
            None => bail!("{named} is not UTF-8 (or UTF-16 with its mark); save it as UTF-8"),
            Some(word) if word.is_empty() => bail!("{named} is empty; put the passphrase in it"),
            Some(word) => Ok(Some(Passphrase::new(&word))),
        };
    }
    let Some(bytes) = variable else { return Ok(None) };
    match std::str::from_utf8(&bytes) {
        Ok(word) => Ok(Some(word).filter(|word| !word.is_empty()).map(Passphrase::new)),
        Err(_) => bail!(
            "the passphrase in {VARIABLE} is not UTF-8; set it in a UTF-8 locale, or use \
             --passphrase-file"
        ),
    }
}

/// The passphrase in a file, as restic reads it (`internal/textfile` and the reading of
/// `--password-file` in `internal/global`): UTF-16 with a byte order mark is decoded, that of UTF-8
/// dropped, and blanks and line ends around the text do not count. `None` when it is not text.
fn in_file(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let utf16 = |unit: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
        let text = char::decode_utf16(units);
        Zeroizing::new(text.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    };
    let utf8 = |bytes| Some(Zeroizing::new(std::str::from_utf8(bytes).ok()?.to_owned()));
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        [0xff, 0xfe, rest @ ..] => utf16(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => utf16(u16::from_be_bytes, rest),
        _ => utf8(bytes)?,
    };
    Some(Zeroizing::new(text.trim().to_owned()))
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
    let access = RepoAccess::at(&args.repo, want, given(args)?, &network::options(args)?)?;
    match access.try_open() {
        Ok(()) => Ok(access),
        Err(error) if access.is_public() && error.needs_passphrase() => {
            let prompt = format!("Passphrase of {}: ", access.location());
            let word = ask_for_repository(&prompt)?;
            let access = access.with_passphrase(Passphrase::new(&word));
            access.try_open()?;
            Ok(access)
        }
        Err(error) => Err(error.into()),
    }
}

/// Access to a repository that is to be created.
pub(super) fn new_access(args: &RepoArgs, no_passphrase: bool) -> anyhow::Result<RepoAccess> {
    let given = given(args)?;
    let options = network::options(args)?;
    let new = |passphrase| Ok(RepoAccess::at(&args.repo, Want::Write, passphrase, &options)?);
    if no_passphrase || given.is_some() {
        return new(given.filter(|_| !no_passphrase));
    }
    let first = ask_for_repository("New passphrase: ")?;
    if first.is_empty() {
        bail!("an empty passphrase cannot be used; give one, or say --no-passphrase");
    }
    if ask_for_repository("The same again: ")? != first {
        bail!("the two passphrases differ; nothing was created");
    }
    new(Some(Passphrase::new(&first)))
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
        console::draw(&console::name(prompt));
        line()
    });
    console::draw("\n");
    let word = word?;
    let word = std::str::from_utf8(&word).context("what was typed is not UTF-8")?;
    Ok(Zeroizing::new(word.trim_end_matches(['\r', '\n']).to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_blanks_around_do_not_count() {
        let files: [&[u8]; 8] = [
            b"two words",
            b"two words\r\n",
            b"\xef\xbb\xbftwo words\r\n",
            b"\xff\xfet\0w\0o\0 \0w\0o\0r\0d\0s\0\r\0\n\0",
            b"\xfe\xff\0t\0w\0o\0 \0w\0o\0r\0d\0s\0\n",
            b" \t two words \n\n",
            "\u{a0}two words\u{3000}\n".as_bytes(),
            b"\n\ntwo words",
        ];
        for file in files {
            assert_eq!(in_file(file).unwrap().as_str(), "two words", "{file:?}");
        }
        assert_eq!(in_file(b"one\ntwo\n").unwrap().as_str(), "one\ntwo");
        assert_eq!(in_file(b"M\xfcller"), None);
        assert_eq!(in_file(b"\xff\xfe\r\0\n\0").unwrap().as_str(), "");
    }
}
