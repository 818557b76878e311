//! Where repositories on the network are, as restic spells it
//! (restic `doc/030_preparing_a_new_repo.rst`).

use std::fmt;

use super::secret::Secret;

/// What begins the word of each kind; the second form is that of a URL of its own.
const REST: [&str; 2] = ["rest:", "rest://"];
const S3: [&str; 2] = ["s3:", "s3://"];
const SFTP: [&str; 2] = ["sftp:", "sftp://"];

/// A server that is spoken to over HTTP or HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Whether it is spoken to in the clear.
    pub plain: bool,
    /// Who to log in as.
    pub user: Option<String>,
    /// With what; in none of the forms that are written or shown.
    pub password: Option<Secret>,
    /// Name or number, with a port where it is not the usual one.
    pub host: String,
    /// What follows, from the first slash on to the last, which it ends with.
    pub path: String,
}

/// A repository on the network. Its text never has the password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// On a server of restic's REST protocol.
    Rest(Web),
    /// In a bucket of an object store that speaks Amazon's S3.
    S3 {
        /// The server.
        server: Web,
        /// The bucket.
        bucket: String,
        /// What the names of the repository's files begin with; empty, or without slashes around.
        prefix: String,
    },
    /// Reached by the machine's own `ssh`.
    Sftp {
        /// `user@host`, or what `ssh` knows a host by.
        host: String,
        /// Its port, where it is not the usual one.
        port: Option<u16>,
        /// The folder there; relative to the home folder without a slash before it.
        folder: String,
    },
}

impl Address {
    /// The address that a word names. `None` when the word begins as none; an error when it does
    /// and goes on as none.
    pub(in crate::store) fn parse(word: &str) -> Option<Result<Self, &'static str>> {
        let after = |[short, long]: [&str; 2]| {
            word.strip_prefix(long).map(|rest| (rest, true)).or_else(|| {
                let rest = word.strip_prefix(short)?;
                Some((rest, false))
            })
        };
        let parsed = if let Some((rest, is_url)) = after(REST) {
            rest_address(rest, is_url)
                .ok_or("it has to be rest:https://USER@HOST/PATH/, or rest:http://…")
        } else if let Some((rest, is_url)) = after(S3) {
            s3(rest, is_url).ok_or("it has to be s3:https://HOST/BUCKET/PREFIX")
        } else {
            let (rest, is_url) = after(SFTP)?;
            let parsed = if is_url { sftp_url(rest) } else { sftp(rest) };
            parsed.ok_or("it has to be sftp:USER@HOST:/FOLDER, or sftp://USER@HOST:PORT//FOLDER")
        };
        Some(parsed)
    }
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http" } else { "https" };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{}@", encode(user))?;
        }
        write!(f, "{}{}", self.host, self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rest(web) => write!(f, "rest:{web}"),
            Self::S3 { server, bucket, prefix } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(f, "s3:{server}{bucket}{slash}{prefix}")
            }
            Self::Sftp { host, port: None, folder } => write!(f, "sftp:{host}:{folder}"),
            Self::Sftp { host, port: Some(port), folder } => {
                write!(f, "sftp://{host}:{port}/{folder}")
            }
        }
    }
}

/// What follows `rest:` or `rest://`.
fn rest_address(rest: &str, is_url: bool) -> Option<Address> {
    let mut web = if is_url { web_after_scheme(rest, false)? } else { web(rest)? };
    if !web.path.ends_with('/') {
        web.path.push('/');
    }
    Some(Address::Rest(web))
}

/// What follows `s3:` or `s3://`; without a scheme it is HTTPS.
fn s3(rest: &str, is_url: bool) -> Option<Address> {
    let web = if is_url {
        web_after_scheme(rest, false)?
    } else {
        web(rest).or_else(|| web_after_scheme(rest, false))?
    };
    let path = web.path.trim_matches('/').to_owned();
    let (bucket, prefix) = path.split_once('/').unwrap_or((&path, ""));
    let is_bucket = !bucket.is_empty()
        && bucket.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
        && !matches!(bucket, "." | "..");
    let prefix = prefix.trim_matches('/').to_owned();
    is_bucket.then(|| Address::S3 {
        bucket: bucket.to_owned(),
        prefix,
        server: Web { path: "/".to_owned(), ..web.clone() },
    })
}

/// An address that says how it is spoken to.
fn web(text: &str) -> Option<Web> {
    match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => web_after_scheme(rest, false),
        (_, Some(rest)) => web_after_scheme(rest, true),
        _ => None,
    }
}

