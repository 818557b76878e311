//! restic's REST protocol (restic `doc/REST_backend.rst`), as restic's rest-server 0.13 speaks it.
//!
//! What that server does beyond the document: it refuses a file that is there with 403 before it
//! reads it, and closes the connection; it removes what is not there without complaint; a full disk
//! and a full quota are 507; it does not tell when a file was written.

use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use ureq::http::{HeaderMap, Method, Response, StatusCode};
use ureq::{Body, http::header};
use zeroize::Zeroizing;

use super::address::Web;
use super::client::{Asked, Client, length, text};
use super::options::NetworkOptions;
use super::remote::{Attempt, Failure, Remote};
use crate::store::{FileEntry, FileKind, StoreError};

/// The form of a list with sizes, and the older one without.
const LIST: &str = "application/vnd.x.restic.rest.v2";
const OLD_LIST: &str = "application/vnd.x.restic.rest.v1";

/// The longest list that is read, in bytes: of some two million files.
const LIST_LIMIT: u64 = 256 << 20;

/// A repository on a server of restic's protocol.
pub(super) struct Rest {
    client: Client,
    /// With a slash at its end.
    base: String,
    login: Option<Zeroizing<String>>,
}

/// A file in a list.
#[derive(Deserialize)]
struct Listed {
    name: String,
    size: u64,
}

impl Rest {
    pub(super) fn new(web: &Web, options: &NetworkOptions) -> Result<Self, StoreError> {
        let shown =
            Web { user: web.user.clone().or_else(|| options.rest.user.clone()), ..web.clone() };
        let login = shown.user.as_ref().map(|user| {
            let password = web.password.as_ref().or(options.rest.password.as_ref());
            let password = password.map_or("", |password| password.reveal());
            let both = Zeroizing::new(format!("{user}:{password}"));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())))
        });
        let base = Web { user: None, password: None, ..web.clone() }.to_string();
        let client = Client::new(format!("rest:{shown}"), options)?;
        Ok(Self { client, base, login })
    }

    fn url(&self, kind: FileKind, name: &str) -> String {
        match kind {
            FileKind::Config => format!("{}config", self.base),
            _ => format!("{}{}/{name}", self.base, kind.folder()),
        }
    }

    fn ask(
        &self,
        method: Method,
        url: &str,
        mut headers: Vec<(&'static str, String)>,
        body: &[u8],
    ) -> Attempt<Response<Body>> {
        if let Some(login) = &self.login {
            headers.push((header::AUTHORIZATION.as_str(), login.to_string()));
        }
        self.client.send(Asked { method, url, headers, asks_leave: true }, body)
    }

    fn head(&self, kind: FileKind, name: &str) -> Attempt<Response<Body>> {
        let answer = self.ask(Method::HEAD, &self.url(kind, name), Vec::new(), &[])?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            _ => Err(self.unreadable(answer)),
        }
    }

    /// What an answer means to who only wants to read.
    fn unreadable(&self, answer: Response<Body>) -> Failure {
        match answer.status() {
            StatusCode::FORBIDDEN => StoreError::Refused {
                location: self.client.location().to_owned(),
                why: "the server does not let this user read there".to_owned(),
                next: "look at the address and the user".to_owned(),
            }
            .into(),
            _ => self.client.refused(answer),
        }
    }

    fn broken(&self, why: &str) -> Failure {
        StoreError::Refused {
            location: self.client.location().to_owned(),
            why: why.to_owned(),
            next: "look whether it is a server of restic's protocol (rest-server)".to_owned(),
        }
        .into()
    }

    /// The files that a list names; one without sizes is asked for them.
    fn listed(&self, kind: FileKind, answer: Response<Body>) -> Attempt<Vec<FileEntry>> {
        let form = text(answer.headers(), "content-type").unwrap_or_default();
        let body = answer.into_body().into_with_config().limit(LIST_LIMIT).reader();
        let body = std::io::BufReader::new(body.take(LIST_LIMIT));
        let problem = |error: serde_json::Error| match error.is_io() || error.is_eof() {
            true => Failure::temporary(format!("the list of files was cut off: {error}")),
            false => self.broken("its list of files is none"),
        };
        if form == LIST {
            let files: Vec<Listed> = serde_json::from_reader(body).map_err(problem)?;
            let entry = |Listed { name, size }| FileEntry { name, size };
            return Ok(files.into_iter().map(entry).collect());
        }
        if form != OLD_LIST {
            return Err(self.broken("it answers with something else than a list of files"));
        }
        let names: Vec<String> = serde_json::from_reader(body).map_err(problem)?;
        let names = names.into_iter().filter(|name| crate::store::valid_name(kind, name));
        names.map(|name| Ok(FileEntry { size: self.size(kind, &name)?, name })).collect()
    }
}

