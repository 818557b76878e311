//! `os-release` of Linux systems.
//!
//! Source: `os-release(5)`.

use super::Root;
use crate::volume::text;

/// A larger file is not read to its end, bytes.
const MOST: u64 = 64 << 10;

/// Where it is; in `/etc` there is usually a link to it.
const PATHS: [&[&str]; 2] = [&["usr", "lib", "os-release"], &["etc", "os-release"]];

/// The system's name for a person.
pub(super) fn name(root: &Root<'_>) -> Option<String> {
    let file = PATHS.iter().find_map(|path| root.start_of(path, MOST))?;
    let file = String::from_utf8_lossy(&file);
    let pretty = field(&file, "PRETTY_NAME=");
    let name = pretty.or_else(|| {
        let version = field(&file, "VERSION=").unwrap_or_default();
        Some(format!("{} {version}", field(&file, "NAME=")?))
    })?;
    text::label(name.as_bytes())
}

/// The value of an assignment as a shell reads it: quoted or not, with backslashes.
fn field(file: &str, name: &str) -> Option<String> {
    let value = file.lines().filter_map(|line| line.trim().strip_prefix(name)).next_back()?.trim();
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let value = inner('"').or_else(|| inner('\'')).unwrap_or(value);
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        let file =
            "NAME=Fedora\nPRETTY_NAME=\"The \\\"new\\\" one\"\nVERSION='41 (Forty One)'\nX=\n";
        assert_eq!(field(file, "NAME=").as_deref(), Some("Fedora"));
        assert_eq!(field(file, "PRETTY_NAME=").as_deref(), Some("The \"new\" one"));
        assert_eq!(field(file, "VERSION=").as_deref(), Some("41 (Forty One)"));
        assert_eq!(field(file, "X="), None);
        assert_eq!(field(file, "ID="), None);
    }
}
