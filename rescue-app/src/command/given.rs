//! A passphrase that nobody is asked for: from a file, the environment, or a command.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::console;
use crate::job::RepoArgs;
use crate::operation::Passphrase;

use super::hardening;

/// The variables with a command that prints the passphrase, the file that holds it, and the
/// passphrase: ours, then restic's, in the order in which restic looks (`resolvePassword` in its
/// `internal/global`).
const VARIABLES: [[&str; 3]; 2] = [
    ["LIFEBOAT_PASSPHRASE_COMMAND", "LIFEBOAT_PASSPHRASE_FILE", "LIFEBOAT_PASSPHRASE"],
    ["RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD"],
];

/// The largest passphrase file, bytes; whatever is larger is another file named by mistake.
const LONGEST_FILE: u64 = 1 << 20;

/// A passphrase that nobody was asked for.
pub(super) struct Given {
    pub(super) word: Passphrase,
    /// Where it was found.
    pub(super) from: String,
}

/// The passphrase that was given with the command, if any.
pub(super) fn given(args: &RepoArgs) -> anyhow::Result<Option<Given>> {
    // All of them are taken: no program that is started needs to know any.
    let variables = VARIABLES.map(|names| names.map(|name| (name, hardening::take_variable(name))));
    if let Some(file) = &args.passphrase_file {
        return of_file(file, format!("the file {}", console::path(file))).map(Some);
    }
    for [command, file, word] in variables {
        let is_set = |(name, value): (&'static str, Option<Zeroizing<Vec<u8>>>)| {
            Some((name, value.filter(|value| !value.is_empty())?))
        };
        if let Some((name, line)) = is_set(command) {
            return of_command(name, OsStr::from_bytes(&line)).map(Some);
        }
        if let Some((name, file)) = is_set(file) {
            let file = Path::new(OsStr::from_bytes(&file));
            let named = format!("the file {} that {name} names", console::path(file));
            return of_file(file, named).map(Some);
        }
        if let Some((name, value)) = is_set(word) {
            let Ok(word) = std::str::from_utf8(&value) else {
                bail!(
                    "the passphrase in {name} is not UTF-8; set it in a UTF-8 locale, or use \
                     --passphrase-file"
                );
            };
            return Ok(Some(Given { word: Passphrase::new(word), from: name.to_owned() }));
        }
    }
    Ok(None)
}

/// The passphrase in a file; `named` is the file in words.
pub(super) fn of_file(file: &Path, named: String) -> anyhow::Result<Given> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(file)
        .and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes))
        .with_context(|| format!("reading {named}"))?;
    of_text(&bytes, named)
}

/// What the command line in the variable `name` prints (`sh -c`, which splits it as restic does).
fn of_command(name: &str, line: &OsStr) -> anyhow::Result<Given> {
    let mut command = Command::new("sh");
    let output = command.arg("-c").arg(line).stderr(Stdio::inherit()).stdin(Stdio::inherit());
    let output = output.output().with_context(|| format!("running the command in {name}"))?;
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        bail!("the command in {name} failed ({}); run it by hand to see why", output.status);
    }
    of_text(&printed, format!("the output of the command in {name}"))
}

fn of_text(bytes: &[u8], from: String) -> anyhow::Result<Given> {
    match in_file(bytes) {
        None => bail!("{from} is not UTF-8 (or UTF-16 with its mark); save it as UTF-8"),
        Some(word) if word.is_empty() => bail!("{from} is empty; put the passphrase in it"),
        Some(word) => Ok(Given { word: Passphrase::new(&word), from }),
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