impl Remote for Rest {
    fn create(&self) -> Attempt<()> {
        let url = format!("{}?create=true", self.base);
        let answer = self.ask(Method::POST, &url, Vec::new(), &[])?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(self.client.refused(answer)),
        }
    }

    fn list(&self, kind: FileKind) -> Attempt<Vec<FileEntry>> {
        let url = format!("{}{}/", self.base, kind.folder());
        let accept = vec![(header::ACCEPT.as_str(), LIST.to_owned())];
        let answer = self.ask(Method::GET, &url, accept, &[])?;
        match answer.status() {
            StatusCode::OK => self.listed(kind, answer),
            _ => Err(self.unreadable(answer)),
        }
    }

    fn size(&self, kind: FileKind, name: &str) -> Attempt<u64> {
        let answer = self.head(kind, name)?;
        length(answer.headers()).ok_or_else(|| self.broken("it does not tell the size of a file"))
    }

    fn read_range(
        &self,
        kind: FileKind,
        name: &str,
        offset: u64,
        buf: &mut [u8],
        filled: &mut usize,
    ) -> Attempt<()> {
        let (from, end) = (offset + *filled as u64, offset + buf.len() as u64);
        let range = vec![(header::RANGE.as_str(), format!("bytes={from}-{}", end - 1))];
        let mut answer = self.ask(Method::GET, &self.url(kind, name), range, &[])?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => match content_range(answer.headers()) {
                Some((at, _)) if at != from => {
                    return Err(self.broken("it answers with another range than was asked for"));
                }
                Some((_, last)) if last + 1 < end => return Err(Failure::TooShort),
                _ => {}
            },
            // The whole file, from a server that knows no ranges.
            StatusCode::OK if from == 0 => {
                if length(answer.headers()).is_some_and(|size| size < end) {
                    return Err(Failure::TooShort);
                }
            }
            StatusCode::OK => return Err(self.broken("it does not give parts of files")),
            _ => return Err(self.unreadable(answer)),
        }
        self.client.fill(answer.body_mut(), buf, filled)
    }

    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Attempt<()> {
        let form = vec![(header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned())];
        let answer = self.ask(Method::POST, &self.url(kind, name), form, bytes)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            // Either it is there, or nothing may be written: who asks looks.
            StatusCode::FORBIDDEN => match self.size(kind, name) {
                Ok(_) => Err(Failure::Exists),
                Err(Failure::Missing) => Err(self.client.refused(answer)),
                Err(other) => Err(other),
            },
            // It reckons the sum of what arrives, and that is not the file's name.
            StatusCode::BAD_REQUEST => {
                Err(Failure::temporary("it received other bytes than were sent"))
            }
            _ => Err(self.client.refused(answer)),
        }
    }

    fn remove(&self, kind: FileKind, name: &str) -> Attempt<()> {
        let answer = self.ask(Method::DELETE, &self.url(kind, name), Vec::new(), &[])?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            StatusCode::FORBIDDEN => {
                let location = self.client.location().to_owned();
                Err(StoreError::KeepsAll { location, kind }.into())
            }
            _ => Err(self.client.refused(answer)),
        }
    }

    /// Both times are the server's. Some servers tell none of a file.
    fn age(&self, kind: FileKind, name: &str) -> Attempt<Option<Duration>> {
        let answer = self.head(kind, name)?;
        Ok(age(answer.headers()))
    }

    fn stop(&self) {
        self.client.stop();
    }

    fn location(&self) -> String {
        self.client.location().to_owned()
    }
}

/// The first and the last byte of a part (RFC 9110, 14.4).
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let range = text(headers, "content-range")?;
    let (first, last) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// How long ago a file was written, zero for one from the future.
pub(super) fn age(headers: &HeaderMap) -> Option<Duration> {
    let time = |name| {
        let text = text(headers, name)?.replace("GMT", "+0000");
        Some(SystemTime::from(OffsetDateTime::parse(&text, &Rfc2822).ok()?))
    };
    let (now, written) = (time("date")?, time("last-modified")?);
    Some(now.duration_since(written).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_servers_times_tell_an_age() {
        let now = ("date", "Mon, 30 Nov 2026 18:56:25 GMT");
        let told = |written| age(&headers(&[now, ("last-modified", written)]));
        assert_eq!(told("Mon, 30 Nov 2026 18:26:20 GMT"), Some(Duration::from_secs(1805)));
        assert_eq!(told("Mon, 30 Nov 2026 18:56:26 GMT"), Some(Duration::ZERO));
        assert_eq!(told("yesterday"), None);
        assert_eq!(age(&headers(&[now])), None);
    }

    #[test]
    fn a_part_says_which_it_is() {
        let part = |text| content_range(&headers(&[("content-range", text)]));
        assert_eq!(part("bytes 3-9/439"), Some((3, 9)));
        assert_eq!(part("bytes 3-9/*"), Some((3, 9)));
        assert_eq!(part("bytes */439"), None);
        assert_eq!(part("lines 3-9/1"), None);
    }
}
