//! What opens a server or a repository, and is shown to nobody.

use std::fmt;

use zeroize::Zeroizing;

/// A password, passphrase or key; wiped from memory when dropped and never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes what was given.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Text without the passwords in the URLs in it, such as the words of a command line: between
/// `//USER:` and the last `@` before the path.
pub fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, from) = rest.split_at(at + "://".len());
        shown.push_str(before);
        let end = from.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(from.len());
        let (authority, after) = from.split_at(end);
        let login = authority.rsplit_once('@');
        match login.and_then(|(login, host)| Some((login.split_once(':')?.0, host))) {
            Some((user, host)) => shown.push_str(&format!("{user}:***@{host}")),
            None => shown.push_str(authority),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out_of_any_text() {
        let cases = [
            (
                "capture --repo rest:https://me:s3cret@host:8000/a x",
                "capture --repo rest:https://me:***@host:8000/a x",
            ),
            ("--repo=rest:http://me:p@ss@host/", "--repo=rest:http://me:***@host/"),
            ("rest:http://me@host/ and http://u:p@h", "rest:http://me@host/ and http://u:***@h"),
            ("s3:https://host:443/b/p:q@r", "s3:https://host:443/b/p:q@r"),
            ("/mnt/a", "/mnt/a"),
        ];
        for (text, shown) in cases {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
