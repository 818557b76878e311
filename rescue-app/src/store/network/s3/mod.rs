//! Object stores that speak Amazon's S3 (AWS, *Amazon S3 API Reference*), laid out as restic does
//! (restic `doc/design.rst`, "Repository Layout"): packs under `data/00/` to `data/ff/`.

mod signature;
mod xml;

use std::io::Read;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use ureq::Body;
use ureq::http::{Method, Response, StatusCode, header};

use super::address::{Address, Web, encode_but};
use super::client::{Asked, Client, length, text};
use super::options::NetworkOptions;
use super::remote::{Attempt, Failure, Remote};
use super::rest::{age, content_range};
use crate::store::{FileEntry, FileKind, StoreError};
use signature::{Signed, Signer, stamp, sum};

/// The most that is read of one answer in XML, bytes: a page of a list names 1000 files.
const XML_LIMIT: u64 = 8 << 20;

/// The most files that a list may have: of packs of 16 MiB, 32 TiB.
const MOST_FILES: usize = 2 << 20;

/// A clock that is further off than this is set right for what is signed, seconds.
const CLOCK_TOLERANCE: i64 = 60;

/// A repository in a bucket.
pub(super) struct S3 {
    client: Client,
    signer: Signer,
    token: Option<String>,
    plain: bool,
    host: String,
    /// Of addresses, up to the slash before a file's key: empty, or the bucket after a slash.
    base: String,
    /// What keys begin with: empty, or ends with a slash.
    prefix: String,
    /// The server's time less this machine's, seconds.
    skew: AtomicI64,
}

/// A request but for what every one has.
#[derive(Default)]
struct Call<'a> {
    method: Method,
    key: &'a str,
    query: Vec<(&'a str, String)>,
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
    /// SHA-256 of the body where it is known.
    body_sum: Option<&'a str>,
}

