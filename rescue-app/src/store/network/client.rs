//! HTTP to one server: connections, certificates, and answers in words.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::CertificateError;
use ureq::http::{HeaderMap, Method, Request, Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Timeout};

use super::options::NetworkOptions;
use super::remote::{Attempt, Failure};
use crate::console;
use crate::store::StoreError;

/// How long a server may take to be found, to take a connection, and to say the next byte.
const CONNECT: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);

/// How long it is waited for leave to send a body. A server that refuses a file says so at once, and
/// one that does not know the question (RFC 9110, 10.1.1) is sent it then.
const LEAVE: Duration = Duration::from_secs(1);

/// A body of so many bytes is worth the question whether it is wanted.
const WORTH_ASKING: usize = 256 << 10;

/// The most that is read of what a server says about an error, in bytes.
const REMARK: u64 = 4 << 10;

/// The longest that a server's wish to be left alone is granted.
const LONGEST_WAIT: u64 = 60;

/// Where the certificates are that a system trusts: Debian, Fedora, openSUSE, Alpine.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A request, but for its body.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Whether the server may refuse the body before it is sent.
    pub(super) asks_leave: bool,
}

/// Speaks to one server.
pub(super) struct Client {
    agent: Agent,
    location: String,
}

impl Client {
    /// A client for the place called `location`.
    pub(super) fn new(location: String, options: &NetworkOptions) -> Result<Self, StoreError> {
        let tls = TlsConfig::builder().root_certs(roots(&location, options)?).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .timeout_await_100(Some(LEAVE))
            .build();
        Ok(Self { agent: config.new_agent(), location })
    }

    /// The place in words.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Ends all connections and takes no more.
    pub(super) fn stop(&self) {
        self.agent.clone().shutdown();
    }

    /// Sends a request and waits for the answer, whatever it is.
    pub(super) fn send(&self, asked: Asked<'_>, body: &[u8]) -> Attempt<Response<Body>> {
        let sends = matches!(asked.method, Method::POST | Method::PUT);
        let mut request = Request::builder().method(asked.method).uri(asked.url);
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        if asked.asks_leave && body.len() >= WORTH_ASKING {
            request = request.header(header::EXPECT, "100-continue");
        }
        let answer = if sends {
            request.body(body).map_err(ureq::Error::from).and_then(|it| self.agent.run(it))
        } else {
            request.body(()).map_err(ureq::Error::from).and_then(|it| self.agent.run(it))
        };
        answer.map_err(|error| self.failed(error))
    }

    /// What an answer means that is not the wanted one.
    pub(super) fn refused(&self, answer: Response<Body>) -> Failure {
        let status = answer.status().as_u16();
        let location = self.location.clone();
        let refused = |why: String, next: &str| {
            Failure::from(StoreError::Refused {
                location: location.clone(),
                why,
                next: next.to_owned(),
            })
        };
        match status {
            300..=399 => {
                let to = text(answer.headers(), "location").unwrap_or_default();
                let to = super::without_passwords(&console::plain(&to));
                refused(format!("the server sends to {to}"), "name that address instead")
            }
            401 => refused(
                "the server does not take this user and password".to_owned(),
                "give both in the address or in LIFEBOAT_REST_USERNAME and LIFEBOAT_REST_PASSWORD",
            ),
            404 | 410 => Failure::Missing,
            416 => Failure::TooShort,
            507 => StoreError::Full { location }.into(),
            403 => StoreError::ReadOnly { location }.into(),
            408 | 425 | 429 | 500..=599 => {
                let wait = text(answer.headers(), "retry-after");
                let wait = wait.and_then(|wait| wait.parse::<u64>().ok());
                let wait = wait.map(|wait| Duration::from_secs(wait.min(LONGEST_WAIT)));
                Failure::Temporary { why: remark(answer), wait, moved: false }
            }
            _ => refused(remark(answer), "look at the address, and at the server's own log"),
        }
    }

