//! Where a repository's passphrase comes from: a file, the environment, or a prompt.

use std::env::VarError;
use std::fs::File;
use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::console;
use crate::operation::RepoAccess;

use super::args::RepoArgs;

const VARIABLE: &str = "LIFEBOAT_PASSPHRASE";

/// The largest passphrase file, bytes; whatever is larger is another file named by mistake.
const LONGEST_FILE: u64 = 1 << 20;

/// The passphrase that was given with the command, if any.
fn given(args: &RepoArgs) -> anyhow::Result<Option<String>> {
    if let Some(file) = &args.passphrase_file {
        let named = format!("the passphrase file {}", console::path(file));
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(file)
            .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes))
            .with_context(|| format!("reading {named}"))?;
        return match in_file(&bytes) {
            None => bail!("{named} is not UTF-8 (or UTF-16 with its mark); save it as UTF-8"),
            Some(word) if word.is_empty() => bail!("{named} is empty; put the passphrase in it"),
            word => Ok(word),
        };
    }
    match std::env::var(VARIABLE) {
        Ok(word) => Ok(Some(word).filter(|word| !word.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!(
            "the passphrase in {VARIABLE} is not UTF-8; set it in a UTF-8 locale, or use \
             --passphrase-file"
        ),
    }
}

/// The passphrase in a file, as restic reads it (`internal/textfile` and the reading of
/// `--password-file` in `internal/global`): UTF-16 with a byte order mark is decoded, that of UTF-8
/// dropped, and blanks and line ends around the text do not count. `None` when it is not text.
fn in_file(bytes: &[u8]) -> Option<String> {
    let utf16 = |unit: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
        let text = char::decode_utf16(units);
        text.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok()?.to_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => utf16(u16::from_be_bytes, rest),
        _ => std::str::from_utf8(bytes).ok()?.to_owned(),
    };
    Some(text.trim().to_owned())
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
        let word =
            ask_for_repository(&format!("Passphrase of {}: ", console::path(&access.location)))?;
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
        console::draw(&console::name(prompt));
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    })?;
    console::draw("\n");
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
            assert_eq!(in_file(file).as_deref(), Some("two words"), "{file:?}");
        }
        assert_eq!(in_file(b"one\ntwo\n").as_deref(), Some("one\ntwo"));
        assert_eq!(in_file(b"M\xfcller"), None);
        assert_eq!(in_file(b"\xff\xfe\r\0\n\0").as_deref(), Some(""));
    }
}
