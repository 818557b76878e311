//! The one way out to a terminal, a pipe or a log, for text that others had a hand in.
//!
//! Names on foreign disks may hold characters that steer a terminal or turn a line's direction
//! around; whoever prints goes through here. A reader that stops reading (`head`, `less` left with
//! `q`) ends nothing: the work goes on, and what is left to say is dropped.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};

/// Whether standard output took less than it was given for another reason than a reader that left.
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Control characters of ASCII and of ISO 6429's upper set (C1), Unicode's line and paragraph
/// separators, and its marks of direction (Unicode Standard Annex 9, table 3).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text of one or several lines: characters that steer a terminal become `?`; line ends and tabs
/// stay.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| !steers(c) || matches!(c, '\n' | '\t');
    text.chars().map(|c| if harmless(c) { c } else { '?' }).collect()
}

/// A text without the numbers that Rust's standard library puts behind the words of the system's errors.
pub fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let behind = part.trim_start_matches(|c: char| c.is_ascii_digit());
        kept.push_str(behind.strip_prefix(')').unwrap_or(part));
    }
    kept
}

/// A name within a line, which it must not end: like [`plain`], line ends and tabs become `?` too.
pub fn name(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '?' } else { c }).collect()
}

/// A path as a name; what of it is not UTF-8 shows as U+FFFD.
pub fn path(path: impl AsRef<Path>) -> String {
    name(&path.as_ref().to_string_lossy())
}

/// Serialises a path that need not be UTF-8, which JSON has to be: what is not becomes U+FFFD.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_path<S: Serializer>(
    path: &impl AsRef<Path>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

/// JSON without characters that steer a terminal: they are escaped, which means the same.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // A raw line end is no part of a string, but lies between values.
        if steers(c) && c != '\n' {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// A line, or several, on standard output.
pub fn say(text: &str) {
    write(&format!("{}\n", plain(text)));
}

/// A JSON document on standard output, on one line or `spread` over several.
///
/// # Errors
/// When the value has no form in JSON.
pub fn say_json(value: &impl Serialize, spread: bool) -> serde_json::Result<()> {
    let json = match spread {
        true => serde_json::to_string_pretty(value)?,
        false => serde_json::to_string(value)?,
    };
    write(&format!("{}\n", escaped(&json)));
    Ok(())
}

/// A line, or several, on standard error. Nobody can be told when that fails.
pub fn tell(text: &str) {
    let _ = writeln!(stderr(), "{}", plain(text));
}

/// Writes to standard error as it is, without a line end: prompts, and a line that is drawn anew
/// with carriage returns. Only for text of our own.
pub fn draw(text: &str) {
    let mut stream = stderr();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// Whether everything that was said reached standard output, or a reader that did not want it.
pub fn is_complete() -> bool {
    !INCOMPLETE.load(Ordering::Relaxed)
}

fn write(text: &str) {
    let mut stream = stdout().lock();
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            INCOMPLETE.store(true, Ordering::Relaxed);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        let foreign = "a\u{1b}[31m\u{9b}31m\u{202e}b\u{2028}\u{7f}\u{2066}ä\n\tc";
        assert_eq!(plain(foreign), "a?[31m?31m?b???ä\n\tc");
        assert_eq!(name(foreign), "a?[31m?31m?b???ä??c");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = vec!["a\u{9b}\u{202e}ä\n\u{1b}"];
        let json = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(json, "[\n  \"a\\u009b\\u202eä\\n\\u001b\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), value);
    }

    #[test]
    fn a_path_need_not_be_utf8() {
        let latin1 = Path::new(OsStr::from_bytes(b"M\xfcller\x1b.img"));
        assert_eq!(path(latin1), "M\u{fffd}ller?.img");
    }
}