impl S3 {
    pub(super) fn new(
        server: &Web,
        bucket: &str,
        prefix: &str,
        options: &NetworkOptions,
    ) -> Result<Self, StoreError> {
        let (bucket_name, prefix_name) = (bucket.to_owned(), prefix.to_owned());
        let shown =
            Address::S3 { server: server.clone(), bucket: bucket_name, prefix: prefix_name };
        let location = shown.to_string();
        let Some((key_id, key)) = options.s3.key_id.clone().zip(options.s3.key.clone()) else {
            return Err(StoreError::Refused {
                location,
                why: "there is nothing to sign requests with".to_owned(),
                next: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
            });
        };
        let region = options.s3.region.clone().unwrap_or_else(|| region_of(&server.host));
        // Amazon gives each bucket a host of its own; a certificate covers no second dot.
        let by_host = server.host.ends_with(".amazonaws.com") && !bucket.contains('.');
        let (host, base) = match by_host {
            true => (format!("{bucket}.{}", server.host), String::new()),
            false => (server.host.clone(), format!("/{bucket}")),
        };
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Self {
            client: Client::new(location, options)?,
            signer: Signer { key_id, key, region },
            token: options.s3.token.as_ref().map(|token| token.reveal().to_owned()),
            plain: server.plain,
            host,
            base,
            prefix: format!("{prefix}{slash}"),
            skew: AtomicI64::new(0),
        })
    }

    /// The key of a file.
    fn key(&self, kind: FileKind, name: &str) -> String {
        let prefix = &self.prefix;
        match (kind, name.get(..2)) {
            (FileKind::Config, _) => format!("{prefix}config"),
            (FileKind::Pack, Some(first)) => format!("{prefix}data/{first}/{name}"),
            _ => format!("{prefix}{}/{name}", kind.folder()),
        }
    }

    /// Signs and sends; a clock that is wrong is set right, and it is to be tried again.
    fn send(&self, call: Call<'_>) -> Attempt<Response<Body>> {
        let skew = self.skew.load(Ordering::Relaxed);
        let now = OffsetDateTime::now_utc() + time::Duration::seconds(skew);
        let stamp = stamp(now);
        let own_sum;
        let body_sum = match call.body_sum {
            Some(known) => known,
            None => {
                own_sum = sum(call.body);
                &own_sum
            }
        };
        let path = format!("{}/{}", self.base, call.key);
        let path = encode_but(&path, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/')
        });
        let mut headers = call.headers;
        headers.push(("host", self.host.clone()));
        headers.push(("x-amz-content-sha256", body_sum.to_owned()));
        headers.push(("x-amz-date", stamp.clone()));
        headers.extend(self.token.clone().map(|token| ("x-amz-security-token", token)));
        headers.sort_unstable();
        let signed = Signed {
            method: call.method.as_str(),
            path: &path,
            query: &call.query,
            headers: &headers,
            body_sum,
        };
        let authorization = self.signer.authorization(&signed, &stamp);
        headers.push((header::AUTHORIZATION.as_str(), authorization));
        let scheme = if self.plain { "http" } else { "https" };
        let mark = if call.query.is_empty() { "" } else { "?" };
        let query = signature::query_text(&call.query);
        let url = format!("{scheme}://{}{path}{mark}{query}", self.host);
        let asked = Asked { method: call.method, url: &url, headers, asks_leave: false };
        let answer = self.client.send(asked, call.body)?;
        if answer.status() == StatusCode::FORBIDDEN && self.learn_time(&answer, skew) {
            return Err(Failure::temporary("this machine's clock is wrong"));
        }
        Ok(answer)
    }

    /// Takes the server's time from an answer; whether this machine's was wrong.
    fn learn_time(&self, answer: &Response<Body>, skew: i64) -> bool {
        let told = text(answer.headers(), "date").map(|date| date.replace("GMT", "+0000"));
        let Some(theirs) = told.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok()) else {
            return false;
        };
        let off = (theirs - OffsetDateTime::now_utc()).whole_seconds();
        self.skew.store(off, Ordering::Relaxed);
        (off - skew).abs() > CLOCK_TOLERANCE
    }

    /// What an answer means that is not the wanted one.
    fn refused(&self, answer: Response<Body>) -> Failure {
        let status = answer.status();
        let region = text(answer.headers(), "x-amz-bucket-region");
        if !matches!(status.as_u16(), 300..=399 | 400 | 403) {
            return self.client.refused(answer);
        }
        let said = xml_of(answer).unwrap_or_default();
        let code = xml::text(&said, "Code").unwrap_or_default();
        let region = region.or_else(|| xml::text(&said, "Region"));
        let location = self.client.location().to_owned();
        let refused =
            |why: String, next: String| StoreError::Refused { location, why, next }.into();
        match (code.as_str(), region) {
            ("RequestTimeout" | "SlowDown", _) => Failure::temporary(code),
            (_, Some(region)) if region != self.signer.region => refused(
                format!("the bucket is in the region {region}"),
                format!("set AWS_DEFAULT_REGION={region}"),
            ),
            ("ExpiredToken" | "TokenRefreshRequired", _) => refused(
                "the session has expired".to_owned(),
                "set AWS_SESSION_TOKEN and its keys anew; what was stored so far is kept"
                    .to_owned(),
            ),
            ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => refused(
                format!("the server does not take this key ({code})"),
                "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
            ),
            ("" | "AccessDenied", _) if status == StatusCode::FORBIDDEN => {
                StoreError::ReadOnly { location: self.client.location().to_owned() }.into()
            }
            _ => refused(
                format!("it answers {status} {code}"),
                "look at the address and the key's rights".to_owned(),
            ),
        }
    }

    fn head(&self, kind: FileKind, name: &str) -> Attempt<Response<Body>> {
        let key = self.key(kind, name);
        let answer = self.send(Call { method: Method::HEAD, key: &key, ..Call::default() })?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            _ => Err(self.refused(answer)),
        }
    }

    /// One page of a list, and what gets the next.
    fn page(
        &self,
        prefix: &str,
        token: Option<String>,
        files: &mut Vec<FileEntry>,
    ) -> Attempt<Option<String>> {
        let mut query = vec![("list-type", "2".to_owned()), ("prefix", prefix.to_owned())];
        query.extend(token.map(|token| ("continuation-token", token)));
        query.sort_unstable();
        let answer = self.send(Call { query, ..Call::default() })?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer));
        }
        let said = xml_of(answer).map_err(|error| self.client.failed(error.into()))?;
        let broken = |why: &str| StoreError::Refused {
            location: self.client.location().to_owned(),
            why: why.to_owned(),
            next: "look whether it is a server that speaks S3".to_owned(),
        };
        if !said.trim_end().ends_with("</ListBucketResult>") {
            return Err(broken("it answers with something else than a list of files").into());
        }
        for file in xml::elements(&said, "Contents") {
            let (key, size) = (xml::text(file, "Key"), xml::text(file, "Size"));
            let name = key.as_deref().and_then(|key| key.rsplit('/').next()).map(str::to_owned);
            let size = size.and_then(|size| size.parse().ok());
            files.extend(name.zip(size).map(|(name, size)| FileEntry { name, size }));
        }
        if files.len() > MOST_FILES {
            return Err(broken("it lists more files than a repository can have").into());
        }
        let more = xml::text(&said, "IsTruncated").as_deref() == Some("true");
        Ok(xml::text(&said, "NextContinuationToken").filter(|_| more))
    }
}