fn web_after_scheme(rest: &str, plain: bool) -> Option<Web> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let is_host =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    let is_path = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '?' | '#' | '\\');
    let climbs = path.split('/').any(|part| matches!(part, "." | ".."));
    if host.is_empty() || !host.chars().all(is_host) || !path.chars().all(is_path) || climbs {
        return None;
    }
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        None => (None, None),
        Some((user, "")) => (Some(decode(user)?), None),
        Some((user, password)) => (Some(decode(user)?), Some(Secret::new(&decode(password)?))),
    };
    let path = if path.is_empty() { "/".to_owned() } else { encode_path(path) };
    Some(Web { plain, user, password, host: host.to_owned(), path })
}

/// `USER@HOST:FOLDER`.
fn sftp(rest: &str) -> Option<Address> {
    // A number in brackets has colons of its own.
    let from = rest.find("]:").map_or(0, |at| at + 1);
    let colon = from + rest.get(from..)?.find(':')?;
    let (host, folder) = (rest.get(..colon)?, rest.get(colon + 1..)?);
    ssh_place(host, None, folder)
}

/// `USER@HOST:PORT/FOLDER`: what follows the slash is relative to the home folder, so that an
/// absolute folder comes after two.
fn sftp_url(rest: &str) -> Option<Address> {
    let (authority, folder) = rest.split_once('/')?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    ssh_place(host, port, folder)
}

fn ssh_place(host: &str, port: Option<u16>, folder: &str) -> Option<Address> {
    // ssh would take a name that begins so for an option of its own.
    let is_host = !host.is_empty()
        && !host.starts_with('-')
        && host.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/');
    let is_folder = !folder.is_empty() && !folder.chars().any(char::is_control);
    let host = host.to_owned();
    (is_host && is_folder).then(|| Address::Sftp { host, port, folder: folder.to_owned() })
}

/// Percent-decoding (RFC 3986, 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |c: u8| char::from(c).to_digit(16).and_then(|it| u8::try_from(it).ok());
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high * 16 + low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Whether a byte stands for itself in a URL (RFC 3986, 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Percent-encoding of all that is not unreserved.
pub(super) fn encode(text: &str) -> String {
    encode_but(text, is_unreserved)
}

/// Percent-encoding of what cannot stand in a path; what is encoded stays as it is.
fn encode_path(text: &str) -> String {
    encode_but(text, |byte| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    })
}

pub(super) fn encode_but(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match stays(byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(word: &str) -> Address {
        Address::parse(word).unwrap().unwrap()
    }

    #[test]
    fn restics_spellings_are_understood() {
        for (word, shown) in [
            ("rest:https://host/", "rest:https://host/"),
            ("rest:http://host:8000", "rest:http://host:8000/"),
            ("rest:https://me@host/a/b", "rest:https://me@host/a/b/"),
            ("rest://host/a", "rest:https://host/a/"),
            ("rest:http://[::1]:8000/ä", "rest:http://[::1]:8000/%C3%A4/"),
            ("s3:https://host/bucket/a/b/", "s3:https://host/bucket/a/b"),
            (
                "s3:s3.eu-central-1.amazonaws.com/bucket",
                "s3:https://s3.eu-central-1.amazonaws.com/bucket",
            ),
            ("s3:http://127.0.0.1:9000/bucket", "s3:http://127.0.0.1:9000/bucket"),
            ("sftp:me@host:/srv/images", "sftp:me@host:/srv/images"),
            ("sftp:host:images", "sftp:host:images"),
            ("sftp:me@[::1]:/srv", "sftp:me@[::1]:/srv"),
            ("sftp://me@host/images", "sftp:me@host:images"),
            ("sftp://me@host:2222//srv/images", "sftp://me@host:2222//srv/images"),
        ] {
            assert_eq!(parsed(word).to_string(), shown);
            assert_eq!(parsed(shown), parsed(word), "{word}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "rest:",
            "rest:host",
            "rest:ftp://host/",
            "rest:https:///a",
            "rest:https://host/a?b",
            "rest:https://ho st/",
            "rest:https://host/../a",
            "rest:https://a%zz@host/",
            "s3:https://host",
            "s3:https://host/..",
            "s3:",
            "sftp:",
            "sftp:host",
            "sftp:-oX=y:/a",
            "sftp://host",
            "sftp://host:x/a",
        ] {
            assert!(Address::parse(wrong).unwrap().is_err(), "{wrong}");
        }
        assert!(Address::parse("/mnt/rest:").is_none());
    }

    #[test]
    fn the_password_is_kept_and_never_shown() {
        let address = parsed("rest:https://m%40e:s%3ac@host:1/a");
        let Address::Rest(web) = &address else { panic!("{address}") };
        assert_eq!((web.user.as_deref(), web.host.as_str()), (Some("m@e"), "host:1"));
        assert_eq!(web.password.as_ref().unwrap().reveal(), "s:c");
        assert_eq!(address.to_string(), "rest:https://m%40e@host:1/a/");
        assert!(!format!("{address:?}").contains("s:c"));
    }
}