    /// Reads a body into `buf` from `filled` on, which grows with it.
    pub(super) fn fill(&self, body: &mut Body, buf: &mut [u8], filled: &mut usize) -> Attempt<()> {
        let mut reader = body.as_reader();
        while let Some(rest) = buf.get_mut(*filled..).filter(|rest| !rest.is_empty()) {
            match reader.read(rest) {
                Ok(0) => return Err(Failure::temporary("the answer ended early")),
                Ok(read) => *filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error.into())),
            }
        }
        // The end of the answer has to be seen for the connection to be used again.
        let _ = reader.read(&mut [0]);
        Ok(())
    }

    /// What became of a request that got no answer.
    pub(super) fn failed(&self, error: ureq::Error) -> Failure {
        match error {
            ureq::Error::Rustls(error) => self.distrusted(&error),
            ureq::Error::Io(error) => match tls_error(&error) {
                Some(tls) => self.distrusted(tls),
                None => Failure::temporary(error.to_string()),
            },
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                Failure::temporary("it does not take a connection")
            }
            ureq::Error::Timeout(_) => {
                Failure::temporary(format!("it was silent for {} s", SILENCE.as_secs()))
            }
            ureq::Error::HostNotFound => Failure::temporary("no address is known for that name"),
            error @ (ureq::Error::ConnectionFailed | ureq::Error::Protocol(_)) => {
                Failure::temporary(error.to_string())
            }
            error => StoreError::Refused {
                location: self.location.clone(),
                why: error.to_string(),
                next: "look at the address".to_owned(),
            }
            .into(),
        }
    }

    /// What is wrong with a secured connection.
    fn distrusted(&self, error: &rustls::Error) -> Failure {
        let next = match error {
            rustls::Error::InvalidCertificate(problem) => match problem {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    "look whether this machine's clock is right"
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    "name the server as its certificate does"
                }
                CertificateError::Other(_) => {
                    "a server needs a certificate of its own, with basicConstraints=CA:FALSE"
                }
                _ => {
                    "give the certificate of who signed it by --cacert FILE, if that is whom you \
                     trust"
                }
            },
            rustls::Error::InvalidMessage(_) => {
                return Failure::temporary(
                    "it does not speak HTTPS there; perhaps http:// is meant",
                );
            }
            // A stream that was cut or garbled on the way.
            other => return Failure::temporary(other.to_string()),
        };
        StoreError::Refused {
            location: self.location.clone(),
            why: format!("the server does not prove that it is the one meant: {error}"),
            next: next.to_owned(),
        }
        .into()
    }
}

/// What a secured connection failed of, where that is what an error wraps.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    match inner.downcast_ref::<ureq::Error>() {
        Some(ureq::Error::Io(error)) => tls_error(error),
        Some(ureq::Error::Rustls(error)) => Some(error),
        _ => inner.downcast_ref(),
    }
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// How many bytes follow, or would (RFC 9110, 8.6).
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length")?.parse().ok()
}

/// An answer in one line: its status, and the beginning of what it says.
fn remark(answer: Response<Body>) -> String {
    let status = answer.status();
    let mut said = Vec::new();
    let body = answer.into_body().into_with_config().limit(REMARK).reader();
    // What it says is only a help.
    let _ = body.take(REMARK).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().map(str::trim).unwrap_or_default();
    let line: String = console::name(line).chars().take(200).collect();
    match line.is_empty() || status.canonical_reason() == Some(line.as_str()) {
        true => format!("it answers {status}"),
        false => format!("it answers {status}: {line}"),
    }
}

/// Who may vouch for a server.
fn roots(location: &str, options: &NetworkOptions) -> Result<RootCerts, StoreError> {
    if let Some(file) = &options.cacert {
        let refused = |why: String| StoreError::Refused {
            location: location.to_owned(),
            why: format!("the certificates in {} cannot be used: {why}", console::path(file)),
            next: "name a file with certificates in PEM form".to_owned(),
        };
        let found = certificates(file).map_err(|error| refused(error.to_string()))?;
        if found.is_empty() {
            return Err(refused("there is none in it".to_owned()));
        }
        return Ok(RootCerts::from(found));
    }
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_ROOTS.iter().map(PathBuf::from);
    for file in named.into_iter().chain(usual) {
        match certificates(&file) {
            Ok(found) if !found.is_empty() => return Ok(RootCerts::from(found)),
            _ => {}
        }
    }
    Ok(RootCerts::WebPki)
}

fn certificates(file: &Path) -> io::Result<Vec<Certificate<'static>>> {
    let pem = fs::read(file)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    Ok(parse_pem(&pem).filter_map(certificate).collect())
}