impl Remote for S3 {
    /// Makes the bucket where there is none; folders are no more than a part of names.
    fn create(&self) -> Attempt<()> {
        let answer = self.send(Call { method: Method::HEAD, ..Call::default() })?;
        match answer.status() {
            StatusCode::OK => return Ok(()),
            StatusCode::NOT_FOUND => {}
            // Whoever may use a bucket need not have the right to look at it as a whole.
            StatusCode::FORBIDDEN => return Ok(()),
            _ => return Err(self.refused(answer)),
        }
        let place = match self.signer.region.as_str() {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let call = Call { method: Method::PUT, body: place.as_bytes(), ..Call::default() };
        let answer = self.send(call)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(self.refused(answer)),
        }
    }

    fn list(&self, kind: FileKind) -> Attempt<Vec<FileEntry>> {
        let prefix = format!("{}{}/", self.prefix, kind.folder());
        let (mut files, mut token) = (Vec::new(), None);
        loop {
            token = self.page(&prefix, token, &mut files)?;
            if token.is_none() {
                return Ok(files);
            }
        }
    }

    fn size(&self, kind: FileKind, name: &str) -> Attempt<u64> {
        let answer = self.head(kind, name)?;
        length(answer.headers())
            .ok_or_else(|| Failure::temporary("it does not tell the size of a file"))
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
        let (key, range) = (self.key(kind, name), format!("bytes={from}-{}", end - 1));
        let headers = vec![("range", range)];
        let mut answer = self.send(Call { key: &key, headers, ..Call::default() })?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            return Err(self.refused(answer));
        }
        match content_range(answer.headers()) {
            Some((at, last)) if at == from && last + 1 == end => {}
            Some((at, _)) if at == from => return Err(Failure::TooShort),
            _ => return Err(Failure::temporary("it answers with another range")),
        }
        self.client.fill(answer.body_mut(), buf, filled)
    }

    /// The names of files are the sums of what is in them, which the server checks.
    fn write(&self, kind: FileKind, name: &str, bytes: &[u8]) -> Attempt<()> {
        let key = self.key(kind, name);
        let mut headers = Vec::new();
        let body_sum = match kind {
            FileKind::Config => {
                headers.push(("if-none-match", "*".to_owned()));
                None
            }
            _ => Some(name),
        };
        let method = Method::PUT;
        let call = Call { method, key: &key, headers, body: bytes, body_sum, ..Call::default() };
        let answer = self.send(call)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::PRECONDITION_FAILED => Err(Failure::Exists),
            // Another one is writing it at this moment.
            StatusCode::CONFLICT => Err(Failure::temporary("somebody else is writing it")),
            _ => Err(self.refused(answer)),
        }
    }

    fn remove(&self, kind: FileKind, name: &str) -> Attempt<()> {
        let key = self.key(kind, name);
        let answer = self.send(Call { method: Method::DELETE, key: &key, ..Call::default() })?;
        match answer.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => match self.refused(answer) {
                Failure::Final(StoreError::ReadOnly { location }) => {
                    Err(StoreError::KeepsAll { location, kind }.into())
                }
                other => Err(other),
            },
        }
    }

    fn age(&self, kind: FileKind, name: &str) -> Attempt<Option<Duration>> {
        Ok(age(self.head(kind, name)?.headers()))
    }

    fn takes_notes(&self) -> bool {
        true
    }

    fn write_note(&self, name: &str, text: &str) -> Attempt<()> {
        let key = format!("{}{name}", self.prefix);
        let method = Method::PUT;
        let answer =
            self.send(Call { method, key: &key, body: text.as_bytes(), ..Call::default() })?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(self.refused(answer)),
        }
    }

    fn stop(&self) {
        self.client.stop();
    }

    fn location(&self) -> String {
        self.client.location().to_owned()
    }
}

/// An answer's text.
fn xml_of(answer: Response<Body>) -> std::io::Result<String> {
    let mut said = String::new();
    let body = answer.into_body().into_with_config().limit(XML_LIMIT).reader();
    body.take(XML_LIMIT).read_to_string(&mut said)?;
    Ok(said)
}

/// The region that a host of Amazon's names: `s3.eu-central-1.amazonaws.com`.
fn region_of(host: &str) -> String {
    let region = host.strip_suffix(".amazonaws.com").and_then(|host| {
        let rest = host.strip_prefix("s3.").or_else(|| host.strip_prefix("s3-"))?;
        rest.rsplit('.').next()
    });
    region.unwrap_or("us-east-1").to_owned()
}
